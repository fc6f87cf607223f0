package replication

import (
	"context"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

// sender keeps one peer supplied: it connects, serves the stream while it stands, and
// lives through the times between. Its fields below b are guarded by b.mu.
type sender struct {
	b      *Broadcaster
	name   string
	m      peerMetrics
	kick   chan struct{} // capacity 1: "look again"
	ended  chan struct{} // closed when the goroutine has ended
	ctx    context.Context
	cancel context.CancelFunc

	peer    wire.Peer
	breaker *Breaker
	queue   *Queue
	session *session // the stream that stands, nil between streams
	opening *session // the stream that is being opened
	started bool
	stopped bool
	parked  parked

	behind  bool
	nudge   bool // to be sent
	result  wire.AckResult
	lastAck time.Time
	cutAt   time.Time // since when rows may have been lost on the way
}

// parked says what the goroutine of a sender waits for, so that only that wakes it.
type parked uint8

const (
	atWork    parked = iota
	forRows          // nothing to send
	forAnswer        // the window is full, or drains
	forTurn          // not connected
)

func newSender(b *Broadcaster, peer wire.Peer) *sender {
	p := &sender{
		b: b, name: peer.Name, peer: peer,
		m:       b.metrics.of(peer.Name),
		kick:    make(chan struct{}, 1),
		ended:   make(chan struct{}),
		breaker: NewBreaker(b.cfg.failures(), b.cfg.MinBackoff, b.cfg.MaxBackoff),
		queue:   NewQueue(b.log),
		cutAt:   time.Now(),
	}
	if hides := b.cfg.Hides; hides != nil {
		p.queue.Hides = func(raw []byte) bool { return hides(p.name, raw) }
	}
	return p
}

// start is called with b.mu held.
func (p *sender) start(ctx context.Context) {
	p.started = true
	p.ctx, p.cancel = context.WithCancel(ctx)
	go func() {
		defer close(p.ended)
		defer p.cancel()
		p.run()
	}()
}

// stop ends the goroutine soon, whatever it does.
func (p *sender) stop() {
	p.b.mu.Lock()
	p.stopped = true
	open, opening := p.session, p.opening
	cancel := p.cancel
	p.wake()
	p.b.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	open.close()
	opening.close()
}

// drain lets a stream that stands send what is queued and ends everything else; what
// is being opened is for the caller to close. It is called with b.mu held.
func (p *sender) drain() (useless *session) {
	if p.session == nil {
		p.stopped = true
		p.cancel()
	}
	p.wake()
	return p.opening
}

// moved takes what is new about the peer; a stream to its old address is to be closed by
// the caller. It is called with b.mu held.
func (p *sender) moved(peer wire.Peer) (old *session) {
	before := p.peer
	p.peer = peer
	switch {
	case before.Addr != peer.Addr:
		p.breaker.Again(time.Now())
		if old = p.session; old != nil {
			old.over, old.counted = true, true
		} else {
			old = p.opening
		}
	case before.Boot != peer.Boot && p.session == nil:
		p.breaker.Heard(time.Now())
	}
	p.wake()
	return old
}

// wake makes the goroutine look again. It is called with b.mu held.
func (p *sender) wake() {
	p.parked = atWork
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// enqueued is told that the log has new rows, of which unfit cannot be pushed, and
// reports whether the peer fell behind by this. It is called with b.mu held.
func (p *sender) enqueued(unfit int) (fell bool) {
	if p.breaker.State() != Closed {
		p.queue.Skip() // the peer is behind already, and is asked what it has when it is back
		return false
	}
	if lost := p.queue.Overflow() + unfit; lost > 0 {
		p.m.dropped.Add(float64(lost))
		fell = p.fallBehind()
	}
	if p.parked == forRows {
		p.wake()
	}
	return fell
}

// fallBehind marks the peer behind and reports whether it was not.
func (p *sender) fallBehind() bool {
	if p.behind {
		return false
	}
	p.behind, p.nudge = true, true
	return true
}

// takesRows reports whether the peer did not say that it takes none. Busy passes.
func (p *sender) takesRows() bool {
	return p.result != wire.AckReconcile && p.result != wire.AckRefused
}

// has reports what the peer told that it holds.
func (p *sender) has(origin clock.Origin, lo, hi uint64) bool {
	return p.b.tracker.Has(p.name, origin, lo, hi)
}

// lacks reports how much of an origin it did not tell that it holds.
func (p *sender) lacks(origin clock.Origin, hi uint64) uint64 {
	return p.b.tracker.Lacks(p.name, origin, hi)
}

// lacksOld reports whether it lacks rows that can only be pulled.
func (p *sender) lacksOld() bool { return p.b.log.Forgotten(p.lacks) > 0 }

// lacking returns how many rows of this process it lacks that come before a place.
func (p *sender) lacking(before uint64) uint64 {
	return p.b.log.Forgotten(p.lacks) + p.b.log.Lacking(before, p.has)
}

func (p *sender) status() PeerStatus {
	s := PeerStatus{
		Name: p.name, State: p.breaker.State(), Connected: p.session != nil, Result: p.result,
		Behind: p.behind, LastAck: p.lastAck, Failures: p.breaker.Failures(),
	}
	if s.State == Closed {
		s.Queued = p.queue.Len()
	}
	if p.session != nil {
		s.InFlight = p.session.flight.Rows()
	}
	return s
}

// run connects and serves until it is stopped.
func (p *sender) run() {
	for p.awaitTurn() {
		s, hello, err := p.open()
		if err != nil {
			p.b.cfg.Log.Debug("no push stream", "peer", p.name, "err", err)
			continue
		}
		p.serve(s, hello)
	}
}

// awaitTurn waits until the breaker allows a try; false means stop.
func (p *sender) awaitTurn() bool {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.b.mu.Lock()
		if p.stopped || p.b.draining {
			p.b.mu.Unlock()
			return false
		}
		wait := p.breaker.Wait(time.Now())
		if wait == 0 {
			p.breaker.Try()
			p.b.recount()
			p.parked = atWork
			p.b.mu.Unlock()
			return true
		}
		p.parked = forTurn
		p.b.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.kick:
		}
	}
}

// failed counts a try that failed or a stream that broke. It is called with b.mu held;
// tell is to be called without.
func (p *sender) failed(now time.Time) (tell bool) {
	if p.stopped || p.b.draining {
		return false
	}
	if p.breaker.Lost(now, p.b.cfg.Random()) {
		tell = p.opened()
	}
	p.b.recount()
	return tell
}

// opened is what follows from an opened breaker. It is called with b.mu held.
func (p *sender) opened() (tell bool) {
	p.b.cfg.Log.Warn("peer does not acknowledge; left alone", "peer", p.name, "failures", p.breaker.Failures())
	p.queue.Skip()
	p.b.recount()
	return p.fallBehind()
}
