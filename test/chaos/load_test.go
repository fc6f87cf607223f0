//go:build chaos && linux

package chaos

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memd/memd/test/history"
)

// load is clients that write at a fixed rate through all nodes in turn, and repeat a write
// that fails once, at the next node, with the same Idempotency-Key.
type load struct {
	m       *mesh
	rate    int
	began   time.Time
	stop    chan struct{}
	wg      sync.WaitGroup
	nodes   atomic.Pointer[[]*node]
	asked   atomic.Int64
	acked   atomic.Int64
	again   atomic.Int64 // writes that were repeated
	mu      sync.Mutex
	failed  []string // writes that failed twice
	slowest time.Duration
}

const loadClients = 64

func (m *mesh) load(rate int) *load { return m.loadThrough(rate, m.nodes) }

// loadThrough is load through some of the nodes.
func (m *mesh) loadThrough(rate int, through []*node) *load {
	l := &load{m: m, rate: rate, began: time.Now(), stop: make(chan struct{})}
	through = append([]*node(nil), through...)
	l.nodes.Store(&through)
	turns := make(chan int)
	l.wg.Go(func() {
		defer close(turns)
		for i := 0; ; i++ { // by the clock: what a slow moment held up is made up for
			due := l.began.Add(time.Duration(i) * time.Second / time.Duration(rate))
			select {
			case <-time.After(time.Until(due)):
			case <-l.stop:
				return
			}
			l.asked.Add(1)
			select {
			case turns <- i:
			case <-l.stop:
				return
			}
		}
	})
	for range loadClients {
		c := m.client(m.name("load"))
		l.wg.Go(func() {
			for i := range turns {
				l.write(c, i)
			}
		})
	}
	return l
}

// follow makes the clients know the nodes that the mesh has now.
func (l *load) follow() {
	nodes := append([]*node(nil), l.m.nodes...)
	l.nodes.Store(&nodes)
}

// write adds one memory.
func (l *load) write(c *client, i int) {
	nodes := *l.nodes.Load()
	title := l.m.name("load")
	content := c.content(title)
	o := options{idem: "idem-" + title}
	began := time.Now()
	first := c.add(nodes[i%len(nodes)], title, content, o)
	op := first
	if first.Outcome != history.OK {
		l.again.Add(1)
		op = c.add(nodes[(i+1)%len(nodes)], title, content, o)
	}
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	if op.Outcome != history.OK {
		l.failed = append(l.failed, fmt.Sprintf("%s: at %s %d %s, then at %s %d %s", title, first.Node, first.Status, first.Note, op.Node, op.Status, op.Note))
		return
	}
	l.acked.Add(1)
}

// goesOn waits for so many more acknowledged writes.
func (l *load) goesOn(k int64) error {
	want := l.acked.Load() + k
	for deadline := time.Now().Add(30 * time.Second); l.acked.Load() < want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d writes were acknowledged in 30 s, want %d", k-want+l.acked.Load(), k)
		}
	}
	return nil
}

// share is how many of the writes that were due have been answered with yes, at the first
// try.
func (l *load) share() float64 {
	return float64(l.acked.Load()-l.again.Load()) / float64(max(l.asked.Load(), 1))
}

// answered fails if the share is below.
func (l *load) answered(least float64) error {
	if s := l.share(); s < least {
		return fmt.Errorf("%.2f %% of %d writes were answered at the first try, want %.2f %%", 100*s, l.asked.Load(), 100*least)
	}
	return nil
}

// end stops the clients, and fails if a write failed twice.
func (l *load) end() (figures string, err error) {
	close(l.stop)
	l.wg.Wait()
	took := time.Since(l.began)
	figures = fmt.Sprintf("%d writes acknowledged in %.1f s (%.0f/s of %d/s asked), %d repeated once, %d failed twice, slowest %s",
		l.acked.Load(), took.Seconds(), float64(l.acked.Load())/took.Seconds(), l.rate, l.again.Load(), len(l.failed), ms(l.slowest))
	if len(l.failed) > 0 {
		return figures, fmt.Errorf("%s\n%s", figures, l.failed[0])
	}
	return figures, nil
}
