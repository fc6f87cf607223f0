package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/memd/memd/memory"
)

// fake is a service whose verbs are given one by one; one that is not given panics, as a
// fault of the server's own would.
type fake struct {
	Service

	store  func(memory.Draft, WriteOptions) (Stored, error)
	get    func(string, ReadOptions) (Full, error)
	recall func(Query, ReadOptions) (Page, error)
	search func(Query, ReadOptions) (Page, error)
	list   func(memory.Filter, ReadOptions) (Page, error)
	update func(string, memory.Patch, WriteOptions) (Memory, error)
	remove func(string, WriteOptions) (Deleted, error)
	link   func(Link, WriteOptions) (Linked, error)
	status func() (memory.Raw, error)
}

func (f *fake) Store(_ context.Context, d memory.Draft, o WriteOptions) (Stored, error) {
	return f.store(d, o)
}
func (f *fake) Get(_ context.Context, id string, o ReadOptions) (Full, error)  { return f.get(id, o) }
func (f *fake) Recall(_ context.Context, q Query, o ReadOptions) (Page, error) { return f.recall(q, o) }
func (f *fake) Search(_ context.Context, q Query, o ReadOptions) (Page, error) { return f.search(q, o) }
func (f *fake) List(_ context.Context, q memory.Filter, o ReadOptions) (Page, error) {
	return f.list(q, o)
}
func (f *fake) Link(_ context.Context, l Link, o WriteOptions) (Linked, error) { return f.link(l, o) }
func (f *fake) Status(context.Context) (memory.Raw, error)                     { return f.status() }
func (f *fake) Delete(_ context.Context, id string, o WriteOptions) (Deleted, error) {
	return f.remove(id, o)
}
func (f *fake) Update(_ context.Context, id string, p memory.Patch, o WriteOptions) (Memory, error) {
	return f.update(id, p, o)
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

// post sends one request of the newest revision over HTTP.
func post(t *testing.T, h http.Handler, method, params string) (status int, body []byte) {
	t.Helper()
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	if params != "" {
		meta += ","
	}
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{`+meta+params+`}}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("MCP-Protocol-Version", "2026-07-28")
	r.Header.Set("Mcp-Method", method)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, bytes.TrimSpace(b)
}
