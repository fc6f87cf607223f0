//go:build chaos && linux

package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/test/history"
)

// populate writes memories through all nodes in turn, changes some and deletes some.
// It returns the answers that made what is alive now, by title.
func (c *client) populate(count int, nodes []*node) (map[string]history.Op, error) {
	alive := map[string]history.Op{}
	for i := range count {
		n := nodes[i%len(nodes)]
		title := c.m.name("row")
		op := c.add(n, title, c.content(title), options{})
		if op.Outcome != history.OK {
			return nil, fmt.Errorf("add at %s: %d %s", n.name, op.Status, op.Note)
		}
		alive[title] = op
		if err := c.rework(alive, i, title, nodes[(i+1)%len(nodes)]); err != nil {
			return nil, err
		}
	}
	return alive, nil
}

// rework updates every third and deletes every fifth memory, at another node than the
// one that made it, which so has to catch up with the token of If-Match.
func (c *client) rework(alive map[string]history.Op, i int, title string, n *node) error {
	op := alive[title]
	if i%3 == 0 {
		op = c.update(n, title, op.ID, c.content(title), options{match: op.Token})
		alive[title] = op
	}
	if i%5 == 0 && op.Outcome == history.OK {
		op = c.remove(n, title, op.ID, options{match: op.Token})
		delete(alive, title)
	}
	if op.Outcome != history.OK {
		return fmt.Errorf("%s of %s at %s: %d %s", op.Kind, title, n.name, op.Status, op.Note)
	}
	return nil
}

// TestRestore (S35): an operator puts an old copy of one node's disk back. Nothing that
// was deleted meanwhile returns, nothing is lost, and what the node writes from then on
// bears names that were never given before.
func TestRestore(t *testing.T) {
	m := newMesh(t)
	for i := range times(4, 1) {
		report.round(t, m.restore(m.nodes[(i+2)%3]))
	}
	rep := m.judge()
	report.note(t, "%d writes acknowledged, 0 lost, 0 resurrected, no dot given twice", rep.Acked)
	m.judgeTheJudge(history.Stale, history.Resurrected)
}

func (m *mesh) restore(n *node) error {
	m.t.Helper()
	c := m.client(m.name("owner"))
	old, err := c.populate(60, m.nodes)
	if err != nil {
		return err
	}
	m.quiet(quietLimit)
	origins := []string{m.origin(n)}

	n.shut() // a clean copy: the node does not run
	copied := n.dir + ".copy"
	if err := os.RemoveAll(copied); err != nil {
		return err
	}
	if err := copyDir(n.dir, copied); err != nil {
		return err
	}
	n.start()
	m.ready()

	// Much happens after the copy was made, some of it through the node itself, under dots
	// that the copy does not know.
	later, err := c.populate(120, m.nodes)
	if err != nil {
		return err
	}
	i := 0
	for title, op := range old {
		i++
		at := m.nodes[i%3]
		switch i % 3 {
		case 0:
			op = c.remove(at, title, op.ID, options{match: op.Token})
		case 1:
			op = c.update(at, title, op.ID, c.content(title), options{match: op.Token})
		}
		if op.Outcome != history.OK {
			return fmt.Errorf("%s of %s at %s: %d %s", op.Kind, title, at.name, op.Status, op.Note)
		}
	}
	m.quiet(quietLimit)
	origins = append(origins, m.origin(n))
	n.shut()
	if err := m.putBack(n, copied); err != nil {
		return err
	}
	m.ready()
	p, err := n.pulled()
	if err != nil {
		return err
	}
	took := m.quiet(quietLimit)
	m.t.Logf("%s came back with an old disk: pulled %s by the time it was ready, equal %s later", n.name, p, ms(took))
	if p.fresh < float64(len(later))/4 { // the rest may have come by push
		return voidf("%s pulled %v of %d rows after the restore: was the copy an old one?", n.name, p.fresh, len(later))
	}
	for i := range 10 {
		title := m.name("after")
		if op := c.add(n, title, c.content(title), options{}); op.Outcome != history.OK {
			return fmt.Errorf("write %d at %s after the restore: %d %s", i, n.name, op.Status, op.Note)
		}
	}
	if now := m.origin(n); now == "" || slices.Contains(origins, now) {
		return fmt.Errorf("%s writes under origin %q after the restore, which is not a new one: it had %v", n.name, now, origins)
	}
	m.judge()
	return nil
}

// origin is under what the node's process writes now, "" before its first write.
func (m *mesh) origin(n *node) string {
	m.t.Helper()
	s, err := n.state()
	m.must(err)
	return s.Origin
}

// putBack starts a node on an old copy of its disk.
func (m *mesh) putBack(n *node, copied string) error {
	m.t.Helper()
	start := m.rec.Now()
	if err := os.RemoveAll(n.dir); err != nil {
		return err
	}
	if err := os.Rename(copied, n.dir); err != nil {
		return err
	}
	m.fault(n, start, history.Rollback, "the data directory is the older copy")
	n.start()
	return nil
}

// TestWipe (S37): a node loses its disk and comes back under its name with an empty one.
// It gets everything back, and then counts for quorums again.
func TestWipe(t *testing.T) {
	m := newMesh(t)
	for i := range times(3, 1) {
		report.round(t, m.wipe(m.nodes[(i+1)%3]))
	}
	rep := m.judge()
	report.note(t, "%d writes acknowledged, 0 lost, 0 resurrected", rep.Acked)
}

func (m *mesh) wipe(n *node) error {
	m.t.Helper()
	c := m.client(m.name("owner"))
	alive, err := c.populate(150, m.nodes)
	if err != nil {
		return err
	}
	m.quiet(quietLimit)
	if err := n.kill(); err != nil {
		return err
	}
	start := m.rec.Now()
	files, err := filepath.Glob(filepath.Join(n.dir, "*"))
	if err != nil || len(files) == 0 {
		return voidf("there was nothing in %s: %v", n.dir, err)
	}
	if err := os.RemoveAll(n.dir); err != nil {
		return err
	}
	if _, err := os.Stat(n.dir); !errors.Is(err, os.ErrNotExist) {
		return voidf("%s is still there: %v", n.dir, err)
	}
	m.fault(n, start, history.Rollback, "wiped: "+strings.Join(files, " "))
	began := time.Now()
	n.start()
	m.ready()
	ready := time.Since(began)
	m.quiet(quietLimit)
	p, err := n.pulled()
	if err != nil {
		return err
	}
	m.t.Logf("%s came back with an empty disk: ready after %s, equal after %s, pulled %s", n.name, ms(ready), ms(time.Since(began)), p)
	if p.fresh < float64(len(alive))/4 { // likewise
		return voidf("%s pulled %v of %d rows: was its disk empty?", n.name, p.fresh, len(alive))
	}
	m.judge()
	return m.counts(n, c)
}

// counts proves that a node is one of the quorum again: with another one asleep, no
// write is acknowledged without it.
func (m *mesh) counts(n *node, c *client) error {
	m.t.Helper()
	writer, sleeper := m.others(n)[0], m.others(n)[1]
	if err := sleeper.pause(); err != nil {
		return err
	}
	defer sleeper.resume()
	for i := range 10 {
		title := m.name("counts")
		op := c.add(writer, title, c.content(title), options{})
		if op.Outcome != history.OK || op.Acks != 2 {
			return fmt.Errorf("write %d with %s and %s awake: %d, %d acks, %s", i, writer.name, n.name, op.Status, op.Acks, op.Note)
		}
		names, err := writer.ackedBy(op.Dot)
		if err != nil {
			return err
		}
		if !slices.Contains(names, n.name) {
			return fmt.Errorf("%s was acknowledged by %v, without %s", op.Dot, names, n.name)
		}
	}
	return nil
}
