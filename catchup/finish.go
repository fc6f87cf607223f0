package catchup

import (
	"errors"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

// finish takes stock of a pull that ended.
func (m *Manager) finish(p *puller, a attempt, s *Session) {
	sum, now := s.Summary(), time.Now()
	took := now.Sub(a.began)
	mine := m.cfg.Sink.Clock()

	m.mu.Lock()
	p.pulling = false
	p.lastPull = PullStats{
		Pages: sum.Pages, Rows: sum.Rows, Bytes: sum.In, Applied: sum.Applied, Took: took, Result: result(sum),
	}
	name, recovered := p.peer.Name, p.lastErr
	if sum.Err == nil {
		m.succeeded(p, a, sum, mine)
	} else {
		recovered = ""
		m.failed(p, a, sum.Err, now)
	}
	switch {
	case sum.Applied.NewDots > 0:
		if m.pace.changed() {
			select {
			case m.tick <- struct{}{}:
			default:
			}
		}
	case sum.Err == nil && a.why == TriggerTimer:
		m.pace.quiet()
	}
	failures := p.agenda.backoff.failures
	left := m.peers[name] != p
	m.settleOwed(now)
	m.broadcast()
	m.mu.Unlock()

	if left {
		return // its series must not come back
	}
	m.metrics.pull(name, a.why, sum, took.Seconds())
	log := m.cfg.Log.With("peer", name, "trigger", a.why, "took", took)
	switch {
	case sum.Err == nil && recovered != "":
		log.Info("pull works again", "rows", sum.Rows)
	case sum.Err == nil:
		log.Debug("pulled", "rows", sum.Rows, "pages", sum.Pages, "new", sum.Applied.New)
	case failures == 1:
		log.Warn("pull failed", "err", sum.Err)
	default:
		log.Debug("pull failed", "err", sum.Err, "failures", failures)
	}
	if sum.Err == nil && sum.Owed.Empty() {
		m.cfg.OnSynced(name, sum.Clock)
	}
}

// succeeded notes a complete pull. Called with mu held.
func (m *Manager) succeeded(p *puller, a attempt, sum Summary, mine clock.Clock) {
	p.agenda.backoff.ok()
	p.lastOK, p.lastErr = m.cfg.Now(), ""
	p.okStart = a.event
	known := sum.Clock
	if known.Empty() {
		bound := mine.Clone() // whatever else it was thought to have, it has not
		bound.Union(sum.Owed)
		known = p.known.Intersect(bound)
	}
	p.known, p.hinted, p.owed = known, clock.Dot{}, sum.Owed
	p.withheld = sum.Withheld
	p.measure(mine)
	claims := known.Minus(sum.Withheld)
	claims.Union(sum.Owed)
	p.agenda.gap.pulled(mine, claims)
	p.agenda.digest.pulled(a.asked, sum.ClockHash)
	p.tokenAt = time.Time{}
	if sum.Applied.NewDots == 0 {
		p.tokenAt = time.Now().Add(tokenInterval)
	}
	if a.epoch == m.epoch && sum.Owed.Empty() {
		m.synced = true
	}
}

// failed notes a failure and keeps the pull wanted. Called with mu held.
func (m *Manager) failed(p *puller, a attempt, err error, now time.Time) {
	if errors.Is(err, errPaused) {
		p.post(TriggerPause, now) // not the peer's fault
		return
	}
	p.lastErr = err.Error()
	m.event++
	p.failedAt = m.event
	after, _ := wire.RetryAfter(err)
	p.agenda.fail(a.why, now, after, m.cfg.Random)
}

// settleOwed looks at what peers left out for the leases of other pulls: it has come, or
// it is still leased, or its lease ended without it and it is asked for again. Called
// with mu held.
func (m *Manager) settleOwed(now time.Time) {
	var leased, mine clock.Clock
	read := false
	for _, name := range sortedKeys(m.peers) {
		p := m.peers[name]
		if p.owed.Empty() {
			continue
		}
		if !read {
			leased, mine = m.underWay(now)
			read = true
		}
		if p.owed = p.owed.Minus(mine); p.owed.Minus(leased).Empty() {
			continue
		}
		p.owed = clock.Clock{}
		m.metrics.conflicts.Inc()
		p.post(TriggerLease, now)
	}
}

// underWay returns what is leased and what is durable here. What is in neither really is
// missing: a lease ends when its rows are in the clock, so the leases are read first.
// The other way round a pull that ends in between would have its rows asked for again.
func (m *Manager) underWay(now time.Time) (leased, mine clock.Clock) {
	leased = m.leases.Held(now)
	return leased, m.cfg.Sink.Clock()
}

// collectOwed does the same on the beat, since a lease may also expire in silence.
func (m *Manager) collectOwed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settleOwed(time.Now())
}
