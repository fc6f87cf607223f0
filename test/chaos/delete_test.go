//go:build chaos && linux

package chaos

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/memd/memd/test/history"
)

// TestDeleteMeanwhile (S38): memories are deleted and changed while a node that holds
// them stands still. It comes back with the old ones, and they go.
func TestDeleteMeanwhile(t *testing.T) {
	m := newMesh(t)
	for i := range times(8, 2) {
		report.round(t, m.deleteMeanwhile(m.nodes[(i+2)%3], i%2 == 1))
	}
	rep := m.judge()
	report.note(t, "%d writes acknowledged, 0 lost, 0 resurrected", rep.Acked)
	m.judgeTheJudge(history.Stale, history.Resurrected)
}

func (m *mesh) deleteMeanwhile(s *node, dark bool) error {
	m.t.Helper()
	c := m.client(m.name("owner"))
	adds := map[string]history.Op{}
	for i := range 40 {
		title := m.name("row")
		op := c.add(m.nodes[i%3], title, c.content(title), options{})
		if op.Outcome != history.OK {
			return fmt.Errorf("add: %d %s", op.Status, op.Note)
		}
		adds[title] = op
	}
	m.quiet(quietLimit)
	s.client.CloseIdleConnections()
	if err := s.pause(); err != nil {
		return err
	}
	defer func() {
		if s.stopped {
			s.resume()
		}
		m.must(m.net.heal())
	}()
	if dark {
		m.net.isolate(s.name)
		if err := m.net.isolated(s.name); err != nil {
			return err
		}
	}
	var ops []history.Op
	i := 0
	for title, add := range adds {
		at := m.others(s)[i%2]
		i++
		op := add
		switch i % 4 {
		case 0:
			op = c.update(at, title, add.ID, c.content(title), options{match: add.Token})
		case 1: // deleted twice, with a new life between
			op = c.remove(at, title, add.ID, options{match: add.Token})
			if op.Outcome == history.OK {
				op = c.add(at, title, c.content(title), options{})
			}
			if op.Outcome == history.OK {
				op = c.remove(at, title, add.ID, options{match: op.Token})
			}
		case 2:
			op = c.remove(at, title, add.ID, options{})
		default:
			op = c.remove(at, title, add.ID, options{match: add.Token})
		}
		if op.Outcome != history.OK {
			return fmt.Errorf("%s with %s asleep: %d %s", op.Kind, s.name, op.Status, op.Note)
		}
		ops = append(ops, op)
	}
	if err := m.notAcked(s, ops); err != nil {
		return err
	}
	if err := s.proc().stopped(); err != nil {
		return err
	}
	m.must(m.net.heal())
	s.resume()
	for _, op := range ops { // at once, and with the token: never what was deleted
		c.read(s, titleOf(c, op), op.ID, op.Token)
	}
	m.quiet(quietLimit)
	m.judge()
	return nil
}

// TestSplit (S40): the nodes are cut apart and both sides change what both hold. A
// version that a delete had not seen survives it, on every node; two changes meet in one
// view, and the other one is still there for who asks.
func TestSplit(t *testing.T) {
	m := newMesh(t)
	for i := range times(6, 2) {
		report.round(t, m.split(m.nodes[(i+2)%3]))
	}
	rep := m.judge()
	report.note(t, "%d writes acknowledged, 0 lost; the live version survived everywhere", rep.Acked)
	m.judgeTheJudge(history.Stale, history.Resurrected)
}

// fate is what happens to one memory on the two sides of a split.
type fate struct {
	name     string
	far      string // on the side that is alone: "update", "delete" or ""
	near     string
	live     bool // whether it has to be there in the end
	conflict bool // whether two contents have to be
}

var fates = []fate{
	{"deleted near, updated far", "update", "delete", true, false},
	{"deleted far, updated near", "delete", "update", true, false},
	{"updated on both", "update", "update", true, true},
	{"deleted on both", "delete", "delete", false, false},
	{"deleted near", "", "delete", false, false},
	{"deleted far", "delete", "", false, false},
	{"updated far", "update", "", true, false},
}

func (m *mesh) split(far *node) error {
	m.t.Helper()
	c := m.client(m.name("owner"))
	near := m.others(far)
	adds := map[string]history.Op{}
	of := map[string]fate{}
	for _, f := range fates {
		for range 6 {
			title := m.name("row")
			op := c.add(near[0], title, c.content(title), options{})
			if op.Outcome != history.OK {
				return fmt.Errorf("add: %d %s", op.Status, op.Note)
			}
			adds[title], of[title] = op, f
		}
	}
	m.quiet(quietLimit)
	start := m.rec.Now()
	far.client.CloseIdleConnections()
	m.net.isolate(far.name)
	defer func() { m.must(m.net.heal()) }()
	if err := m.net.isolated(far.name); err != nil {
		return err
	}
	m.fault(far, start, "split", "no connection is left, new ones are refused")

	change := func(at *node, what, title string, o options) (history.Op, error) {
		op := adds[title]
		switch what {
		case "update":
			op = c.update(at, title, op.ID, c.content(title), o)
		case "delete":
			op = c.remove(at, title, op.ID, o)
		}
		if op.Outcome != history.OK {
			return op, fmt.Errorf("%s at %s in a split: %d %s", what, at.name, op.Status, op.Note)
		}
		return op, nil
	}
	i := 0
	var nears []history.Op
	for title, f := range of {
		i++
		match := ""
		if i%2 == 0 {
			match = adds[title].Token
		}
		if _, err := change(far, f.far, title, options{match: match, w: 1}); err != nil {
			return err
		}
		op, err := change(near[i%2], f.near, title, options{match: match})
		if err != nil {
			return err
		}
		if f.near != "" {
			nears = append(nears, op)
		}
	}
	if err := m.alone(far, c); err != nil {
		return err
	}
	if err := m.notAcked(far, nears); err != nil {
		return err
	}
	healed := time.Now()
	m.must(m.net.heal())
	m.quiet(quietLimit)
	equal := time.Since(healed)
	m.reached(backoffLimit) // else the next split may leave nobody with a quorum
	m.t.Logf("%s was alone; equal %s after the network healed, pushes reach everybody after %s", far.name, ms(equal), ms(time.Since(healed)))
	m.judge()
	return m.survived(adds, of)
}

// alone: the side without a quorum says so in time, and that its write may stand.
func (m *mesh) alone(far *node, c *client) error {
	title := m.name("alone")
	began := time.Now()
	op := c.add(far, title, c.content(title), options{})
	took := time.Since(began)
	if op.Status != 503 || took > 4*time.Second {
		return fmt.Errorf("a write without a quorum: %d after %s: %s", op.Status, took, op.Note)
	}
	return nil
}

func (m *mesh) survived(adds map[string]history.Op, of map[string]fate) error {
	for title, f := range of {
		for _, n := range m.nodes {
			var got struct {
				Memory   shown
				Siblings []struct{ Dot string }
			}
			a := n.call(patience, "GET", "/api/v1/memories/"+url.PathEscape(adds[title].ID), nil)
			if !f.live {
				if a.status != 404 {
					return fmt.Errorf("%s: %s at %s: %s, want 404", f.name, title, n.name, a)
				}
				continue
			}
			if err := n.get("/api/v1/memories/"+url.PathEscape(adds[title].ID)+"?conflicts=1", &got); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			want := 0
			if f.conflict {
				want = 1
			}
			if got.Memory.value() == adds[title].Value || got.Memory.Conflicts != want || len(got.Siblings) != want {
				return fmt.Errorf("%s: %s at %s has %d conflicts and %d siblings, want %d; its content is %q", f.name, title, n.name, got.Memory.Conflicts, len(got.Siblings), want, got.Memory.Content)
			}
		}
	}
	return nil
}
