package memnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hashicorp/memberlist"
)

// backlog is how many streams wait to be accepted before dials are refused.
const backlog = 128

// Host is one machine of the network.
type Host struct {
	net  *Network
	name string
	ip   netip.Addr

	// guarded by net.mu
	down       bool
	nextPort   int
	listeners  map[int]*listener
	transports map[int]*transport

	packets, packetBytes, streams, streamBytes atomic.Int64
}

// Traffic is what a host has sent since it was made.
type Traffic struct {
	Packets, PacketBytes int64
	Streams              int64 // dials that tried to connect
	StreamBytes          int64
}

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// IP returns the host's address.
func (h *Host) IP() netip.Addr { return h.ip }

// Addr returns ip:port.
func (h *Host) Addr(port int) string {
	return net.JoinHostPort(h.ip.String(), strconv.Itoa(port))
}

// Traffic returns the counters.
func (h *Host) Traffic() Traffic {
	return Traffic{Packets: h.packets.Load(), PacketBytes: h.packetBytes.Load(),
		Streams: h.streams.Load(), StreamBytes: h.streamBytes.Load()}
}

// Listen accepts streams on the port; 0 picks a free one.
func (h *Host) Listen(port int) (net.Listener, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.listen(port)
}

// listen needs net.mu.
func (h *Host) listen(port int) (*listener, error) {
	if port == 0 {
		port = h.freePort()
	}
	addr := h.tcp(port)
	if h.down {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: addr, Err: os.NewSyscallError("bind", syscall.ENETDOWN)}
	}
	if h.listeners[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: addr, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &listener{host: h, addr: addr, conns: make(chan net.Conn, backlog), done: make(chan struct{})}
	h.listeners[port] = l
	return l, nil
}

// freePort needs net.mu.
func (h *Host) freePort() int {
	h.nextPort++
	return 40000 + h.nextPort
}

func (h *Host) tcp(port int) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.ip, uint16(port)))
}

// DialContext connects to a host:port of the network, where host is an address
// or a name. Across a blackhole it waits for the context or for Heal.
func (h *Host) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	name, p, err := net.SplitHostPort(addr)
	if err != nil {
		return fail(err)
	}
	port, err := strconv.Atoi(p)
	if err != nil {
		return fail(err)
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		addrs, err := h.net.Lookup(ctx, name)
		if err != nil {
			return fail(err)
		}
		ip = addrs[0]
	}
	h.streams.Add(1)
	for {
		conn, wait, err := h.connect(ip, port)
		if err != nil {
			return fail(err)
		}
		if conn != nil {
			return conn, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			err := ctx.Err()
			if errors.Is(err, context.DeadlineExceeded) {
				err = os.ErrDeadlineExceeded // a net.Error with Timeout() true
			}
			return fail(err)
		}
	}
}

// connect tries once; with no connection and no error the caller waits for the
// channel and tries again.
func (h *Host) connect(ip netip.Addr, port int) (net.Conn, <-chan struct{}, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	refused := os.NewSyscallError("connect", syscall.ECONNREFUSED)
	to := n.byIP[ip.Unmap()]
	if to == nil {
		return nil, nil, os.NewSyscallError("connect", syscall.EHOSTUNREACH)
	}
	switch n.link(h, to) {
	case linkDark:
		return nil, n.changed, nil
	case linkReset:
		return nil, nil, refused
	}
	l := to.listeners[port]
	if l == nil {
		return nil, nil, refused
	}
	near, far := newPair(h, to, h.tcp(h.freePort()), l.addr)
	if !l.offer(far) {
		return nil, nil, refused
	}
	n.pairs[near.pair] = struct{}{}
	return near, nil, nil
}

// Transport starts the host's gossip endpoint on GossipPort. An endpoint that
// the host had before is shut down: one host runs one node at a time.
func (h *Host) Transport() memberlist.Transport {
	h.net.mu.Lock()
	old := h.transports[GossipPort]
	h.net.mu.Unlock()
	if old != nil {
		_ = old.Shutdown()
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	l, err := h.listen(GossipPort)
	if err != nil {
		panic("memnet: transport of " + h.name + ": " + err.Error())
	}
	t := &transport{host: h, listener: l, packets: make(chan *memberlist.Packet, packetBuffer)}
	h.transports[GossipPort] = t
	return t
}

// listener hands out the streams that were dialled to its port.
type listener struct {
	host  *Host
	addr  *net.TCPAddr
	conns chan net.Conn
	done  chan struct{}

	mu     sync.Mutex
	closed bool
}

func (l *listener) offer(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	select {
	case l.conns <- c:
		return true
	default:
		return false
	}
}

// Accept waits for a dialled stream.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close frees the port and ends streams that nobody accepted.
func (l *listener) Close() error {
	h := l.host
	h.net.mu.Lock()
	if h.listeners[l.addr.Port] == l {
		delete(h.listeners, l.addr.Port)
	}
	h.net.mu.Unlock()
	l.shut()
	return nil
}

func (l *listener) shut() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	l.mu.Unlock()
	close(l.done)
	for {
		select {
		case c := <-l.conns:
			_ = c.Close()
		default:
			return
		}
	}
}

// Addr returns the address that dials reach.
func (l *listener) Addr() net.Addr { return l.addr }
