package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

// Expired memories are hidden everywhere (contract 8.6).
func TestExpiredIsHidden(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	c := mustCreate(t, n, `{"title":"a","content":"one","ttl_secs":1}`, keyed(""))
	if _, err := n.Get(ctx, c.ID, httpapi.ReadOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	if got, err := n.Get(ctx, c.ID, httpapi.ReadOptions{}); !errors.Is(err, memory.ErrNotFound) {
		t.Errorf("get: %s, %v", got.Body, err)
	}
	if _, err := n.Create(ctx, draft(t, `{"title":"a","content":"two"}`), keyed("")); err != nil {
		t.Errorf("create where an expired one was: %v", err)
	}
}
