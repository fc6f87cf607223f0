package client

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/node"
)

// TestMirror: the client may not import the door, so its status types are written twice.
// This keeps them the same.
func TestMirror(t *testing.T) {
	for _, c := range []struct{ theirs, ours any }{
		{httpapi.ClusterStatus{}, ClusterStatus{}}, {httpapi.Quorum{}, Quorum{}}, {httpapi.Member{}, Member{}},
		{httpapi.WriteStatus{}, WriteStatus{}}, {httpapi.TierCount{}, TierCount{}}, {httpapi.NamespaceCount{}, NamespaceCount{}},
		{httpapi.Membership{}, Membership{}},
	} {
		if theirs, ours := names(c.theirs), names(c.ours); theirs != ours {
			t.Errorf("%T says\n%s, the client\n%s", c.theirs, theirs, ours)
		}
	}
}

func names(v any) string {
	var out []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if strings.Contains(options, "string") {
			name += "(string)"
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

// TestNode walks through all verbs against one real node.
func TestNode(t *testing.T) {
	n, err := node.New(node.Config{Name: "n1", DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1:0", NoSync: true, Recall: true})
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(run) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	c := open(t, 0, n.HTTPAddr())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for err := c.Ready(ctx); err != nil; err = c.Ready(ctx) {
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}

	draft := Draft{Title: "Deploy day", Content: "Tuesday", Tags: []string{"ops"}, Metadata: memory.Raw(`{"n":1}`)}
	first, err := c.Store(ctx, draft, WriteOptions{})
	if err != nil || first.ID == "" || first.Acks != 1 || first.Dot == "" || first.Token == "" || first.AgentID != "ai:test" {
		t.Fatalf("store: %+v, %v", first, err)
	}
	if again, err := c.Store(ctx, draft, WriteOptions{}); err != nil || !again.Existing || again.ID != first.ID {
		t.Errorf("store again: %+v, %v", again, err)
	}
	draft.Content = "Wednesday"
	var clash *memory.ConflictError
	if _, err := c.Store(ctx, draft, WriteOptions{}); !errors.As(err, &clash) || clash.ExistingID != first.ID {
		t.Errorf("clash: %v", err)
	}
	var field *memory.FieldError
	if _, err := c.Store(ctx, Draft{Title: "x"}, WriteOptions{}); !errors.As(err, &field) || field.Field != "content" {
		t.Errorf("bad draft: %v", err)
	}
	got, err := c.Get(ctx, first.ID, ReadOptions{After: first.Token})
	if err != nil || got.Content != "Tuesday" || got.Tier != memory.TierMid || got.Token == "" {
		t.Fatalf("get: %+v, %v", got, err)
	}
	up, err := c.Update(ctx, first.ID[:8], Patch{Content: new("Thursday"), ClearExpiry: true}, WriteOptions{Match: got.Token})
	if err != nil || up.Content != "Thursday" || up.ExpiresAt != nil || up.Acks != 1 || up.Dot == first.Dot {
		t.Fatalf("update: %+v, %v", up, err)
	}
	if _, err := c.Update(ctx, first.ID, Patch{Content: new("x")}, WriteOptions{Match: got.Token}); !errors.Is(err, memory.ErrMismatch) {
		t.Errorf("update of the past: %v", err)
	}
	if list, err := c.List(ctx, memory.Filter{Tag: "ops", Limit: 5}, ReadOptions{After: up.Token}); err != nil || len(list) != 1 || list[0].Content != "Thursday" {
		t.Errorf("list: %+v, %v", list, err)
	}
	found, err := c.Recall(ctx, Query{Text: "which thursday", Filter: memory.Filter{Tag: "ops"}, Budget: new(100)}, ReadOptions{After: up.Token})
	if err != nil || len(found.Hits) != 1 || found.Hits[0].ID != first.ID || found.Hits[0].Score <= 0 || found.Mode != "keyword" || found.TokensUsed == 0 || found.Behind {
		t.Errorf("recall: %+v, %v", found, err)
	}
	if found, err := c.Recall(ctx, Query{Text: "thursday", Budget: new(1)}, ReadOptions{}); err != nil || len(found.Hits) != 0 || found.Dropped != 1 || !found.Overflow {
		t.Errorf("recall with a small budget: %+v, %v", found, err)
	}
	if found, err := c.Search(ctx, Query{Text: "deploy thursday"}, ReadOptions{}); err != nil || len(found.Hits) != 1 || found.Hits[0].Content != "Thursday" {
		t.Errorf("search: %+v, %v", found, err)
	}
	if found, err := c.Search(ctx, Query{Text: "deploy tuesday"}, ReadOptions{}); err != nil || len(found.Hits) != 0 {
		t.Errorf("search for what was replaced: %+v, %v", found, err)
	}
	if _, err := c.Recall(ctx, Query{}, ReadOptions{}); !errors.As(err, &field) || field.Field != "context" {
		t.Errorf("recall of nothing: %v", err)
	}
	if s, err := c.Stats(ctx, ReadOptions{}); err != nil || s.Total != 1 || len(s.ByTier) != 1 {
		t.Errorf("stats: %+v, %v", s, err)
	}
	if w, err := c.WriteStatus(ctx, up.Dot); err != nil || !w.Local || !w.QuorumMet || len(w.AckedBy) != 1 || w.Dot != up.Dot {
		t.Errorf("write status: %+v, %v", w, err)
	}
	if s, err := c.Cluster(ctx); err != nil || s.Name != "n1" || len(s.Clock) == 0 || s.Quorum != (Quorum{1, 1, 1}) || len(s.Members) != 1 || s.Boot == 0 {
		t.Errorf("cluster: %+v, %v", s, err)
	}
	if m, err := c.Metrics(ctx); err != nil || !strings.Contains(string(m), "memd_") {
		t.Errorf("metrics: %.200s, %v", m, err)
	}
	if d, err := c.Delete(ctx, first.ID, WriteOptions{}); err != nil || d.ID != first.ID {
		t.Errorf("delete: %+v, %v", d, err)
	}
	if _, err := c.Get(ctx, first.ID, ReadOptions{}); !errors.Is(err, memory.ErrNotFound) {
		t.Errorf("get what is gone: %v", err)
	}
}
