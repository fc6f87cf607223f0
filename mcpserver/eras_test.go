package mcpserver

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var legacyRevisions = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"}

// TestEras: one stateless handler answers every revision: the older ones after a handshake
// or in the middle of it, the newest without one.
func TestEras(t *testing.T) {
	h := New(Config{Service: known(), Tools: ToolsAll, Version: "9.9"}).Handler()
	send := func(revision, method, params string) map[string]any {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		if method != "initialize" {
			r.Header.Set("MCP-Protocol-Version", revision)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Mcp-Session-Id") != "" {
			t.Fatalf("%s %s: %d %v %s", revision, method, w.Code, w.Header(), w.Body)
		}
		var answer struct {
			Result map[string]any `json:"result"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Result == nil {
			t.Fatalf("%s %s: %s", revision, method, w.Body)
		}
		return answer.Result
	}
	for _, revision := range legacyRevisions {
		got := send(revision, "initialize", `{"protocolVersion":"`+revision+`","capabilities":{},"clientInfo":{"name":"c","version":"1"}}`)
		if got["protocolVersion"] != revision || got["instructions"] != instructions || got["serverInfo"].(map[string]any)["version"] != "9.9" {
			t.Errorf("%s: %v", revision, got)
		}
		if capabilities := got["capabilities"].(map[string]any); capabilities["logging"] != nil || capabilities["tools"] == nil || capabilities["prompts"] == nil || capabilities["resources"] == nil {
			t.Errorf("%s: capabilities %v", revision, capabilities)
		}
		if got := send(revision, "tools/list", `{}`); len(got["tools"].([]any)) != 16 {
			t.Errorf("%s: %d tools", revision, len(got["tools"].([]any)))
		}
		got = send(revision, "tools/call", `{"name":"memory_get","arguments":{"id":"i1"}}`)
		if got["isError"] == true || got["structuredContent"].(map[string]any)["content"] != "We ship on Tuesdays" {
			t.Errorf("%s: %v", revision, got)
		}
	}
	for method, want := range map[string]string{"server/discover": `"2026-07-28"`, "tools/list": `"memory_status"`, "resources/list": "memory://status", "prompts/list": promptName} {
		status, body := post(t, h, method, "")
		if status != 200 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %s", method, status, body)
		}
		if !strings.Contains(string(body), `"ttlMs":300000`) || !strings.Contains(string(body), `"cacheScope":"public"`) {
			t.Errorf("%s does not say how long it may be kept: %s", method, body)
		}
	}
}

// TestIdentity: who writes, from the most telling word to the least.
func TestIdentity(t *testing.T) {
	store := func(c Config, headers ...string) string {
		t.Helper()
		f := known()
		c.Service = f
		server := httptest.NewServer(New(c).Handler())
		defer server.Close()
		transport := &mcp.StreamableClientTransport{Endpoint: server.URL, HTTPClient: &http.Client{Transport: withHeaders(headers)}, DisableStandaloneSSE: true}
		session, err := mcp.NewClient(&mcp.Implementation{Name: "Some Client!", Version: "1"}, nil).Connect(t.Context(), transport, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		text, _, _ := call(t, session, "memory_store", `{"title":"T","content":"c"}`)
		if f.last() == "" {
			return text
		}
		_, agent, _ := strings.Cut(f.last(), `"Agent":"`)
		agent, _, _ = strings.Cut(agent, `"`)
		return agent
	}
	for _, c := range []struct {
		config  Config
		headers []string
		want    string
	}{
		{Config{}, nil, "ai:Some-Client"},
		{Config{Place: "@host:pid-7"}, nil, "ai:Some-Client@host:pid-7"},
		{Config{Agent: "ai:fixed", Place: "@host"}, nil, "ai:fixed"},
		{Config{Agent: "ai:fixed"}, []string{"X-Agent-Id", "ai:header"}, "ai:header"},
		{Config{}, []string{"X-Agent-Id", "not an agent"}, "header X-Agent-Id must be"},
		{Config{}, []string{"X-Agent-Id", "a", "X-Agent-Id", "b"}, "header X-Agent-Id must be"},
	} {
		if got := store(c.config, c.headers...); !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v %v: %s, want %s", c.config.Agent, c.headers, got, c.want)
		}
	}
	// A client that does not say who it is gets a name of what it says: the same for a retry.
	var agents []string
	for _, content := range []string{"a", "a", "b"} {
		f := known()
		params := `"name":"memory_store","arguments":{"title":"T","content":"` + content + `"}`
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{`+params+`}}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("MCP-Protocol-Version", "2025-06-18")
		w := httptest.NewRecorder()
		New(Config{Service: f}).Handler().ServeHTTP(w, r)
		_, agent, _ := strings.Cut(f.last(), `"Agent":"`)
		if !strings.HasPrefix(agent, "anonymous:req-") || !strings.Contains(agent, `"Anonymous":true`) {
			t.Errorf("%s: %s", w.Body, f.last())
		}
		agents = append(agents, agent)
	}
	if agents[0] != agents[1] || agents[0] == agents[2] {
		t.Errorf("made-up agents: %q", agents)
	}
}

// withHeaders adds headers to every request.
type withHeaders []string

func (h withHeaders) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for i := 0; i < len(h); i += 2 {
		r.Header.Add(h[i], h[i+1])
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestServePiped: a script that pipes its requests in and goes gets all answers.
func TestServePiped(t *testing.T) {
	in, out := io.Pipe()
	answers, told := io.Pipe()
	ended := make(chan error, 1)
	s := New(Config{Service: known(), Tools: ToolsAll})
	go func() {
		ended <- s.Serve(t.Context(), in, told)
		told.Close()
	}()
	go func() {
		fmt.Fprintln(out, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
		fmt.Fprintln(out, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		for i := range 50 {
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"memory_get","arguments":{"id":"i1"}}}`+"\n", i+1)
		}
		out.Close()
	}()
	got := map[float64]bool{}
	for lines := bufio.NewScanner(answers); lines.Scan(); {
		var m struct {
			ID     float64 `json:"id"`
			Result map[string]any
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil || m.Result == nil || m.Result["isError"] == true {
			t.Errorf("%s: %v", lines.Bytes(), err)
		}
		got[m.ID] = true
	}
	select {
	case err := <-ended:
		if err != nil || len(got) != 51 {
			t.Errorf("%d answers, %v", len(got), err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end with its input")
	}
}
