package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/memd/memd/client"
)

// nodeView is one node of a mesh at one moment, as far as it can be known: what a node
// that does not answer last said stays on the screen.
type nodeView struct {
	Name       string  `json:"name"`
	URL        string  `json:"url"`
	PID        int     `json:"pid"`
	State      string  `json:"state"`
	Answers    bool    `json:"answers"`
	Ready      bool    `json:"ready"`
	Memories   int64   `json:"memories"`
	LagDots    uint64  `json:"lag_dots"` // writes that another node has and this one lacks
	LagSeconds float64 `json:"lag_seconds"`
	Digest     string  `json:"digest"`
	Conflicts  int     `json:"conflicts"`
	Clock      string  `json:"clock"` // short form
}

// changed reports whether there is news in v for someone who has seen old. Time that
// passes is none.
func (v nodeView) changed(old nodeView) bool {
	v.LagSeconds = old.LagSeconds
	return v != old
}

// snapshot is what one look at a mesh showed, and what has come to pass since the last.
type snapshot struct {
	at     time.Time
	views  []nodeView
	events []string
}

// viewer looks at the nodes of a mesh. It is used by one goroutine.
type viewer struct {
	mesh  *mesh
	views []nodeView
	marks []mark
}

// mark is what a viewer remembers of one node between two looks.
type mark struct {
	behind time.Time // since when something was missing here, as seen from outside; zero = nothing is
	away   time.Time // when it was last seen not to run
	back   bool      // it runs again, and is not yet where it has to get
	missed uint64
	want   dots
}

func newViewer(m *mesh) *viewer {
	v := &viewer{mesh: m, views: make([]nodeView, len(m.nodes)), marks: make([]mark, len(m.nodes))}
	for i, n := range m.nodes {
		v.views[i].Name, v.views[i].URL = n.name, n.url
	}
	return v
}

// lookEvery is the period of looks, answerTimeout bounds how long one waits for a node.
const (
	lookEvery     = 500 * time.Millisecond
	answerTimeout = time.Second
)

// run looks again and again, and at once when it is told to, until ctx ends.
func (v *viewer) run(ctx context.Context, now <-chan struct{}, out chan<- snapshot) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		s, err := v.look(ctx)
		if err != nil {
			return err
		}
		select {
		case out <- s:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-tick.C:
		case <-now:
		case <-ctx.Done():
			return nil
		}
	}
}

// look asks every node that can answer.
func (v *viewer) look(ctx context.Context) (snapshot, error) {
	limit, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	before := append([]nodeView(nil), v.views...)
	var g errgroup.Group
	for i, n := range v.mesh.nodes {
		p := n.current()
		view := &v.views[i]
		view.PID, view.State, view.Answers, view.Ready = p.pid(), p.state(), false, false
		if view.State == stateRunning {
			safely(&g, func() error { view.ask(limit, n); return nil })
		}
	}
	if err := g.Wait(); err != nil {
		return snapshot{}, err
	}
	s := snapshot{at: time.Now()}
	all := dots{}
	for _, n := range v.mesh.nodes {
		all = union(all, n.lastClock())
	}
	for i, n := range v.mesh.nodes {
		v.measureLag(i, n.lastClock().lacks(all), s.at)
		if text := v.marks[i].comeback(before[i], v.views[i], n, all, s.at); text != "" {
			s.events = append(s.events, text)
		}
	}
	s.views = append(s.views, v.views...)
	return s, nil
}

func (v *nodeView) ask(ctx context.Context, n *devNode) {
	status, err := n.ask(ctx)
	if err != nil {
		return
	}
	v.Answers, v.Ready, v.Digest, v.Conflicts = true, status.Ready, status.Digest, status.Conflicts
	v.Clock = parseDots(status.Clock).short()
	v.LagDots, v.LagSeconds = 0, 0
	for _, m := range status.Members {
		v.LagDots, v.LagSeconds = max(v.LagDots, m.LagDots), max(v.LagSeconds, m.LagSeconds)
	}
	if stats, err := n.api.Stats(ctx, client.ReadOptions{}); err == nil {
		v.Memories = stats.Total
	}
}

// measureLag fills in the lag of a node that does not answer, from what it last said and
// what the others have since. One that answers knows it itself, and better: two answers
// are never of the same moment.
func (v *viewer) measureLag(i int, missing uint64, now time.Time) {
	view, m := &v.views[i], &v.marks[i]
	if view.Answers || missing == 0 {
		m.behind = time.Time{}
		if !view.Answers {
			view.LagDots, view.LagSeconds = 0, 0
		}
		return
	}
	if m.behind.IsZero() {
		m.behind = now
	}
	view.LagDots, view.LagSeconds = missing, now.Sub(m.behind).Seconds()
}

// comeback notices a node that somebody else stopped and continued, and says once when it
// has caught up. The time is from the last look that saw it away: the real one is shorter.
func (m *mark) comeback(before, now nodeView, n *devNode, all dots, at time.Time) string {
	if now.State != stateRunning {
		m.away, m.back, m.missed = at, false, now.LagDots
		return ""
	}
	if before.State != stateRunning && before.State != "" {
		m.back, m.want = !n.tellOnce(), all
	}
	if !m.back || !now.Answers || n.lastClock().lacks(m.want) > 0 {
		return ""
	}
	m.back = false
	return backLine(n.name, "is back", m.missed, "at most "+ago(at.Sub(m.away)))
}
