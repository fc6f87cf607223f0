package httpapi

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// ListenLimits bound the connections of a listener.
type ListenLimits struct {
	// Max is how many may be open at once, and PerAddress how many of them from one address
	// beyond this machine; 0 = 4096, and half of Max.
	Max, PerAddress int
	// Reserved are places beyond Max that only peers get; 0 = 256. Peer tells them, by
	// their address; nil = there are none.
	Reserved int
	Peer     func(netip.Addr) bool
	// Refused is called for each connection that got no place; nil = nobody is told.
	Refused func()
}

// Limited wraps a listener. A connection that finds no place is closed at once: were it left
// to wait, peers would wait behind it.
func Limited(l net.Listener, c ListenLimits) net.Listener {
	if c.Max <= 0 {
		c.Max = 4096
	}
	if c.PerAddress <= 0 {
		c.PerAddress = (c.Max + 1) / 2
	}
	if c.Reserved <= 0 {
		c.Reserved = 256
	}
	if c.Peer == nil {
		c.Peer = func(netip.Addr) bool { return false }
	}
	if c.Refused == nil {
		c.Refused = func() {}
	}
	return &limitedListener{Listener: l, limits: c, from: make(map[string]int)}
}

type limitedListener struct {
	net.Listener
	limits ListenLimits

	mu   sync.Mutex
	open int
	from map[string]int // by address; none is 0
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		ip, key := remote(conn)
		if l.enter(ip, key) {
			return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(key) })}, nil
		}
		l.limits.Refused()
		_ = conn.Close()
	}
}

func remote(conn net.Conn) (netip.Addr, string) {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}, conn.RemoteAddr().String()
	}
	ip := at.Addr().Unmap()
	return ip, subscriber(ip)
}

func (l *limitedListener) enter(ip netip.Addr, key string) bool {
	peer := ip.IsValid() && l.limits.Peer(ip)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case peer && l.open >= l.limits.Max+l.limits.Reserved,
		!peer && l.open >= l.limits.Max,
		!peer && !ip.IsLoopback() && l.from[key] >= l.limits.PerAddress:
		return false
	}
	l.open++
	l.from[key]++
	return true
}

func (l *limitedListener) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.from[key]--; l.from[key] == 0 {
		delete(l.from, key)
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

// Close gives the place back, once.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}

// CloseWrite is for servers that let a client read what they say last.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
