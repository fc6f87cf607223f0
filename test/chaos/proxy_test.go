//go:build chaos && linux

package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/memd/memd/wire"
)

// network is what lies between the nodes' HTTP doors: one proxy in front of each, whose
// address the node advertises. It knows who calls, because the first request on every
// connection says so, and can cut any pair of nodes apart.
type network struct {
	mu    sync.Mutex
	doors map[string]*door // by the node behind it
	cut   map[pair]bool
	links map[*link]bool
	fresh map[net.Conn]bool // accepted, and nothing said yet
	wg    sync.WaitGroup
	over  bool
}

type pair struct{ from, to string }

// door is the proxy in front of one node.
type door struct {
	name            string
	listen, backend string
	listener        net.Listener // nil while nobody may connect: then the kernel refuses
}

// link is one connection that goes through.
type link struct {
	pair
	client, server net.Conn
}

func newNetwork() *network {
	return &network{doors: map[string]*door{}, cut: map[pair]bool{}, links: map[*link]bool{}, fresh: map[net.Conn]bool{}}
}

// add opens the proxy in front of a node.
func (n *network) add(name, listen, backend string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := &door{name: name, listen: listen, backend: backend}
	n.doors[name] = d
	return n.open(d)
}

// open is called with n.mu held.
func (n *network) open(d *door) error {
	if d.listener != nil || n.over {
		return nil
	}
	l, err := net.Listen("tcp", d.listen)
	if err != nil {
		return err
	}
	d.listener = l
	n.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.wg.Go(func() { n.serve(d, c) })
		}
	})
	return nil
}

// reset closes a connection so that the other side hears of it at once and nothing that
// is still on its way is delivered.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

func (n *network) serve(d *door, client net.Conn) {
	n.mu.Lock()
	n.fresh[client] = true
	if n.over {
		reset(client)
	}
	n.mu.Unlock()
	from, head, err := caller(client)
	n.mu.Lock()
	delete(n.fresh, client)
	n.mu.Unlock()
	if err != nil || n.isCut(pair{from, d.name}) {
		reset(client)
		return
	}
	server, err := net.DialTimeout("tcp", d.backend, 2*time.Second)
	if err != nil {
		reset(client)
		return
	}
	l := &link{pair{from, d.name}, client, server}
	if !n.join(l) {
		reset(client)
		reset(server)
		return
	}
	defer n.leave(l)
	if _, err := server.Write(head); err != nil {
		return
	}
	both := make(chan error, 2)
	copyTo := func(dst, src net.Conn) {
		_, err := io.Copy(dst, src)
		if err == nil {
			err = dst.(*net.TCPConn).CloseWrite() // the end of one direction only
		}
		both <- err
	}
	go copyTo(server, client)
	go copyTo(client, server)
	if err := <-both; err != nil {
		reset(client)
		reset(server)
	}
	<-both
}

// caller reads the first request's header far enough to know who sends it.
func caller(c net.Conn) (name string, head []byte, err error) {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	buf := make([]byte, 0, 4096)
	for {
		if end := bytes.Index(buf, []byte("\r\n\r\n")); end >= 0 {
			for line := range strings.SplitSeq(string(buf[:end]), "\r\n") {
				if key, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(key, wire.HeaderNode) {
					return strings.TrimSpace(value), buf, nil
				}
			}
			return "", nil, errors.New("a caller without a name")
		}
		if len(buf) > 64<<10 {
			return "", nil, errors.New("no end of the header")
		}
		chunk := make([]byte, 4096)
		k, err := c.Read(chunk)
		buf = append(buf, chunk[:k]...)
		if err != nil {
			return "", nil, err
		}
	}
}

func (n *network) isCut(p pair) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut[p]
}

func (n *network) join(l *link) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut[l.pair] || n.over {
		return false
	}
	n.links[l] = true
	return true
}

func (n *network) leave(l *link) {
	n.mu.Lock()
	delete(n.links, l)
	n.mu.Unlock()
	_ = l.client.Close()
	_ = l.server.Close()
}

// part cuts pairs of nodes: their connections are reset, new ones too, and a node that
// nobody may call refuses.
func (n *network) part(pairs ...pair) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range pairs {
		n.cut[p] = true
	}
	for l := range n.links {
		if n.cut[l.pair] {
			reset(l.client)
			reset(l.server)
			delete(n.links, l)
		}
	}
	for _, d := range n.doors {
		if d.listener != nil && n.deaf(d.name) {
			_ = d.listener.Close()
			d.listener = nil
		}
	}
}

// deaf is called with n.mu held.
func (n *network) deaf(name string) bool {
	for other := range n.doors {
		if other != name && !n.cut[pair{other, name}] {
			return false
		}
	}
	return true
}

// isolate cuts a node from all others, both ways.
func (n *network) isolate(name string) {
	var pairs []pair
	for other := range n.doors {
		if other != name {
			pairs = append(pairs, pair{other, name}, pair{name, other})
		}
	}
	n.part(pairs...)
}

// heal connects everybody again.
func (n *network) heal() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	var errs []error
	for _, d := range n.doors {
		errs = append(errs, n.open(d))
	}
	return errors.Join(errs...)
}

// isolated proves that no peer reaches the node: the proxy refuses, nothing goes through
// it either way, and the node's own socket has no connection left.
func (n *network) isolated(name string) error {
	n.mu.Lock()
	d := n.doors[name]
	links := 0
	for l := range n.links {
		if l.to == name || l.from == name {
			links++
		}
	}
	n.mu.Unlock()
	if links > 0 {
		return voidf("%d connections of %s still go through", links, name)
	}
	c, err := net.DialTimeout("tcp", d.listen, time.Second)
	if err == nil {
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return voidf("connecting to %s while it is cut off: %v instead of refused", name, err)
	}
	deadline := time.Now().Add(2 * time.Second)
	for {
		open, err := established(d.backend)
		if err != nil {
			return err
		}
		if open == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return voidf("%s still has %d connections", name, open)
		}
		time.Sleep(time.Millisecond)
	}
}

// established counts connections in state ESTABLISHED of a listening IPv4 address.
func established(addr string) (int, error) {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return 0, err
	}
	ip := a.IP.To4()
	local := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == local && f[3] == "01" {
			n++
		}
	}
	return n, nil
}

// close ends everything that goes through.
func (n *network) close() {
	n.mu.Lock()
	n.over = true
	for _, d := range n.doors {
		if d.listener != nil {
			_ = d.listener.Close()
		}
	}
	for l := range n.links {
		reset(l.client)
		reset(l.server)
	}
	for c := range n.fresh {
		reset(c)
	}
	n.mu.Unlock()
	n.wg.Wait()
}
