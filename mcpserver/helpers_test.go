package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/memd/memd/memory"
)

// fake is a service that writes down what it is asked and answers what it was given. It
// panics where panics is set, as a fault of the server's own would.
type fake struct {
	err    error // what every verb fails with; nil = it answers
	panics bool
	one    Memory
	page   Page
	full   Full

	mu    sync.Mutex
	calls []string
}

func (f *fake) said(verb string, args ...any) error {
	if f.panics {
		panic("of the service")
	}
	b, err := json.Marshal(args)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, verb+" "+string(b))
	return f.err
}

// last is what it was asked last.
func (f *fake) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.calls) == 0 {
		return ""
	}
	return f.calls[len(f.calls)-1]
}

func (f *fake) Store(_ context.Context, d memory.Draft, o WriteOptions) (Stored, error) {
	m, err := d.Memory(time.Unix(0, 0), o.Agent)
	if err != nil {
		return Stored{}, err
	}
	return Stored{ID: "i1", Title: m.Title, Namespace: m.Namespace, Tier: m.Tier, AgentID: m.Agent(), Acks: 2, Token: "tok"},
		f.said("store", m.Title, m.Content, m.Source, *d.OnConflict, o)
}
func (f *fake) Get(_ context.Context, id string, o ReadOptions) (Full, error) {
	return f.full, f.said("get", id, o)
}
func (f *fake) Recall(_ context.Context, q Query, o ReadOptions) (Page, error) {
	return f.page, f.said("recall", q, o)
}
func (f *fake) Search(_ context.Context, q Query, o ReadOptions) (Page, error) {
	return f.page, f.said("search", q, o)
}
func (f *fake) List(_ context.Context, q memory.Filter, o ReadOptions) (Page, error) {
	return f.page, f.said("list", q, o)
}
func (f *fake) Update(_ context.Context, id string, p memory.Patch, o WriteOptions) (Memory, error) {
	return f.one, f.said("update", id, p.Content, p.Tags, p.ClearExpiry, o)
}
func (f *fake) Delete(_ context.Context, id string, o WriteOptions) (Deleted, error) {
	return Deleted{ID: id, Token: "tok"}, f.said("delete", id, o)
}
func (f *fake) Link(_ context.Context, l Link, o WriteOptions) (Linked, error) {
	return Linked{Link: l, Token: "tok"}, f.said("link", l, o)
}
func (f *fake) Promote(_ context.Context, id string, o WriteOptions) (Memory, error) {
	return f.one, f.said("promote", id, o)
}
func (f *fake) PromoteTo(_ context.Context, id, ns string, o WriteOptions) (Ascended, error) {
	return Ascended{SourceID: id, CloneID: "copy", Token: "tok"}, f.said("promote to", id, ns, o)
}
func (f *fake) Forget(_ context.Context, q Forget, o WriteOptions) (Forgotten, error) {
	return Forgotten{Deleted: 3, Token: "tok"}, f.said("forget", q, o)
}
func (f *fake) Links(_ context.Context, id string, o ReadOptions) ([]Link, error) {
	return f.full.Links, f.said("links", id, o)
}
func (f *fake) Consolidate(_ context.Context, c Consolidation, o WriteOptions) (Consolidated, error) {
	return Consolidated{ID: "new", Consolidated: len(c.IDs), Token: "tok"}, f.said("consolidate", c, o)
}
func (f *fake) SessionStart(_ context.Context, ns string, limit int, o ReadOptions) (Page, error) {
	return f.page, f.said("session", ns, limit, o)
}
func (f *fake) Stats(_ context.Context, o ReadOptions) (memory.Raw, error) {
	return memory.Raw(`{"total":7}`), f.said("stats", o)
}
func (f *fake) Capabilities(_ context.Context, schema int) (memory.Raw, error) {
	return memory.Raw(`{"version":"9"}`), f.said("capabilities", schema)
}
func (f *fake) Status(context.Context) (memory.Raw, error) {
	return memory.Raw(`{"name":"n1","ready":true,"reasons":[]}`), f.said("status")
}

// known is a service that knows two memories.
func known() *fake {
	m := Memory{
		ID: "i1", Title: "Deploy day", Content: "We ship on Tuesdays", Namespace: "acme/ops", Tier: memory.TierLong, Tags: []string{"ops"},
		Priority: 7, Confidence: 1, Source: "claude", CreatedAt: "2026-01-01T00:00:00Z", UpdatedAt: "2026-01-02T00:00:00Z",
		Metadata: memory.Raw(`{"agent_id":"ai:alice"}`), Score: 1.5, Token: "t1",
	}
	m.Settle()
	other := m
	other.ID, other.Content = "i2", "We ship on Fridays"
	link := Link{SourceID: "i1", TargetID: "i2", Relation: "contradicts", CreatedAt: "2026-01-02T00:00:00Z"}
	return &fake{
		one: m, full: Full{Memory: m, Links: []Link{link}, Siblings: []Memory{other}},
		page: Page{Memories: []Memory{m, other}, Mode: "keyword", TokensUsed: 9, Dropped: 1, Token: "p1"},
	}
}

// connect returns a client of a server in memory.
func connect(t *testing.T, c Config) *mcp.ClientSession {
	t.Helper()
	here, there := mcp.NewInMemoryTransports()
	served, err := New(c).mcp.Connect(t.Context(), there, nil)
	if err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "Some Client!", Version: "1"}, nil).Connect(t.Context(), here, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = session.Close()
		_ = served.Wait()
	})
	return session
}

// call is a tool call whose result is not an error of the protocol.
func call(t *testing.T, s *mcp.ClientSession, tool, arguments string) (text string, data map[string]any, failed bool) {
	t.Helper()
	res, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: json.RawMessage(arguments)})
	if err != nil {
		t.Fatalf("%s %s: %v", tool, arguments, err)
	}
	if len(res.Content) != 1 {
		t.Fatalf("%s: %d contents", tool, len(res.Content))
	}
	data, _ = res.StructuredContent.(map[string]any)
	return res.Content[0].(*mcp.TextContent).Text, data, res.IsError
}

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// post sends one request of the newest revision over HTTP.
func post(t *testing.T, h http.Handler, method, params string) (status int, body []byte) {
	t.Helper()
	if params != "" {
		params = "," + params
	}
	return postAs(t, h, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{`+modernMeta+params+`}}`, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", method)
}

// postNamed calls a tool in the same way.
func postNamed(t *testing.T, h http.Handler, tool, args string) (status int, body []byte) {
	t.Helper()
	return postAs(t, h, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{`+modernMeta+`,"name":"`+tool+`","arguments":`+args+`}}`,
		"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", tool)
}

// send posts whatever it is given.
func send(t *testing.T, h http.Handler, body string) (status int, said string) {
	t.Helper()
	status, b := postAs(t, h, body)
	return status, string(b)
}

func postAs(t *testing.T, h http.Handler, body string, headers ...string) (int, []byte) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, bytes.TrimSpace(b)
}
