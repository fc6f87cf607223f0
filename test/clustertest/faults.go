package clustertest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/memd/memd/wire"
)

// Traffic is a kind of what one node says to another.
type Traffic int

// The kinds that Cut tells apart.
const (
	Pushes  Traffic = iota // push streams
	Pulls                  // sync/since
	Gossip                 // packets and streams of memberlist
	Packets                // its packets alone, as if UDP were filtered
)

// Cut stops one kind of traffic from one node to another, as a fault that a network
// would not show: the rest between the two goes on. Connections that stand are reset,
// new ones fail. Heal ends it.
func (c *Cluster) Cut(what Traffic, from, to *Node) { c.faults.cut(what, from.Label, to.Label) }

// CutAll cuts one kind of traffic between all nodes, both ways.
func (c *Cluster) CutAll(what Traffic) {
	for i, a := range c.nodes {
		for _, b := range c.nodes[:i] {
			c.CutBoth(a, b, what)
		}
	}
}

// CutBoth cuts the given kinds of traffic between two nodes, both ways.
func (c *Cluster) CutBoth(a, b *Node, kinds ...Traffic) {
	for _, what := range kinds {
		c.Cut(what, a, b)
		c.Cut(what, b, a)
	}
}

// Wear makes every connection by which one node asks another break after so many bytes of
// answers, in the middle of whatever it carries. Heal ends it.
func (c *Cluster) Wear(what Traffic, from *Node, bytes int) {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	c.faults.worn[way{what: what, from: from.Label}] = bytes
}

// way is one kind of traffic in one direction.
type way struct {
	what     Traffic
	from, to string // labels
}

// faults are the ways that are cut, and the connections that may be.
type faults struct {
	mu     sync.Mutex
	broken map[way]bool
	links  map[*link]struct{}
	bytes  map[Traffic]int
	worn   map[way]int       // to is empty
	hosts  map[string]string // host:port or ip to label of the node that runs there
}

func (f *faults) init() {
	f.worn, f.broken, f.links, f.bytes, f.hosts = map[way]int{}, map[way]bool{}, map[*link]struct{}{}, map[Traffic]int{}, map[string]string{}
}

func (f *faults) cut(what Traffic, from, to string) {
	w := way{what, from, to}
	f.mu.Lock()
	f.broken[w] = true
	var open []*link
	for l := range f.links {
		if l.known && l.way == w {
			open = append(open, l)
		}
	}
	f.mu.Unlock()
	for _, l := range open {
		_ = l.Close()
	}
}

func (f *faults) mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.broken)
	clear(f.worn)
}

func (f *faults) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.links)
}

func (f *faults) isCut(w way) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken[w]
}

// at is the label of the node that runs at an address.
func (f *faults) at(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hosts[host]
}

// dial is how the node reaches other doors.
func (n *Node) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := n.Host.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn, faults: &n.c.faults, way: way{from: n.Label, to: n.c.faults.at(addr)}}
	l.faults.mu.Lock()
	l.faults.links[l] = struct{}{}
	l.faults.mu.Unlock()
	return l, nil
}

// link is a connection between two nodes. What it is for shows in its first bytes.
type link struct {
	net.Conn
	faults *faults

	// Guarded by faults.mu.
	way   way
	known bool
	read  int // bytes
}

var errCut = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("write", syscall.ECONNRESET)}

func (l *link) Write(b []byte) (int, error) {
	l.faults.mu.Lock()
	if !l.known {
		l.known, l.way.what = true, Pulls
		if bytes.HasPrefix(b, []byte("POST "+wire.PathPush)) {
			l.way.what = Pushes
		}
	}
	broken := l.faults.broken[l.way]
	l.faults.mu.Unlock()
	if broken {
		_ = l.Close()
		return 0, errCut
	}
	n, err := l.Conn.Write(b)
	l.count(n)
	return n, err
}

func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.count(n)
	if l.worn(n) {
		_ = l.Close()
		return 0, errCut
	}
	return n, err
}

func (l *link) worn(n int) bool {
	l.faults.mu.Lock()
	defer l.faults.mu.Unlock()
	l.read += n
	limit, ok := l.faults.worn[way{what: l.way.what, from: l.way.from}]
	return ok && l.read > limit
}

func (l *link) count(n int) {
	l.faults.mu.Lock()
	defer l.faults.mu.Unlock()
	l.faults.bytes[l.way.what] += n
}

// Links is how many connections between doors are open.
func (c *Cluster) Links() int {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	return len(c.faults.links)
}

// Bytes is how much went over the connections between doors so far, both ways: pushes or
// pulls, all headers included.
func (c *Cluster) Bytes(what Traffic) int {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	return c.faults.bytes[what]
}

func (l *link) Close() error {
	l.faults.mu.Lock()
	delete(l.faults.links, l)
	l.faults.mu.Unlock()
	return l.Conn.Close()
}

// gossip is the transport of a node.
func (f *faults) gossip(n *Node) memberlist.Transport {
	f.mu.Lock()
	f.hosts[n.Host.IP().String()] = n.Label
	f.mu.Unlock()
	return &gossip{NodeAwareTransport: n.Host.Transport().(memberlist.NodeAwareTransport), faults: f, label: n.Label}
}

// gossip loses what is cut.
type gossip struct {
	memberlist.NodeAwareTransport
	faults *faults
	label  string
}

func (g *gossip) lost(addr string) bool {
	return g.faults.isCut(way{Gossip, g.label, g.faults.at(addr)})
}

var errLost = errors.New("gossip is cut")

func (g *gossip) WriteTo(b []byte, addr string) (time.Time, error) {
	if g.lost(addr) || g.faults.isCut(way{Packets, g.label, g.faults.at(addr)}) {
		return time.Now(), nil
	}
	return g.NodeAwareTransport.WriteTo(b, addr)
}

func (g *gossip) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return g.WriteTo(b, a.Addr)
}

func (g *gossip) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	if g.lost(addr) {
		return nil, errLost
	}
	return g.NodeAwareTransport.DialTimeout(addr, timeout)
}

func (g *gossip) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return g.DialTimeout(a.Addr, timeout)
}

// DialContext is a dial that cluster can give up.
func (g *gossip) DialContext(ctx context.Context, addr string) (net.Conn, error) {
	if g.lost(addr) {
		return nil, errLost
	}
	return g.NodeAwareTransport.(interface {
		DialContext(context.Context, string) (net.Conn, error)
	}).DialContext(ctx, addr)
}
