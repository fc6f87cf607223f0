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
		{httpapi.Membership{}, Membership{}}, {httpapi.Diagnosis{}, Diagnosis{}}, {httpapi.Finding{}, Finding{}},
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
	walkStandards(ctx, t, c, first.ID)
	walkHousekeeping(ctx, t, c)
	if d, err := c.Delete(ctx, first.ID, WriteOptions{}); err != nil || d.ID != first.ID {
		t.Errorf("delete: %+v, %v", d, err)
	}
	if _, err := c.Get(ctx, first.ID, ReadOptions{}); !errors.Is(err, memory.ErrNotFound) {
		t.Errorf("get what is gone: %v", err)
	}
}

func walkStandards(ctx context.Context, t *testing.T, c *Client, id string) {
	t.Helper()
	if s, err := c.Standard(ctx, "a/b", ReadOptions{}); err != nil || s.ID != "" || s.Namespace != "a/b" {
		t.Errorf("no standard: %+v, %v", s, err)
	}
	set, err := c.SetStandard(ctx, StandardDraft{Namespace: "a/b", ID: id, Parent: new("p"), Governance: memory.Raw(`{"write":"any"}`)}, WriteOptions{})
	if err != nil || set.ID != id || set.Parent != "p" || string(set.Governance) != `{"write":"any"}` || set.Token == "" || set.Acks != 1 {
		t.Fatalf("set: %+v, %v", set, err)
	}
	if s, err := c.Standard(ctx, "a/b", ReadOptions{After: set.Token}); err != nil || s.ID != id || s.Title != "Deploy day" || s.Content != "Thursday" || string(s.Governance) != `{"write":"any"}` {
		t.Errorf("standard: %+v, %v", s, err)
	}
	if set, err = c.SetStandard(ctx, StandardDraft{Namespace: "a/b", Parent: new(""), Governance: memory.Raw("null")}, WriteOptions{}); err != nil || set.Parent != "" || set.Governance != nil {
		t.Errorf("set to nothing: %+v, %v", set, err)
	}
	if _, err := c.SetStandard(ctx, StandardDraft{Namespace: "*"}, WriteOptions{}); err != nil {
		t.Error(err)
	}
	if ch, err := c.StandardChain(ctx, "a/b", ReadOptions{}); err != nil || strings.Join(ch.Chain, " ") != "* a a/b" || len(ch.Standards) != 2 {
		t.Errorf("chain: %+v, %v", ch, err)
	}
	if _, err := c.SetStandard(ctx, StandardDraft{Namespace: "x", ID: "nothing"}, WriteOptions{}); !errors.Is(err, memory.ErrNotFound) {
		t.Errorf("standard that is not there: %v", err)
	}
	if s, err := c.SessionStart(ctx, "a/b", 5, ReadOptions{}); err != nil || len(s.ID) != 32 || len(s.Standards) != 2 || len(s.Memories) != 0 {
		t.Errorf("session: %+v, %v", s, err)
	}
	if s, err := c.SessionStart(ctx, "", 0, ReadOptions{}); err != nil || len(s.Standards) != 1 || s.Standards[0].Namespace != "*" || len(s.Memories) != 1 {
		t.Errorf("session of all: %+v, %v", s, err)
	}
	if l, err := c.Namespaces(ctx, ReadOptions{}); err != nil || len(l) != 2 {
		t.Errorf("namespaces: %+v, %v", l, err)
	}
	if cl, err := c.ClearStandard(ctx, "a/b", WriteOptions{}); err != nil || !cl.Cleared || cl.Namespace != "a/b" || cl.Token == "" {
		t.Errorf("clear: %+v, %v", cl, err)
	}
	if cl, err := c.ClearStandard(ctx, "a/b", WriteOptions{}); err != nil || cl.Cleared {
		t.Errorf("clear again: %+v, %v", cl, err)
	}
	if r, err := c.RegisterAgent(ctx, Registration{AgentID: "ai:a/1", AgentType: "ai:x", Capabilities: []string{"code"}}, WriteOptions{}); err != nil || r.AgentID != "ai:a/1" || r.Token == "" {
		t.Errorf("register: %+v, %v", r, err)
	}
	if l, err := c.Agents(ctx, ReadOptions{}); err != nil || len(l) != 1 || l[0].AgentType != "ai:x" || len(l[0].Capabilities) != 1 || l[0].RegisteredAt.IsZero() {
		t.Errorf("agents: %+v, %v", l, err)
	}
	var field *memory.FieldError
	if _, err := c.RegisterAgent(ctx, Registration{AgentID: "a", AgentType: "robot"}, WriteOptions{}); !errors.As(err, &field) || field.Field != "agent_type" {
		t.Errorf("bad agent: %v", err)
	}
	for schema, want := range map[int]string{0: `"2"`, 2: `"2"`, 3: `"3"`} {
		if doc, err := c.Capabilities(ctx, schema); err != nil || !strings.Contains(string(doc), `"schema_version":`+want) {
			t.Errorf("capabilities %d: %s, %v", schema, doc, err)
		}
	}
}
