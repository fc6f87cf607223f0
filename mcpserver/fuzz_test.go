package mcpserver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzEnvelope says anything to the MCP door: never a panic, never a 5xx with a service
// that works, and no fault of the server's own in the log.
func FuzzEnvelope(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`,
		`{"jsonrpc":"2.0","id":"a","method":"tools/list"}`,
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"memory_store","arguments":{"title":"T","content":"c","tags":["a"],"metadata":{"a":1},"on_conflict":"merge"}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"memory_recall","arguments":{"context":"c","limit":50,"budget_tokens":0,"since":"2026-05-01T10:00:00Z"}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"memory_update","arguments":{"id":"m1","expires_at":null,"if_match":"x","idempotency_key":"k"}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"memory_link","arguments":{"source_id":"a","target_id":"b","relation":"supersedes"}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"memory_forget","arguments":{"namespace":"a/b","pattern":"*"}}}`,
		`{"jsonrpc":"2.0","id":3,"method":"resources/read","params":{"uri":"memory://global/m1"}}`,
		`{"jsonrpc":"2.0","id":3,"method":"prompts/get","params":{"name":"recall-first","arguments":{}}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":1,"method":"ping"}]`,
		`{"jsonrpc":"2.0","id":{},"method":1}`, `{"jsonrpc":"1.0"}`, ``, `nul`, `{"id":1e999}`,
	} {
		f.Add([]byte(s), "2025-06-18")
	}
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), "2025-03-26")
	service := &fake{}
	log := new(logged)
	h := New(Config{Service: service, Tools: ToolsAll, Log: log.logger(), Now: func() time.Time { return time.Unix(0, 0) }}).Handler()
	f.Fuzz(func(t *testing.T, body []byte, version string) {
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		if version != "" {
			r.Header["Mcp-Protocol-Version"] = []string{version}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%d %.300s for %.300q", w.Code, w.Body, body)
		}
		if s := log.take(); s != "" {
			t.Fatalf("%.500s for %.300q", s, body)
		}
	})
}
