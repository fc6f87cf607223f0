package openapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/node"
	"github.com/memd/memd/wire"
)

func TestMain(m *testing.M) {
	for _, media := range []string{wire.MediaFrames, wire.MediaNDJSON, "application/yaml", "application/vnd.memd.backup"} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.FileBodyDecoder)
	}
	os.Exit(m.Run())
}

// freeAddr is a loopback address that nobody is given by chance before a node takes it: what
// others bind or dial from is 127.0.0.1.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))
	if err != nil { // not every system has all of 127.0.0.0/8
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// mesh runs nodes in this process until the test ends.
func mesh(t *testing.T, count int) []*node.Node {
	t.Helper()
	var gossip []string
	for range count {
		gossip = append(gossip, freeAddr(t))
	}
	var nodes []*node.Node
	for i := range count {
		n, err := node.New(node.Config{
			Name: fmt.Sprintf("n%d", i+1), DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: gossip[i], Join: gossip,
			GossipKeys: [][]byte{[]byte("0123456789abcdef")}, BootstrapExpect: count, CatchupInterval: 30 * time.Second,
			Version: "test", Recall: true, MCPTools: "all", NoSync: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("%s: %v", n.Name(), err)
			}
		})
		nodes = append(nodes, n)
	}
	deadline := time.Now().Add(20 * time.Second)
	for _, n := range nodes {
		for ok, why := n.Ready(); !ok; ok, why = n.Ready() {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not ready: %v", n.Name(), why)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nodes
}

func fetch(t *testing.T, target string) []byte {
	t.Helper()
	resp, err := http.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %d, %v", target, resp.StatusCode, err)
	}
	return b.Bytes()
}

// member is a string of an answer, by its path of member names.
func (g got) member(t *testing.T, names ...string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(g.body, &v); err != nil {
		t.Fatalf("%s: %v", g.body, err)
	}
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	s, ok := v.(string)
	if !ok {
		t.Fatalf("%v of %.300s", names, g.body)
	}
	return s
}

type vars = map[string]string

func q(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func h(pairs ...string) http.Header {
	v := http.Header{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// nowhere is a token of a write that nobody has.
var nowhere = clock.Of(clock.Dot{Origin: 9, Counter: 1}).Token()

// TestEveryRoute walks through the whole surface of a mesh of two nodes.
func TestEveryRoute(t *testing.T) {
	nodes := mesh(t, 2)
	base := "http://" + nodes[0].HTTPAddr()
	doc := load(t, fetch(t, base+"/api/v1/openapi.yaml"))

	// The document has the endpoints of the router, no more and no fewer.
	door := httpapi.New(httpapi.Config{Node: nodes[0], MCP: http.NotFoundHandler()})
	defer door.Close()
	var have, want []string
	for _, r := range door.Routes() {
		want = append(want, r.Method+" "+r.Path+" (scope "+r.Scope+")")
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			have = append(have, fmt.Sprintf("%s %s (scope %v)", method, path, op.Extensions["x-scope"]))
		}
	}
	for _, r := range want {
		if !slices.Contains(have, r) {
			t.Errorf("%s is missing in openapi.yaml", r)
		}
	}
	for _, r := range have {
		if !slices.Contains(want, r) {
			t.Errorf("%s is in openapi.yaml, and no route", r)
		}
	}
	if t.Failed() {
		t.FailNow()
	}

	r := &recorder{t: t, doc: doc, base: base, seen: map[string]map[int]bool{}}
	r.memories()
	r.find()
	r.namespaces()
	r.keep()
	r.links()
	r.transfer()
	r.node()
	r.sync(nodes[0])
	r.members()
	r.complete()
}

const memories, one = "/api/v1/memories", "/api/v1/memories/{id}"

func (r *recorder) store(title, more string) got {
	r.t.Helper()
	return r.do(ask{method: "POST", path: memories, body: `{"title":"` + title + `","content":"we ship on tuesdays"` + more + `}`}, 201)
}

func (r *recorder) memories() {
	t := r.t
	full := `,"tier":"long","namespace":"acme/ops","tags":["ops"],"priority":7,"confidence":0.5,"source":"user","metadata":{"a":{"b":1}},"agent_id":"ai:alice","scope":"team","on_conflict":"error","extra":[1]`
	m := r.do(ask{method: "POST", path: memories, query: q("w", "2"), header: h("X-Agent-Id", "ai:bob", "Idempotency-Key", "k"),
		body: `{"title":"deploy day","content":"we ship on tuesdays"` + full + `}`}, 201)
	id, token := m.member(t, "id"), m.member(t, "token")
	r.do(ask{method: "POST", path: memories, body: `{"title":"deploy day","content":"other","namespace":"acme/ops"}`}, 409)
	r.do(ask{method: "POST", path: memories, body: `{"title":"x"}`, bad: true}, 400)
	r.do(ask{method: "POST", path: memories, body: `{"title":"x","content":"y","tier":"x"}`, bad: true}, 400)
	r.do(ask{method: "POST", path: memories, media: "text/plain", body: `{}`, bad: true}, 415)
	r.do(ask{method: "POST", path: memories, body: `{"title":"x","content":"` + strings.Repeat("x", 3<<20) + `"}`}, 413)
	r.do(ask{method: "POST", path: memories, query: q("w", "3"), body: `{"title":"x","content":"y"}`}, 400)

	r.do(ask{method: "POST", path: "/api/v1/memories/bulk", body: `[{"title":"b1","content":"c"},{"title":""}]`}, 200)
	r.do(ask{method: "POST", path: "/api/v1/memories/bulk", body: `{"memories":[{"title":"b2","content":"c"}]}`}, 200)
	r.do(ask{method: "POST", path: "/api/v1/memories/bulk", body: `"x"`, bad: true}, 400)

	r.do(ask{method: "GET", path: memories}, 200)
	r.do(ask{method: "GET", path: memories, query: q("namespace", "acme/ops", "tier", "long", "tags", "ops", "agent_id", "ai:alice", "min_priority", "3",
		"since", "2020-01-01T00:00:00Z", "limit", "2000", "offset", "0", "after", token)}, 200)
	r.do(ask{method: "GET", path: memories, query: q("limit", "-1"), bad: true}, 400)
	r.do(ask{method: "GET", path: memories, query: q("after", nowhere)}, 425)

	r.do(ask{method: "GET", path: one, vars: vars{"id": id}, query: q("after", token, "conflicts", "1")}, 200)
	r.do(ask{method: "GET", path: one, vars: vars{"id": id[:13]}}, 200)
	r.do(ask{method: "GET", path: one, vars: vars{"id": "nothing"}}, 404)
	r.do(ask{method: "GET", path: one, vars: vars{"id": "a/b"}}, 400)
	r.do(ask{method: "GET", path: one, vars: vars{"id": id}, query: q("after", nowhere)}, 425)

	up := r.do(ask{method: "PUT", path: one, vars: vars{"id": id}, header: h("If-Match", `"`+token+`"`), body: `{"content":"on mondays","expires_at":null}`}, 200)
	r.do(ask{method: "PUT", path: one, vars: vars{"id": id}, header: h("If-Match", token), body: `{"content":"too late"}`}, 412)
	r.do(ask{method: "PUT", path: one, vars: vars{"id": id}, header: h("If-Match", nowhere), body: `{"content":"from elsewhere"}`}, 425)
	r.do(ask{method: "PUT", path: one, vars: vars{"id": id}, body: `{"priority":11}`, bad: true}, 400)
	r.do(ask{method: "PUT", path: one, vars: vars{"id": "nothing"}, body: `{"priority":1}`}, 404)
	other := r.store("another day", `,"namespace":"acme/ops"`).member(t, "id")
	r.do(ask{method: "PUT", path: one, vars: vars{"id": other}, body: `{"title":"deploy day"}`}, 409)

	revisions := one + "/revisions"
	r.do(ask{method: "GET", path: revisions, vars: vars{"id": id}}, 200)
	r.do(ask{method: "GET", path: revisions, vars: vars{"id": "nothing"}}, 404)

	origin, counter, _ := strings.Cut(up.member(t, "dot"), ":")
	const write = "/api/v1/writes/{origin}/{counter}"
	r.do(ask{method: "GET", path: write, vars: vars{"origin": origin, "counter": counter}}, 200)
	r.do(ask{method: "GET", path: write, vars: vars{"origin": "0000000000000009", "counter": "1"}}, 404)
	r.do(ask{method: "GET", path: write, vars: vars{"origin": "x", "counter": "1"}, bad: true}, 400)

	r.do(ask{method: "DELETE", path: one, vars: vars{"id": other}, header: h("If-Match", token)}, 412)
	r.do(ask{method: "DELETE", path: one, vars: vars{"id": other}, query: q("w", "1")}, 200)
	r.do(ask{method: "DELETE", path: one, vars: vars{"id": other}}, 404)
	r.do(ask{method: "DELETE", path: one, vars: vars{"id": "a/b"}}, 400)
}

func (r *recorder) find() {
	r.do(ask{method: "GET", path: "/api/v1/recall", query: q("context", "shipping on mondays", "limit", "5", "as_agent", "acme/ops")}, 200)
	r.do(ask{method: "GET", path: "/api/v1/recall", query: q("q", "mondays", "namespace", "acme/ops", "budget_tokens", "1")}, 200)
	r.do(ask{method: "GET", path: "/api/v1/recall"}, 400)
	r.do(ask{method: "POST", path: "/api/v1/recall", body: `{"context":"mondays","limit":3,"namespace":"acme/ops","budget_tokens":100}`}, 200)
	r.do(ask{method: "POST", path: "/api/v1/recall", body: `{"limit":3}`}, 400)
	r.do(ask{method: "GET", path: "/api/v1/search", query: q("q", "mondays")}, 200)
	r.do(ask{method: "GET", path: "/api/v1/search", query: q("context", "nothing has these words")}, 200)
	r.do(ask{method: "GET", path: "/api/v1/search", query: q("q", "x", "limit", "x"), bad: true}, 400)

	r.do(ask{method: "POST", path: "/api/v1/session/start"}, 200)
	r.do(ask{method: "POST", path: "/api/v1/session/start", body: `{"namespace":"acme/ops","limit":5}`}, 200)
	r.do(ask{method: "POST", path: "/api/v1/session/start", body: `{"limit":-1}`, bad: true}, 400)
}

func (r *recorder) namespaces() {
	t := r.t
	const all, of = "/api/v1/namespaces", "/api/v1/namespaces/{ns}/standard"
	ns := vars{"ns": "acme/ops"}
	id := r.store("rules", `,"namespace":"acme/ops"`).member(t, "id")
	r.do(ask{method: "GET", path: all}, 200)
	r.do(ask{method: "GET", path: all, query: q("namespace", "acme/ops")}, 200) // it has none yet
	r.do(ask{method: "GET", path: of, vars: ns}, 200)
	r.do(ask{method: "POST", path: all, body: `{"namespace":"*"}`}, 201)
	r.do(ask{method: "POST", path: all, body: `{"namespace":"acme/ops","id":"` + id + `","parent":"acme","governance":{"write":"owner","approver":{"consensus":2},"inherit":true}}`}, 201)
	r.do(ask{method: "POST", path: all, body: `{"standard":{"namespace":"b","governance":{"write":"any","approver":"human","more":1}}}`}, 201)
	r.do(ask{method: "POST", path: all, body: `{"namespace":"acme/ops","id":"nothing"}`}, 404)
	r.do(ask{method: "POST", path: all, body: `{"namespace":"b","governance":{"write":"everybody"}}`, bad: true}, 400)
	r.do(ask{method: "POST", path: all, body: `{"id":"` + id + `"}`}, 400)
	r.do(ask{method: "POST", path: of, vars: ns, body: `{"id":"` + id + `","governance":{"write":"any","approver":{"agent":"ai:a"}}}`}, 201)
	r.do(ask{method: "POST", path: of, vars: ns, body: `{"id":"nothing"}`}, 404)
	r.do(ask{method: "POST", path: of, vars: ns, body: `{"namespace":"b"}`}, 400)
	for _, query := range []url.Values{nil, q("inherit", "true")} {
		r.do(ask{method: "GET", path: of, vars: ns, query: query}, 200)
	}
	r.do(ask{method: "GET", path: of, vars: vars{"ns": "a//b"}}, 400)
	r.do(ask{method: "GET", path: all, query: q("namespace", "acme/ops")}, 200)
	r.do(ask{method: "GET", path: all, query: q("namespace", "acme/ops", "inherit", "1")}, 200)
	r.do(ask{method: "GET", path: all, query: q("namespace", "../x")}, 400)
	r.do(ask{method: "GET", path: all, query: q("after", nowhere)}, 425)
	r.do(ask{method: "POST", path: "/api/v1/session/start", body: `{"namespace":"acme/ops"}`}, 200) // two standards
	r.do(ask{method: "POST", path: "/api/v1/session/start", body: `{"namespace":"none"}`}, 200)     // one
	r.do(ask{method: "DELETE", path: of, vars: ns}, 200)
	r.do(ask{method: "DELETE", path: of, vars: ns}, 200) // not there any more
	r.do(ask{method: "DELETE", path: of, vars: vars{"ns": "a//b"}}, 400)
	r.do(ask{method: "DELETE", path: all, query: q("namespace", "b")}, 200)
	r.do(ask{method: "DELETE", path: all, bad: true}, 400)

	r.do(ask{method: "POST", path: "/api/v1/agents", body: `{"agent_id":"ai:a/1","agent_type":"ai:x","capabilities":["code"]}`}, 201)
	r.do(ask{method: "POST", path: "/api/v1/agents", body: `{"agent_id":"bob","agent_type":"human"}`}, 201)
	r.do(ask{method: "POST", path: "/api/v1/agents", body: `{"agent_id":"bob","agent_type":"robot"}`, bad: true}, 400)
	r.do(ask{method: "GET", path: "/api/v1/agents"}, 200)
}

func (r *recorder) keep() {
	t := r.t
	const promote, archive, gone, restore = one + "/promote", "/api/v1/archive", "/api/v1/archive/{id}", "/api/v1/archive/{id}/restore"
	a, b, c := r.store("keep a", "").member(t, "id"), r.store("keep b", "").member(t, "id"), r.store("keep c", "").member(t, "id")
	r.do(ask{method: "POST", path: promote, vars: vars{"id": a}, body: `{"ignored":1}`}, 200)
	r.do(ask{method: "POST", path: promote, vars: vars{"id": "nothing"}}, 404)
	low := r.do(ask{method: "POST", path: "/api/v1/memories", body: `{"title":"low","content":"x","namespace":"top/low"}`}, 201).member(t, "id")
	r.do(ask{method: "POST", path: promote, vars: vars{"id": low}, body: `{"to_namespace":"top"}`}, 200)
	r.do(ask{method: "POST", path: promote, vars: vars{"id": low}, query: q("to_namespace", "top")}, 200)
	r.do(ask{method: "POST", path: promote, vars: vars{"id": low}, body: `{"to_namespace":"elsewhere"}`}, 400)
	taken := r.do(ask{method: "POST", path: memories, body: `{"title":"low 3","content":"x","namespace":"top/low"}`}, 201).member(t, "id")
	r.do(ask{method: "POST", path: memories, body: `{"title":"low 3","content":"y","namespace":"top"}`}, 201)
	r.do(ask{method: "POST", path: promote, vars: vars{"id": taken}, body: `{"to_namespace":"top"}`}, 409)
	r.do(ask{method: "POST", path: one + "/forget", vars: vars{"id": low}}, 200)
	r.do(ask{method: "POST", path: one + "/forget", vars: vars{"id": low}}, 404)

	const consolidate = "/api/v1/consolidate"
	ids := `"ids":["` + a + `","` + b + `"]`
	r.do(ask{method: "POST", path: consolidate, body: `{` + ids + `,"title":"both","summary":"a and b"}`}, 201)
	r.do(ask{method: "POST", path: consolidate, body: `{` + ids + `,"title":"both again","summary":"a and b"}`}, 404)
	r.do(ask{method: "POST", path: consolidate, body: `{"ids":["x"],"title":"one","summary":"s"}`, bad: true}, 400)
	d := r.store("keep d", "").member(t, "id")
	r.do(ask{method: "POST", path: consolidate, body: `{"ids":["` + c + `","` + d + `"],"title":"both","summary":"c and d"}`}, 409)

	r.do(ask{method: "POST", path: archive, body: `{"ids":["` + c + `","nothing"],"reason":"old"}`}, 200)
	r.do(ask{method: "POST", path: archive, body: `{"ids":[]}`, bad: true}, 400)
	r.do(ask{method: "GET", path: archive, query: q("namespace", "global", "limit", "10")}, 200)
	r.do(ask{method: "GET", path: "/api/v1/export"}, 200) // with something put aside
	r.do(ask{method: "GET", path: archive, query: q("limit", "0"), bad: true}, 400)
	r.do(ask{method: "GET", path: archive + "/stats"}, 200)
	r.do(ask{method: "POST", path: restore, vars: vars{"id": c}}, 200)
	r.do(ask{method: "POST", path: restore, vars: vars{"id": c}}, 404, 409)
	r.do(ask{method: "POST", path: restore, vars: vars{"id": "nothing"}}, 404)
	r.do(ask{method: "POST", path: archive, body: `{"ids":["` + c + `"]}`}, 200)
	r.store("keep c", "") // lives again under its title
	r.do(ask{method: "POST", path: restore, vars: vars{"id": c}}, 409)
	r.do(ask{method: "DELETE", path: gone, vars: vars{"id": c}}, 200)
	r.do(ask{method: "DELETE", path: gone, vars: vars{"id": c}}, 404)
	r.do(ask{method: "DELETE", path: archive, query: q("older_than_days", "1")}, 200)
	r.do(ask{method: "DELETE", path: archive}, 200)
	r.do(ask{method: "DELETE", path: archive, query: q("older_than_days", "x"), bad: true}, 400)

	const forget = "/api/v1/forget"
	r.do(ask{method: "POST", path: forget, body: `{"namespace":"global","pattern":"tuesdays","dry_run":true}`}, 200)
	r.do(ask{method: "POST", path: forget, body: `{"ids":["` + d + `"]}`}, 200)
	r.do(ask{method: "POST", path: forget, query: q("namespace", "nobody", "tier", "short")}, 200)
	r.do(ask{method: "POST", path: forget, body: `{}`}, 400)
	r.do(ask{method: "POST", path: "/api/v1/gc"}, 200)
}

func (r *recorder) links() {
	t := r.t
	const links = "/api/v1/links"
	a, b := r.store("link a", "").member(t, "id"), r.store("link b", "").member(t, "id")
	pair := `"source_id":"` + a + `","target_id":"` + b + `"`
	for range 2 { // the second time it is there
		r.do(ask{method: "POST", path: links, body: `{` + pair + `,"relation":"supersedes"}`}, 201)
	}
	r.do(ask{method: "POST", path: links, body: `{"source_id":"` + a + `","target_id":"` + a + `"}`}, 400)
	r.do(ask{method: "POST", path: links, body: `{"source_id":"` + a + `","target_id":"nothing"}`}, 404)
	r.do(ask{method: "GET", path: links + "/{id}", vars: vars{"id": b}}, 200)
	r.do(ask{method: "GET", path: links + "/{id}", vars: vars{"id": "a/b"}}, 400)
	r.do(ask{method: "GET", path: one, vars: vars{"id": a}}, 200)
	r.do(ask{method: "GET", path: "/api/v1/export"}, 200)
	for range 2 {
		r.do(ask{method: "DELETE", path: links, body: `{` + pair + `}`}, 200)
	}
	r.do(ask{method: "DELETE", path: links, body: `{"source_id":1}`, bad: true}, 400)
}

func (r *recorder) transfer() {
	t := r.t
	first := r.do(ask{method: "GET", path: "/api/v1/export", query: q("limit", "1", "namespace", "acme/ops")}, 200)
	r.do(ask{method: "GET", path: "/api/v1/export", query: q("from", first.member(t, "next"))}, 200)
	r.do(ask{method: "GET", path: "/api/v1/export", query: q("from", "x")}, 400)
	r.do(ask{method: "POST", path: "/api/v1/import", body: string(r.do(ask{method: "GET", path: "/api/v1/export"}, 200).body)}, 200)
	r.do(ask{method: "POST", path: "/api/v1/import", body: `{"memories":[{"id":"x"}]}`}, 200)
	r.do(ask{method: "POST", path: "/api/v1/import", body: `{}`}, 400)
	r.do(ask{method: "GET", path: "/api/v1/backup"}, 200)
}

func (r *recorder) node() {
	for _, accept := range []string{"", "v1", "v2", "v3"} {
		r.do(ask{method: "GET", path: "/api/v1/capabilities", header: h("Accept-Capabilities", accept)}, 200)
	}
	for _, path := range []string{"/api/v1/openapi.yaml", "/api/v1/stats", "/api/v1/cluster", "/api/v1/doctor", "/api/v1/health", "/livez", "/readyz", "/metrics", "/api/v1/metrics"} {
		r.do(ask{method: "GET", path: path}, 200)
	}
	r.do(ask{method: "GET", path: "/api/v1/stats", query: q("after", nowhere)}, 425)
	rpc := func(method, id string) string {
		return `{"jsonrpc":"2.0",` + id + `"method":"` + method + `","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	}
	header := h("Accept", "application/json, text/event-stream", "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/list")
	r.do(ask{method: "POST", path: "/mcp", header: header, body: rpc("tools/list", `"id":1,`)}, 200)
	r.do(ask{method: "POST", path: "/mcp", header: h("Accept", "application/json, text/event-stream", "MCP-Protocol-Version", "2025-06-18"),
		body: `{"jsonrpc":"2.0","method":"notifications/initialized"}`}, 202)
	r.do(ask{method: "POST", path: "/mcp", header: header, body: `{}`, bad: true}, 400)
	r.do(ask{method: "GET", path: "/mcp", header: header}, 405)
	r.do(ask{method: "DELETE", path: "/mcp", header: header}, 405)
}

func (r *recorder) sync(n *node.Node) {
	const since, push, keyring = wire.PathSince, wire.PathPush, wire.PathKeyring
	status, err := n.Cluster(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	pull := func(cursor clock.Clock, cluster string) url.Values {
		v := wire.SinceRequest{Peer: "n2", Boot: 7, Cursor: cursor}.Values()
		v.Set("cluster", cluster)
		return v
	}
	id := status.ClusterID
	r.do(ask{method: "GET", path: since, query: pull(clock.Clock{}, id)}, 200)
	r.do(ask{method: "GET", path: since, query: pull(clock.Clock{}, id), header: h("Accept", wire.MediaNDJSON)}, 200)
	r.do(ask{method: "GET", path: since, query: pull(status.Clock, id)}, 304)
	r.do(ask{method: "GET", path: since, query: pull(clock.Clock{}, strings.Repeat("ab", 16))}, 409)
	r.do(ask{method: "POST", path: since, media: wire.MediaForm, body: pull(clock.Clock{}, id).Encode()}, 200)
	r.do(ask{method: "POST", path: since, media: wire.MediaForm, body: pull(status.Clock, id).Encode()}, 304)
	r.do(ask{method: "GET", path: since, query: q("limit", "2")}, 200)
	r.do(ask{method: "GET", path: since, query: q("since", "2020-01-01T00:00:00Z", "peer", "x")}, 200)
	r.do(ask{method: "GET", path: since, query: q("since", "yesterday")}, 400)

	r.do(ask{method: "POST", path: push, body: `{"sender_agent_id":"host:x","sender_clock":{"entries":{}},"memories":[{"id":"x"}],"deletions":["none"],"namespace_meta_clears":["none"]}`}, 200)
	r.do(ask{method: "POST", path: push, body: `{"memories":[]}`, bad: true}, 400)
	hello := func(cluster string) http.Header {
		return h(wire.HeaderProto, fmt.Sprint(wire.Proto), wire.HeaderNode, "n2", wire.HeaderBoot, "7", wire.HeaderCluster, cluster)
	}
	batch, err := wire.AppendBatch(nil, &wire.PushBatch{Seq: 1, Origin: 77})
	if err != nil {
		r.t.Fatal(err)
	}
	r.do(ask{method: "POST", path: push, media: wire.MediaFrames, header: hello(id), body: string(batch)}, 200)
	r.do(ask{method: "POST", path: push, media: wire.MediaFrames, header: hello(strings.Repeat("ab", 16)), body: string(batch)}, 409)
	upgrade := func(proto string) http.Header {
		header := hello(id)
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", proto)
		return header
	}
	r.do(ask{method: "POST", path: push, header: upgrade(wire.UpgradeProto)}, 101)
	r.do(ask{method: "POST", path: push, header: upgrade("websocket")}, 426)

	r.do(ask{method: "POST", path: keyring, header: hello(id), body: `{"op":"list"}`}, 200)
	r.do(ask{method: "POST", path: keyring, header: hello(id), body: `{"op":"burn"}`, bad: true}, 400)

	const keys = "/api/v1/keyring"
	r.do(ask{method: "GET", path: keys}, 200)
	r.do(ask{method: "POST", path: keys, body: `{"op":"install","key":"ZmVkY2JhOTg3NjU0MzIxMA=="}`}, 200)
	r.do(ask{method: "POST", path: keys, body: `{"op":"install"}`}, 400)
	r.do(ask{method: "POST", path: keys, body: `{"op":"remove","key":"MDEyMzQ1Njc4OWFiY2RlZg=="}`}, 409)
}

func (r *recorder) members() {
	const all, one = "/api/v1/members", "/api/v1/members/{name}"
	r.do(ask{method: "GET", path: all}, 200)
	r.do(ask{method: "DELETE", path: one, vars: vars{"name": "nobody"}}, 404)
	r.do(ask{method: "DELETE", path: one, vars: vars{"name": "n2"}}, 409) // it lives
	r.do(ask{method: "PUT", path: one, vars: vars{"name": "nobody"}}, 409)
	// Of two members the one that goes gives no ack any more, so the other one must be enough.
	r.do(ask{method: "DELETE", path: one, vars: vars{"name": "n2"}, query: q("force", "1", "w", "1")}, 200)
	r.do(ask{method: "GET", path: all}, 200)
	r.do(ask{method: "PUT", path: one, vars: vars{"name": "n2"}}, 200)
}
