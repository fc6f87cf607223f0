package node

import (
	"context"
	"errors"
	"testing"

	"github.com/memd/memd/memory"
)

// Whose fault an unreachable W is decides the status: 400 for a w in the request that
// exceeds the members, 503 for a configured one.
func TestMoreThanMembers(t *testing.T) {
	n := startOne(t, func(c *Config) { c.QuorumWrites = 3 })
	_, err := n.Create(context.Background(), draft(t, `{"title":"a","content":"one"}`), keyed(""))
	var q *memory.QuorumError
	if !errors.As(err, &q) || q.Committed != memory.CommittedFalse || q.Needed != 3 {
		t.Errorf("configured: %v", err)
	}
	opt := keyed("")
	opt.W = 2
	_, err = n.Create(context.Background(), draft(t, `{"title":"a","content":"one"}`), opt)
	var field *memory.FieldError
	if !errors.As(err, &field) || field.Field != "w" {
		t.Errorf("asked for: %v", err)
	}
}
