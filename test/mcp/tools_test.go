package mcp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// TestEveryTool calls all sixteen on a real node, over HTTP, through a proxy on stdio and
// with a store of its own: each answer fits the schema that the tool has said.
func TestEveryTool(t *testing.T) {
	node := mesh(t, 1)[0]
	for name, a := range map[string]agent{
		"HTTP":     connect(t, modern, overHTTP(node)),
		"proxy":    connect(t, legacy, overStdio(t, "--server", node.url)),
		"embedded": connect(t, modern, overStdio(t, "--data-dir", t.TempDir())),
	} {
		t.Run(name, func(t *testing.T) {
			a.t = t
			list, err := a.ListTools(t.Context(), nil)
			if err != nil || len(list.Tools) != 16 {
				t.Fatalf("%v, %v", list, err)
			}
			schemas := map[string]*jsonschema.Resolved{}
			for _, tool := range list.Tools {
				raw, err := json.Marshal(tool.OutputSchema)
				if err != nil {
					t.Fatal(err)
				}
				var s jsonschema.Schema
				if err := json.Unmarshal(raw, &s); err != nil {
					t.Fatal(err)
				}
				if schemas[tool.Name], err = s.Resolve(nil); err != nil {
					t.Fatal(err)
				}
			}
			ns := "every/" + strings.ToLower(name)
			id := func(data map[string]any) string { return data["id"].(string) }
			one := id(a.must("memory_store", `{"title":"one","content":"the first fact","namespace":%q,"tier":"short"}`, ns))
			two := id(a.must("memory_store", `{"title":"two","content":"the second fact","namespace":%q}`, ns))
			for _, c := range []struct{ tool, args, has string }{
				{"memory_store", `{"title":"three","content":"the third fact","namespace":"NS"}`, `"existing":false`},
				{"memory_get", `{"id":"ONE"}`, "the first fact"},
				{"memory_list", `{"namespace":"NS"}`, `"count":3`},
				{"memory_recall", `{"context":"which fact is the second","namespace":"NS"}`, "the second fact"},
				{"memory_search", `{"query":"third fact","namespace":"NS"}`, `"count":1`},
				{"memory_update", `{"id":"ONE","content":"the first fact, corrected"}`, "corrected"},
				{"memory_link", `{"source_id":"ONE","target_id":"TWO","relation":"supersedes"}`, `"linked":true`},
				{"memory_get_links", `{"id":"TWO"}`, `"count":1`},
				{"memory_get", `{"id":"TWO"}`, `"relation":"supersedes"`},
				{"memory_promote", `{"id":"ONE"}`, `"tier":"long"`},
				{"memory_session_start", `{"namespace":"NS"}`, "corrected"},
				{"memory_stats", `{}`, `"by_tier"`},
				{"memory_status", `{}`, `"ready":true`},
				{"memory_capabilities", `{}`, `"memory_consolidate"`},
				{"memory_consolidate", `{"ids":["ONE","TWO"],"title":"both","summary":"the first two facts","namespace":"NS"}`, `"consolidated":2`},
				{"memory_delete", `{"id":"ONE"}`, "No memory has this id"},
				{"memory_forget", `{"namespace":"NS","pattern":"fact third"}`, `"deleted":1`},
				{"memory_list", `{"namespace":"NS"}`, "the first two facts"},
			} {
				args := strings.NewReplacer("ONE", one, "TWO", two, "NS", ns).Replace(c.args)
				text, data, failed := a.call(c.tool, args)
				raw, err := json.Marshal(data)
				if err != nil {
					t.Fatal(err)
				}
				if wantsFailure := strings.HasPrefix(c.has, "No "); failed != wantsFailure || !strings.Contains(string(raw)+text, c.has) {
					t.Errorf("%s %s: failed %v, %s", c.tool, args, failed, text)
					continue
				}
				if err := schemas[c.tool].Validate(data); !failed && err != nil {
					t.Errorf("%s answers %s, which does not fit its schema: %v", c.tool, raw, err)
				}
			}
		})
	}
}
