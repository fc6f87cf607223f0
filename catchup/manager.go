package catchup

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/wire"
)

// The beat of the pause detector. After SIGCONT an overdue timer fires at once, so the
// tick does not delay the detection.
const (
	pauseTick      = 500 * time.Millisecond
	pauseThreshold = 500 * time.Millisecond
)

// Manager runs one puller per peer. New starts nothing; Run does, and waits for all of
// it. All other methods may be called at any time and do not block, but for those that
// take a context.
type Manager struct {
	cfg     Config
	metrics *metrics
	leases  *Leases
	gate    gate
	slots   slots
	pause   *PauseDetector
	wake    chan struct{} // capacity 1: Run has something to look at

	mu      sync.Mutex
	peers   map[string]*puller
	leavers map[string]*puller // stopped, not yet gone; the last one of each name
	// refresh: the set of peers is to be read again. known: it was read at least once.
	refresh, known bool
	errands        map[Trigger]bool // to be started by Run
	changed        chan struct{}    // closed and replaced when a pull got anywhere
	event          uint64           // numbers what happens, see candidate
	epoch          uint64           // counts pauses
	synced         bool             // a pull was complete since the last pause or the start
	pace           pace
	tick           chan struct{} // capacity 1: the pace changed
}

// New returns a manager. It panics if its metrics are already registered.
func New(cfg Config) *Manager {
	cfg = cfg.withDefaults()
	m := &Manager{
		cfg:     cfg,
		leases:  NewLeases(cfg.Mutants),
		slots:   slots{total: MaxSessions, kept: urgentSessions},
		pause:   newPauses(cfg.Mutants),
		wake:    make(chan struct{}, 1),
		peers:   map[string]*puller{},
		leavers: map[string]*puller{},
		refresh: true,
		errands: map[Trigger]bool{TriggerStart: true},
		changed: make(chan struct{}),
		event:   1,
		pace:    newPace(cfg.Interval),
		tick:    make(chan struct{}, 1),
	}
	m.metrics = newMetrics(cfg.Registerer, m)
	return m
}

func newPauses(m mutant.Set) *PauseDetector {
	d := NewPauseDetector(pauseTick, pauseThreshold)
	if m.Has(mutant.MonotonicOnly) {
		d.leap = math.MaxInt64
	}
	if m.Has(mutant.PauseUnnoticed) {
		d.limit, d.leap = math.MaxInt64, math.MaxInt64
	}
	return d
}

// Run pulls until ctx ends, then waits for everything that it started. It returns nil.
func (m *Manager) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var children sync.WaitGroup
	defer children.Wait()
	defer cancel()

	beat := time.NewTicker(pauseTick)
	defer beat.Stop()
	visit := time.NewTimer(time.Hour)
	defer visit.Stop()
	m.arm(visit)
	running := map[Trigger]context.CancelFunc{}
	m.pause.Beat(m.cfg.Mono())
	for {
		m.reconcile(ctx, &children)
		m.runErrands(ctx, &children, running)
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		case <-beat.C:
			now := m.cfg.Mono()
			m.checkPause(now)
			m.pause.Beat(now)
			m.collectOwed()
		case <-m.tick:
			m.arm(visit)
		case <-visit.C:
			m.visit()
			m.arm(visit)
		}
	}
}

// Reconcile says that Config.Peers may return something else now. Pullers of new peers
// start and join; those of peers that left are stopped, and Run waits for them. A peer
// with another address or boot number keeps its puller.
func (m *Manager) Reconcile() {
	m.mu.Lock()
	m.refresh = true
	m.mu.Unlock()
	m.stir()
}

func (m *Manager) stir() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *Manager) reconcile(ctx context.Context, children *sync.WaitGroup) {
	m.mu.Lock()
	refresh := m.refresh
	m.refresh = false
	m.mu.Unlock()
	if !refresh {
		return
	}
	wanted := map[string]wire.Peer{}
	for _, p := range m.cfg.Peers() {
		if p.Name != m.cfg.Self.Name {
			wanted[p.Name] = p
		}
	}
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = true
	for name, p := range m.peers {
		if _, ok := wanted[name]; !ok {
			delete(m.peers, name)
			m.leavers[name] = p
			p.cancel()
		}
	}
	for name, peer := range wanted {
		if p := m.peers[name]; p != nil {
			p.moved(peer, now)
			continue
		}
		m.start(ctx, children, peer, now)
	}
	m.broadcast()
}

// start adds a puller. Called with mu held.
func (m *Manager) start(ctx context.Context, children *sync.WaitGroup, peer wire.Peer, now time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	p := &puller{m: m, peer: peer, cancel: cancel, wake: make(chan struct{}, 1), done: make(chan struct{})}
	before := m.leavers[peer.Name] // an earlier puller of this name may still be ending
	m.peers[peer.Name] = p
	p.post(TriggerJoin, now.Add(m.jitter()))
	children.Go(func() {
		defer close(p.done)
		defer cancel()
		if before != nil {
			<-before.done
		}
		p.run(ctx)
		m.gone(p)
	})
}

// gone forgets a puller that ended, and its series unless its peer came back.
func (m *Manager) gone(p *puller) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := p.peer.Name
	if m.leavers[name] == p {
		delete(m.leavers, name)
		if m.peers[name] == nil {
			m.metrics.forget(name)
		}
	}
}

func (m *Manager) jitter() time.Duration {
	return time.Duration(m.cfg.Random(int64(joinJitter) + 1))
}

// moved takes over what the registry says now. A peer that started anew, or elsewhere, is
// not the one that failed. Called with mu held.
func (p *puller) moved(peer wire.Peer, now time.Time) {
	before := p.peer
	p.peer = peer
	if before.Addr != peer.Addr || before.Boot != peer.Boot {
		p.agenda.backoff.ok()
		p.post(TriggerJoin, now.Add(p.m.jitter()))
	}
}

// visit is a tick of the timer: one peer, the next in the round.
func (m *Manager) visit() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[m.pace.pick(sortedKeys(m.peers), m.cfg.Random)]; p != nil {
		p.post(TriggerTimer, time.Now())
	}
}

// arm sets the timer to the next tick.
func (m *Manager) arm(visit *time.Timer) {
	if m.cfg.Interval <= 0 {
		visit.Stop()
		return
	}
	m.mu.Lock()
	wait := m.pace.wait(m.cfg.Random)
	m.mu.Unlock()
	visit.Reset(wait)
}

// broadcast wakes whoever waits for a pull to get somewhere. Called with mu held.
func (m *Manager) broadcast() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Manager) announce() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broadcast()
}

// answered notes the first byte of an answer, rtt after its request.
func (m *Manager) answered(p *puller, rtt time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.rtt == 0 {
		p.rtt = rtt
	}
	p.rtt += (rtt - p.rtt) / 4
	m.event++
	p.answeredAt, p.answeredWhen = m.event, time.Now()
}

// sawClock keeps what a page told of the peer's clock.
func (m *Manager) sawClock(p *puller, s *Session) {
	mine, known := m.cfg.Sink.Clock(), s.Known()
	m.mu.Lock()
	defer m.mu.Unlock()
	p.known = known
	p.measure(mine)
}

// measure notes since when the peer is ahead. Called with Manager.mu held.
func (p *puller) measure(mine clock.Clock) {
	switch missing := p.missing(mine); {
	case missing.Empty():
		p.behind = time.Time{}
	case p.behind.IsZero():
		p.behind = time.Now()
	}
}
