package replication

import (
	"fmt"

	"github.com/memd/memd/memory"
)

// Majority returns the smallest number of names of which any two groups of that size,
// out of n, have one in common. It is 0 if n is not positive.
func Majority(n int) int {
	if n <= 0 {
		return 0
	}
	return n/2 + 1
}

// Needed returns W, how many distinct names must hold a write durably before it is
// acknowledged, this node included. n is the number of registered members, never of
// those that gossip calls alive: else each side of a partition shrinks its own quorum.
// configured is the operator's W, 0 for the majority; override is the W of one
// request, 0 for none. A W outside 1..n is a [*memory.FieldError], never clamped:
// what was asked for cannot be had.
func Needed(configured, n, override int) (int, error) {
	if n < 1 {
		return 0, fmt.Errorf("%w: no member is registered yet", memory.ErrUnavailable)
	}
	field, w := "w", override
	if w == 0 {
		field, w = "quorum-writes", configured
	}
	switch {
	case w == 0:
		return Majority(n), nil
	case w < 1 || w > n:
		return 0, &memory.FieldError{Field: field, Problem: fmt.Sprintf("must be between 1 and %d, the number of registered members", n)}
	}
	return w, nil
}
