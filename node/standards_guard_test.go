package node

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

// A key for one namespace sets and sees the standards of that one, and registers the agents
// that it may speak for.
func TestStandardsOfAPrincipal(t *testing.T) {
	n, all := startOne(t, nil), context.Background()
	p := &auth.Principal{Name: "tenant", Namespaces: []string{"a"}, Agents: []string{"ai:a*"}}
	ctx := auth.With(all, p)
	mine := httpapi.WriteOptions{Agent: "ai:a1"}
	foreign := mustCreate(t, n, `{"title":"rules","content":"secret","namespace":"b"}`, keyed(""))
	mustSet(t, n, `{"namespace":"b","id":"`+foreign.ID+`"}`, keyed(""))
	mustSet(t, n, `{"namespace":"*","id":"`+foreign.ID+`"}`, keyed(""))

	set, err := n.SetStandard(ctx, memory.StandardDraft{Namespace: "a/x"}, mine)
	if err != nil || set.ID == "" {
		t.Fatalf("%+v, %v", set, err)
	}
	if _, err := n.SetStandard(ctx, memory.StandardDraft{Namespace: "a", MemoryID: foreign.ID}, mine); !errors.Is(err, memory.ErrNotFound) {
		t.Errorf("a memory of another namespace: %v", err)
	}
	for _, ns := range []string{"b", "*", "c"} {
		if s, err := n.SetStandard(ctx, memory.StandardDraft{Namespace: ns, MemoryID: set.ID}, mine); !errors.Is(err, memory.ErrForbidden) {
			t.Errorf("set %s: %+v, %v", ns, s, err)
		}
		if s, err := n.Standard(ctx, ns, httpapi.ReadOptions{}); err != nil || s.ID != "" || s.Content != "" {
			t.Errorf("%s: %+v, %v", ns, s, err)
		}
		if _, err := n.ClearStandard(ctx, ns, mine); err != nil && !errors.Is(err, memory.ErrForbidden) {
			t.Errorf("clear %s: %v", ns, err)
		}
	}
	if s := shownStandard(t, n, "b"); s.ID != foreign.ID {
		t.Errorf("another one's standard is gone: %+v", s)
	}
	if c, err := n.StandardChain(ctx, "a/x", httpapi.ReadOptions{}); err != nil || len(c.Standards) != 1 || c.Standards[0].ID != set.ID {
		t.Errorf("%+v, %v", c, err)
	}
	if s, err := n.SessionStart(ctx, "", 10, httpapi.ReadOptions{}); err != nil || len(s.Standards) != 0 || len(s.Memories) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if l, err := n.Namespaces(ctx, httpapi.ReadOptions{}); err != nil || len(l) != 1 || l[0].Namespace != "a/x" {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := n.RegisterAgent(ctx, memory.Agent{ID: "ai:a1", Type: "human", Capabilities: []string{}}, mine); err != nil {
		t.Error(err)
	}
	if _, err := n.RegisterAgent(ctx, memory.Agent{ID: "ai:b1", Type: "human", Capabilities: []string{}}, mine); !errors.Is(err, memory.ErrForbidden) {
		t.Errorf("another one's agent: %v", err)
	}
}

// A copy into a namespace above needs a key of that one too, is as private there as the memory
// was, and remains its author's.
func TestPromoteToOfAPrincipal(t *testing.T) {
	n, all := startOne(t, nil), context.Background()
	id := mustCreate(t, n, `{"title":"a","content":"x","namespace":"acme/ops","scope":"private"}`, keyed("")).ID
	taken := mustCreate(t, n, `{"title":"taken","content":"secret","namespace":"acme"}`, keyed("")).ID
	same := mustCreate(t, n, `{"title":"taken","content":"y","namespace":"acme/ops"}`, keyed("")).ID
	before := n.store.Seq()
	for _, c := range []struct {
		names []string
		id    string
		want  error
	}{
		{[]string{"acme/ops"}, id, memory.ErrForbidden},
		{[]string{"acme/ops"}, same, memory.ErrForbidden}, // nor does it learn of a title there
		{[]string{"acme/dev"}, id, memory.ErrNotFound},
		{[]string{"other"}, taken, memory.ErrNotFound},
	} {
		ctx := auth.With(all, &auth.Principal{Name: "tenant", Namespaces: c.names, Agents: []string{"ai:*"}})
		if up, err := n.PromoteTo(ctx, c.id, "acme", httpapi.WriteOptions{Agent: "ai:tenant"}); !errors.Is(err, c.want) || errors.Is(err, memory.ErrConflict) {
			t.Errorf("%q, %s: %+v, %v", c.names, c.id, up, err)
		}
	}
	if got := n.store.Seq(); got != before {
		t.Fatalf("%d changes", got-before)
	}
	ctx := auth.With(all, &auth.Principal{Name: "boss", Namespaces: []string{"acme"}, Agents: []string{"ai:*"}})
	up, err := n.PromoteTo(ctx, id, "acme", httpapi.WriteOptions{Agent: "ai:boss"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := n.Get(all, up.CloneID, httpapi.ReadOptions{})
	if err != nil || !strings.Contains(string(got.Body), `"scope":"private"`) || !strings.Contains(string(got.Body), `"agent_id":"ai:alice"`) {
		t.Errorf("%s, %v", got.Body, err)
	}
}
