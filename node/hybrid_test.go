package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/embed/embedtest"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

// withEmbeddings lets a node ask an endpoint of the test.
func withEmbeddings(s *embedtest.Server) func(*Config) {
	return func(c *Config) {
		c.Recall, c.EmbeddingsURL, c.EmbeddingsModel, c.EmbeddingsRetry = true, s.URL, embedtest.Model, 5*time.Millisecond
	}
}

// embedded waits until every memory of a node has its vector.
func embedded(t testing.TB, n *Node) {
	t.Helper()
	waitFor(t, "the vectors", func() bool { s := n.vectors.Status(); return s.Ready && s.Behind == 0 })
}

// recalledByBoth recalls until the endpoint answers in time, which a busy machine may keep it
// from.
func recalledByBoth(t testing.TB, n *Node, q httpapi.Query) (found httpapi.Found) {
	t.Helper()
	waitFor(t, "an answer by both", func() bool {
		found = recalled(t, n, q)
		return found.Mode == modeHybrid
	})
	return found
}

// misspelt has three wrong letters, and no word of the memories in it.
const misspelt = "cubernetiz"

func storeSome(t testing.TB, n *Node) {
	t.Helper()
	store(t, n, `{"title":"Kubernetes upgrade","content":"drain the nodes one by one","namespace":"acme/ops","tags":["infra"],"priority":8}`)
	for i := range 30 {
		store(t, n, fmt.Sprintf(`{"title":"Meeting %d","content":"we planned the fair of next month","namespace":"acme/web"}`, i))
	}
}

// TestHybrid: with an endpoint recall finds what shares no word, and says so at every door;
// without one it does not, and says that.
func TestHybrid(t *testing.T) {
	s := embedtest.New(t)
	plain, n := startOne(t, withRecall), startOne(t, withEmbeddings(s))
	for _, n := range []*Node{plain, n} {
		storeSome(t, n)
	}
	if found := recalled(t, plain, httpapi.Query{Text: misspelt}); len(found.Hits) != 0 || found.Mode != "keyword" {
		t.Errorf("by words alone: %q, %s: the question is no test", titles(t, found), found.Mode)
	}
	embedded(t, n)
	found := recalledByBoth(t, n, httpapi.Query{Text: misspelt})
	if got := titles(t, found); len(got) == 0 || got[0] != "Kubernetes upgrade" || found.Mode != "hybrid" {
		t.Errorf("%q, %s", got, found.Mode)
	}
	for i, h := range found.Hits {
		if h.Score <= 0 || h.Score > 1 || i > 0 && h.Score > found.Hits[i-1].Score {
			t.Errorf("hit %d has the score %g", i, h.Score)
		}
	}
	// Both orders agree on it.
	if found := recalledByBoth(t, n, httpapi.Query{Text: "kubernetes upgrade drain"}); titles(t, found)[0] != "Kubernetes upgrade" || found.Hits[0].Score != 1 {
		t.Errorf("%q, score %g", titles(t, found), found.Hits[0].Score)
	}
	// Search goes by words.
	if found, err := n.Search(t.Context(), httpapi.Query{Text: misspelt, Filter: memory.Filter{Limit: 10}}, httpapi.ReadOptions{}); err != nil || len(found.Hits) != 0 || found.Mode != "keyword" {
		t.Errorf("search: %q, %s, %v", titles(t, found), found.Mode, err)
	}
	for n, mode := range map[*Node]string{plain: "keyword", n: "hybrid"} {
		code, body := call(t, n, "GET", "/api/v1/recall?context="+misspelt, nil)
		if code != 200 || body["mode"] != mode {
			t.Errorf("%d %v, want %s", code, body["mode"], mode)
		}
		if got := recalledOverMCP(t, n, misspelt); got["mode"] != mode {
			t.Errorf("over MCP: %v, want %s", got, mode)
		}
		_, health := call(t, n, "GET", "/api/v1/health", nil)
		if health["embedder_ready"] != (mode == "hybrid") {
			t.Errorf("%v", health)
		}
		_, doc := call(t, n, "GET", "/api/v1/capabilities", nil)
		features, models := doc["features"].(map[string]any), doc["models"].(map[string]any)
		want := map[string][]any{"keyword": {"keyword", false, false, "keyword_only", "none", 0.0}, "hybrid": {"semantic", true, true, "hybrid", embedtest.Model, 256.0}}[mode]
		got := []any{doc["tier"], features["hybrid_recall"], features["embedder_loaded"], features["recall_mode_active"], models["embedding"], models["embedding_dim"]}
		if !slices.Equal(got, want) || features["semantic_search"] != false {
			t.Errorf("%v, want %v", got, want)
		}
	}
	// A memory whose id is the text is the first, whatever lies near.
	c := store(t, n, `{"title":"Tram","content":"line 5"}`)
	embedded(t, n)
	if found := recalledByBoth(t, n, httpapi.Query{Text: c.ID}); titles(t, found)[0] != "Tram" {
		t.Errorf("by its id: %q", titles(t, found))
	}
	// The budget holds for what lies near, too.
	none := 0
	if found := recalledByBoth(t, n, httpapi.Query{Text: misspelt, Budget: &none}); len(found.Hits) != 0 || found.Dropped == 0 || !found.Overflow {
		t.Errorf("%+v", found)
	}
}

// recalledOverMCP is the structured answer of memory_recall.
func recalledOverMCP(t *testing.T, n *Node, text string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+n.HTTPAddr()+"/mcp", strings.NewReader(
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"memory_recall","arguments":{"context":"`+text+`"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct {
		Result struct {
			StructuredContent map[string]any `json:"structuredContent"`
		} `json:"result"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out.Result.StructuredContent
}

// TestHybridHides: what may not be shown is not shown because it lies near, whoever asks and
// whatever is asked for.
func TestHybridHides(t *testing.T) {
	s := embedtest.New(t)
	n := startOne(t, withEmbeddings(s))
	for i, c := range []struct{ ns, more string }{
		{"a", ""}, {"a/b", ""}, {"a/b/c", ""}, {"z", ""}, {"a/x", `,"scope":"team"`}, {"a/y", `,"scope":"collective"`}, {"a/b", `,"tags":["red"],"priority":9,"tier":"long"`},
	} {
		store(t, n, fmt.Sprintf(`{"title":"Kubernetes %d","content":"drain","namespace":%q%s}`, i, c.ns, c.more))
	}
	gone := store(t, n, `{"title":"Kubernetes gone","content":"drain","namespace":"a/b"}`)
	ends := store(t, n, `{"title":"Kubernetes ends","content":"drain","namespace":"a/b","ttl_secs":3600}`)
	moves := store(t, n, `{"title":"Kubernetes moves","content":"drain","namespace":"a/b"}`)
	embedded(t, n)
	all := []string{"0", "1", "2", "3", "4", "5", "6", "ends", "gone", "moves"}
	check := func(what string, ctx context.Context, q httpapi.Query, want ...string) {
		t.Helper()
		q.Text, q.Filter.Limit = misspelt, 50
		var found httpapi.Found
		waitFor(t, what, func() (ok bool) {
			var err error
			if found, err = n.Recall(ctx, q, httpapi.ReadOptions{}); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			return found.Mode == modeHybrid || len(want) == 0 // nothing is near
		})
		got := titles(t, found)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "Kubernetes ")
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	ctx := auth.With(t.Context(), nil)
	check("everything", ctx, httpapi.Query{}, all...)
	check("a namespace and those above", ctx, httpapi.Query{Filter: memory.Filter{Namespace: "a/b"}}, "0", "1", "6", "ends", "gone", "moves")
	check("another namespace", ctx, httpapi.Query{Filter: memory.Filter{Namespace: "q"}})
	check("a tag", ctx, httpapi.Query{Filter: memory.Filter{Tag: "red"}}, "6")
	check("a priority", ctx, httpapi.Query{Filter: memory.Filter{MinPriority: 9}}, "6")
	check("a tier", ctx, httpapi.Query{Filter: memory.Filter{Tier: "long"}}, "6")
	check("another agent", ctx, httpapi.Query{Filter: memory.Filter{AgentID: "ai:other"}})
	check("a time", ctx, httpapi.Query{Filter: memory.Filter{Since: time.Now().Add(time.Hour)}})
	check("somebody of z", ctx, httpapi.Query{AsAgent: "z"}, "3", "5")
	check("somebody of a/b", ctx, httpapi.Query{AsAgent: "a/b"}, "1", "4", "5", "6", "ends", "gone", "moves")
	check("a key of z", auth.With(t.Context(), &auth.Principal{Name: "me", Namespaces: []string{"z"}}), httpapi.Query{}, "3")
	found := recalled(t, n, httpapi.Query{Text: misspelt + ` "not there"`})
	if len(found.Hits) != 0 {
		t.Errorf("a phrase is wanted that none has: %q", titles(t, found))
	}
	w := httpapi.WriteOptions{Agent: "ai:test"}
	// At once, before a vector is removed or moved.
	stop := embedtest.Faults()["500"].Fault
	s.Break(func(w http.ResponseWriter, r *http.Request, texts []string) bool {
		return slices.ContainsFunc(texts, func(s string) bool { return s != misspelt }) && stop(w, r, texts)
	})
	if _, err := n.Delete(t.Context(), gone.ID, w); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Update(t.Context(), moves.ID, memory.Patch{Namespace: new("q")}, w); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Update(t.Context(), ends.ID, memory.Patch{ExpiresAt: new(n.now().Add(50 * time.Millisecond))}, w); err != nil {
		t.Fatal(err)
	}
	time.Sleep(60 * time.Millisecond) // it is the clock that hides it
	check("what has gone, moved and ended", ctx, httpapi.Query{Filter: memory.Filter{Namespace: "a/b"}}, "0", "1", "6")
	s.Break(nil)
	embedded(t, n)
	check("and after", ctx, httpapi.Query{Filter: memory.Filter{Namespace: "a/b"}}, "0", "1", "6")
	check("where it moved", ctx, httpapi.Query{Filter: memory.Filter{Namespace: "q"}}, "moves")
	if held := n.vectors.Status().Held; held != len(all)-1 { // an expired one is held until it is swept
		t.Errorf("%d are held", held)
	}
}

// syncBuffer is a log that several write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestEndpointFaults: whatever the endpoint does, a recall is answered by words in time, and
// says so; writes do not notice; and neither texts nor the key are in the log.
func TestEndpointFaults(t *testing.T) {
	for _, name := range []string{"closes", "closes mid-answer", "slow", "slow body", "wrong dimension", "NaN", "500", "400", "huge", "redirect"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faultyEndpoint(t, embedtest.Faults()[name].Fault)
		})
	}
}

func faultyEndpoint(t *testing.T, fault embedtest.Fault) {
	const canary, key = "kAnArIe", "kAnArIe-key-of-the-endpoint"
	s := embedtest.New(t)
	log := new(syncBuffer)
	n := startOne(t, func(c *Config) {
		withEmbeddings(s)(c)
		c.EmbeddingsKey, c.Log = key, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	store(t, n, `{"title":"Deploy day","content":"Tuesday, `+canary+`"}`)
	embedded(t, n)
	recalledByBoth(t, n, httpapi.Query{Text: "deploy"})
	s.Break(fault)
	const rounds, patience = 5, 2 * time.Second // a slow endpoint holds on for longer
	for i := range rounds {
		began := time.Now()
		found := recalled(t, n, httpapi.Query{Text: "deploy " + canary})
		if took := time.Since(began); found.Mode != "keyword" || len(found.Hits) == 0 || took > patience {
			t.Errorf("%q by %s after %s", titles(t, found), found.Mode, took)
		}
		began = time.Now()
		store(t, n, fmt.Sprintf(`{"title":"during %d","content":"deploy %s"}`, i, canary))
		if took := time.Since(began); took > patience {
			t.Errorf("a write took %s", took)
		}
	}
	if _, body := call(t, n, "GET", "/api/v1/recall?context=deploy", nil); body["mode"] != "keyword" {
		t.Errorf("over HTTP: %v", body["mode"])
	}
	if n.EmbedderReady() {
		t.Error("the node calls its embedder ready")
	}
	if ok, why := n.Ready(); !ok {
		t.Errorf("not ready: %q", why)
	}
	calls := s.Calls()
	waitFor(t, "the vectors of what was written to be asked for", func() bool { return s.Calls() > calls })
	s.Break(nil)
	recalledByBoth(t, n, httpapi.Query{Text: "deploy"})
	if text := log.String(); strings.Contains(text, canary) {
		t.Errorf("the log: %s", text)
	}
	if k := s.Keys(); k[0] != "Bearer "+key {
		t.Errorf("%q", k[0])
	}
}

// TestCaughtUpRowsAreEmbedded: a node that was away gets vectors of what it pulls, from its own
// endpoint, and of nothing twice.
func TestCaughtUpRowsAreEmbedded(t *testing.T) {
	s := embedtest.New(t)
	start := pair(t, func(i int, c *Config) {
		if i == 1 {
			withEmbeddings(s)(c)
		}
	})
	full, _ := start(0)
	away, stopAway := start(1)
	same := func() bool {
		a, _ := full.Ready()
		b, _ := away.Ready()
		return a && b && away.store.Clock().Equal(full.store.Clock())
	}
	waitFor(t, "two members", same)
	first := store(t, full, `{"title":"Before","content":"here before it went"}`)
	waitFor(t, "the first one", same)
	embedded(t, away)
	stopAway()
	computed := len(s.Texts())
	store(t, full, `{"title":"Kubernetes upgrade","content":"drain the nodes"}`)
	createMany(t, full, 0, 80, "stored while it was away")
	if _, err := full.Delete(t.Context(), first.ID, httpapi.WriteOptions{Agent: "ai:test"}); err != nil {
		t.Fatal(err)
	}
	away, _ = start(1)
	waitFor(t, "the rows", same)
	embedded(t, away)
	if found := recalledByBoth(t, away, httpapi.Query{Text: misspelt}); titles(t, found)[0] != "Kubernetes upgrade" {
		t.Errorf("%q", titles(t, found))
	}
	if got := slices.DeleteFunc(s.Texts()[computed:], func(text string) bool { return text == "memd" || text == misspelt }); len(got) != 81 || away.vectors.Status().Held != 81 {
		t.Errorf("%d texts were computed, %d are held", len(got), away.vectors.Status().Held)
	}
}

// TestEmbeddingsSwitchedOff: what was computed is removed, like the index of words.
func TestEmbeddingsSwitchedOff(t *testing.T) {
	s, dir := embedtest.New(t), t.TempDir()
	for _, c := range []struct {
		change func(*Config)
		there  bool
	}{{withEmbeddings(s), true}, {withRecall, false}} {
		cfg := Config{Name: "n1", DataDir: dir, HTTPAddr: "127.0.0.1:0", GossipAddr: freeAddr(t), Version: "test", NoSync: true}
		c.change(&cfg)
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		waitFor(t, "ready", func() bool { ok, _ := n.Ready(); return ok })
		if c.there {
			store(t, n, `{"title":"a","content":"b"}`)
			embedded(t, n)
			if err := os.WriteFile(filepath.Join(dir, vectorsFile+".new"), nil, 0o600); err != nil { // a crash left it
				t.Fatal(err)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if files, _ := filepath.Glob(filepath.Join(dir, vectorsFile+"*")); (len(files) == 2) != c.there || !c.there && len(files) > 0 {
			t.Errorf("%q", files)
		}
	}
}

func TestEmbeddingsConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no model":   func(c *Config) { c.EmbeddingsModel = "" },
		"no URL":     func(c *Config) { c.EmbeddingsURL = "" },
		"a key only": func(c *Config) { c.EmbeddingsURL, c.EmbeddingsModel, c.EmbeddingsKey = "", "", "k" },
		"no recall":  func(c *Config) { c.Recall = false },
		"a secret":   func(c *Config) { c.EmbeddingsURL = "http://me:kAnArIe@h" },
	} {
		c := Config{Name: "n1", DataDir: t.TempDir(), Recall: true, EmbeddingsURL: "http://127.0.0.1:1", EmbeddingsModel: "m"}
		change(&c)
		if err := c.validate(); err == nil || strings.Contains(err.Error(), "kAnArIe") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
