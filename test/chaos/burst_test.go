//go:build chaos && linux

package chaos

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memd/memd/test/history"
)

// burst is a crowd of clients that write until they are told to stop.
type burst struct {
	m        *mesh
	stop     chan struct{}
	wg       sync.WaitGroup
	acked    atomic.Int64
	flying   map[string]*atomic.Int64 // writes without an answer yet, by node
	mu       sync.Mutex
	adds     []history.Op // all adds, answered or not
	titles   map[string]string
	contents map[string]string
}

// burst starts writers that add memories through each of the given nodes, and others
// that change and delete what they made.
func (m *mesh) burst(perNode int, nodes ...*node) *burst {
	b := &burst{m: m, stop: make(chan struct{}), flying: map[string]*atomic.Int64{}, titles: map[string]string{}, contents: map[string]string{}}
	for _, n := range nodes {
		b.flying[n.name] = new(atomic.Int64)
	}
	for _, n := range nodes {
		for i := range perNode {
			c := m.client(m.name("c-" + n.name))
			b.wg.Go(func() {
				if i%4 == 3 {
					b.life(c, n)
				} else {
					b.fill(c, n)
				}
			})
		}
	}
	return b
}

// do counts a write while it is under way. One that fails makes its client take a breath:
// a node that is away answers at once.
func (b *burst) do(n *node, write func() history.Op) history.Op {
	b.flying[n.name].Add(1)
	op := write()
	b.flying[n.name].Add(-1)
	if op.Outcome == history.OK {
		b.acked.Add(1)
	} else {
		b.pause(20 * time.Millisecond)
	}
	return op
}

func (b *burst) pause(d time.Duration) {
	select {
	case <-b.stop:
	case <-time.After(d):
	}
}

func (b *burst) going() bool {
	select {
	case <-b.stop:
		return false
	default:
		return true
	}
}

// fill adds memories, each with a key of its own.
func (b *burst) fill(c *client, n *node) {
	for b.going() {
		title := b.m.name("burst")
		content := c.content(title)
		op := b.do(n, func() history.Op { return c.add(n, title, content, options{idem: "idem-" + title}) })
		b.mu.Lock()
		b.adds = append(b.adds, op)
		b.titles[op.Key], b.contents[op.Key] = title, content
		b.mu.Unlock()
	}
}

// life adds a memory, changes it twice, and deletes every other one, each step with the
// token of the one before.
func (b *burst) life(c *client, n *node) {
	for i := 0; b.going(); i++ {
		title := b.m.name("life")
		op := b.do(n, func() history.Op { return c.add(n, title, c.content(title), options{}) })
		for step := 0; step < 3 && op.Outcome == history.OK; step++ {
			id, match := op.ID, op.Token
			if step%2 == 1 {
				match = "" // whatever is there
			}
			if step < 2 {
				op = b.do(n, func() history.Op { return c.update(n, title, id, c.content(title), options{match: match}) })
			} else if i%2 == 0 {
				op = b.do(n, func() history.Op { return c.remove(n, title, id, options{match: op.Token}) })
			}
		}
	}
}

// until waits for so many acknowledged writes.
func (b *burst) until(acked int64) error {
	deadline := time.Now().Add(30 * time.Second)
	for b.acked.Load() < acked {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d writes were acknowledged in 30 s, want %d", b.acked.Load(), acked)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// busy waits for a moment with writes under way at a node, and says how many there are.
func (b *burst) busy(n *node, least int64) (int64, error) {
	deadline := time.Now().Add(5 * time.Second)
	for {
		k := b.flying[n.name].Load()
		if k >= least {
			return k, nil
		}
		if time.Now().After(deadline) {
			return k, voidf("no moment with %d writes under way at %s", least, n.name)
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// end stops the crowd and waits for what is under way.
func (b *burst) end() {
	close(b.stop)
	b.wg.Wait()
}

// open are the adds without an answer.
func (b *burst) open() []history.Op {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []history.Op
	for _, op := range b.adds {
		if op.Outcome == history.Unknown {
			out = append(out, op)
		}
	}
	return out
}
