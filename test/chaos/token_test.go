//go:build chaos && linux

package chaos

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/memd/memd/test/history"
)

// TestReadYourWrites (S54): a write's token, shown to another node at once, is either
// honoured or answered with 425, whichever node is away or has just come back; an old
// version is never the answer.
func TestReadYourWrites(t *testing.T) {
	m := newMesh(t)
	var all tally
	healthy, err := m.ryw(time.Duration(times(4, 1))*time.Second, m.nodes, m.nodes)
	all.add(healthy)
	report.round(t, err)
	for i := range times(6, 2) {
		got, err := m.rywAsleep(m.nodes[(i+2)%3])
		all.add(got)
		report.round(t, err)
	}
	m.judge()
	report.note(t, "reads with a token: %d answered, %d refused with 425, 0 stale; with one asleep or just awake too; %s", all.served, all.behind, figures(all.took))
	m.judgeTheJudge(history.Stale)
}

type tally struct {
	served, behind int
	took           []time.Duration
}

func (a *tally) add(b tally) {
	a.served += b.served
	a.behind += b.behind
	a.took = append(a.took, b.took...)
}

// ryw changes memories at some nodes and reads each change at all the given ones at once.
func (m *mesh) ryw(length time.Duration, writers, readers []*node) (tally, error) {
	var mu sync.Mutex
	var all tally
	var failed error
	until := time.Now().Add(length)
	var wg sync.WaitGroup
	for i, w := range writers {
		wg.Go(func() {
			c := m.client(m.name("ryw"))
			for k := 0; time.Now().Before(until); k++ {
				got, err := m.rywOne(c, writers, i, readers)
				mu.Lock()
				all.add(got)
				if err != nil && failed == nil {
					failed = fmt.Errorf("at %s: %w", w.name, err)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return all, failed
}

// rywOne is the life of one memory: made, changed by others in turn, deleted; every step
// is read everywhere.
func (m *mesh) rywOne(c *client, writers []*node, first int, readers []*node) (tally, error) {
	var got tally
	title := m.name("ryw")
	var op history.Op
	for step := range 5 {
		at := writers[(first+step)%len(writers)]
		switch step {
		case 0:
			op = c.add(at, title, c.content(title), options{})
		case 4:
			op = c.remove(at, title, op.ID, options{match: op.Token})
		default:
			op = c.update(at, title, op.ID, c.content(title), options{match: op.Token})
		}
		if op.Outcome != history.OK {
			return got, fmt.Errorf("%s: %d %s", op.Kind, op.Status, op.Note)
		}
		one, err := m.readAll(c, title, op, readers)
		got.add(one)
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

// readAll reads after a token at all nodes at once. What they answer is the checker's to
// judge too; here it is enough to fail early, with the place.
func (m *mesh) readAll(c *client, title string, op history.Op, readers []*node) (tally, error) {
	var mu sync.Mutex
	var got tally
	var failed error
	var wg sync.WaitGroup
	for _, r := range readers {
		wg.Go(func() {
			began := time.Now()
			read := c.read(r, title, op.ID, op.Token)
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			got.took = append(got.took, took)
			switch {
			case read.Outcome == history.Behind:
				got.behind++
			case op.Kind == history.Delete && read.Outcome == history.Absent,
				op.Kind != history.Delete && read.Outcome == history.OK && read.Value == op.Value:
				got.served++
			default:
				failed = fmt.Errorf("after %s %s with token %s, %s answers %d, value %q, want %q: %s", op.Kind, op.Dot, op.Token, r.name, read.Status, read.Value, op.Value, read.Note)
			}
		})
	}
	wg.Wait()
	return got, failed
}

// rywAsleep does the same with one node asleep, and asks that one the moment it wakes up.
func (m *mesh) rywAsleep(s *node) (tally, error) {
	m.t.Helper()
	awake := m.others(s)
	c := m.client(m.name("asleep"))
	title := m.name("asleep")
	op := c.add(awake[0], title, c.content(title), options{})
	m.quiet(quietLimit)
	if err := s.pause(); err != nil {
		return tally{}, err
	}
	defer func() {
		if s.stopped {
			s.resume()
		}
	}()
	all, err := m.ryw(time.Second, awake, awake)
	if err != nil {
		return all, err
	}
	for i := range 20 {
		op = c.update(awake[i%2], title, op.ID, c.content(title), options{match: op.Token})
		if op.Outcome != history.OK {
			return all, fmt.Errorf("update with %s asleep: %d %s", s.name, op.Status, op.Note)
		}
	}
	if err := m.notAcked(s, []history.Op{op}); err != nil {
		return all, err
	}
	if err := s.proc().stopped(); err != nil {
		return all, err
	}
	s.resume()
	got, err := m.readAll(c, title, op, []*node{s, s, s, s})
	all.add(got)
	return all, err
}
