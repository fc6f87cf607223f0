package catchup

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errOvertaken ends a request because another peer began to answer before this one did.
var errOvertaken = errors.New("another peer answered first")

// gate lets the pulls ask for their first page one after the other.
//
// Before its first page a peer's clock is unknown, or as old as the reason for the pull,
// so nothing can be leased and two first requests sent together bring the same rows
// twice. After it the lease is exact: all that this peer has and we lack. So a first
// request waits for the first page before it (if that is complete, for its commit: then
// the next peer most often answers 304).
//
// It does not wait long. A request without a byte of an answer after the hedge is
// overdue, and so is one whose page is not here after stall: the next one is let in
// beside it. Whichever of them answers first then cancels those that have not answered,
// which line up again, behind its lease: rows come twice only if two peers begin to
// answer within the same moment. A request is overtaken once at most, so that a dead peer
// ends in an error of its own and not in a queue.
type gate struct {
	mu      sync.Mutex
	waiting []*turn
	asking  []*turn
}

// turn is the right to ask for a first page.
type turn struct {
	gate  *gate
	hedge time.Duration
	let   chan struct{} // closed when let in
	fixed bool          // was overtaken once, and will not be again

	// Guarded by gate.mu.
	cancel    context.CancelCauseFunc
	answering bool
	overdue   bool
	overtaken bool
	gone      bool // a transport may report a first byte after it gave up
	timer     *time.Timer
}

// enter waits until this pull may ask. The turn must be ended with leave.
func (g *gate) enter(ctx context.Context, hedge time.Duration, fixed bool) (*turn, error) {
	t := &turn{gate: g, hedge: hedge, fixed: fixed, let: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, t)
	g.admit()
	g.mu.Unlock()
	select {
	case <-t.let:
		return t, nil
	case <-ctx.Done():
		t.leave()
		return nil, context.Cause(ctx)
	}
}

// admit lets in the next one if everyone who asks is overdue. Called with mu held.
func (g *gate) admit() {
	for _, t := range g.asking {
		if !t.overdue {
			return
		}
	}
	if len(g.waiting) == 0 {
		return
	}
	t := g.waiting[0]
	g.waiting = g.waiting[1:]
	g.asking = append(g.asking, t)
	t.timer = time.AfterFunc(t.hedge, t.expire)
	close(t.let)
}

func (t *turn) expire() {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	t.overdue = true
	g.admit()
}

// ask sets what an overtaking peer cancels. Called by the owner before it sends.
func (t *turn) ask(cancel context.CancelCauseFunc) {
	t.gate.mu.Lock()
	defer t.gate.mu.Unlock()
	t.cancel = cancel
	if t.overtaken {
		cancel(errOvertaken)
	}
}

// answer notes the first byte of the answer.
func (t *turn) answer() {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.answering || t.gone {
		return
	}
	t.answering, t.overdue = true, false
	t.timer.Stop()
	t.timer = time.AfterFunc(stall, t.expire)
	for _, other := range g.asking {
		if other == t || other.answering || other.fixed {
			continue
		}
		other.overtaken = true
		if other.cancel != nil {
			other.cancel(errOvertaken)
		}
	}
}

// leave gives the turn back; more than once is fine.
func (t *turn) leave() {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	t.gone = true
	if t.timer != nil {
		t.timer.Stop()
	}
	g.waiting = without(g.waiting, t)
	g.asking = without(g.asking, t)
	g.admit()
}

func without(ts []*turn, t *turn) []*turn {
	for i := range ts {
		if ts[i] == t {
			return append(ts[:i:i], ts[i+1:]...)
		}
	}
	return ts
}

// hedgeAfter is how long to wait for the first byte of a peer whose round trip is rtt (0
// = unknown) before the next one is asked too.
func hedgeAfter(base, rtt time.Duration) time.Duration {
	return min(max(base, 3*rtt), max(base, maxHedge))
}
