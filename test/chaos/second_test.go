//go:build chaos && linux

package chaos

import (
	"fmt"
	"testing"
	"time"

	"github.com/memd/memd/test/history"
)

// secondBound is generous; the time itself is reported.
const secondBound = 10 * time.Second

// TestSecondFailure: a node was away and is back, and the moment it has caught up another
// one goes. The two that are left are a majority and have to take writes, although each
// had given up on the other.
func TestSecondFailure(t *testing.T) {
	m := newMesh(t)
	away := []time.Duration{1500 * time.Millisecond, 300 * time.Millisecond}
	if !testing.Short() {
		away = append(away, 5*time.Second, 12*time.Second, 300*time.Millisecond, 1500*time.Millisecond, 5*time.Second, 12*time.Second)
	}
	for _, dark := range []bool{false, true} {
		var gap []time.Duration
		for i, d := range away {
			first, took, err := m.secondFailure(m.nodes[i%3], m.nodes[(i+1)%3], m.nodes[(i+2)%3], d, dark)
			report.round(t, err)
			if err == nil {
				t.Logf("%s was away for %s (dark: %v), then %s: first write answered %s, acknowledged after %s", m.nodes[i%3].name, d, dark, m.nodes[(i+1)%3].name, first, ms(took))
				gap = append(gap, took)
			}
		}
		how := "its kernel answered meanwhile"
		if dark {
			how = "it refused meanwhile"
		}
		report.note(t, "first acknowledged write after the second failure (%s): %s", how, figures(gap))
	}
	m.judge()
}

// secondFailure lets c be away, come back, and then b go; a has to be served by c.
func (m *mesh) secondFailure(c, b, a *node, away time.Duration, dark bool) (first string, took time.Duration, err error) {
	m.t.Helper()
	w := m.client(m.name("owner"))
	write := func(at *node) history.Op {
		title := m.name("row")
		return w.add(at, title, w.content(title), options{})
	}
	err = asleep(c, away, func() error {
		if dark {
			m.net.isolate(c.name)
		}
		for i := 0; i < 10 || dark && i < int(away/(20*time.Millisecond)); i++ {
			if op := write([]*node{a, b}[i%2]); op.Outcome != history.OK {
				return fmt.Errorf("write with one away: %d %s", op.Status, op.Note)
			}
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	})
	m.must(m.net.heal())
	if err != nil {
		return "", 0, err
	}
	m.quiet(quietLimit)
	if err := b.pause(); err != nil {
		return "", 0, err
	}
	defer b.resume()
	began := time.Now()
	for {
		op := write(a)
		took = time.Since(began)
		if first == "" {
			first = fmt.Sprint(op.Status)
		}
		if op.Outcome == history.OK {
			return first, took, b.proc().stopped()
		}
		if took > secondBound {
			_, breaker, _ := a.seenAs(c)
			return first, took, fmt.Errorf("%s and %s are a majority, and %s later %s still answers %d %s (breaker to %s: %s)", a.name, c.name, took, a.name, op.Status, op.Note, c.name, breaker)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
