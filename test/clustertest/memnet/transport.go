package memnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// packetBuffer is how many packets wait for a slow receiver before they are
// lost. memberlist's own MockTransport has no buffer: there, one stopped node
// blocks all its senders for ever.
const packetBuffer = 1024

type transport struct {
	host     *Host
	listener *listener
	packets  chan *memberlist.Packet
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// FinalAdvertiseAddr prefers what the user configured.
func (t *transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip == "" {
		return t.host.ip.AsSlice(), GossipPort, nil
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, 0, err
	}
	return addr.AsSlice(), port, nil
}

// WriteTo delivers a packet or loses it.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return now, fmt.Errorf("memnet: packet to %q: %w", addr, err)
	}
	h := t.host
	h.packets.Add(1)
	h.packetBytes.Add(int64(len(b)))
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	dst := h.net.byIP[to.Addr().Unmap()]
	if dst == nil || h.net.link(h, dst) != linkUp || h.transports[GossipPort] != t {
		return now, nil
	}
	peer := dst.transports[int(to.Port())]
	if peer == nil {
		return now, nil
	}
	p := &memberlist.Packet{
		Buf:       append([]byte(nil), b...),
		From:      net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.ip, GossipPort)),
		Timestamp: now,
	}
	select {
	case peer.packets <- p:
	default:
	}
	return now, nil
}

func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// DialContext lets a caller give up early, which DialTimeout does not.
func (t *transport) DialContext(ctx context.Context, addr string) (net.Conn, error) {
	return t.host.DialContext(ctx, "tcp", addr)
}

func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return t.DialContext(ctx, addr)
}

func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

func (t *transport) StreamCh() <-chan net.Conn { return t.listener.conns }

// Shutdown frees the port; packets to it are lost from now on.
func (t *transport) Shutdown() error {
	h := t.host
	h.net.mu.Lock()
	if h.transports[GossipPort] == t {
		delete(h.transports, GossipPort)
	}
	h.net.mu.Unlock()
	return t.listener.Close()
}

func (t *transport) shut() { t.listener.shut() }
