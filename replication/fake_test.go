package replication

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const own = clock.Origin(0xa)

func dot(n uint64) clock.Dot { return clock.Dot{Origin: own, Counter: n} }

// rows lo..hi of the origin own; the bytes name the dot.
func rows(lo, hi uint64) []Row {
	var all []Row
	for n := lo; n <= hi; n++ {
		all = append(all, Row{dot(n), []byte(dot(n).String())})
	}
	return all
}

func span(lo, hi uint64) clock.Clock {
	var c clock.Clock
	c.AddRange(own, lo, hi)
	return c
}

// network is peers that answer, or not, as a test wants. Its bytes are in order and
// buffered without bound, like a kernel's that accepts for a stopped process.
type network struct {
	mu    sync.Mutex
	peers map[string]*fakePeer
}

type fakePeer struct {
	mu      sync.Mutex
	name    string // what it calls itself
	has     clock.Clock
	ever    clock.Clock      // had it at some time
	lost    clock.Clock      // forgot it
	got     []wire.PushBatch // in order, all streams
	nudges  []wire.Nudge
	opens   int
	delay   time.Duration // before each answer
	socket  int           // frames that fit into its socket; 0 for any number
	down    error         // OpenPush fails with it
	frozen  bool          // takes everything, answers nothing
	mute    bool          // drops what it reads: neither applies nor answers
	forget  func(clock.Dot) bool
	answer  func(wire.PushBatch) wire.AckResult // nil is ok
	hello   wire.AckResult
	thawed  chan struct{} // closed when not frozen
	streams map[*fakeStream]bool
}

func newNetwork(names ...string) *network {
	n := &network{peers: map[string]*fakePeer{}}
	for _, name := range names {
		n.peers[name] = newFakePeer(name)
	}
	return n
}

func newFakePeer(name string) *fakePeer {
	p := &fakePeer{name: name, hello: wire.AckOK, thawed: make(chan struct{}), streams: map[*fakeStream]bool{}}
	close(p.thawed)
	return p
}

func (n *network) list() []wire.Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []wire.Peer
	for _, name := range slices.Sorted(maps.Keys(n.peers)) {
		all = append(all, wire.Peer{Name: name, Addr: name + ":1"})
	}
	return all
}

func (n *network) remove(name string) *fakePeer {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[name]
	delete(n.peers, name)
	return p
}

func (n *network) OpenPush(ctx context.Context, to wire.Peer) (Stream, error) {
	n.mu.Lock()
	p := n.peers[to.Name]
	n.mu.Unlock()
	if p == nil {
		return nil, errors.New("no such host")
	}
	p.mu.Lock()
	p.opens++
	down, thawed := p.down, p.thawed
	p.mu.Unlock()
	if down != nil {
		return nil, down
	}
	select {
	case <-thawed: // the handshake is answered by the process, not by its kernel
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s := &fakeStream{p: p, closed: make(chan struct{}), more: make(chan struct{}, 1), acks: make(chan wire.Ack, 10000)}
	p.mu.Lock()
	p.streams[s] = true
	s.acks <- wire.Ack{Entry: p.has.Clone(), Result: p.hello, Name: p.name}
	p.mu.Unlock()
	go s.serve()
	return s, nil
}

func (p *fakePeer) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen, p.thawed = true, make(chan struct{})
}

func (p *fakePeer) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = false
	close(p.thawed)
}

// set changes the peer under its lock.
func (p *fakePeer) set(f func(p *fakePeer)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

// cut breaks all connections; what was under way is lost.
func (p *fakePeer) cut() {
	p.mu.Lock()
	streams := slices.Collect(maps.Keys(p.streams))
	p.mu.Unlock()
	for _, s := range streams {
		s.Close()
	}
}

func (p *fakePeer) batches() []wire.PushBatch {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// dots are all dots received, in order, repetitions included.
func (p *fakePeer) dots() []uint64 {
	var all []uint64
	for _, b := range p.batches() {
		for _, raw := range b.Rows {
			d, err := clock.ParseDot(string(raw))
			if err != nil {
				panic(err)
			}
			all = append(all, d.Counter)
		}
	}
	return all
}

func (p *fakePeer) clock() clock.Clock {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.has.Clone()
}

func (p *fakePeer) opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opens
}

func (p *fakePeer) nudged() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.nudges)
}

type fakeStream struct {
	p      *fakePeer
	closed chan struct{}
	once   sync.Once
	acks   chan wire.Ack
	more   chan struct{}

	mu  sync.Mutex
	buf []wire.PushBatch
}

var errReset = errors.New("connection reset")

func (s *fakeStream) Send(b wire.PushBatch) error {
	select {
	case <-s.closed:
		return errReset
	default:
	}
	b.Rows = slices.Clone(b.Rows) // the caller overwrites them
	s.p.mu.Lock()
	fits := s.p.socket
	s.p.mu.Unlock()
	s.mu.Lock()
	if fits > 0 && len(s.buf) >= fits {
		s.mu.Unlock()
		<-s.closed // nobody reads here, so it never fits
		return errReset
	}
	s.buf = append(s.buf, b)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

func (s *fakeStream) SendNudge(n wire.Nudge) error {
	s.p.set(func(p *fakePeer) { p.nudges = append(p.nudges, n) })
	return nil
}

func (s *fakeStream) Recv() (wire.Ack, error) {
	select {
	case a := <-s.acks:
		return a, nil
	default:
	}
	select {
	case a := <-s.acks:
		return a, nil
	case <-s.closed:
		return wire.Ack{}, errReset
	}
}

func (s *fakeStream) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.p.set(func(p *fakePeer) { delete(p.streams, s) })
	})
	return nil
}

func (s *fakeStream) serve() {
	for {
		select {
		case <-s.more:
		case <-s.closed:
			return
		}
		for {
			s.mu.Lock()
			if len(s.buf) == 0 {
				s.mu.Unlock()
				break
			}
			b := s.buf[0]
			s.mu.Unlock()
			if !s.take(b) {
				return
			}
			s.mu.Lock()
			s.buf = s.buf[1:]
			s.mu.Unlock()
		}
	}
}

func (s *fakeStream) take(b wire.PushBatch) bool {
	p := s.p
	p.mu.Lock()
	thawed, delay := p.thawed, p.delay
	p.mu.Unlock()
	select {
	case <-thawed:
	case <-s.closed:
		return false
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-s.closed:
			return false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute {
		return true
	}
	p.got = append(p.got, b)
	result := wire.AckOK
	if p.answer != nil {
		result = p.answer(b)
	}
	if result == wire.AckOK || result == wire.AckRefused {
		for _, raw := range b.Rows {
			d, err := clock.ParseDot(string(raw))
			if err != nil {
				panic(err)
			}
			if result == wire.AckRefused || p.forget != nil && p.forget(d) {
				p.lost.Add(d)
				continue
			}
			p.has.Add(d)
			p.ever.Add(d)
		}
	}
	s.acks <- wire.Ack{Seq: b.Seq, Entry: p.has.Only(b.Origin), Result: result, Name: p.name}
	return true
}

// rig is a running Broadcaster in a bubble.
type rig struct {
	*Broadcaster
	t      *testing.T
	net    *network
	behind []string
	mu     sync.Mutex
	next   uint64
	stop   func()
}

// start runs a Broadcaster over net until the test, or stop, ends it.
func start(t *testing.T, net *network, change ...func(*Config)) *rig {
	r := &rig{t: t, net: net, next: 1}
	cfg := Config{
		Self: wire.Self{Name: "me"}, Pusher: net, Peers: net.list,
		Nudge:  func() wire.Nudge { return wire.Nudge{Origin: own} },
		Behind: func(p string) { r.mu.Lock(); r.behind = append(r.behind, p); r.mu.Unlock() },
		Random: func() float64 { return 0.5 },
	}
	for _, f := range change {
		f(&cfg)
	}
	r.Broadcaster = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.stop)
	synctest.Wait()
	return r
}

// write enqueues n rows as one commit and returns a wait for the last one.
func (r *rig) write(n, w int) *Wait {
	all := rows(r.next, r.next+uint64(n)-1)
	r.next += uint64(n)
	wait := r.NewWait(w)
	wait.Start(all[len(all)-1].Dot)
	r.Enqueue(r.next-1, clock.Clock{}, all)
	wait.Local(nil)
	return wait
}

func (r *rig) status(peer string) PeerStatus {
	for _, s := range r.Status() {
		if s.Name == peer {
			return s
		}
	}
	r.t.Fatalf("no peer %s", peer)
	return PeerStatus{}
}

func (r *rig) fellBehind() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.behind)
}

func met(w *Wait) bool {
	select {
	case <-w.Done():
		return w.Result().Met
	default:
		return false
	}
}

// bubble runs f in a synctest bubble.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// soon lets everything that can happen without time happen, and a little time pass.
func soon() {
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
}
