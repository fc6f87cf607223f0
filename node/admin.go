package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/memd/memd/httpapi"
)

// listenAdmin binds the address of metrics and profiles, if there is one.
func (n *Node) listenAdmin() (err error) {
	if n.cfg.AdminAddr == "" {
		return nil
	}
	if n.adminListener, err = net.Listen("tcp", n.cfg.AdminAddr); err != nil {
		return fmt.Errorf("listen on admin-addr: %w", err)
	}
	return nil
}

// AdminAddr is where metrics and profiles are served; "" if not on an address of their own.
func (n *Node) AdminAddr() string {
	if n.adminListener == nil {
		return ""
	}
	return n.adminListener.Addr().String()
}

// hosts are the names under which this node may be called.
func (n *Node) hosts() []string {
	return append([]string{n.listener.Addr().String(), n.httpAdvertise, n.AdminAddr()}, n.cfg.AllowedHosts...)
}

// adminConns bounds the connections of the admin address: scrapers and a human.
const adminConns = 64

// serveAdmin runs the admin address until ctx ends. What is in flight there is nobody's
// data and is cut off.
func (n *Node) serveAdmin(ctx context.Context) error {
	if n.adminListener == nil {
		return nil
	}
	server := httpapi.NewServer(httpapi.ServerConfig{Handler: n.door.Admin(), Log: n.log})
	failed := make(chan error, 1)
	go func() {
		failed <- server.Serve(httpapi.Listener(httpapi.Limited(n.adminListener, httpapi.ListenLimits{Max: adminConns, Refused: n.door.Refused}), n.serverTLS(), n.door.Handshake))
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve admin: %w", err)
	case <-ctx.Done():
	}
	_ = server.Close()
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// isPeer tells whether an address is that of a registered member: such connections find a
// place when there is none for others.
func (n *Node) isPeer(ip netip.Addr) bool {
	for _, m := range n.members.list() {
		if m.Name == n.cfg.Name {
			continue
		}
		for _, addr := range []string{m.HTTP, m.Gossip} { // the first may have a name
			if at, err := netip.ParseAddrPort(addr); err == nil && at.Addr().Unmap() == ip {
				return true
			}
		}
	}
	return false
}
