package catchup

import (
	"fmt"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
)

// PeerStatus is what is known of one peer, for people and for metrics.
type PeerStatus struct {
	Name     string
	LastOK   time.Time // end of the last complete pull; zero = never
	LastErr  string    // of the last pull; empty if it was complete
	Failures int       // in a row
	// MissingDots counts what the peer was last seen to have and is missing here, without
	// what it withholds; LagSeconds tells since when there is any.
	MissingDots  uint64
	WithheldDots uint64
	LagSeconds   float64
	Pulling      bool
	LastTrigger  Trigger
	LastPull     PullStats
	RTT          time.Duration // to the first byte of an answer, smoothed; 0 = never measured
	NotBefore    time.Time     // end of the backoff; zero or past = none
}

// PullStats describes the last pull from a peer.
type PullStats struct {
	Pages, Rows int
	Bytes       int64 // received
	Applied     Applied
	Took        time.Duration
	Result      string // as in memd_pull_total
}

// missing returns what the peer is known to have, would send, and is not here. A hole
// that nobody claims is not part of it. Called with Manager.mu held.
func (p *puller) missing(mine clock.Clock) clock.Clock {
	known := p.known
	if p.hinted.Valid() && !known.Contains(p.hinted) {
		known = known.Clone()
		known.Add(p.hinted)
	}
	if p.m.cfg.Mutants.Has(mutant.DeadHoleIsLag) {
		known = known.Clone()
		known.Union(holes(mine))
	}
	return known.Minus(mine).Minus(p.withheld)
}

// Status returns all peers by name.
func (m *Manager) Status() []PeerStatus {
	mine, now := m.cfg.Sink.Clock(), time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]PeerStatus, 0, len(m.peers))
	for _, name := range sortedKeys(m.peers) {
		p := m.peers[name]
		p.measure(mine)
		s := PeerStatus{
			Name: name, LastOK: p.lastOK, LastErr: p.lastErr, Failures: p.agenda.backoff.failures,
			MissingDots: p.missing(mine).Count(), WithheldDots: p.withheld.Minus(mine).Count(), // less what came as the past of a row
			Pulling: p.pulling, LastTrigger: p.lastWhy, LastPull: p.lastPull,
			RTT: p.rtt, NotBefore: p.agenda.backoff.until,
		}
		if !p.behind.IsZero() {
			s.LagSeconds = now.Sub(p.behind).Seconds()
		}
		out = append(out, s)
	}
	return out
}

// Lag counts the dots that some peer was last seen to have and that are missing here.
func (m *Manager) Lag() uint64 {
	mine := m.cfg.Sink.Clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	var all clock.Clock
	for _, p := range m.peers {
		all.Union(p.missing(mine))
	}
	return all.Count()
}

// Synced reports whether a pull from some peer was complete since the start, or since
// the last pause. A node without peers has nobody to be behind of.
func (m *Manager) Synced() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.isSynced()
}

func (m *Manager) isSynced() bool { return m.known && (m.synced || len(m.peers) == 0) }

// lagGrace is how long something may be missing before it speaks against readiness: it
// is normal for the time of a push.
const lagGrace = time.Second

// Reasons returns why this node should not be called ready, in words; nil if there is
// none. What a peer has that cannot be pulled is no reason, for it may be gone for good; but
// if none can be pulled, it is this node that is out of reach, and behind.
func (m *Manager) Reasons() []string {
	mine, now := m.cfg.Sink.Clock(), time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	switch {
	case m.isSynced():
	case !m.known:
		out = append(out, "not started")
	case m.epoch > 0:
		out = append(out, "catching up: no peer has answered since this process was paused")
	default:
		out = append(out, "catching up: no peer has answered since the start")
	}
	cutOff := true
	for _, p := range m.peers {
		cutOff = cutOff && p.agenda.backoff.failures > 0
	}
	for _, name := range sortedKeys(m.peers) {
		p := m.peers[name]
		p.measure(mine)
		if (cutOff || p.agenda.backoff.failures == 0) && !p.behind.IsZero() && now.Sub(p.behind) > lagGrace {
			out = append(out, fmt.Sprintf("catching up: %d dots behind %s", p.missing(mine).Count(), name))
		}
	}
	return out
}
