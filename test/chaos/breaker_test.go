//go:build chaos && linux

package chaos

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/memd/memd/test/history"
)

// TestBreaker (S21): writes go on while one of three nodes stands still, and once the
// breaker has opened they cost what they cost before; the writer gathers neither files
// nor goroutines.
func TestBreaker(t *testing.T) {
	m := newMesh(t)
	for range times(3, 1) {
		report.round(t, m.breaker())
	}
	m.judge()
}

// held is what a node holds of the process's resources.
type held struct {
	fds, goroutines int
	rss             int64
}

func (n *node) held() (held, error) {
	m, err := n.metrics()
	return held{n.proc().fds(), int(m.sum("go_goroutines")), n.proc().rss()}, err
}

func (h held) String() string {
	return fmt.Sprintf("%d files, %d goroutines, %.1f MiB", h.fds, h.goroutines, float64(h.rss)/(1<<20))
}

func (m *mesh) breaker() error {
	m.t.Helper()
	a, s := m.nodes[0], m.nodes[2]
	length := time.Duration(times(8, 3)) * time.Second
	if _, err := m.steady(a, time.Second); err != nil { // connections, caches
		return err
	}
	healthy, err := m.steady(a, length)
	if err != nil {
		return err
	}
	if err := s.pause(); err != nil {
		return err
	}
	defer func() {
		if s.stopped {
			s.resume()
		}
	}()
	// The first writes find out that it does not answer.
	began := time.Now()
	for {
		_, breaker, err := a.seenAs(s)
		if err != nil {
			return err
		}
		if breaker == "open" {
			break
		}
		if time.Since(began) > 30*time.Second {
			return fmt.Errorf("30 s of writes with %s asleep and the breaker to it is %s", s.name, breaker)
		}
		if _, err := m.steady(a, 50*time.Millisecond); err != nil {
			return err
		}
	}
	opened := time.Since(began)
	before, err := a.held()
	if err != nil {
		return err
	}
	open, err := m.steady(a, length)
	if err != nil {
		return err
	}
	after, err := a.held()
	if err != nil {
		return err
	}
	if err := s.proc().stopped(); err != nil {
		return err
	}
	s.resume()
	m.quiet(quietLimit)
	again, err := m.steady(a, length) // how much two healthy stretches differ
	if err != nil {
		return err
	}
	report.note(m.t, "healthy %s; breaker open after %s, then %s; healthy again %s; p99 open to healthy %.2f, the two healthy ones %.2f; %s: %s, later %s",
		figures(healthy), ms(opened), figures(open), figures(again), ratio(open, append(healthy, again...)), ratio(again, healthy), a.name, before, after)
	// A probe of the breaker is a connection and a few goroutines, and may be under way.
	if after.fds > before.fds+8 || after.goroutines > before.goroutines+24 {
		return fmt.Errorf("%s grows while %s sleeps: %s, later %s", a.name, s.name, before, after)
	}
	return nil
}

func ratio(a, b []time.Duration) float64 {
	return float64(quantile(a, .99)) / float64(quantile(b, .99))
}

// steady writes from a few clients for a while; every write has to be acknowledged.
func (m *mesh) steady(n *node, length time.Duration) ([]time.Duration, error) {
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	until := time.Now().Add(length)
	var wg sync.WaitGroup
	for range 4 {
		c := m.client(m.name("steady"))
		wg.Go(func() {
			for time.Now().Before(until) {
				title := m.name("row")
				began := time.Now()
				op := c.add(n, title, c.content(title), options{})
				d := time.Since(began)
				mu.Lock()
				took = append(took, d)
				if op.Outcome != history.OK && failed == nil {
					failed = fmt.Errorf("write at %s: %d after %s: %s", n.name, op.Status, d, op.Note)
				}
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	return took, failed
}
