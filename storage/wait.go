package storage

import (
	"sync"

	"github.com/memd/memd/clock"
)

// waiters are the readers that wait for the durable clock to cover something.
type waiters struct {
	mu   sync.Mutex
	list map[*waiter]struct{}
}

type waiter struct {
	want clock.Clock
	ch   chan struct{} // closed when the clock covers want
}

func (w *waiters) add(want clock.Clock) *waiter {
	one := &waiter{want: want, ch: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		w.list = make(map[*waiter]struct{})
	}
	w.list[one] = struct{}{}
	return one
}

func (w *waiters) remove(one *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.list, one)
}

// wake lets go those whose wish is met.
func (w *waiters) wake(have clock.Clock) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.list {
		if have.Covers(one.want) {
			close(one.ch)
			delete(w.list, one)
		}
	}
}
