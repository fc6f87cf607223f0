package httpapi

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// calling is a listener whose connections come from wherever a test says.
type calling struct {
	conns chan net.Conn
	done  chan struct{}
}

func newCalling() *calling { return &calling{make(chan net.Conn), make(chan struct{})} }

func (l *calling) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *calling) Close() error   { close(l.done); return nil }
func (l *calling) Addr() net.Addr { return &net.TCPAddr{} }

// call connects from an address. open tells whether the connection was taken.
func (l *calling) call(t *testing.T, from string) (open bool) {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close() })
	l.conns <- named{there, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
	_ = here.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := here.Read(make([]byte, 1))
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

type named struct {
	net.Conn
	from net.Addr
}

func (c named) RemoteAddr() net.Addr { return c.from }

func TestLimitedListener(t *testing.T) {
	l := newCalling()
	var refused atomic.Int32
	peer := netip.MustParseAddr("192.0.2.200")
	limited := Limited(l, ListenLimits{Max: 4, PerAddress: 2, Reserved: 2, Refused: func() { refused.Add(1) }, Peer: func(ip netip.Addr) bool { return ip == peer }})
	taken := make(chan net.Conn, 16)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := limited.Accept()
			if err != nil {
				return
			}
			taken <- c
		}
	}()
	defer func() {
		_ = limited.Close()
		<-ended
	}()
	expect := func(from string, want bool) {
		t.Helper()
		if got := l.call(t, from); got != want {
			t.Errorf("from %s: taken %v, want %v", from, got, want)
		}
	}
	expect("192.0.2.1:1", true)
	expect("192.0.2.1:2", true)
	expect("192.0.2.1:3", false) // its share
	expect("127.0.0.1:1", true)
	expect("[2001:db8::1]:1", true)
	expect("[2001:db8::2]:1", false) // all are taken
	expect("127.0.0.1:2", false)
	expect("192.0.2.200:1", true) // reserved
	expect("192.0.2.200:2", true)
	expect("192.0.2.200:3", false)
	if refused.Load() != 4 {
		t.Errorf("%d refused", refused.Load())
	}
	first := <-taken
	_ = first.Close()
	_ = first.Close() // a place is given back once
	expect("192.0.2.2:1", false)
	for range 3 {
		_ = (<-taken).Close()
	}
	expect("192.0.2.2:1", true)
	expect("192.0.2.2:2", true)
	expect("192.0.2.2:3", false)
}

// TestSubscriberOfAddresses: one network of IPv6 is one caller.
func TestSubscriberOfAddresses(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::", "::1": "::",
	} {
		if got := subscriber(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is of %s, want %s", addr, got, want)
		}
	}
}
