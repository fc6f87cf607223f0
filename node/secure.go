package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/trust"
	"github.com/memd/memd/wire"
)

// loadFiles reads what says whom this node trusts.
func (n *Node) loadFiles() (err error) {
	if n.allow, err = openAllowlist(n.cfg.PeerAllowlist); err != nil {
		return fmt.Errorf("peer-allowlist: %w", err)
	}
	if n.cfg.TLSCert == "" {
		return nil
	}
	n.files, err = trust.Load(trust.Config{
		Cert: n.cfg.TLSCert, Key: n.cfg.TLSKey, CA: n.cfg.TLSCA, VerifyClient: n.cfg.TLSVerifyClient, Registerer: n.cfg.Registry,
	})
	return err
}

// gossipNetworks are where gossip may come from and go to.
func (n *Node) gossipNetworks() networks {
	addr := n.cfg.GossipAdvertise
	if addr == "" {
		addr = n.cfg.GossipAddr
	}
	return networks{n.cfg.PeerNetworks, isLoopback(addr)}
}

func (n *Node) serverTLS() *tls.Config {
	if n.files == nil {
		return nil
	}
	return n.files.Server()
}

// peerDial connects to where peers may be, and nowhere else: their addresses are what gossip
// and registry say.
func (n *Node) peerDial() func(ctx context.Context, network, addr string) (net.Conn, error) {
	return networks{n.cfg.PeerNetworks, isLoopback(n.httpAdvertise)}.dial(n.cfg.DialContext)
}

func (n *Node) clientConfig() wire.ClientConfig {
	c := wire.ClientConfig{Dial: n.peerDial(), APIKey: n.own.shown, Uncompressed: isLoopback(n.httpAdvertise)}
	if n.files != nil {
		c.TLS = func(p wire.Peer) *tls.Config { return n.files.Peer(p.Name, p.Addr, n.clusterText) }
		c.Trusted = func(s tls.ConnectionState, p wire.Peer) error {
			return n.files.CheckCalled(&s, n.clusterText(), p.Name)
		}
	}
	return c
}

// clusterText is the cluster's id as a certificate may say it; "" while there is none.
func (n *Node) clusterText() string {
	if id := n.store.Cluster(); !id.IsZero() {
		return id.String()
	}
	return ""
}

// checkPeer says whether a caller may speak as the node name.
func (n *Node) checkPeer(s *tls.ConnectionState, name string) error {
	if n.files == nil {
		return nil
	}
	return n.files.CheckCaller(s, n.clusterText(), name)
}

// rereadEvery is how often files that may change are looked at.
const rereadEvery = time.Second

// watchFiles reads files again that have changed. An error is said once, and what was in
// use stays.
func (n *Node) watchFiles(ctx context.Context) error {
	tick := time.NewTicker(rereadEvery)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-tick.C:
		case <-n.reread:
		case <-ctx.Done():
			return nil
		}
		switch err := n.reload(); {
		case err == nil:
			last = ""
		case err.Error() != last:
			last = err.Error()
			n.log.Error("a changed file cannot be used; what was read before stays in use", "err", err)
		}
	}
}

// Reread makes Run read the files that may change again now: certificates, keys and lists.
func (n *Node) Reread() {
	select {
	case n.reread <- struct{}{}:
	default:
	}
}

func (n *Node) reload() error {
	var errs []error
	if n.files != nil {
		changed, err := n.files.Reload()
		if changed {
			n.log.Info("certificates were read again", "expires", n.files.Expiry())
			n.client.Close() // on kept connections the certificates of before would be judged for ever
		}
		errs = append(errs, err)
	}
	if n.cfg.Keys != nil {
		errs = append(errs, n.cfg.Keys.Refresh())
	}
	changed, err := n.own.reload() // after the keys that it must be one of
	if changed {
		n.log.Info("the key for peers was read again", "key", auth.KeyID(n.own.shown()))
	}
	errs = append(errs, err)
	if n.allow != nil {
		changed, err := n.allow.reload()
		if changed {
			n.log.Info("the allowlist of peers was read again")
			n.push.NudgeAll() // what was denied may be there for the asking
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// maxRagged is how many intervals a peer's clock may have before rows that make more of
// them are left to its pulls: it would refuse them (storage, over the cap of gaps).
const maxRagged = 512

// pushHides keeps rows from the push streams of peers that may not have them; nil if
// every peer may have everything.
func (n *Node) pushHides() func(peer string, raw []byte) bool {
	if n.allow == nil {
		return nil
	}
	return func(peer string, raw []byte) bool {
		if n.allow.of(peer) == nil {
			return false
		}
		return n.push.AckedClock(peer).Intervals() > maxRagged || n.allow.hides(peer, raw)
	}
}
