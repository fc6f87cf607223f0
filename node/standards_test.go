package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

func standardDraft(t testing.TB, body string) memory.StandardDraft {
	t.Helper()
	d, err := memory.DecodeStandardDraft([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func mustSet(t testing.TB, n *Node, body string, opt httpapi.WriteOptions) httpapi.StandardSet {
	t.Helper()
	s, err := n.SetStandard(context.Background(), standardDraft(t, body), opt)
	if err != nil {
		t.Fatalf("set %s: %v", body, err)
	}
	return s
}

func shownStandard(t testing.TB, n *Node, ns string) httpapi.Standard {
	t.Helper()
	s, err := n.Standard(context.Background(), ns, httpapi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStandard(t *testing.T) {
	n, ctx := startOne(t, nil), context.Background()
	if s := shownStandard(t, n, "a"); s.Namespace != "a" || s.ID != "" {
		t.Fatalf("%+v", s)
	}
	rules := mustCreate(t, n, `{"title":"rules","content":"be kind","namespace":"policies","priority":9}`, keyed(""))
	set := mustSet(t, n, `{"namespace":"a","id":"`+rules.ID[:20]+`","governance":{"write":"owner"},"parent":"p"}`, keyed(""))
	if set.ID != rules.ID || set.Acks != 1 || set.Dot.IsZero() || set.Token.Empty() {
		t.Fatalf("%+v", set)
	}
	want := httpapi.Standard{Namespace: "a", ID: rules.ID, Title: "rules", Content: "be kind", Priority: 9, Parent: "p", Governance: memory.Raw(`{"write":"owner"}`)}
	if s := shownStandard(t, n, "a"); fmt.Sprint(s) != fmt.Sprint(want) {
		t.Errorf("%+v", s)
	}
	// What is not said stays; null takes it away.
	if s := mustSet(t, n, `{"namespace":"a","governance":null}`, keyed("")); s.ID != rules.ID || s.Parent != "p" || s.Governance != nil {
		t.Errorf("%+v", s)
	}
	// The same again is no other write.
	again := mustSet(t, n, `{"namespace":"a","id":"`+rules.ID+`","parent":"p"}`, keyed(""))
	if s := mustSet(t, n, `{"namespace":"a"}`, keyed("")); !s.Token.Covers(again.Token) || s.Dot != again.Dot {
		t.Errorf("%+v, %+v", s, again)
	}
	// It follows its memory: changed, deleted.
	if _, err := n.Update(ctx, rules.ID, memory.Patch{Content: new("be quick")}, keyed("")); err != nil {
		t.Fatal(err)
	}
	if s := shownStandard(t, n, "a"); s.Content != "be quick" {
		t.Errorf("%+v", s)
	}
	if _, err := n.Delete(ctx, rules.ID, keyed("")); err != nil {
		t.Fatal(err)
	}
	if s := shownStandard(t, n, "a"); s.ID != "" || s.Governance != nil || s.Parent != "" {
		t.Errorf("its memory is gone: %+v", s)
	}
	for _, id := range []string{rules.ID, "nothing"} {
		if _, err := n.SetStandard(ctx, memory.StandardDraft{Namespace: "b", MemoryID: id}, keyed("")); !errors.Is(err, memory.ErrNotFound) {
			t.Errorf("%s: %v", id, err)
		}
	}
	// Without a memory named, one is made.
	made := mustSet(t, n, `{"namespace":"a"}`, keyed(""))
	got, err := n.Get(ctx, made.ID, httpapi.ReadOptions{After: &made.Token})
	if err != nil || !strings.Contains(string(got.Body), `"title":"_standard:a"`) || !strings.Contains(string(got.Body), `"tags":["_namespace_standard"]`) ||
		!strings.Contains(string(got.Body), `"namespace":"a"`) || strings.Contains(string(got.Body), "expires_at") {
		t.Errorf("%s, %v", got.Body, err)
	}
	if s := mustSet(t, n, `{"namespace":"a"}`, keyed("")); s.ID != made.ID {
		t.Errorf("%+v", s)
	}
	// Cleared: the memory stays, and it is cleared once.
	if c, err := n.ClearStandard(ctx, "a", keyed("")); err != nil || !c.Cleared || c.Dot.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	if s := shownStandard(t, n, "a"); s.ID != "" {
		t.Errorf("%+v", s)
	}
	if _, err := n.Get(ctx, made.ID, httpapi.ReadOptions{}); err != nil {
		t.Error(err)
	}
	for _, ns := range []string{"a", "never"} {
		if c, err := n.ClearStandard(ctx, ns, keyed("")); err != nil || c.Cleared {
			t.Errorf("%s: %+v, %v", ns, c, err)
		}
	}
	long := strings.Repeat("x", memory.MaxTitle)
	var field *memory.FieldError
	if _, err := n.SetStandard(ctx, memory.StandardDraft{Namespace: long}, keyed("")); !errors.As(err, &field) || field.Field != "id" {
		t.Errorf("no room for a title: %v", err)
	}
	if s := mustSet(t, n, `{"namespace":"`+long+`","id":"`+made.ID+`"}`, keyed("")); s.ID != made.ID || shownStandard(t, n, long).ID != made.ID {
		t.Errorf("%+v", s)
	}
	list, err := n.Namespaces(ctx, httpapi.ReadOptions{})
	if err != nil || fmt.Sprint(list) != "[{a 1}]" {
		t.Errorf("%v, %v", list, err)
	}
}

// Retries with the key of the first try are the first try; the same key for another thing
// is refused.
func TestStandardRetry(t *testing.T) {
	n, ctx := startOne(t, nil), context.Background()
	first := mustSet(t, n, `{"namespace":"a","governance":{"write":"any"}}`, keyed("k"))
	if s := mustSet(t, n, `{"namespace":"a","governance":{"write":"any"}}`, keyed("k")); s.ID != first.ID || s.Dot != first.Dot || string(s.Governance) != `{"write":"any"}` || !s.Token.Covers(first.Token) {
		t.Errorf("%+v, %+v", s, first)
	}
	var field *memory.FieldError
	for _, body := range []string{`{"namespace":"b"}`, `{"namespace":"a","governance":{"write":"owner"}}`, `{"namespace":"a","parent":"p"}`} {
		if _, err := n.SetStandard(ctx, standardDraft(t, body), keyed("k")); !errors.As(err, &field) || field.Field != "Idempotency-Key" {
			t.Errorf("%s: %v", body, err)
		}
	}
	for range 2 {
		if c, err := n.ClearStandard(ctx, "a", keyed("c")); err != nil || !c.Cleared {
			t.Errorf("%+v, %v", c, err)
		}
	}
	a := memory.Agent{ID: "ai:a", Type: "human", Capabilities: []string{}}
	one, err := n.RegisterAgent(ctx, a, keyed("r"))
	if err != nil {
		t.Fatal(err)
	}
	if two, err := n.RegisterAgent(ctx, a, keyed("r")); err != nil || two.Dot != one.Dot {
		t.Errorf("%+v, %v", two, err)
	}
	a.Type = "system"
	if _, err := n.RegisterAgent(ctx, a, keyed("r")); !errors.As(err, &field) || field.Field != "Idempotency-Key" {
		t.Errorf("%v", err)
	}
}

func TestStandardChain(t *testing.T) {
	n, ctx := startOne(t, nil), context.Background()
	for ns, parent := range map[string]string{"*": "", "a": "p", "a/b": "", "a/b/c": "q", "p": "pp", "pp": "a/b/c", "self": "self"} {
		mustSet(t, n, `{"namespace":"`+ns+`","parent":"`+parent+`"}`, keyed(""))
	}
	for ns, want := range map[string]string{"*": "*", "none": "* none", "self": "* self"} {
		c, err := n.StandardChain(ctx, ns, httpapi.ReadOptions{})
		if err != nil || strings.Join(c.Chain, " ") != want {
			t.Errorf("%s: %v, %v", ns, c.Chain, err)
		}
	}
	// Parents that go round in a ring end, and everything of it is there once.
	c, err := n.StandardChain(ctx, "a/b/c", httpapi.ReadOptions{})
	if err != nil || strings.Join(c.Chain, " ") != "* pp p a a/b q a/b/c" {
		t.Errorf("%v, %v", c.Chain, err)
	}
	var of []string
	for _, s := range c.Standards {
		of = append(of, s.Namespace)
	}
	if strings.Join(of, " ") != "* pp p a a/b a/b/c" { // q has none
		t.Errorf("%v", of)
	}
	if got, err := n.StandardChain(ctx, "none/x", httpapi.ReadOptions{}); err != nil || strings.Join(got.Chain, " ") != "* none none/x" || len(got.Standards) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// However many set and clear one namespace's standard at once, what it names is there.
func TestStandardRace(t *testing.T) {
	n, ctx := startOne(t, nil), context.Background()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 20 {
				if i == 0 {
					if _, err := n.ClearStandard(ctx, "a", keyed("")); err != nil {
						t.Error(err)
					}
				} else if s, err := n.SetStandard(ctx, memory.StandardDraft{Namespace: "a"}, keyed("")); err != nil || s.ID == "" {
					t.Errorf("%+v, %v", s, err)
				}
			}
		})
	}
	wg.Wait()
	s := mustSet(t, n, `{"namespace":"a"}`, keyed(""))
	if got := shownStandard(t, n, "a"); got.ID != s.ID || got.Title != "_standard:a" {
		t.Errorf("%+v", got)
	}
	if st, err := n.Stats(ctx, httpapi.ReadOptions{}); err != nil || st.Total != 1 {
		t.Errorf("one memory was made: %+v, %v", st, err)
	}
}

func TestAgents(t *testing.T) {
	n, ctx := startOne(t, nil), context.Background()
	register := func(id, kind string, can ...string) {
		t.Helper()
		if _, err := n.RegisterAgent(ctx, memory.Agent{ID: id, Type: kind, Capabilities: append([]string{}, can...)}, keyed("")); err != nil {
			t.Fatal(err)
		}
	}
	list := func() []memory.Agent {
		t.Helper()
		all, err := n.Agents(ctx, httpapi.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if l := list(); l == nil || len(l) != 0 {
		t.Errorf("%v", l)
	}
	register("ai:b", "human")
	register("ai:a/1", "ai:x", "code", "talk")
	register("9d0e0000-0000-4000-8000-000000000001", "system")
	before := list()
	ids := make([]string, len(before))
	for i, a := range before {
		ids[i] = a.ID
	}
	if !slices.Equal(ids, []string{"9d0e0000-0000-4000-8000-000000000001", "ai:a/1", "ai:b"}) {
		t.Fatal(ids)
	}
	register("ai:a/1", "ai:y", "code")
	after := list()[1]
	if was := before[1]; len(list()) != 3 || after.Type != "ai:y" || !slices.Equal(after.Capabilities, []string{"code"}) ||
		!after.RegisteredAt.Equal(was.RegisteredAt) || !after.LastSeenAt.After(was.LastSeenAt) {
		t.Errorf("%+v, was %+v", after, was)
	}
	if st, err := n.Stats(ctx, httpapi.ReadOptions{}); err != nil || st.Total != 0 {
		t.Errorf("an agent is no memory: %+v, %v", st, err)
	}
}

func TestSessionStart(t *testing.T) {
	n, ctx := startOne(t, nil), context.Background()
	var ids []string
	for i := range 6 {
		ids = append(ids, mustCreate(t, n, fmt.Sprintf(`{"title":"m%d","content":"c","namespace":"a","priority":%d}`, i, 1+i), keyed("")).ID)
	}
	mustCreate(t, n, `{"title":"elsewhere","content":"c","namespace":"b","priority":10}`, keyed(""))
	mustSet(t, n, `{"namespace":"a","id":"`+ids[4]+`"}`, keyed(""))
	global := mustSet(t, n, `{"namespace":"*"}`, keyed(""))
	start := func(ns string, limit int) (titles string, standards string) {
		t.Helper()
		s, err := n.SessionStart(ctx, ns, limit, httpapi.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range s.Memories {
			title, _, _ := strings.Cut(strings.SplitAfter(string(m.Body), `"title":"`)[1], `"`)
			titles += title + " "
		}
		for _, st := range s.Standards {
			standards += st.Namespace + "=" + st.ID + " "
		}
		return titles, standards
	}
	for _, c := range []struct {
		ns                string
		limit             int
		titles, standards string
	}{
		{"a", 3, "m5 m3 m2 ", "*=" + global.ID + " a=" + ids[4] + " "}, // m4 is the standard
		{"a", 50, "m5 m3 m2 m1 m0 ", "*=" + global.ID + " a=" + ids[4] + " "},
		{"a", 0, "", "*=" + global.ID + " a=" + ids[4] + " "},
		{"b", 3, "elsewhere ", "*=" + global.ID + " "},
		{"", 2, "elsewhere m5 ", "*=" + global.ID + " "},
		{"none", 2, "", "*=" + global.ID + " "},
	} {
		if titles, standards := start(c.ns, c.limit); titles != c.titles || standards != c.standards {
			t.Errorf("%q: %s, %s", c.ns, titles, standards)
		}
	}
	// One memory for two namespaces is said once.
	mustSet(t, n, `{"namespace":"a","id":"`+global.ID+`"}`, keyed(""))
	if _, standards := start("a", 1); standards != "*="+global.ID+" " {
		t.Error(standards)
	}
}

func TestCapabilities(t *testing.T) {
	for _, recall := range []bool{false, true} {
		n := startOne(t, func(c *Config) { c.Recall = recall })
		mustSet(t, n, `{"namespace":"a","governance":{"write":"approve"}}`, keyed(""))
		var docs []map[string]any
		for schema := 1; schema <= 3; schema++ {
			raw, err := n.Capabilities(context.Background(), schema)
			if err != nil {
				t.Fatal(err)
			}
			var doc map[string]any
			if err := memory.ParseJSON(raw, &doc); err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			docs = append(docs, doc)
		}
		names := func(doc map[string]any) string {
			var out []string
			for name := range doc {
				out = append(out, name)
			}
			slices.Sort(out)
			return strings.Join(out, " ")
		}
		const one = "features models tier version"
		const two = "approval compaction features hnsw hooks models permissions schema_version tier transcripts version"
		const three = "approval compaction features hnsw hooks models permissions schema_version summary tier to_describe_to_user tools transcripts version"
		for i, want := range []string{one, two, three} {
			if got := names(docs[i]); got != want {
				t.Errorf("v%d has %s", i+1, got)
			}
		}
		features := docs[1]["features"].(map[string]any)
		if features["keyword_search"] != recall || features["semantic_search"] != false || docs[1]["tier"] == "keyword" != recall {
			t.Errorf("recall %v: %v", recall, docs[1])
		}
		if p := docs[1]["permissions"].(map[string]any); p["mode"] != "advisory" || p["enforced"] != false || p["active_rules"] != 1.0 {
			t.Errorf("%v", p)
		}
		if docs[1]["schema_version"] != "2" || docs[2]["schema_version"] != "3" || len(docs[2]["tools"].([]any)) != 8 {
			t.Errorf("%v", docs[2])
		}
	}
}
