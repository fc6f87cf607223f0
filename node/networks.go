package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// networks say where peers may be. Peers' addresses come from gossip and from the registry,
// and whoever can write there must not choose what a node connects to.
type networks struct {
	inside []netip.Prefix // none = anywhere but where no peer lives
	local  bool           // this node is on loopback, and so are its peers
}

// metadata are services of cloud providers outside the link-local networks.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200")}

// ParseNetworks reads CIDRs; a plain address is a network of its own.
func ParseNetworks(texts []string) (out []netip.Prefix, err error) {
	for _, s := range texts {
		if !strings.Contains(s, "/") {
			ip, err := netip.ParseAddr(s)
			if err != nil {
				return nil, fmt.Errorf("%q is no network, such as 10.0.0.0/8", s)
			}
			out = append(out, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no network, such as 10.0.0.0/8", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func (n networks) allow(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, p := range n.inside {
		if p.Contains(ip) {
			return true
		}
	}
	switch {
	case len(n.inside) > 0, !ip.IsValid(), ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast():
		return false
	case ip.IsLoopback():
		return n.local
	}
	return !slices.Contains(metadata, ip)
}

// dial returns a dialler that connects to allowed addresses only. A name is resolved once,
// and it is the address that comes of it that is looked at.
func (n networks) dial(with func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if with == nil {
		d := &net.Dialer{Control: func(_, addr string, _ syscall.RawConn) error { return n.check(addr) }}
		return d.DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if _, err := netip.ParseAddrPort(addr); err == nil { // a test's network resolves names itself
			if err := n.check(addr); err != nil {
				return nil, err
			}
		}
		return with(ctx, network, addr)
	}
}

func (n networks) check(addr string) error {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	if !n.allow(ap.Addr()) {
		return fmt.Errorf("%s is not where peers may be: see --peer-networks", addr)
	}
	return nil
}
