package catchup

import (
	"context"
	"slices"
	"sync"
)

// slots bounds how many pulls run at once, and with them the memory for pages. The
// urgent ones go first and have some slots to themselves.
type slots struct {
	total, kept int // kept for the urgent

	mu      sync.Mutex
	used    int
	waiting []*ticket
}

// ticket is one place in the line, or a slot.
type ticket struct {
	urgent bool // guarded by slots.mu
	held   bool // guarded by slots.mu
	let    chan struct{}
}

func (s *slots) line(urgent bool) *ticket {
	t := &ticket{urgent: urgent, let: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, t)
	s.admit()
	return t
}

// wait blocks until the ticket is let in. It must be released in any case.
func (t *ticket) wait(ctx context.Context) error {
	select {
	case <-t.let:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// promote makes a waiting ticket urgent.
func (s *slots) promote(t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.urgent = true
	s.admit()
}

func (s *slots) release(t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.held {
		t.held = false
		s.used--
	} else if i := slices.Index(s.waiting, t); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	s.admit()
}

// admit lets in whom it can: the first urgent one, else the first. Called with mu held.
func (s *slots) admit() {
	for len(s.waiting) > 0 {
		i := slices.IndexFunc(s.waiting, func(t *ticket) bool { return t.urgent })
		limit := s.total
		if i < 0 {
			i, limit = 0, s.total-s.kept
		}
		if s.used >= limit {
			return
		}
		t := s.waiting[i]
		s.waiting = slices.Delete(s.waiting, i, i+1)
		t.held = true
		s.used++
		close(t.let)
	}
}
