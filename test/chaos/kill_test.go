//go:build chaos && linux

package chaos

import (
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/test/history"
)

func times(full, short int) int {
	if testing.Short() {
		return short
	}
	return full
}

// TestKillWriter (S06): a node dies of kill -9 in the middle of a burst of writes through
// it. What it had acknowledged is there, on all; what it had not answered is there on all
// or on none, and to say it again with the same key makes no second one.
func TestKillWriter(t *testing.T) {
	m := newMesh(t)
	open, again := 0, 0
	for i := range times(8, 2) {
		unknown, repeated, err := m.killWriter(m.nodes[i%3])
		report.round(t, err)
		open, again = open+unknown, again+repeated
	}
	rep := m.judge()
	report.note(t, "%d writes acknowledged, %d without an answer when their node died (%d of them were there), 0 lost, 0 twice", rep.Acked, open, again)
}

func (m *mesh) killWriter(w *node) (unknown, there int, err error) {
	m.t.Helper()
	b := m.burst(24, m.nodes[0], m.nodes[1], m.nodes[2])
	err = func() error {
		defer b.end()
		if err := b.until(400); err != nil {
			return err
		}
		flying, err := b.busy(w, 4)
		if err != nil {
			return err
		}
		start := m.rec.Now()
		if err := w.kill(); err != nil {
			return err
		}
		m.fault(w, start, "mid-burst", fmt.Sprintf("%d writes under way", flying))
		return b.until(b.acked.Load() + 200) // the others go on
	}()
	if !w.proc().alive() {
		w.start()
	}
	m.ready()
	if err != nil {
		return 0, 0, err
	}
	m.judge()
	open := b.open()
	if len(open) == 0 {
		return 0, 0, voidf("every write was answered: %s was not killed in the middle", w.name)
	}
	if there, err = m.retryAll(w, b, open); err != nil {
		return len(open), there, err
	}
	return len(open), there, m.retryLate(w, b)
}

// retryLate says adds again whose memory has been changed since: the answer is that of
// the first time, on every node, and the change stays.
func (m *mesh) retryLate(w *node, b *burst) error {
	m.t.Helper()
	type late struct{ add, change history.Op }
	var all []late
	for _, op := range b.adds {
		if op.Outcome != history.OK || len(all) == 5 {
			continue
		}
		c := m.client(op.Client)
		title := b.titles[op.Key]
		change := c.update(m.others(w)[0], title, op.ID, c.content(title), options{match: op.Token})
		if change.Outcome != history.OK {
			return fmt.Errorf("update of %s: %d %s", op.Key, change.Status, change.Note)
		}
		all = append(all, late{op, change})
	}
	m.quiet(quietLimit)
	for _, l := range all {
		c := m.client(l.add.Client)
		title := b.titles[l.add.Key]
		for _, n := range m.nodes {
			again := c.add(n, title, b.contents[l.add.Key], options{idem: l.add.Idem})
			if again.Outcome != history.OK || again.ID != l.add.ID || again.Dot != l.add.Dot {
				return fmt.Errorf("retry of %s at %s, after a change: %d, id %s and version %s, want id %s and version %s: %s", l.add.Key, n.name, again.Status, again.ID, again.Dot, l.add.ID, l.add.Dot, again.Note)
			}
			if got := c.read(n, title, l.add.ID, l.change.Token); got.Value != l.change.Value {
				return fmt.Errorf("%s at %s after the retry of its add: %d, value %q, want %q", l.add.Key, n.name, got.Status, got.Value, l.change.Value)
			}
		}
	}
	return nil
}

// exported are the rows of the last export of a node, by key.
func (m *mesh) exported(n *node) map[string]history.Row {
	rows := map[string]history.Row{}
	for _, op := range m.rec.Ops() {
		if op.Kind == history.Export && op.Node == n.name {
			clear(rows)
			for _, r := range op.Rows {
				rows[r.Key] = r
			}
		}
	}
	return rows
}

// retryAll says every write without an answer again, half at the node that died and half
// at another one: the same id, and no second version of what was there already.
func (m *mesh) retryAll(w *node, b *burst, open []history.Op) (there int, err error) {
	m.t.Helper()
	rows := m.exported(w)
	at := func(i int) *node {
		if i%2 == 0 {
			return w
		}
		return m.others(w)[0]
	}
	for i, op := range open {
		for _, n := range []*node{at(i), at(i + 1)} { // and once more, elsewhere
			c := m.client(op.Client) // another agent would be another request
			again := c.add(n, b.titles[op.Key], b.contents[op.Key], options{idem: op.Idem})
			if again.Outcome != history.OK {
				return there, fmt.Errorf("retry of %s at %s: %d %s", op.Key, n.name, again.Status, again.Note)
			}
			row, was := rows[op.Key]
			if !was {
				row = history.Row{ID: again.ID, Token: again.Token}
				rows[op.Key] = row
			} else if n == at(i) {
				there++
			}
			dot, _ := clock.ParseDot(again.Dot)
			if token, err := clock.ParseToken(row.Token); err != nil || again.ID != row.ID || !token.Contains(dot) {
				return there, fmt.Errorf("retry of %s at %s was answered with id %s and version %s, but there is id %s and token %s", op.Key, n.name, again.ID, again.Dot, row.ID, row.Token)
			}
		}
	}
	return there, nil
}

// TestKillAll (S07): all nodes die at once under load.
func TestKillAll(t *testing.T) {
	m := newMesh(t)
	for range times(6, 1) {
		report.round(t, m.killAll())
	}
	rep := m.judge()
	report.note(t, "%d writes acknowledged, %d without an answer, 0 lost, digests equal", rep.Acked, rep.Unknown)
}

func (m *mesh) killAll() error {
	m.t.Helper()
	b := m.burst(16, m.nodes...)
	err := func() error {
		defer b.end()
		if err := b.until(400); err != nil {
			return err
		}
		flying := int64(0)
		for _, n := range m.nodes {
			k, err := b.busy(n, 2)
			if err != nil {
				return err
			}
			flying += k
		}
		start := m.rec.Now()
		var wg sync.WaitGroup
		for _, n := range m.nodes {
			wg.Go(func() { _ = n.proc().signal(syscall.SIGKILL) })
		}
		wg.Wait()
		for _, n := range m.nodes {
			if err := n.proc().killed(); err != nil {
				return err
			}
			n.client.CloseIdleConnections()
			m.fault(n, start, history.Crash, fmt.Sprintf("died of SIGKILL, with %d writes under way at all", flying))
		}
		return nil
	}()
	for _, n := range m.nodes {
		if !n.proc().alive() {
			n.start()
		}
	}
	m.ready()
	if err != nil {
		return err
	}
	m.judge()
	return nil
}

// TestTerminate (S51): SIGTERM under load. The node finishes what it has taken, ends with
// 0, and nothing that it acknowledged is lost.
func TestTerminate(t *testing.T) {
	m := newMesh(t)
	for i := range times(6, 1) {
		report.round(t, m.terminate(m.nodes[i%3]))
	}
	rep := m.judge()
	report.note(t, "%d writes acknowledged, %d without an answer, 0 lost", rep.Acked, rep.Unknown)
}

func (m *mesh) terminate(n *node) error {
	m.t.Helper()
	b := m.burst(16, m.nodes...)
	err := func() error {
		defer b.end()
		if err := b.until(300); err != nil {
			return err
		}
		if _, err := b.busy(n, 4); err != nil {
			return err
		}
		n.shut()
		return b.until(b.acked.Load() + 100)
	}()
	if !n.proc().alive() {
		n.start()
	}
	m.ready()
	if err != nil {
		return err
	}
	m.judge()
	rows := m.exported(n)
	for _, op := range b.open() {
		if _, there := rows[op.Key]; there && op.Node == n.name {
			return fmt.Errorf("%s carried out %s and did not answer: %s", n.name, op.Key, op.Note)
		}
	}
	return nil
}
