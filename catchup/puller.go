package catchup

import (
	"context"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

// puller is what the manager keeps of one peer, and the goroutine that pulls from it.
type puller struct {
	m      *Manager
	wake   chan struct{} // capacity 1: the agenda changed
	cancel context.CancelFunc
	done   chan struct{}

	// Guarded by Manager.mu.
	peer     wire.Peer
	agenda   agenda
	ticket   *ticket                 // while waiting for a slot
	inFlight context.CancelCauseFunc // of the request in flight, nil if there is none
	pulling  bool
	known    clock.Clock // the peer's clock as last seen in an answer
	hinted   clock.Dot   // that gossip says it has; not valid = none
	withheld clock.Clock
	behind   time.Time   // since when known has something that is missing here; zero = it has not
	owed     clock.Clock // left out by the peer for the leases of other pulls
	rtt      time.Duration
	lastOK   time.Time // of Config.Now
	lastErr  string
	lastWhy  Trigger
	lastPull PullStats
	// tokenAt is when the next pull for a token may begin: later than now if the last
	// one brought nothing.
	tokenAt time.Time

	okStart, answeredAt, failedAt uint64 // event numbers, see candidate
	answeredWhen                  time.Time
}

// run pulls whenever the agenda says so, until ctx ends.
func (p *puller) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		why, pull, wake := p.next()
		if pull {
			p.pull(ctx, why)
			continue
		}
		var alarm <-chan time.Time
		if !wake.IsZero() {
			timer.Reset(time.Until(wake))
			alarm = timer.C
		}
		select {
		case <-ctx.Done():
		case <-p.wake:
		case <-alarm:
		}
	}
}

func (p *puller) next() (Trigger, bool, time.Time) {
	now := time.Now()
	leased, mine := p.m.underWay(now)
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	return p.agenda.next(now, mine, leased)
}

// post asks for a pull and wakes the goroutine. Called with Manager.mu held.
func (p *puller) post(t Trigger, at time.Time) {
	p.agenda.post(t, at)
	if t.urgent() && p.ticket != nil {
		p.m.slots.promote(p.ticket)
	}
	p.stir()
}

func (p *puller) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// attempt is what stood when a pull began.
type attempt struct {
	why   Trigger
	event uint64
	epoch uint64
	asked asked
	began time.Time
}

// pull runs one session for what is posted; why is the reason as far as it is known
// before the slot is granted.
func (p *puller) pull(ctx context.Context, why Trigger) {
	slot := p.m.slots.line(why.urgent())
	defer p.m.slots.release(slot)
	p.m.mu.Lock()
	p.ticket = slot
	p.m.mu.Unlock()
	err := slot.wait(ctx)
	a := p.begin()
	if err != nil {
		return
	}
	s := NewSession(SessionConfig{
		Leases: p.m.leases, Clock: p.m.cfg.Sink.Clock,
		LimitBytes: p.m.cfg.LimitBytes, Mutants: p.m.cfg.Mutants,
	})
	newDrive(p, s).run(ctx)
	s.Close()
	if ctx.Err() == nil {
		p.m.finish(p, a, s)
	}
}

func (p *puller) begin() attempt {
	now := time.Now()
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	p.ticket = nil
	p.pulling = true
	p.lastWhy = p.agenda.begin(now)
	m.event++
	return attempt{p.lastWhy, m.event, m.epoch, p.agenda.digest.asked(), now}
}

// open makes the context of one request and registers it, so that a pause can end it.
func (p *puller) open(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	bounded, stop := context.WithTimeout(ctx, pageTimeout)
	call, cancel := context.WithCancelCause(bounded)
	end := func(cause error) {
		cancel(cause)
		stop()
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.inFlight = end
	return call, end
}

// landed ends the registration.
func (p *puller) landed() {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.inFlight = nil
}

func (p *puller) address() wire.Peer {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	return p.peer
}

func (p *puller) hedge() time.Duration {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	return hedgeAfter(p.m.cfg.Hedge, p.rtt)
}
