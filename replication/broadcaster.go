package replication

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

// Broadcaster pushes the rows of this node to all peers and counts their acks.
//
//	storage writer ── Enqueue ──> Log ──> sender per peer ── frames ──> Stream
//	                                                                      │
//	handler <── Wait.Done ── Tracker <──────── acks ── receiver per peer ─┘
type Broadcaster struct {
	cfg     Config
	metrics *metrics
	tracker *Tracker

	reconciling sync.Mutex // one at a time; held while leavers are waited for
	reachable   atomic.Int32

	mu       sync.Mutex
	log      *Log
	senders  []*sender // sorted by name
	origin   clock.Origin
	running  context.Context // of Run, without its cancellation; nil outside of it
	draining bool
	ran      bool
}

// New returns a Broadcaster; it starts nothing.
func New(cfg Config) *Broadcaster {
	b := &Broadcaster{cfg: cfg.withDefaults()}
	b.tracker = NewTracker(b.cfg.Self.Name, b.cfg.Mutants)
	b.log = NewLog(b.cfg.QueueRows, b.cfg.QueueBytes, maxRow)
	b.metrics = newMetrics(cfg.Registerer, b)
	b.tracker.ended = b.metrics.ended
	return b
}

// Run pushes until ctx ends, then for at most [Config.Drain] what is still queued for
// peers that answer, and returns once all that it started has ended. It can run once.
func (b *Broadcaster) Run(ctx context.Context) error {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	b.mu.Lock()
	if b.ran {
		b.mu.Unlock()
		return errors.New("replication: Run was called before")
	}
	b.ran, b.running = true, hard
	b.mu.Unlock()
	b.Reconcile()
	<-ctx.Done()

	// No sender starts from here on: Reconcile looks at running.
	b.reconciling.Lock()
	defer b.reconciling.Unlock()
	b.mu.Lock()
	b.running, b.draining = nil, true
	senders := slices.Clone(b.senders)
	useless := make([]*session, len(senders))
	for i, p := range senders {
		useless[i] = p.drain()
	}
	b.mu.Unlock()
	for _, s := range useless {
		s.close()
	}
	deadline := time.NewTimer(b.cfg.Drain)
	defer deadline.Stop()
	for _, p := range senders {
		select {
		case <-p.ended:
			continue
		case <-deadline.C:
		}
		break
	}
	for _, p := range senders {
		p.stop()
	}
	for _, p := range senders {
		<-p.ended
	}
	return nil
}

// Reconcile takes over the current set of peers: it starts senders for those who came
// and returns once the senders of those who left have ended. A peer with a new address
// is connected anew. Before Run it only takes note of the names, after Run nothing.
func (b *Broadcaster) Reconcile() {
	b.reconciling.Lock()
	defer b.reconciling.Unlock()
	wanted := b.wanted()
	names := make([]string, len(wanted))
	for i, p := range wanted {
		names[i] = p.Name
	}
	// First: whoever leaves cannot ack from here on, whoever comes can.
	b.tracker.SetPeers(names...)

	b.mu.Lock()
	var left, kept []*sender
	var stale []*session // to addresses that no longer hold
	for _, s := range b.senders {
		if _, ok := slices.BinarySearchFunc(wanted, s.name, byName); ok {
			kept = append(kept, s)
		} else {
			left = append(left, s)
		}
	}
	b.senders = kept
	for _, peer := range wanted {
		i, ok := slices.BinarySearchFunc(b.senders, peer.Name, func(s *sender, name string) int { return strings.Compare(s.name, name) })
		switch {
		case ok:
			if old := b.senders[i].moved(peer); old != nil {
				stale = append(stale, old)
			}
		case !b.draining:
			b.senders = slices.Insert(b.senders, i, newSender(b, peer))
		}
	}
	for _, s := range b.senders {
		if b.running != nil && !s.started {
			s.start(b.running)
		}
	}
	b.recount()
	b.mu.Unlock()

	for _, s := range stale {
		s.close()
	}
	for _, s := range left {
		s.stop()
	}
	for _, s := range left {
		if s.started {
			<-s.ended
		}
		b.metrics.forget(s.name)
		b.cfg.Log.Info("peer left", "peer", s.name)
	}
}

func byName(p wire.Peer, name string) int { return strings.Compare(p.Name, name) }

// wanted is the set of peers, sorted, each name once, without this node.
func (b *Broadcaster) wanted() []wire.Peer {
	peers := slices.Clone(b.cfg.Peers())
	peers = slices.DeleteFunc(peers, func(p wire.Peer) bool { return p.Name == "" || p.Name == b.cfg.Self.Name })
	slices.SortStableFunc(peers, func(x, y wire.Peer) int { return strings.Compare(x.Name, y.Name) })
	return slices.CompactFunc(peers, func(x, y wire.Peer) bool { return x.Name == y.Name })
}

// Enqueue hands over rows that are being committed, in commit order, all of one origin;
// base is this node's base of that origin and floor its gc_floor, both as of that
// transaction. It is called on the storage writer before the fsync; it never blocks and
// takes time in proportion to rows and peers.
func (b *Broadcaster) Enqueue(base uint64, floor clock.Clock, rows []Row) {
	if len(rows) == 0 {
		return
	}
	var behind []string
	b.mu.Lock()
	b.origin = rows[len(rows)-1].Dot.Origin
	unfit := b.log.Append(base, floor, rows)
	for _, p := range b.senders {
		if p.enqueued(unfit) {
			behind = append(behind, p.name)
		}
	}
	b.mu.Unlock()
	b.tellBehind(behind...)
}

func (b *Broadcaster) tellBehind(peers ...string) {
	for _, name := range peers {
		b.cfg.Log.Warn("peer has to pull: it is too far behind for pushes", "peer", name)
		b.cfg.Behind(name)
	}
}

// Bar says which names were removed: they acknowledge nothing from here on, even if
// [Broadcaster.Reconcile] has not ended their streams yet. It does not block.
func (b *Broadcaster) Bar(names ...string) { b.tracker.Bar(names...) }

// NewWait returns a wait for w distinct names, this node included.
func (b *Broadcaster) NewWait(w int) *Wait { return b.tracker.NewWait(w) }

// Reachable returns how many peers can be expected to ack: their breaker is closed, and
// they do not answer that they take no rows. A write that needs more is refused before it
// begins.
func (b *Broadcaster) Reachable() int { return int(b.reachable.Load()) }

// recount is called with mu held whenever the answer of Reachable may change.
func (b *Broadcaster) recount() {
	n := 0
	for _, p := range b.senders {
		if p.breaker.State() == Closed && p.takesRows() {
			n++
		}
	}
	b.reachable.Store(int32(n))
}

// AckedBy returns the peers, sorted, that hold d durably by their own newest word.
// Whether this node holds it is for its caller to add.
func (b *Broadcaster) AckedBy(d clock.Dot) []string { return b.tracker.AckedBy(d) }

// AckedClock returns what peer last acknowledged as durable; it covers the origins that
// this process wrote under and what the peer's greeting told beyond them.
func (b *Broadcaster) AckedClock(peer string) clock.Clock { return b.tracker.AckedClock(peer) }

// Heard says that something came from peer, a pull or a request: if it is being left
// alone after failures, it is tried now.
func (b *Broadcaster) Heard(peer string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.find(peer); p != nil && p.session == nil && p.breaker.Heard(time.Now()) {
		p.wake()
	}
}

// NudgeAll tells every peer that has a stream what this node has, so that it asks for what
// it lacks.
func (b *Broadcaster) NudgeAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.senders {
		p.nudge = true
		p.wake()
	}
}

// Resumed says that this process stood still until now: what is in flight gets its full
// time again, for what was overdue may lie in the socket, unread.
func (b *Broadcaster) Resumed() {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.senders {
		if p.session != nil {
			p.session.flight.Restart(now)
		}
	}
}

func (b *Broadcaster) find(peer string) *sender {
	i, ok := slices.BinarySearchFunc(b.senders, peer, func(s *sender, name string) int { return strings.Compare(s.name, name) })
	if !ok {
		return nil
	}
	return b.senders[i]
}

// PeerStatus is how pushing to one peer stands.
type PeerStatus struct {
	Name      string
	State     BreakerState
	Connected bool           // a stream stands
	Result    wire.AckResult // of the last answer; 0 before the first
	Behind    bool           // it has to pull: pushes alone cannot bring it up to date
	Queued    int            // rows that wait to be sent
	InFlight  int            // rows sent and not answered
	LastAck   time.Time      // zero if there was none
	Failures  int            // in a row
}

// Status returns the peers sorted by name.
func (b *Broadcaster) Status() []PeerStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]PeerStatus, len(b.senders))
	for i, p := range b.senders {
		all[i] = p.status()
	}
	return all
}
