package node

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// The original pushes standards beside the memories that they are of.
func TestImportStandards(t *testing.T) {
	n, ctx := startOne(t, nil), context.Background()
	begin := time.Now().Add(-time.Hour)
	meta := func(ns, id, parent string, at time.Time) wire.SyncNamespaceMeta {
		return wire.SyncNamespaceMeta{Namespace: ns, StandardID: id, ParentNamespace: &parent, UpdatedAt: memory.FormatTime(at)}
	}
	push := func(p *wire.SyncPush) *wire.SyncPushReply {
		t.Helper()
		p.SenderAgentID = "host:old"
		if p.Memories == nil {
			p.Memories = []json.RawMessage{}
		}
		r, err := n.ImportPush(ctx, p, httpapi.WriteOptions{Agent: p.SenderAgentID})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	p := importOf("x", "one", "ai:alice", begin)
	p.NamespaceMeta = []wire.SyncNamespaceMeta{
		meta("a", "x", "p", begin), meta("b", "nothing", "", begin), meta("../x", "x", "", begin), meta("c", "x", "/p", begin), meta("d", "", "", begin),
		{Namespace: "e", StandardID: "x", UpdatedAt: "garbage"},
	}
	p.DryRun = true
	if r := push(p); r.Noop != 2+1 || r.Skipped != 4 || r.NamespaceMetaApplied != 0 {
		t.Errorf("dry run: %+v", r)
	}
	if s := shownStandard(t, n, "a"); s.ID != "" {
		t.Errorf("after a dry run: %+v", s)
	}
	p.DryRun = false
	r := push(p)
	if r.Applied != 1 || r.NamespaceMetaApplied != 1 || r.Skipped != 5 || len(r.Errors) != 5 {
		t.Fatalf("%+v", r)
	}
	for _, e := range r.Errors {
		if e.List != "namespace_meta" || e.Error == "" || strings.Contains(e.Error, "garbage") {
			t.Errorf("%+v", e)
		}
	}
	if s := shownStandard(t, n, "a"); s.ID != "x" || s.Parent != "p" {
		t.Errorf("%+v", s)
	}
	mustSet(t, n, `{"namespace":"a","governance":{"write":"any"},"parent":""}`, keyed(""))
	// What is older than what stands here changes nothing, what is newer leaves the governance.
	if r := push(&wire.SyncPush{NamespaceMeta: []wire.SyncNamespaceMeta{meta("a", "x", "q", begin.Add(time.Minute))}}); r.Noop != 1 || shownStandard(t, n, "a").Parent != "" {
		t.Errorf("%+v", r)
	}
	if r := push(&wire.SyncPush{NamespaceMeta: []wire.SyncNamespaceMeta{meta("a", "x", "q", time.Now().Add(time.Second))}}); r.NamespaceMetaApplied != 1 {
		t.Errorf("%+v", r)
	}
	if s := shownStandard(t, n, "a"); s.Parent != "q" || string(s.Governance) != `{"write":"any"}` {
		t.Errorf("%+v", s)
	}
	if r := push(&wire.SyncPush{NamespaceMetaClears: []string{"a", "never", "a//b"}}); r.NamespaceMetaCleared != 1 || r.Noop != 1 || r.Skipped != 1 {
		t.Errorf("%+v", r)
	}
	// A peer that has not heard of the clearing does not undo it.
	if r := push(&wire.SyncPush{NamespaceMeta: []wire.SyncNamespaceMeta{meta("a", "x", "q", begin.Add(2*time.Minute))}}); r.Noop != 1 || shownStandard(t, n, "a").ID != "" {
		t.Errorf("%+v", r)
	}
}
