package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Transport carries gossip. Only tests bring their own.
type Transport = memberlist.Transport

// dialer is what a Transport may have besides: a dial that can be given up.
type dialer interface {
	DialContext(ctx context.Context, addr string) (net.Conn, error)
}

var (
	errClosing    = errors.New("gossip is closing")
	errNotAllowed = errors.New("address is outside the allowed networks")
)

// guard stands between memberlist and the network. It counts bytes, keeps
// gossip inside the allowed networks in both directions, and can end what
// memberlist leaves behind: memberlist's Shutdown waits for none of its
// goroutines, and each stream may hold one until its deadline.
type guard struct {
	inner Transport
	allow func(netip.Addr) bool // nil = everything

	ctx     context.Context // ends with close: dials, pumps, deliveries
	cancel  context.CancelFunc
	pumps   sync.WaitGroup
	packets chan *memberlist.Packet
	streams chan net.Conn

	in, out atomic.Int64  // bytes
	refused *atomic.Int64 // packets and streams

	mu     sync.Mutex
	closed bool
	conns  map[*trackedConn]struct{}
	idle   chan struct{} // closed when closed and no conns are left
}

var _ memberlist.NodeAwareTransport = (*guard)(nil)

func newGuard(inner Transport, allow func(netip.Addr) bool, refused *atomic.Int64) *guard {
	g := &guard{inner: inner, allow: allow, refused: refused, conns: map[*trackedConn]struct{}{}, idle: make(chan struct{}),
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn)}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// start moves what arrives towards memberlist until shut. It is called once,
// by Run.
func (g *guard) start() {
	g.pumps.Add(2)
	go func() {
		defer g.pumps.Done()
		for {
			select {
			case p := <-g.inner.PacketCh():
				g.packet(p)
			case <-g.ctx.Done():
				return
			}
		}
	}()
	go func() {
		defer g.pumps.Done()
		for {
			select {
			case c := <-g.inner.StreamCh():
				g.stream(c)
			case <-g.ctx.Done():
				return
			}
		}
	}()
}

func (g *guard) packet(p *memberlist.Packet) {
	g.in.Add(int64(len(p.Buf)))
	if !g.allowed(p.From) {
		g.refused.Add(1)
		return
	}
	select {
	case g.packets <- p:
	case <-g.ctx.Done():
	}
}

func (g *guard) stream(c net.Conn) {
	if !g.allowed(c.RemoteAddr()) {
		g.refused.Add(1)
		_ = c.Close()
		return
	}
	t, err := g.track(c)
	if err != nil {
		return
	}
	select {
	case g.streams <- t:
	case <-g.ctx.Done():
		_ = t.Close()
	}
}

// allowed checks the address of a peer in any of the forms it comes in.
func (g *guard) allowed(addr net.Addr) bool {
	if g.allow == nil {
		return true
	}
	ap, err := netip.ParseAddrPort(addr.String())
	return err == nil && g.allow(ap.Addr().Unmap())
}

func (g *guard) reach(addr string) error {
	if g.allow == nil {
		return nil
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	if !g.allow(ap.Addr().Unmap()) {
		g.refused.Add(1)
		return fmt.Errorf("%s: %w", addr, errNotAllowed)
	}
	return nil
}

func (g *guard) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	return g.inner.FinalAdvertiseAddr(ip, port)
}

func (g *guard) WriteTo(b []byte, addr string) (time.Time, error) {
	if err := g.reach(addr); err != nil {
		return time.Now(), err
	}
	g.out.Add(int64(len(b)))
	return g.inner.WriteTo(b, addr)
}

func (g *guard) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return g.WriteTo(b, a.Addr)
}

func (g *guard) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	if err := g.reach(addr); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(g.ctx, timeout)
	defer cancel()
	var conn net.Conn
	var err error
	if d, ok := g.inner.(dialer); ok {
		conn, err = d.DialContext(ctx, addr)
	} else {
		conn, err = g.inner.DialTimeout(addr, timeout)
	}
	if err != nil {
		return nil, err
	}
	return g.track(conn)
}

func (g *guard) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return g.DialTimeout(a.Addr, timeout)
}

func (g *guard) PacketCh() <-chan *memberlist.Packet { return g.packets }
func (g *guard) StreamCh() <-chan net.Conn           { return g.streams }

// hangUp ends all streams and refuses further ones; packets still flow, which
// is what a goodbye needs.
func (g *guard) hangUp() {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	g.closed = true
	var open []*trackedConn
	for c := range g.conns {
		open = append(open, c)
	}
	if len(open) == 0 {
		close(g.idle)
	}
	g.mu.Unlock()
	for _, c := range open {
		_ = c.Conn.Close() // memberlist's own Close follows and is waited for
	}
}

// Shutdown is called by memberlist, or by New when it fails.
func (g *guard) Shutdown() error {
	g.cancel()
	g.hangUp()
	err := g.inner.Shutdown()
	g.pumps.Wait()
	return err
}

// wait returns when memberlist has let go of every stream, or after the limit.
func (g *guard) wait(limit time.Duration) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-g.idle:
	case <-t.C:
	}
}

func (g *guard) track(c net.Conn) (net.Conn, error) {
	t := &trackedConn{Conn: c, guard: g}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		_ = c.Close()
		return nil, errClosing
	}
	g.conns[t] = struct{}{}
	return t, nil
}

type trackedConn struct {
	net.Conn
	guard *guard
}

func (c *trackedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.guard.in.Add(int64(n))
	return n, err
}

func (c *trackedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.guard.out.Add(int64(n))
	if err != nil {
		// memberlist forgets a stream whose label cannot be written.
		_ = c.Close()
	}
	return n, err
}

func (c *trackedConn) Close() error {
	g := c.guard
	g.mu.Lock()
	if _, ok := g.conns[c]; ok {
		delete(g.conns, c)
		if g.closed && len(g.conns) == 0 {
			close(g.idle)
		}
	}
	g.mu.Unlock()
	return c.Conn.Close()
}
