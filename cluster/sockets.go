package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// sockets is the Transport over UDP and TCP. memberlist has one of its own;
// this one exists because that one makes 64 KiB of garbage for every packet,
// starts its goroutines before it is asked to, and cannot give up a dial.
type sockets struct {
	tcp *net.TCPListener
	udp *net.UDPConn

	once    sync.Once // starts the loops
	loops   sync.WaitGroup
	done    chan struct{}
	stop    sync.Once
	packets chan *memberlist.Packet
	streams chan net.Conn
}

var _ dialer = (*sockets)(nil)

// listenSockets binds TCP and UDP to the same port; an invalid address means
// all addresses of this machine.
func listenSockets(ip netip.Addr, port int) (*sockets, error) {
	ap := netip.AddrPortFrom(ip, uint16(port))
	// With port 0 the kernel picks the port for TCP, and somebody may hold the
	// same one for UDP.
	for try := 0; ; try++ {
		s, err := bindSockets(ap)
		if err == nil {
			return s, nil
		}
		if ap.Port() != 0 || try == 10 || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("gossip address: %w", err)
		}
	}
}

func bindSockets(ap netip.AddrPort) (*sockets, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(ap))
	if err != nil {
		return nil, err
	}
	port := uint16(tcp.Addr().(*net.TCPAddr).Port)
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ap.Addr(), port)))
	if err != nil {
		_ = tcp.Close()
		return nil, err
	}
	return &sockets{tcp: tcp, udp: udp, done: make(chan struct{}),
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn)}, nil
}

func (s *sockets) port() int { return s.tcp.Addr().(*net.TCPAddr).Port }

// FinalAdvertiseAddr returns what the user gave, else the bound address, else,
// when bound to all, the first private address of this machine.
func (s *sockets) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip != "" {
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			return nil, 0, fmt.Errorf("advertised gossip address: %w", err)
		}
		if port == 0 {
			port = s.port()
		}
		return addr.Unmap().AsSlice(), port, nil
	}
	bound := s.tcp.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	if !bound.IsUnspecified() {
		return bound.AsSlice(), s.port(), nil
	}
	addr, err := privateAddr()
	if err != nil {
		return nil, 0, err
	}
	return addr.AsSlice(), s.port(), nil
}

func privateAddr() (netip.Addr, error) {
	addrs, err := localAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	var best netip.Addr
	for _, a := range addrs {
		if a.IsPrivate() && (!best.IsValid() || (a.Is4() && !best.Is4())) {
			best = a
		}
	}
	if !best.IsValid() {
		return best, errors.New("bound to all addresses and none of them is private: give the gossip address to advertise")
	}
	return best, nil
}

func localAddrs() ([]netip.Addr, error) {
	ifs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, i := range ifs {
		if p, err := netip.ParsePrefix(i.String()); err == nil {
			addrs = append(addrs, p.Addr().Unmap())
		}
	}
	return addrs, nil
}

// WriteTo sends one packet.
func (s *sockets) WriteTo(b []byte, addr string) (time.Time, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Now(), err
	}
	_, err = s.udp.WriteToUDPAddrPort(b, ap)
	return time.Now(), err
}

// DialContext opens a stream.
func (s *sockets) DialContext(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// DialTimeout opens a stream.
func (s *sockets) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.DialContext(ctx, addr)
}

// PacketCh starts receiving with its first call: not before somebody listens.
func (s *sockets) PacketCh() <-chan *memberlist.Packet {
	s.start()
	return s.packets
}

// StreamCh starts receiving with its first call.
func (s *sockets) StreamCh() <-chan net.Conn {
	s.start()
	return s.streams
}

func (s *sockets) start() {
	s.once.Do(func() {
		s.loops.Add(2)
		go func() { defer s.loops.Done(); s.receive() }()
		go func() { defer s.loops.Done(); s.accept() }()
	})
}

func (s *sockets) receive() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if !s.pause(err) {
				return
			}
			continue
		}
		if n == 0 {
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		p := &memberlist.Packet{
			Buf:       append([]byte(nil), buf[:n]...),
			From:      net.UDPAddrFromAddrPort(from),
			Timestamp: time.Now(),
		}
		select {
		case s.packets <- p:
		case <-s.done:
			return
		}
	}
}

func (s *sockets) accept() {
	for {
		c, err := s.tcp.AcceptTCP()
		if err != nil {
			if !s.pause(err) {
				return
			}
			continue
		}
		select {
		case s.streams <- c:
		case <-s.done:
			_ = c.Close()
			return
		}
	}
}

// pause waits a little after an error of a socket (no file descriptors left,
// say); false means that the socket is closed.
func (s *sockets) pause(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	t := time.NewTimer(50 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.done:
		return false
	}
}

// Shutdown closes both sockets and waits for their loops.
func (s *sockets) Shutdown() error {
	s.stop.Do(func() { close(s.done) })
	err := errors.Join(ignoreClosed(s.tcp.Close()), ignoreClosed(s.udp.Close()))
	s.loops.Wait()
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// SplitAddr takes an address apart. The port may be missing, and is the given one then; an address
// of IPv6 may go without brackets.
func SplitAddr(addr string, port int) (string, int, error) {
	if ip, err := netip.ParseAddr(strings.Trim(addr, "[]")); err == nil {
		return ip.String(), port, nil
	}
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		var ae *net.AddrError
		if errors.As(err, &ae) && ae.Err == "missing port in address" {
			return addr, port, nil
		}
		return "", 0, err
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: port %q", addr, p)
	}
	return host, int(n), nil
}
