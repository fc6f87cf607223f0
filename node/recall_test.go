package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/mcpserver"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/recall"
)

func withRecall(c *Config) { c.Recall = true }

// titles are those of the hits, the best first.
func titles(t testing.TB, f httpapi.Found) []string {
	t.Helper()
	out := []string{}
	for _, h := range f.Hits {
		var m struct{ Title string }
		if err := json.Unmarshal(h.Body, &m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m.Title)
	}
	return out
}

func recalled(t testing.TB, n *Node, q httpapi.Query) httpapi.Found {
	t.Helper()
	if q.Filter.Limit == 0 {
		q.Filter.Limit = 10
	}
	found, err := n.Recall(t.Context(), q, httpapi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func store(t testing.TB, n *Node, body string) httpapi.Created {
	t.Helper()
	c, err := n.Create(t.Context(), draft(t, body), httpapi.WriteOptions{Agent: "ai:test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOwnWrite: who has stored finds it, at once and every time; who has deleted does not.
func TestOwnWrite(t *testing.T) {
	n := startOne(t, withRecall)
	for i := range 100 {
		word := fmt.Sprintf("zebra%04d", i)
		c := store(t, n, `{"title":"T`+word+`","content":"stripes"}`)
		found := recalled(t, n, httpapi.Query{Text: word})
		if found.Behind || !slices.Equal(titles(t, found), []string{"T" + word}) && !slices.Contains(titles(t, found), "T"+word) {
			t.Fatalf("%s: %q, behind %t", word, titles(t, found), found.Behind)
		}
		if i%2 == 0 {
			continue
		}
		if _, err := n.Delete(t.Context(), c.ID, httpapi.WriteOptions{Agent: "ai:test"}); err != nil {
			t.Fatal(err)
		}
		if found := recalled(t, n, httpapi.Query{Text: word}); slices.Contains(titles(t, found), "T"+word) {
			t.Fatalf("%s is found after it was deleted", word)
		}
	}
}

// TestRecallElsewhere: with the token of a write another node finds it.
func TestRecallElsewhere(t *testing.T) {
	nodes := startMeshWith(t, 3, func(_ int, c *Config) { c.Recall = true })
	for i := range 10 {
		word := fmt.Sprintf("quagga%d", i)
		code, created := call(t, nodes[i%3], "POST", "/api/v1/memories", map[string]any{"title": word, "content": "stripes"})
		if code != 201 {
			t.Fatal(code, created)
		}
		code, found := call(t, nodes[(i+1)%3], "GET", fmt.Sprintf("/api/v1/recall?context=%s&after=%s", word, url.QueryEscape(created["token"].(string))), nil)
		hits, _ := found["memories"].([]any)
		if code != 200 || len(hits) == 0 || hits[0].(map[string]any)["title"] != word || found["index_behind"] != nil || found["mode"] != "keyword" {
			t.Fatalf("%s: %d %v", word, code, found)
		}
	}
}

// TestIndexBehind: a recall says so if the index has not what it should have, and does not
// wait for ever.
func TestIndexBehind(t *testing.T) {
	notFolder := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notFolder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := New(Config{Name: "n1", DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: freeAddr(t), Version: "test", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	n.index = recall.New(recall.Config{Dir: filepath.Join(notFolder, "index"), Feed: newFeed(n)}) // which cannot be made
	run(t, n)
	waitFor(t, "all but the index", func() bool { _, why := n.Ready(); return len(why) == 1 })
	store(t, n, `{"title":"Deploy day","content":"Tuesday"}`)
	began := time.Now()
	_, err = n.Recall(t.Context(), httpapi.Query{Text: "deploy", Filter: memory.Filter{Limit: 5}}, httpapi.ReadOptions{})
	if !errors.Is(err, memory.ErrUnavailable) || time.Since(began) > 5*time.Second {
		t.Errorf("without an open index: %v after %s", err, time.Since(began))
	}
	found, err := n.Recall(t.Context(), httpapi.Query{Text: "deploy"}, httpapi.ReadOptions{})
	if err != nil || !found.Behind {
		t.Errorf("behind %t, %v", found.Behind, err)
	}
	if ok, why := n.Ready(); ok || len(why) != 1 || !strings.Contains(why[0], "being built") {
		t.Errorf("ready %t, %q", ok, why)
	}
	store(t, n, `{"title":"Deploy night","content":"writes are taken"}`)
}

// TestWithoutIndex: the verbs are refused with a code of their own, and what an index left
// is removed.
func TestWithoutIndex(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, recallDir, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	n := startOne(t, func(c *Config) { c.DataDir = dir })
	if _, err := os.Stat(filepath.Join(dir, recallDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the index is still there: %v", err)
	}
	for _, path := range []string{"/api/v1/recall?context=x", "/api/v1/search?q=x"} {
		code, body := call(t, n, "GET", path, nil)
		if code != 503 || body["code"] != "NO_INDEX" {
			t.Errorf("%s: %d %v", path, code, body)
		}
	}
	if _, err := (mcpService{n}).Recall(t.Context(), mcpserver.Query{Text: "x", Limit: 1}, mcpserver.ReadOptions{}); !errors.Is(err, memory.ErrNoIndex) {
		t.Errorf("over MCP: %v", err)
	}
}

// TestRecallFilters: what may not be shown is not found, whatever the index says.
func TestRecallFilters(t *testing.T) {
	n := startOne(t, withRecall)
	for _, body := range []string{
		`{"title":"here","content":"deploy","namespace":"acme/eng/api"}`,
		`{"title":"above","content":"deploy","namespace":"acme/eng"}`,
		`{"title":"top","content":"deploy","namespace":"acme"}`,
		`{"title":"beside","content":"deploy","namespace":"acme/ops"}`,
		`{"title":"below","content":"deploy","namespace":"acme/eng/api/v2"}`,
		`{"title":"shared","content":"deploy","namespace":"other","scope":"collective"}`,
		`{"title":"long","content":"deploy it now","namespace":"flat","tier":"long","tags":["Ops"],"priority":9,"agent_id":"ai:bob"}`,
	} {
		store(t, n, body)
	}
	gone := store(t, n, `{"title":"gone","content":"deploy","namespace":"flat","ttl_secs":1}`)
	waitFor(t, "the end of a memory", func() bool {
		_, err := n.Get(t.Context(), gone.ID, httpapi.ReadOptions{})
		return err != nil
	})
	for _, c := range []struct {
		name  string
		q     httpapi.Query
		exact bool // in this order
		want  []string
	}{
		{"chain, the nearest first", httpapi.Query{Filter: memory.Filter{Namespace: "acme/eng/api"}}, true, []string{"here", "above", "top"}},
		{"flat", httpapi.Query{Filter: memory.Filter{Namespace: "flat"}}, true, []string{"long"}},
		{"as an agent", httpapi.Query{AsAgent: "acme/ops"}, false, []string{"beside", "shared"}},
		{"tag", httpapi.Query{Filter: memory.Filter{Tag: "Ops"}}, false, []string{"long"}},
		{"tag in other letters", httpapi.Query{Filter: memory.Filter{Tag: "ops"}}, false, nil},
		{"tier", httpapi.Query{Filter: memory.Filter{Tier: "long"}}, false, []string{"long"}},
		{"agent", httpapi.Query{Filter: memory.Filter{AgentID: "ai:bob"}}, false, []string{"long"}},
		{"priority", httpapi.Query{Filter: memory.Filter{MinPriority: 9}}, false, []string{"long"}},
		{"until yesterday", httpapi.Query{Filter: memory.Filter{Until: time.Now().Add(-24 * time.Hour)}}, false, nil},
		{"until a moment ago", httpapi.Query{Filter: memory.Filter{Until: time.Now().Add(-time.Hour)}}, false, nil},
		{"phrase", httpapi.Query{Text: `"deploy it"`}, false, []string{"long"}},
	} {
		if c.q.Text == "" {
			c.q.Text = "deploy"
		}
		got := titles(t, recalled(t, n, c.q))
		if !c.exact {
			slices.Sort(got)
		}
		if !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	id := store(t, n, `{"title":"by its id","content":"nothing else"}`).ID
	if got := titles(t, recalled(t, n, httpapi.Query{Text: id})); len(got) == 0 || got[0] != "by its id" {
		t.Errorf("by id: %q", got)
	}
	page := func(offset int) []string {
		f, err := n.Search(t.Context(), httpapi.Query{Text: "deploy", Filter: memory.Filter{Limit: 3, Offset: offset}}, httpapi.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return titles(t, f)
	}
	all := slices.Concat(page(0), page(3), page(6))
	slices.Sort(all)
	if want := []string{"above", "below", "beside", "here", "long", "shared", "top"}; !slices.Equal(all, want) {
		t.Errorf("pages of a search: %q", all)
	}
}

// TestSearchPages: the pages of a search hold every hit once, however large they are.
func TestSearchPages(t *testing.T) {
	n := startOne(t, withRecall)
	g := newNoise()
	ds := make([]memory.Draft, 700)
	for i := range ds {
		ds[i] = g.next(i)
		*ds[i].Content += " okapi"
		ds[i].Priority = new(int64(1 + i%10))
	}
	// In small parts and some of them twice, so that the library has much to merge while the
	// pages are asked for.
	for part := range slices.Chunk(ds, 20) {
		storeAll(t, n, part)
	}
	for part := range slices.Chunk(ds[:100], 20) {
		storeAll(t, n, part)
	}
	for _, size := range []int{7, 50, 333, 1000} {
		seen := map[string]bool{}
		for offset := 0; offset < len(ds); offset += size {
			f, err := n.Search(t.Context(), httpapi.Query{Text: "okapi", Filter: memory.Filter{Limit: size, Offset: offset}}, httpapi.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, title := range titles(t, f) {
				if seen[title] {
					t.Fatalf("pages of %d: %s comes twice", size, title)
				}
				seen[title] = true
			}
		}
		if len(seen) != len(ds) {
			t.Errorf("pages of %d: %d of %d", size, len(seen), len(ds))
		}
	}
}

// TestBudget: hits that fit, what was left out is told.
func TestBudget(t *testing.T) {
	n := startOne(t, withRecall)
	for i, size := range []int{400, 40, 4000, 40} { // by rank: title, then content
		store(t, n, fmt.Sprintf(`{"title":"m%d","content":"deploy %s","priority":%d}`, i, strings.Repeat("x", size), 10-2*i))
	}
	for _, c := range []struct {
		budget        int
		hits, dropped int
		overflow      bool
		least, most   int
	}{
		{0, 0, 4, true, 0, 0},
		{1 << 20, 4, 0, false, 1000, 1300},
	} {
		found := recalled(t, n, httpapi.Query{Text: "deploy", Budget: &c.budget})
		if len(found.Hits) != c.hits || found.Dropped != c.dropped || found.Overflow != c.overflow || found.Tokens < c.least || found.Tokens > c.most {
			t.Errorf("budget %d: %d hits, %d dropped, %d tokens, overflow %t", c.budget, len(found.Hits), found.Dropped, found.Tokens, found.Overflow)
		}
	}
	for budget := range 1300 {
		found := recalled(t, n, httpapi.Query{Text: "deploy", Budget: &budget})
		if found.Tokens > budget || len(found.Hits)+found.Dropped != 4 {
			t.Fatalf("budget %d: %d tokens, %d hits, %d dropped", budget, found.Tokens, len(found.Hits), found.Dropped)
		}
	}
}

// TestKeepLonger: a recall moves the end of a memory away, by a write, once an hour at
// most, and never nearer.
func TestKeepLonger(t *testing.T) {
	n := startOne(t, withRecall)
	expiry := func(id string) (m memory.Memory) {
		t.Helper()
		r, err := n.render(t.Context(), memory.NewKey(memory.KindMemory, id))
		if err != nil {
			t.Fatal(err)
		}
		var in struct {
			Tier      string
			ExpiresAt time.Time `json:"expires_at"`
		}
		if err := json.Unmarshal(r.Body, &in); err != nil {
			t.Fatal(err)
		}
		return memory.Memory{Tier: in.Tier, ExpiresAt: in.ExpiresAt}
	}
	short := store(t, n, `{"title":"shortlived","content":"okapi one","tier":"short","ttl_secs":600}`).ID
	mid := store(t, n, `{"title":"week","content":"okapi two"}`).ID // 7 days: a day from now would be nearer
	before, week := expiry(short).ExpiresAt, expiry(mid).ExpiresAt
	recalled(t, n, httpapi.Query{Text: "okapi"})
	waitFor(t, "the later end", func() bool { return expiry(short).ExpiresAt.After(before.Add(40 * time.Minute)) })
	if got := expiry(mid).ExpiresAt; !got.Equal(week) {
		t.Errorf("the memory of tier mid ends at %s, before at %s", got, week)
	}
	const counter = "memd_recall_kept_longer_total" // counts a moment after what it counts is seen
	waitFor(t, "it is counted", func() bool { return counterOf(t, n, counter) > 0 })
	writes, seq := counterOf(t, n, counter), n.store.Seq()
	if writes != 1 {
		t.Errorf("%v writes, want 1", writes)
	}
	for range 3 { // within the hour
		recalled(t, n, httpapi.Query{Text: "okapi one"})
	}
	// The fifth access makes a lasting one of the memory of tier mid.
	waitFor(t, "tier long", func() bool {
		recalled(t, n, httpapi.Query{Text: "okapi two"})
		return expiry(mid).Tier == memory.TierLong
	})
	if got := expiry(mid); !got.ExpiresAt.IsZero() {
		t.Errorf("%+v", got)
	}
	waitFor(t, "that is counted, too", func() bool { return counterOf(t, n, counter) > 1 })
	if got := counterOf(t, n, counter); got != 2 || n.store.Seq() != seq+1 {
		t.Errorf("%v writes in all and %d new changes, want 2 and 1", got, n.store.Seq()-seq)
	}
}

// TestKeeperHour: what was written is left alone for an hour, however much is recalled.
func TestKeeperHour(t *testing.T) {
	k := newKeeper()
	now := time.Now()
	key := memory.NewKey(memory.KindMemory, "x")
	for _, c := range []struct {
		at   time.Duration
		want int
	}{{0, 1}, {time.Minute, 0}, {59 * time.Minute, 0}, {61 * time.Minute, 1}, {119 * time.Minute, 0}, {3 * time.Hour, 1}} {
		k.want(key, now.Add(c.at))
		if got := len(k.take()); got != c.want {
			t.Errorf("after %s: %d, want %d", c.at, got, c.want)
		}
	}
	for i := range maxKept + 10 {
		k.want(memory.NewKey(memory.KindMemory, fmt.Sprint(i)), now.Add(3*time.Hour))
	}
	if got := len(k.take()); got > maxKept {
		t.Errorf("%d are waiting", got)
	}
}

// TestKeptAndChanged: who recalls a memory at one node and deletes or changes it at another
// one is not undone by the longer life that the recall has earned.
func TestKeptAndChanged(t *testing.T) {
	nodes := startMeshWith(t, 3, func(_ int, c *Config) { c.Recall = true })
	const memories = "/api/v1/memories"
	kept := func() (sum float64) {
		for _, n := range nodes {
			sum += counterOf(t, n, "memd_recall_kept_longer_total")
		}
		return sum
	}
	var changed, deleted []string
	for i := range 20 {
		word := fmt.Sprintf("okapi%d", i)
		code, c := call(t, nodes[0], "POST", memories, map[string]any{"title": word, "content": "before", "tier": "short", "ttl_secs": 60})
		if code != 201 {
			t.Fatal(code, c)
		}
		if _, found := call(t, nodes[1], "GET", fmt.Sprintf("/api/v1/recall?context=%s&after=%s", word, url.QueryEscape(c["token"].(string))), nil); found["count"] == 0.0 {
			t.Fatalf("%v", found)
		}
		id := c["id"].(string)
		if i%2 == 0 {
			code, c = call(t, nodes[0], "PUT", memories+"/"+id, map[string]any{"content": "after"})
			changed = append(changed, id)
		} else {
			code, c = call(t, nodes[0], "DELETE", memories+"/"+id, nil)
			deleted = append(deleted, id)
		}
		if code != 200 {
			t.Fatal(code, c)
		}
	}
	waitFor(t, "those that are left are kept", func() bool { return kept() >= float64(len(changed)) })
	digest := func(n *Node) any { return n.store.Digest() }
	waitFor(t, "one state", func() bool { return digest(nodes[0]) == digest(nodes[1]) && digest(nodes[1]) == digest(nodes[2]) })
	for _, n := range nodes {
		for _, id := range deleted {
			if code, m := call(t, n, "GET", memories+"/"+id, nil); code != 404 {
				t.Errorf("%s: a deleted memory is back: %d %v", n.Name(), code, m)
			}
		}
		for _, id := range changed {
			_, got := call(t, n, "GET", memories+"/"+id, nil)
			m, _ := got["memory"].(map[string]any)
			if m["content"] != "after" || m["conflicts"] != nil {
				t.Errorf("%s: %v", n.Name(), m)
			}
		}
	}
}

func counterOf(t testing.TB, n *Node, name string) float64 {
	t.Helper()
	families, err := n.cfg.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestContinues: an index beside an older copy of its store, or beside another one, is built
// anew.
func TestContinues(t *testing.T) {
	a := startOne(t, nil)
	b := startOne(t, nil)
	for i := range 50 {
		store(t, a, fmt.Sprintf(`{"title":"m%d","content":"x"}`, i))
		store(t, b, fmt.Sprintf(`{"title":"m%d","content":"x"}`, 49-i)) // the same, in another order
	}
	feedA, feedB := newFeed(a), newFeed(b)
	changes, mark, err := feedA.Changes(0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	seq := changes[len(changes)-1].Seq
	if !feedA.Continues(seq, mark) {
		t.Error("the store does not continue itself")
	}
	if feedA.Continues(seq+1, mark) || feedB.Continues(seq, mark) {
		t.Error("an older copy or another store is taken for this one")
	}
	clockA := feedA.clock
	feedB.clock, feedB.seq = clockA, seq // as if it had caught up on all of it
	if feedB.Continues(seq, mark) {
		t.Error("a store with another order is taken for this one")
	}
	for _, bad := range [][]byte{nil, {0xff}, mark[:len(mark)-1], append(slices.Clone(mark), 0)} {
		if feedA.Continues(seq, bad) {
			t.Errorf("%x is a mark", bad)
		}
	}
	store(t, a, `{"title":"m3","content":"changed","on_conflict":"merge"}`) // leaves its place
	if !newFeed(a).Continues(seq, mark) {
		t.Error("after a change the store does not continue itself")
	}
}
