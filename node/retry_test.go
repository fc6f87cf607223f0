package node

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// startOne runs one node that expects no other.
func startOne(t testing.TB, change func(*Config)) *Node {
	t.Helper()
	cfg := Config{Name: "n1", DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: freeAddr(t), Version: "test", NoSync: true}
	if change != nil {
		change(&cfg)
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, n)
	waitFor(t, "ready", func() bool { ok, _ := n.Ready(); return ok })
	return n
}

// run runs a node until the end of the test.
func run(t testing.TB, n *Node) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func draft(t testing.TB, body string) memory.Draft {
	t.Helper()
	d, err := memory.DecodeDraft([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func patch(t testing.TB, body string) memory.Patch {
	t.Helper()
	p, err := memory.DecodePatch([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// keyed are the options of a write with an idempotency key.
func keyed(key string) httpapi.WriteOptions {
	return httpapi.WriteOptions{Agent: "ai:alice", IdempotencyKey: key}
}

func mustCreate(t testing.TB, n *Node, body string, opt httpapi.WriteOptions) httpapi.Created {
	t.Helper()
	c, err := n.Create(context.Background(), draft(t, body), opt)
	if err != nil {
		t.Fatalf("create %s: %v", body, err)
	}
	return c
}

// A retry is held to be the first try, whatever that came to.
func TestRetryOfMergeAndVersion(t *testing.T) {
	n := startOne(t, nil)
	mustCreate(t, n, `{"title":"a","content":"old","priority":9,"tier":"long"}`, keyed("first"))
	for _, policy := range []string{"merge", "version"} {
		body := `{"title":"a","content":"new","on_conflict":"` + policy + `"}`
		first := mustCreate(t, n, body, keyed(policy))
		again := mustCreate(t, n, body, keyed(policy))
		if again.ID != first.ID || again.Dot != first.Dot || again.Title != first.Title || again.Tier != first.Tier {
			t.Errorf("%s: first %+v, again %+v", policy, first, again)
		}
		// What was written may have been overtaken meanwhile.
		if _, err := n.Update(context.Background(), first.ID, patch(t, `{"content":"newer"}`), keyed("")); err != nil {
			t.Fatal(err)
		}
		if late := mustCreate(t, n, body, keyed(policy)); late.Dot != first.Dot || late.ID != first.ID || late.Title != first.Title || late.Tier != first.Tier {
			t.Errorf("%s: first %+v, late %+v", policy, first, late)
		}
	}
	mustCreate(t, n, `{"title":"a","content":"x","on_conflict":"merge"}`, keyed("other"))
	_, err := n.Create(context.Background(), draft(t, `{"title":"a","content":"y","on_conflict":"merge"}`), keyed("other"))
	if _, ok := errors.AsType[*memory.FieldError](err); !ok {
		t.Errorf("key used for two merges: %v", err)
	}
}

// A key that was used by one verb must not make another verb believe that it is done.
func TestKeyOfAnotherVerb(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	c := mustCreate(t, n, `{"title":"a","content":"one"}`, keyed("k"))
	if _, err := n.Update(ctx, c.ID, patch(t, `{"content":"two"}`), keyed("k")); err == nil {
		if got, _ := n.Get(ctx, c.ID, httpapi.ReadOptions{}); !bytes.Contains(got.Body, []byte("two")) {
			t.Errorf("update with the key of the create was acknowledged and not done: %s", got.Body)
		}
	}
	if _, err := n.Update(ctx, c.ID, patch(t, `{"content":"three"}`), keyed("u")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Update(ctx, c.ID, patch(t, `{"content":"four"}`), keyed("u")); err == nil {
		if got, _ := n.Get(ctx, c.ID, httpapi.ReadOptions{}); !bytes.Contains(got.Body, []byte("four")) {
			t.Errorf("another update with the same key was acknowledged and not done: %s", got.Body)
		}
	}
	if _, err := n.Update(ctx, c.ID, patch(t, `{"content":"three"}`), keyed("u")); err != nil {
		t.Errorf("retry of the update: %v", err)
	}
	for _, key := range []string{"k", "u"} {
		_, err := n.Delete(ctx, c.ID, keyed(key))
		if _, getErr := n.Get(ctx, c.ID, httpapi.ReadOptions{}); err == nil && getErr == nil {
			t.Errorf("delete with the key %s of another verb was acknowledged and not done", key)
		}
	}
	for range 2 {
		if _, err := n.Delete(ctx, c.ID, keyed("d")); err != nil && !errors.Is(err, memory.ErrNotFound) {
			t.Errorf("delete: %v", err)
		}
	}
}

// The deadline that ended the wait for the writer holds for the wait for the held write,
// too.
func TestHeldWriteKeepsTheDeadline(t *testing.T) {
	n := startOne(t, nil)
	c := mustCreate(t, n, `{"title":"a","content":"one"}`, keyed("k"))
	p := n.submit(t.Context(), 1, func(_ *storage.Tx) error {
		time.Sleep(100 * time.Millisecond) // the writer has it when the deadline passes
		return &errHeld{id: c.ID, dots: clock.Of(clock.Dot{Origin: 7, Counter: 7})}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	began := time.Now()
	_, err := n.await(ctx, p, 1, time.After(20*time.Millisecond))
	var q *memory.QuorumError
	if took := time.Since(began); !errors.As(err, &q) || took > 2*time.Second {
		t.Errorf("%v after %s", err, took)
	} else if q.Committed == memory.CommittedLocal {
		t.Errorf("%s, but this node does not have it", q.Committed)
	}
}
