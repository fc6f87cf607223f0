package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/mcpserver"
	"github.com/memd/memd/memory"
)

// expiredOne stores a memory whose time was over for so long.
func expiredOne(t testing.TB, n *Node, title string, since time.Duration) string {
	t.Helper()
	at, end := memory.FormatTime(n.now().Add(-8*24*time.Hour)), memory.FormatTime(n.now().Add(-since))
	raw := fmt.Sprintf(`{"id":"gone-%s","tier":"mid","namespace":"old","title":%q,"content":"c","tags":[],"priority":5,"confidence":1,"source":"api",`+
		`"access_count":0,"created_at":%q,"updated_at":%q,"expires_at":%q}`, title, title, at, at, end)
	out, err := n.Import(context.Background(), httpapi.Import{Memories: []json.RawMessage{[]byte(raw)}}, keyed(""))
	if err != nil || out.Imported != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	return "gone-" + title
}

func total(t testing.TB, n *Node) int64 {
	t.Helper()
	st, err := n.Stats(context.Background(), httpapi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return st.Total
}

func TestForget(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	fill := func() {
		for ns, tier := range map[string]string{"a": "mid", "a/b": "long", "c": "long"} {
			for i := range 3 {
				mustCreate(t, n, fmt.Sprintf(`{"title":"Note %d on Deploys","content":"the pkg.Server runs","namespace":%q,"tier":%q,"tags":["blue"],"on_conflict":"merge"}`, i, ns, tier), keyed(""))
			}
		}
	}
	fill()
	for _, c := range []struct {
		s    httpapi.Selection
		want int
	}{
		{httpapi.Selection{Namespace: "a"}, 3}, // not what lies below it
		{httpapi.Selection{Tier: "long"}, 6},
		{httpapi.Selection{Tier: "long", Namespace: "c"}, 3},
		{httpapi.Selection{Pattern: "note SERVER"}, 9},
		{httpapi.Selection{Pattern: "1 deploys blue", Namespace: "c"}, 1},
		{httpapi.Selection{Pattern: "note red"}, 0},
		{httpapi.Selection{Pattern: "deploy"}, 0}, // words, not beginnings of words
		{httpapi.Selection{Namespace: "none"}, 0},
	} {
		dry := c.s
		dry.DryRun = true
		if sum, err := n.Forget(ctx, dry, keyed("")); err != nil || sum.Count != c.want || total(t, n) != 9 {
			t.Errorf("%+v would forget %+v, %v, %d are left", c.s, sum, err, total(t, n))
		}
		sum, err := n.Forget(ctx, c.s, keyed(""))
		if err != nil || sum.Count != c.want || sum.Archived != c.want || total(t, n) != int64(9-c.want) {
			t.Errorf("%+v forgot %+v, %v, %d are left", c.s, sum, err, total(t, n))
		}
		if again, err := n.Forget(ctx, c.s, keyed("")); err != nil || again.Count != 0 {
			t.Errorf("%+v again: %+v, %v", c.s, again, err)
		}
		fill()
	}
	if rows := archiveOf(t, n, "c"); len(rows) != 3 || rows[0].Reason != memory.ReasonForgot || rows[0].Content == "" {
		t.Errorf("%+v", rows)
	}
	if _, err := n.Forget(ctx, httpapi.Selection{Pattern: "?! the"}, keyed("")); !errors.Is(err, memory.ErrInvalid) || total(t, n) != 9 {
		t.Errorf("nothing but signs: %v", err)
	}

	// Exactly those, and no prefixes.
	id := mustCreate(t, n, `{"title":"one","content":"x"}`, keyed("")).ID
	sum, err := n.Forget(ctx, httpapi.Selection{IDs: []string{id, "none", id[:13]}}, keyed(""))
	if err != nil || sum.Count != 1 || total(t, n) != 9 {
		t.Errorf("%+v, %v", sum, err)
	}
	if sum, err := (mcpService{n}).Forget(ctx, mcpserver.Forget{Namespace: "c"}, mcpserver.WriteOptions{Agent: "x"}); err != nil || sum.Deleted != 3 || sum.Token == "" {
		t.Errorf("over MCP: %+v, %v", sum, err)
	}
}

func TestForgetWithoutArchive(t *testing.T) {
	n := startOne(t, func(c *Config) { c.NoArchive = true })
	createMany(t, n, 0, 2*partKeys+1, "x")
	sum, err := n.Forget(context.Background(), httpapi.Selection{Pattern: "x"}, keyed(""))
	if err != nil || sum.Count != 2*partKeys+1 || sum.Archived != 0 || len(archiveOf(t, n, "")) != 0 || total(t, n) != 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestPromote(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	id := mustCreate(t, n, `{"title":"a","content":"x","tier":"short"}`, keyed("")).ID
	u, err := n.Promote(ctx, id[:13], keyed("k"))
	if err != nil || u.ID != id || !strings.Contains(string(u.Body), `"tier":"long"`) || strings.Contains(string(u.Body), "expires_at") {
		t.Fatalf("%s, %v", u.Body, err)
	}
	for _, key := range []string{"k", ""} { // a retry, and one that finds it done
		if again, err := n.Promote(ctx, id, keyed(key)); err != nil || again.Dot != u.Dot || again.ID != id {
			t.Errorf("%+v, %v", again, err)
		}
	}
	if _, err := n.Promote(ctx, "none", keyed("")); !errors.Is(err, memory.ErrNotFound) {
		t.Error(err)
	}
	m, err := (mcpService{n}).Promote(ctx, id, mcpserver.WriteOptions{Agent: "x"})
	if err != nil || m.ID != id || m.Tier != "long" || m.Token == "" {
		t.Errorf("over MCP: %+v, %v", m, err)
	}
}

// A memory that is promoted into a namespace above is copied there once, and stays.
func TestPromoteTo(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	id := mustCreate(t, n, `{"title":"a","content":"x","tier":"short","namespace":"acme/ops/eu","tags":["t"],"metadata":{"k":1}}`, keyed("")).ID
	for _, ns := range []string{"acme/ops/eu", "acme/op", "other", "acme/ops/eu/more"} {
		var bad *memory.FieldError
		if _, err := n.PromoteTo(ctx, id, ns, keyed("")); !errors.As(err, &bad) || bad.Field != "to_namespace" {
			t.Errorf("%s: %v", ns, err)
		}
	}
	up, err := n.PromoteTo(ctx, id[:13], "acme", keyed("k"))
	if err != nil || up.SourceID != id || up.CloneID == id || up.Existing || up.Namespace != "acme" {
		t.Fatalf("%+v, %v", up, err)
	}
	m, err := n.Get(ctx, up.CloneID, httpapi.ReadOptions{})
	if err != nil || len(m.Links) != 1 || m.Links[0].SourceID != up.CloneID || m.Links[0].TargetID != id || m.Links[0].Relation != "derived_from" {
		t.Fatalf("%s %+v, %v", m.Body, m.Links, err)
	}
	for _, want := range []string{`"namespace":"acme"`, `"title":"a"`, `"tier":"short"`, `"tags":["t"]`, `"k":1`, `"agent_id":"ai:alice"`} {
		if !strings.Contains(string(m.Body), want) {
			t.Errorf("%s is not in %s", want, m.Body)
		}
	}
	if old, err := n.Get(ctx, id, httpapi.ReadOptions{}); err != nil || !strings.Contains(string(old.Body), `"namespace":"acme/ops/eu"`) {
		t.Errorf("%s, %v", old.Body, err)
	}
	for _, key := range []string{"k", "", "another"} {
		if again, err := n.PromoteTo(ctx, id, "acme", keyed(key)); err != nil || again.CloneID != up.CloneID || !again.Existing || again.Token.Empty() {
			t.Errorf("again with key %q: %+v, %v", key, again, err)
		}
	}
	if _, err := n.PromoteTo(ctx, id, "acme/ops", keyed("k")); !errors.Is(err, memory.ErrInvalid) {
		t.Errorf("a key that was used for another namespace: %v", err)
	}
	mustCreate(t, n, `{"title":"a","content":"y","namespace":"acme/ops"}`, keyed(""))
	if _, err := n.PromoteTo(ctx, id, "acme/ops", keyed("")); !errors.Is(err, memory.ErrConflict) {
		t.Errorf("a title that is taken: %v", err)
	}
	if _, err := n.PromoteTo(ctx, "none", "acme", keyed("")); !errors.Is(err, memory.ErrNotFound) {
		t.Error(err)
	}
	if total(t, n) != 3 {
		t.Errorf("%d memories", total(t, n))
	}
}

func TestConsolidate(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	a := mustCreate(t, n, `{"title":"a","content":"x","tags":["p","q"],"priority":3,"agent_id":"ai:one"}`, keyed("")).ID
	b := mustCreate(t, n, `{"title":"b","content":"y","tags":["q","r"],"priority":8,"agent_id":"ai:two"}`, keyed("")).ID
	c := mustCreate(t, n, `{"title":"c","content":"z"}`, keyed("")).ID
	mustLink(t, n, a, c, "related_to")
	say := func(title string, ids ...string) httpapi.Consolidation {
		return httpapi.Consolidation{IDs: ids, Draft: draft(t, fmt.Sprintf(`{"title":%q,"content":"both","agent_id":"ai:me"}`, title))}
	}
	before := n.store.Seq()
	for _, bad := range []struct {
		c    httpapi.Consolidation
		want error
	}{{say("all", a, "none"), memory.ErrNotFound}, {say("c", a, b), memory.ErrConflict}, {say(" ", a, b), memory.ErrInvalid}} {
		if _, err := n.Consolidate(ctx, bad.c, keyed("")); !errors.Is(err, bad.want) {
			t.Errorf("%+v: %v", bad.c, err)
		}
	}
	if n.store.Seq() != before {
		t.Error("a refused one wrote something")
	}
	// The title may be that of one of the sources: it is free then.
	res, err := n.Consolidate(ctx, say("a", a, b), keyed("k"))
	if err != nil || res.Consolidated != 2 || res.ID == a || res.Acks != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if again, err := n.Consolidate(ctx, say("a", a, b), keyed("k")); err != nil || again.ID != res.ID || !again.Existing || again.Consolidated != 2 {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	if _, err := n.Consolidate(ctx, say("a", c, b), keyed("k")); !errors.Is(err, memory.ErrInvalid) {
		t.Errorf("one key, two requests: %v", err)
	}
	if !gone(t, n, a) || !gone(t, n, b) || relationsOf(t, n, c) != "" || total(t, n) != 2 {
		t.Errorf("sources are left, %d", total(t, n))
	}
	got, err := n.Get(ctx, res.ID, httpapi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"tier":"long"`, `"title":"a"`, `"content":"both"`, `"tags":["p","q","r"]`, `"priority":8`, `"source":"consolidation"`,
		fmt.Sprintf(`"metadata":{"agent_id":"ai:me","consolidated_from_agents":["ai:one","ai:two"],"derived_from":[%q,%q]}`, a, b),
	} {
		if !strings.Contains(string(got.Body), want) {
			t.Errorf("no %s in %s", want, got.Body)
		}
	}
	// Whoever stores that title meets it.
	if _, err := n.Create(ctx, draft(t, `{"title":"a","content":"new"}`), keyed("")); !errors.Is(err, memory.ErrConflict) {
		t.Error(err)
	}
}

// The sweep takes what is over and nothing else, into the archive.
func TestCollect(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	for i := range partKeys + 3 {
		expiredOne(t, n, fmt.Sprint(i), time.Duration(i)*time.Minute+time.Second)
	}
	kept := mustCreate(t, n, `{"title":"kept","content":"x"}`, keyed("")).ID
	sum, err := n.Collect(ctx, keyed(""))
	if err != nil || sum.Count != partKeys+3 || sum.Archived != sum.Count || sum.Acks != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if rows := archiveOf(t, n, "old"); len(rows) != partKeys+3 || rows[0].Reason != memory.ReasonExpired {
		t.Errorf("%d rows", len(rows))
	}
	if again, err := n.Collect(ctx, keyed("")); err != nil || again.Count != 0 || gone(t, n, kept) || total(t, n) != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	if v := metric(t, n, "memd_memory_expired_total", ""); v != partKeys+3 {
		t.Errorf("metric: %v", v)
	}
}

// Of several members one takes a record up, and others only when those before them have
// had their time.
func TestWhoseTurnItIs(t *testing.T) {
	const members = 5
	nodes := make([]*Node, members)
	var names []memory.Member
	for i := range nodes {
		names = append(names, memory.Member{Name: fmt.Sprint("n", i)})
	}
	for i := range nodes {
		nodes[i] = &Node{cfg: Config{Name: names[i].Name, SweepInterval: time.Minute}}
		nodes[i].members.set(slices.Clone(names), nil)
	}
	first := map[int]int{}
	for r := range 500 {
		key := memory.NewKey(memory.KindMemory, fmt.Sprint("m", r))
		for turn := range members {
			due := time.Duration(turn) * 2 * time.Minute
			mine := 0
			for i, n := range nodes {
				if n.isMine(key, due) {
					mine++
					if turn == 0 {
						first[i]++
					}
				}
			}
			if mine != turn+1 {
				t.Fatalf("%s is taken up by %d after %v", key, mine, due)
			}
		}
	}
	for i := range nodes {
		if first[i] < 50 {
			t.Errorf("the work is not shared: %v", first)
		}
	}
}

// What agents do over MCP are the same verbs.
func TestHousekeepingOverMCP(t *testing.T) {
	n := startOne(t, nil)
	ctx, s, opt := context.Background(), mcpService{n}, mcpserver.WriteOptions{Agent: "ai:x"}
	a := mustCreate(t, n, `{"title":"a","content":"x"}`, keyed("")).ID
	b := mustCreate(t, n, `{"title":"b","content":"x"}`, keyed("")).ID
	l, err := s.Link(ctx, mcpserver.Link{SourceID: a, TargetID: b, Relation: "supersedes"}, opt)
	if err != nil || l.SourceID != a || l.Token == "" {
		t.Errorf("%+v, %v", l, err)
	}
	links, err := s.Links(ctx, b, mcpserver.ReadOptions{After: l.Token})
	if err != nil || len(links) != 1 || links[0].SourceID != a || links[0].CreatedAt == "" {
		t.Errorf("%+v, %v", links, err)
	}
	if _, err := s.Link(ctx, mcpserver.Link{SourceID: a, TargetID: "none", Relation: "supersedes"}, opt); !errors.Is(err, memory.ErrNotFound) {
		t.Error(err)
	}
	c, err := s.Consolidate(ctx, mcpserver.Consolidation{IDs: []string{a, b}, Title: "sum", Summary: "s", Namespace: "n", Tier: "mid"}, opt)
	if err != nil || c.Consolidated != 2 || c.Token == "" {
		t.Fatalf("%+v, %v", c, err)
	}
	m, err := s.Get(ctx, c.ID, noReads)
	if err != nil || m.Tier != "mid" || m.Namespace != "n" || m.AgentID != "ai:x" || len(m.Links) != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if links, err := s.Links(ctx, b, noReads); err != nil || len(links) != 0 {
		t.Errorf("%+v, %v", links, err)
	}
}
