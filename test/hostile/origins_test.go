package hostile

import (
	"maps"
	"strings"
	"testing"
)

// originRows are pages of strangers that reach a node through somebody's browser, and what
// is tried on MCP.
func originRows(_ *testing.T, _ *target) []row {
	mcp := func(header map[string]string) request {
		h := map[string]string{"Accept": "application/json, text/event-stream"}
		maps.Copy(h, header)
		return request{method: "POST", path: "/mcp", header: h, body: `{"jsonrpc":"2.0","id":1,"method":"ping"}`}
	}
	list := func(header map[string]string) request {
		return request{method: "GET", path: "/api/v1/memories", header: header}
	}
	rows := []row{
		{n: 69, name: "guessed session", req: mcp(map[string]string{"Mcp-Session-Id": canary}), want: []int{200},
			why: "stateless: there is no session that could be guessed, the header is not looked at"},
		{n: 70, name: "session of another key", req: func() request {
			r := mcp(map[string]string{"Mcp-Session-Id": canary})
			r.key = "alice"
			return r
		}(), want: []int{200}, why: "stateless: what a request may do follows from its own key alone"},
		{n: 71, name: "10,000 calls at once", req: request{method: "POST", path: "/mcp", header: map[string]string{"Accept": "application/json, text/event-stream"},
			body: "[" + repeat(10_000, `{"jsonrpc":"2.0","id":%d,"method":"ping"}`) + "]"}, want: []int{400}},
	}
	for _, path := range []string{"/api/v1/memories", "/mcp", "/api/v1/health", "/livez", "/metrics", "/api/v1/sync/since", "/nothing"} {
		for _, host := range []string{"evil.test", "evil.test:9077", "localhost.evil.test", "10.0.0.1"} {
			rows = append(rows, row{n: 66, name: path + " of " + host, req: request{method: "GET", path: path, header: map[string]string{"Host": host}}, want: []int{421}})
		}
		rows = append(rows,
			row{n: 67, name: path, req: request{method: "GET", path: path, header: map[string]string{"Origin": "https://evil.test"}}, want: []int{403}},
			row{n: 68, name: path, req: request{method: "GET", path: path, header: map[string]string{"Origin": "null"}}, want: []int{403}})
	}
	return append(rows,
		row{n: 67, name: "MCP, posted", req: mcp(map[string]string{"Origin": "https://evil.test"}), want: []int{403}},
		row{n: 67, name: "two", req: func() request {
			r := list(map[string]string{"Origin": "http://localhost"})
			r.again = map[string]string{"Origin": "http://evil.test"}
			return r
		}(), want: []int{403}},
		row{n: 67, name: "own name as the beginning of another", req: list(map[string]string{"Origin": "http://localhost.evil.test"}), want: []int{403}},
	)
}

// TestMCPRightsFollowTheKey: over MCP a key sees and says what it does over HTTP, with a
// session that it made up or without.
func TestMCPRightsFollowTheKey(t *testing.T) {
	n := start(t, nil)
	if a := n.send(t, request{method: "POST", path: "/api/v1/memories", key: "bob", body: `{"title":"bobs","content":"` + canary + `","namespace":"bob"}`}); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	call := func(key, tool, args string) string {
		a := n.send(t, request{method: "POST", path: "/mcp", key: key, header: map[string]string{"Accept": "application/json, text/event-stream", "Mcp-Session-Id": "x"},
			body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + args + `}}`})
		if a.status != 200 {
			t.Fatalf("%s: %d %s", tool, a.status, a.body)
		}
		return a.body
	}
	for _, c := range []struct{ tool, args string }{
		{"memory_list", `{}`}, {"memory_list", `{"namespace":"bob"}`}, {"memory_search", `{"query":"` + canary + `"}`}, {"memory_recall", `{"context":"` + canary + ` bobs"}`},
		{"memory_session_start", `{"namespace":"bob"}`}, {"memory_stats", `{}`},
	} {
		if got := call("alice", c.tool, c.args); strings.Contains(got, `"bob"`) || strings.Contains(strings.ReplaceAll(got, `"query":"`+canary, ""), canary) {
			t.Errorf("%s %s shows alice what is bob's: %s", c.tool, c.args, got)
		}
		if got := call("bob", c.tool, c.args); !strings.Contains(got, "bob") {
			t.Errorf("%s %s hides from bob what is his: %s", c.tool, c.args, got)
		}
	}
	if got := call("alice", "memory_store", `{"title":"t","content":"c","namespace":"bob"}`); !strings.Contains(got, "forbidden") || !strings.Contains(got, `"isError":true`) {
		t.Errorf("alice wrote into bob's: %s", got)
	}
	if got := call("reader", "memory_store", `{"title":"t","content":"c"}`); !strings.Contains(got, "forbidden") {
		t.Errorf("a reader wrote: %s", got)
	}
	if got := call("alice", "memory_store", `{"title":"t","content":"c","namespace":"alice"}`); !strings.Contains(got, "ai:alice") || strings.Contains(got, `"isError":true`) {
		t.Errorf("alice's own: %s", got)
	}
}
