package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

func mustLink(t testing.TB, n *Node, source, target, relation string) httpapi.Linked {
	t.Helper()
	l, err := n.Link(context.Background(), memory.Link{SourceID: source, TargetID: target, Relation: relation}, keyed(""))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// shownLinks are the relations of a memory's links, sorted.
func relationsOf(t testing.TB, n *Node, id string) string {
	t.Helper()
	links, err := n.Links(context.Background(), id, httpapi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range links {
		out = append(out, l.Relation)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func countLinks(t testing.TB, n *Node) int64 {
	t.Helper()
	st, err := n.Stats(context.Background(), httpapi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return st.LinksCount
}

func TestLinks(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	a := mustCreate(t, n, `{"title":"a","content":"x"}`, keyed("")).ID
	b := mustCreate(t, n, `{"title":"b","content":"x"}`, keyed("")).ID
	c := mustCreate(t, n, `{"title":"c","content":"x"}`, keyed("")).ID

	first := mustLink(t, n, a[:13], b, "supersedes") // by a unique prefix
	if first.Existing || first.Link.SourceID != a || first.Token.Empty() {
		t.Errorf("%+v", first)
	}
	if again := mustLink(t, n, a, b, "supersedes"); !again.Existing || again.Dot != first.Dot {
		t.Errorf("made twice: %+v", again)
	}
	mustLink(t, n, a, b, "contradicts")
	mustLink(t, n, b, a, "related_to")
	mustLink(t, n, a, c, "derived_from")
	for id, want := range map[string]string{a: "contradicts derived_from related_to supersedes", b: "contradicts related_to supersedes", c: "derived_from", "none": ""} {
		if got := relationsOf(t, n, id); got != want {
			t.Errorf("links of %s: %s, want %s", id, got, want)
		}
	}
	got, err := n.Get(ctx, c, httpapi.ReadOptions{})
	if err != nil || len(got.Links) != 1 || got.Links[0].SourceID != a || got.Links[0].CreatedAt.IsZero() {
		t.Errorf("%+v, %v", got.Links, err)
	}
	if full, err := (mcpService{n}).Get(ctx, c, noReads); err != nil || len(full.Links) != 1 || full.Links[0].SourceID != a {
		t.Errorf("over MCP: %+v, %v", full, err)
	}

	// What cannot be linked changes nothing.
	before := n.store.Seq()
	for _, bad := range []struct {
		source, target string
		want           error
	}{{a, "none", memory.ErrNotFound}, {"none", a, memory.ErrNotFound}, {a, a[:13], memory.ErrInvalid}, {a, "", memory.ErrNotFound}} {
		if _, err := n.Link(ctx, memory.Link{SourceID: bad.source, TargetID: bad.target, Relation: "related_to"}, keyed("")); !errors.Is(err, bad.want) {
			t.Errorf("%s to %s: %v", bad.source, bad.target, err)
		}
	}
	if n.store.Seq() != before {
		t.Error("a refused link wrote something")
	}

	// Unlink takes all relations of the pair in that direction, and can be repeated.
	for i, want := range []bool{true, true, false} {
		key := "k"
		if i == 2 {
			key = "another"
		}
		u, err := n.Unlink(ctx, a, b, keyed(key))
		if err != nil || u.Deleted != want {
			t.Errorf("%d: %+v, %v", i, u, err)
		}
	}
	if got := relationsOf(t, n, a); got != "derived_from related_to" {
		t.Error(got)
	}
	// A retry of a link that was removed since does not make it again.
	if _, err := n.Link(ctx, memory.Link{SourceID: a, TargetID: b, Relation: "supersedes"}, keyed("link")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Unlink(ctx, a, b, keyed("")); err != nil {
		t.Fatal(err)
	}
	if l, err := n.Link(ctx, memory.Link{SourceID: a, TargetID: b, Relation: "supersedes"}, keyed("link")); err != nil || !l.Existing {
		t.Errorf("%+v, %v", l, err)
	}
	if got := relationsOf(t, n, b); got != "related_to" {
		t.Error(got)
	}

	// A memory takes its links along, and does not bring them back.
	if _, err := n.Delete(ctx, a, keyed("")); err != nil {
		t.Fatal(err)
	}
	if got := relationsOf(t, n, b) + relationsOf(t, n, c); got != "" || countLinks(t, n) != 0 {
		t.Errorf("%q, %d", got, countLinks(t, n))
	}
	if id := mustCreate(t, n, `{"title":"a","content":"again"}`, keyed("")).ID; id != a || relationsOf(t, n, a) != "" {
		t.Errorf("%s: %s", id, relationsOf(t, n, a))
	}
}

// A memory with more links than go in one transaction is deleted all the same; the rest is
// hidden at once and swept.
func TestLinksOfAHub(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	hub := mustCreate(t, n, `{"title":"hub","content":"x"}`, keyed("")).ID
	const many = maxDropped + 20
	createMany(t, n, 0, many, "x")
	rows, err := n.List(ctx, memory.Filter{Limit: many + 1}, httpapi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in := httpapi.Import{}
	for _, r := range rows {
		var m struct{ ID string }
		if err := json.Unmarshal(r.Body, &m); err != nil {
			t.Fatal(err)
		}
		if m.ID != hub {
			in.Links = append(in.Links, []byte(fmt.Sprintf(`{"source_id":%q,"target_id":%q}`, m.ID, hub)))
		}
	}
	if out, err := n.Import(ctx, in, keyed("")); err != nil || out.Imported != many {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := countLinks(t, n); got != many {
		t.Fatalf("%d links", got)
	}
	if _, err := n.Delete(ctx, hub, keyed("")); err != nil {
		t.Fatal(err)
	}
	var other struct {
		SourceID string `json:"source_id"`
	}
	left := 0
	for _, raw := range in.Links {
		if err := json.Unmarshal(raw, &other); err != nil {
			t.Fatal(err)
		}
		if relationsOf(t, n, other.SourceID) != "" {
			t.Fatalf("%s shows a link to what is deleted", other.SourceID)
		}
	}
	if left = int(countLinks(t, n)); left != many-maxDropped {
		t.Errorf("%d links left", left)
	}
	if sum, err := n.Collect(ctx, keyed("")); err != nil || sum.Count != 0 {
		t.Errorf("%+v, %v", sum, err)
	}
	if got := countLinks(t, n); got != 0 {
		t.Errorf("%d links after the sweep", got)
	}
}

// A link whose memory has not arrived is hidden, and kept for it.
func TestLinkWaitsForItsMemory(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	a := mustCreate(t, n, `{"title":"a","content":"x"}`, keyed("")).ID
	l := memory.Link{SourceID: a, TargetID: "later", Relation: "related_to", CreatedAt: n.now()}
	if _, err := n.change(ctx, 0, func(tx *storage.Tx) error { return n.putLink(tx, l, storage.PutOptions{Agent: "x"}) }); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Collect(ctx, keyed("")); err != nil {
		t.Fatal(err)
	}
	if got := relationsOf(t, n, a); got != "" || countLinks(t, n) != 1 {
		t.Errorf("%q, %d", got, countLinks(t, n))
	}
	mustImport(t, n, importOf("later", "x", "ai:x", n.now()), 1, 0)
	if got := relationsOf(t, n, a) + relationsOf(t, n, "later"); got != "related_torelated_to" {
		t.Error(got)
	}
}
