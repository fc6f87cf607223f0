package mcpserver

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxListTokens is what the default list may cost an agent, counted as the bytes of the
// whole answer, output schemas included, through four.
const maxListTokens = 2500

func TestListCost(t *testing.T) {
	for _, c := range []struct {
		tools string
		count int
		most  int
	}{{ToolsDefault, 8, maxListTokens}, {ToolsAll, 16, 2 * maxListTokens}} {
		status, body := post(t, New(Config{Service: &fake{}, Tools: c.tools}).Handler(), "tools/list", "")
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		var answer struct {
			Result struct {
				Tools []json.RawMessage `json:"tools"`
			} `json:"result"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		tokens := len(body) / 4
		t.Logf("tools %s: %d tools, %d bytes, %d tokens of at most %d", c.tools, len(answer.Result.Tools), len(body), tokens, c.most)
		for _, tool := range answer.Result.Tools {
			var named struct {
				Name string `json:"name"`
			}
			_ = json.Unmarshal(tool, &named)
			t.Logf("  %-22s %5d bytes", named.Name, len(tool))
		}
		if len(answer.Result.Tools) != c.count || tokens >= c.most {
			t.Errorf("%d tools for %d tokens, want %d below %d", len(answer.Result.Tools), tokens, c.count, c.most)
		}
		if strings.Contains(string(body), `"null"`) {
			t.Error("a schema has a null union")
		}
	}
}

// happy calls every tool of all as an agent would.
var happy = []struct {
	tool, args string
	asked      string // what the service was asked; "" = not looked at
	text       []string
}{
	{"memory_store", `{"title":"T","content":"c","namespace":"a/b","tags":["x"],"idempotency_key":"k"}`,
		`store ["T","c","claude","merge",{"Agent":"ai:Some-Client@here","Anonymous":false,"IdempotencyKey":"k","Match":"","After":""}]`,
		[]string{"Stored i1", `"T"`, "in a/b", "by ai:Some-Client@here", "durable on 2 nodes", "token: tok"}},
	{"memory_recall", `{"context":"when do we ship","namespace":"acme/ops","limit":3,"tags":"ops","budget_tokens":100,"after":"t"}`,
		"", []string{"2 memories, ranked by keyword; 1 more did not fit into the budget", "We ship on Tuesdays", "by=ai:alice", "token: p1"}},
	{"memory_search", `{"query":"ship","agent_id":"ai:alice"}`, "", []string{"2 memories", "We ship on Fridays"}},
	{"memory_get", `{"id":"i1","conflicts":true}`, `get ["i1",{"After":"","Conflicts":true}]`,
		[]string{"1 memory and 1 contents written at the same time that lost; settle it with memory_update", "link: i1 contradicts i2"}},
	{"memory_list", `{"namespace":"acme/ops","limit":2,"offset":4}`, "", []string{"2 memories; there may be more: pass offset 6", "content="}},
	{"memory_update", `{"id":"i1","content":"new","tags":[],"expires_at":"","if_match":"t1"}`,
		`update ["i1","new",[],true,{"Agent":"ai:Some-Client@here","Anonymous":false,"IdempotencyKey":"","Match":"t1","After":""}]`, []string{"Updated"}},
	{"memory_delete", `{"id":"i1"}`, "", []string{"Deleted i1", "token: tok"}},
	{"memory_link", `{"source_id":"i1","target_id":"i2"}`, "", []string{"Linked: i1 related_to i2", "token: tok"}},
	{"memory_promote", `{"id":"i1"}`, "", []string{"Promoted i1: tier long"}},
	{"memory_promote", `{"id":"i1","to_namespace":"a"}`, "", []string{"Copied i1 into a as copy"}},
	{"memory_forget", `{"namespace":"scratch","tier":"short"}`, "", []string{"Deleted 3 memories"}},
	{"memory_get_links", `{"id":"i1"}`, "", []string{"i1 contradicts i2"}},
	{"memory_consolidate", `{"ids":["i1","i2"],"title":"T","summary":"s"}`, "", []string{"Consolidated 2 memories into new"}},
	{"memory_session_start", `{"namespace":"acme","limit":5}`, `session ["acme",5,{"After":"","Conflicts":false}]`, []string{"2 memories", "We ship on Tuesdays"}},
	{"memory_stats", `{}`, "", []string{`"total":7`}},
	{"memory_capabilities", `{"accept":"v3"}`, `capabilities [3]`, []string{`"version":"9"`, `"memory_store"`}},
	{"memory_status", ``, "status null", []string{`"ready":true`}},
}

// TestTools holds every tool to what it says of itself: its schemas, its annotations, an
// answer as data and as text.
func TestTools(t *testing.T) {
	f := known()
	session := connect(t, Config{Service: f, Tools: ToolsAll, Place: "@here"})
	list, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	tools := map[string]*mcp.Tool{}
	for _, tool := range list.Tools {
		tools[tool.Name] = tool
	}
	called := map[string]bool{}
	for _, c := range happy {
		called[c.tool] = true
	}
	if len(called) != len(tools) {
		t.Errorf("%d tools are called, %d are listed", len(called), len(tools))
	}
	for _, c := range happy {
		tool := tools[c.tool]
		if tool == nil {
			t.Errorf("%s is not listed", c.tool)
			continue
		}
		if tool.Title == "" || tool.Description == "" {
			t.Errorf("%s has no title or description", c.tool)
		}
		args := cmp.Or(c.args, "{}")
		if problem := valid(t, tool.InputSchema, args); problem != nil {
			t.Errorf("%s: the arguments do not fit its schema: %v", c.tool, problem)
		}
		text, data, failed := call(t, session, c.tool, args)
		if failed {
			t.Errorf("%s: %s", c.tool, text)
			continue
		}
		raw, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		if problem := valid(t, tool.OutputSchema, string(raw)); problem != nil {
			t.Errorf("%s answers %s, which does not fit its schema: %v", c.tool, raw, problem)
		}
		if strings.Contains(string(raw), ":null") {
			t.Errorf("%s answers a null: %s", c.tool, raw)
		}
		for _, want := range c.text {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in %s", c.tool, want, text)
			}
		}
		if c.asked != "" && f.last() != c.asked {
			t.Errorf("%s asked the service %s, want %s", c.tool, f.last(), c.asked)
		}
	}
}

func valid(t *testing.T, schema any, doc string) error {
	t.Helper()
	raw, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal([]byte(doc), &v); err != nil {
		t.Fatal(err)
	}
	return resolved.Validate(v)
}

// TestAnnotations: all four hints are said of every tool, and they are true.
func TestAnnotations(t *testing.T) {
	reading := []string{"memory_recall", "memory_search", "memory_get", "memory_list", "memory_get_links", "memory_session_start", "memory_stats", "memory_capabilities", "memory_status"}
	adding := []string{"memory_link", "memory_promote"}
	_, body := post(t, New(Config{Service: &fake{}, Tools: ToolsAll}).Handler(), "tools/list", "")
	var answer struct {
		Result struct {
			Tools []struct {
				Name        string
				Annotations map[string]any
				InputSchema map[string]any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	for _, tool := range answer.Result.Tools {
		reads := slices.Contains(reading, tool.Name)
		want := map[string]any{
			"readOnlyHint": reads, "idempotentHint": true, "openWorldHint": false,
			"destructiveHint": !reads && !slices.Contains(adding, tool.Name),
		}
		if !maps.Equal(tool.Annotations, want) {
			t.Errorf("%s: %v, want %v", tool.Name, tool.Annotations, want)
		}
		if tool.InputSchema["additionalProperties"] != false {
			t.Errorf("%s takes more than it says", tool.Name)
		}
	}
}

// TestArguments: what is misspelt or bad is refused in words that help, before the service
// is asked anything.
func TestArguments(t *testing.T) {
	long := strings.Repeat("a", 129)
	for _, c := range []struct {
		tool, args string
		says       string // "" = it is served
		asked      string
	}{
		// Other names, and what the original's clients send beside.
		{"memory_recall", `{"query":"x"}`, "", `recall [{"Text":"x"`},
		{"memory_recall", `{"q":"x","format":"json","context_tokens":["a"]}`, "", `recall [{"Text":"x"`},
		{"memory_search", `{"context":"x"}`, "", `search [{"Text":"x"`},
		{"memory_recall", `{"context":"x","namespace":null,"limit":null}`, "", `"Limit":10,`},
		{"memory_recall", `{"context":"x","limit":1000}`, "", `"Limit":50,`},
		{"memory_search", `{"query":"x","limit":1000}`, "", `"Limit":200,`},
		{"memory_recall", `{"context":"x","tags":["one"]}`, "", `"Tag":"one"`},
		{"memory_recall", `{"context":"x","budget_tokens":0}`, "", `"Budget":0`},
		{"memory_store", `{"title":"T","content":"c","metadata":{"agent_id":"ai:other"}}`, "", `store`},
		{"memory_store", `{"title":"T","content":"c","agent_id":"ai:claude-code@x"}`, "", `"error"`},

		{"memory_recall", `{"context":"x","query":"y"}`, "query is another name of context: give one of them", ""},
		{"memory_recall", `{}`, "context is required", ""},
		{"memory_recall", `{"context":" "}`, "context must not be empty", ""},
		{"memory_recall", `{"context":7}`, "context must be a string", ""},
		{"memory_recall", `{"context":"x","tags":["a","b"]}`, "tags must be one tag", ""},
		{"memory_recall", `{"context":"x","budget_tokens":-1}`, "budget_tokens must be a whole number", ""},
		{"memory_recall", `{"context":"x","budget_tokens":1.5}`, "budget_tokens must be a whole number", ""},
		{"memory_recall", `{"context":"x","as_agent":"../x"}`, "as_agent ", ""},
		{"memory_recall", `{"context":"x","limit":-1}`, "limit must be a whole number", ""},
		{"memory_recall", `{"context":"x","limit":"many"}`, "limit ", ""},
		{"memory_recall", `{"context":"x","since":"yesterday"}`, "since ", ""},
		{"memory_recall", `{"context":"x","namspace":"a"}`, "arguments has a name that memory_recall does not take; it takes context, namespace", ""},
		{"memory_get", `{"id":"` + long + `"}`, "id ", ""},
		{"memory_get", `{"id":"a/b"}`, "id must not contain a slash", ""},
		{"memory_get", `{"id":"a","conflicts":"yes"}`, "conflicts must be true or false", ""},
		{"memory_store", `{"title":"T"}`, "content is required", ""},
		{"memory_store", `{"title":"T","content":"c","priority":11}`, "priority must be from 1 to 10", ""},
		{"memory_store", `{"title":"T","content":"c","idempotency_key":""}`, "idempotency_key must be 1 to 256", ""},
		{"memory_store", `{"title":"T","content":"c","idempotency_key":"ä"}`, "idempotency_key must be 1 to 256", ""},
		{"memory_store", `{"title":"T","content":"c","on_conflict":"maybe"}`, "on_conflict must be error, merge or version", ""},
		{"memory_update", `{"id":"a"}`, "arguments name nothing to change", ""},
		{"memory_update", `{"id":"a","tags":"x"}`, "tags ", ""},
		{"memory_link", `{"source_id":"a","target_id":"b","relation":"hates"}`, "relation must be related_to, supersedes, contradicts or derived_from", ""},
		{"memory_link", `{"source_id":"a"}`, "target_id is required", ""},
		{"memory_forget", `{}`, "arguments must name at least one of namespace, pattern and tier", ""},
		{"memory_forget", `{"pattern":"  "}`, "arguments must name at least one of", ""},
		{"memory_forget", `{"namespace":"../x"}`, "namespace ", ""},
		{"memory_forget", `{"tier":"x"}`, "tier must be short, mid or long", ""},
		{"memory_consolidate", `{"ids":["a"],"title":"T","summary":"s"}`, "ids must have 2 to 100 items", ""},
		{"memory_consolidate", `{"ids":"a","title":"T","summary":"s"}`, "ids must be a list of strings", ""},
		{"memory_consolidate", `{"ids":["a","b"],"title":" ","summary":"s"}`, "title must not be empty", ""},
		{"memory_capabilities", `{"accept":"v4"}`, "accept must be v1, v2 or v3", ""},
		{"memory_stats", `{"after":7}`, "after must be a string", ""},
		{"memory_status", `{"x":1}`, "arguments has a name that memory_status does not take", ""},
	} {
		f := known()
		text, data, failed := call(t, connect(t, Config{Service: f, Tools: ToolsAll}), c.tool, c.args)
		switch {
		case c.says == "" && (failed || !strings.Contains(f.last(), c.asked)):
			t.Errorf("%s %s: %s; asked %s", c.tool, c.args, text, f.last())
		case c.says != "" && (!failed || !strings.Contains(text, c.says) || data != nil || len(f.calls) > 0):
			t.Errorf("%s %s: failed %v, %s; asked %s", c.tool, c.args, failed, text, f.last())
		case c.says != "" && !strings.Contains(text, "call again"):
			t.Errorf("%s %s does not say what to do: %s", c.tool, c.args, text)
		}
	}
}
