package catchup

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
)

// Trigger asks for a pull from peer; it coalesces with what is already asked for. With
// peer "" it is the best peers that are asked, two for a pause and else one, and the
// next best if they fail or stay silent. A peer that is not (yet) known is ignored: its
// puller begins with a pull anyway.
func (m *Manager) Trigger(peer string, t Trigger) {
	if t.rank() == triggerOther.rank() {
		t = triggerOther
	}
	now := time.Now()
	if t == TriggerJoin {
		now = now.Add(m.jitter())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if peer == "" {
		m.errands[t] = true
		m.stir()
		return
	}
	if p := m.peers[peer]; p != nil {
		p.post(t, now)
	}
}

// Digest takes what gossip says of a peer's store. If it shows something that is still
// missing here after a while, the peer is pulled.
func (m *Manager) Digest(peer string, d DigestHint) {
	mine := m.cfg.Sink.Clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[peer]
	if p == nil {
		return
	}
	p.agenda.digest.hear(time.Now(), d)
	if dot := d.dot(); dot != p.agenda.digest.answered.dot() {
		p.hinted = dot
		p.measure(mine)
	}
	p.stir()
}

// Gap says that a push from peer showed a hole in our clock. If it is still there after
// a moment the peer is pulled, unless the last complete pull has shown that it lacks the
// same.
func (m *Manager) Gap(peer string) {
	mine := m.cfg.Sink.Clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[peer]; p != nil {
		p.agenda.gap.seen(time.Now(), mine)
		p.stir()
	}
}

// CheckPause reports whether this process has just been found to have stood still. It is
// cheap enough for every request, and should be asked before every read: after a pause
// it makes Synced false and starts the pulls.
func (m *Manager) CheckPause() bool {
	if m.cfg.Mutants.Has(mutant.PauseByTickerOnly) {
		return false
	}
	return m.checkPause(m.cfg.Mono())
}

func (m *Manager) checkPause(now time.Time) bool {
	if !m.pause.Overdue(now) {
		return false
	}
	// Whoever comes second waits here until Synced is false.
	m.mu.Lock()
	away, paused := m.pause.Check(now)
	if paused {
		m.epoch++
		m.synced = false
		m.errands[TriggerPause] = true
		for _, p := range m.peers {
			p.agenda.backoff.cut = false // whatever failed before it is long ago
			if p.inFlight != nil {
				p.inFlight(errPaused)
			}
		}
		m.stir()
	}
	m.mu.Unlock()
	if paused {
		m.metrics.pauses.Inc()
		m.cfg.OnPause(away)
	}
	return paused
}

// runErrands starts what Trigger("", …) asked for. One of a kind runs at a time; a new one
// replaces it.
func (m *Manager) runErrands(ctx context.Context, children *sync.WaitGroup, running map[Trigger]context.CancelFunc) {
	m.mu.Lock()
	wanted := slices.Collect(maps.Keys(m.errands))
	clear(m.errands)
	m.mu.Unlock()
	for _, t := range wanted {
		if stop := running[t]; stop != nil {
			stop()
		}
		ctx, cancel := context.WithCancel(ctx)
		running[t] = cancel
		e := m.newErrand(t)
		children.Go(func() {
			defer cancel()
			m.send(ctx, e, t, clock.Clock{})
		})
	}
}

func (m *Manager) newErrand(t Trigger) *errand {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.event++
	e := &errand{width: 1, hedge: m.cfg.Hedge, start: m.event}
	switch t {
	case TriggerPause, TriggerStart:
		e.width = 2
	case TriggerToken:
		e.all = true
	}
	return e
}

// stagger lets the better one of two be first at the gate.
const stagger = 200 * time.Microsecond

// send carries out an errand until it is done or ctx ends. wanted ranks the peers.
func (m *Manager) send(ctx context.Context, e *errand, t Trigger, wanted clock.Clock) {
	for ctx.Err() == nil {
		now := time.Now()
		missing := wanted.Minus(m.cfg.Sink.Clock())
		m.mu.Lock()
		m.event++
		names, wake, done := e.step(now, m.event, m.candidates(now, missing))
		for i, name := range names {
			p := m.peers[name]
			at := now.Add(time.Duration(i) * stagger)
			if t == TriggerToken && p.tokenAt.After(at) {
				at = p.tokenAt
			}
			p.post(t, at)
		}
		changed := m.changed
		m.mu.Unlock()
		if done {
			return
		}
		wait(ctx, changed, wake)
	}
}

// wait returns at a change, at the time wake (zero = never), or when ctx ends.
func wait(ctx context.Context, changed <-chan struct{}, wake time.Time) {
	var alarm <-chan time.Time
	if !wake.IsZero() {
		timer := time.NewTimer(time.Until(wake))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-ctx.Done():
	case <-changed:
	case <-alarm:
	}
}

// candidates returns all peers, best first. Called with mu held.
func (m *Manager) candidates(now time.Time, missing clock.Clock) []candidate {
	names := sortedKeys(m.peers)
	for i := len(names) - 1; i > 0; i-- {
		j := int(m.cfg.Random(int64(i + 1)))
		names[i], names[j] = names[j], names[i]
	}
	out := make([]candidate, 0, len(names))
	for _, name := range names {
		p := m.peers[name]
		c := candidate{
			name: name, waiting: now.Before(p.agenda.backoff.until), failures: p.agenda.backoff.failures,
			rtt: p.rtt, lastOK: p.lastOK, okStart: p.okStart, answeredAt: p.answeredAt, failedAt: p.failedAt,
			answeredWhen: p.answeredWhen,
		}
		if !missing.Empty() {
			c.claims = missing.Intersect(p.known).Count()
		}
		out = append(out, c)
	}
	rank(out)
	return out
}

// sortedKeys keeps the order of Go's maps out of decisions.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
