package catchup

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// link is how a peer is reached. The zero value is a peer at 1 ms.
type link struct {
	rtt      time.Duration // 0 = 1 ms
	transfer time.Duration // from the first byte to the last
	dark     bool          // takes the request and never answers
	stall    int           // goes dark in the middle of every page from this one on, 1 = the first
	refuse   error
	cut      int  // this many answers are cut off after one row
	hide     bool // does not report first bytes
}

// network is the Source of one node.
type network struct {
	mu    sync.Mutex
	nodes map[string]*store
	links map[string]*link
	pages map[string]int
	open  int // calls under way
	most  int
	deaf  time.Duration // a call that was given up returns only after this
}

func newNetwork(nodes ...*store) *network {
	n := &network{nodes: map[string]*store{}, links: map[string]*link{}, pages: map[string]int{}}
	for _, s := range nodes {
		n.nodes[s.name], n.links[s.name] = s, &link{}
	}
	return n
}

func (n *network) set(name string, f func(l *link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n.links[name])
}

func (n *network) Since(ctx context.Context, p wire.Peer, req wire.SinceRequest) (*wire.Page, error) {
	n.mu.Lock()
	s, l := n.nodes[p.Name], *n.links[p.Name]
	n.pages[p.Name]++
	page := n.pages[p.Name]
	n.open++
	n.most = max(n.most, n.open)
	n.mu.Unlock()
	defer func() {
		if ctx.Err() != nil {
			time.Sleep(n.deaf)
		}
		n.mu.Lock()
		n.open--
		n.mu.Unlock()
	}()
	if l.rtt == 0 {
		l.rtt = time.Millisecond
	}
	if l.dark {
		return nil, pass(ctx, 2*time.Second, context.DeadlineExceeded)
	}
	if err := pass(ctx, l.rtt/2, nil); err != nil {
		return nil, err
	}
	if l.refuse != nil {
		return nil, l.refuse
	}
	got, gotErr := s.since(req)
	if err := pass(ctx, l.rtt/2, nil); err != nil {
		return nil, err
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && !l.hide {
		trace.GotFirstResponseByte()
	}
	if l.stall > 0 && page >= l.stall {
		return nil, pass(ctx, 5*time.Second, errors.New("body stalled"))
	}
	if err := pass(ctx, l.transfer, nil); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.links[p.Name].cut > 0 && got != nil && len(got.Rows) > 1 {
		n.links[p.Name].cut--
		got.Rows = got.Rows[:1]
		return got, fmt.Errorf("%w: connection reset", wire.ErrTruncated)
	}
	return got, gotErr
}

// pass waits and returns err, or earlier with the context's error.
func pass(ctx context.Context, d time.Duration, err error) error {
	if d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// lab runs a Manager of me against peers, in a bubble.
type lab struct {
	*Manager
	t     *testing.T
	me    *store
	net   *network
	reg   *prometheus.Registry
	mu    sync.Mutex
	peers []wire.Peer
	stop  func()
}

func start(t *testing.T, me *store, peers []*store, change ...func(*Config)) *lab {
	l := &lab{t: t, me: me, net: newNetwork(peers...), reg: prometheus.NewRegistry()}
	for _, p := range peers {
		l.peers = append(l.peers, wire.Peer{Name: p.name, Addr: p.name})
	}
	cfg := Config{
		Self: wire.Self{Name: me.name}, Source: l.net, Sink: me, Registerer: l.reg,
		Peers: func() []wire.Peer {
			l.mu.Lock()
			defer l.mu.Unlock()
			return append([]wire.Peer(nil), l.peers...)
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	l.Manager = New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if l.net.open != 0 {
			t.Errorf("%d requests outlive Run", l.net.open)
		}
		if held := l.leases.Held(time.Now()); !held.Empty() {
			t.Errorf("leases left behind: %v", held)
		}
		if l.slots.used != 0 || len(l.slots.waiting) != 0 || len(l.gate.asking)+len(l.gate.waiting) != 0 {
			t.Errorf("slots or gate left behind: %d used, %d and %d asking", l.slots.used, len(l.slots.waiting), len(l.gate.asking))
		}
		if l.net.most > MaxSessions {
			t.Errorf("%d requests at once", l.net.most)
		}
		if err := me.verify(); err != nil {
			t.Error(err)
		}
		if me.crowded {
			t.Error("two pulls from one peer at once")
		}
	})
	t.Cleanup(l.stop)
	return l
}

// keepOrder is a Random that shuffles nothing and waits for half of the longest time.
func keepOrder(n int64) int64 {
	if n < 1000 {
		return n - 1
	}
	return n / 2
}

func (l *lab) setPeers(peers ...wire.Peer) {
	l.mu.Lock()
	l.peers = peers
	l.mu.Unlock()
	l.Reconcile()
}

// settle lets the pulls of the start pass.
func (l *lab) settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// until waits for cond and returns how long it took.
func (l *lab) until(limit time.Duration, cond func() bool) time.Duration {
	l.t.Helper()
	began := time.Now()
	for !cond() {
		if time.Since(began) > limit {
			l.t.Fatalf("not within %v: me at %v, status %+v", limit, l.me.Clock(), l.Status())
		}
		time.Sleep(max(100*time.Microsecond, limit/10000))
	}
	return time.Since(began)
}

func (l *lab) has(s *store) func() bool {
	want := s.Clock()
	return func() bool { return l.me.Clock().Covers(want) }
}

func (l *lab) asked(names ...string) int {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	n := 0
	for name, k := range l.net.pages {
		if len(names) == 0 || names[0] == name {
			n += k
		}
	}
	return n
}

// cluster returns me and n peers which all have the same rows, and me none of them.
func cluster(n, rows int) (*store, []*store) {
	var peers []*store
	for i := range n {
		peers = append(peers, newStore(fmt.Sprint("n", i+1), clock.Origin(1001+i)))
	}
	fill(peers, 0, rows)
	return newStore("me", 7), peers
}

// fill writes rows at the first peer and pushes them to all others.
func fill(peers []*store, from, to int) {
	for i := from; i < to; i++ {
		key := fmt.Sprint("row", i)
		peers[0].write(key)
		for _, p := range peers[1:] {
			peers[0].push(p, key)
		}
	}
}
