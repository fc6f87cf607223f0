package mcp

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// needed are the arguments without which a tool does not look at another one.
var needed = map[string]string{
	"memory_store": `"title":"T","content":"c"`, "memory_recall": `"context":"x"`, "memory_search": `"query":"x"`, "memory_get": `"id":"ID"`, "memory_list": ``,
	"memory_update": `"id":"ID","content":"other"`, "memory_delete": `"id":"ID"`, "memory_link": `"source_id":"ID","target_id":"ID2"`,
	"memory_promote": `"id":"ID"`, "memory_forget": `"namespace":"nowhere"`, "memory_get_links": `"id":"ID"`,
	"memory_consolidate": `"ids":["ID","ID2"],"title":"T","summary":"s"`, "memory_session_start": ``, "memory_stats": ``, "memory_capabilities": ``, "memory_status": ``,
}

// hostileWords are JSON strings that nobody may say anywhere.
var hostileWords = map[string]string{
	"NUL": `"a\u0000b"`, "ESC": `"a\u001b[31m"`, "C1": `"a\u009b31m"`, "CR": `"a\rb"`, "DEL": `"a\u007f"`, "noncharacter": `"a\uffff"`, "surrogate": `"a\ud800"`,
	"bytes": "\"a\xff\xfe\"", "long": `"` + strings.Repeat("a", 70_000) + `"`, "a number": `7`, "a list of lists": `[["a"]]`, "an object": `{"a":"b"}`,
}

// TestEveryWord reads from their schemas which texts the tools take, and puts every hostile
// value into each of them: none is taken, and nothing changes.
func TestEveryWord(t *testing.T) {
	node := mesh(t, 1)[0]
	for name, a := range map[string]agent{
		"HTTP":  connect(t, modern, overHTTP(node)),
		"stdio": connect(t, legacy, overStdio(t, "--server", node.url)),
	} {
		t.Run(name, func(t *testing.T) {
			a.t = t
			id := a.must("memory_store", `{"title":"there","content":"there","on_conflict":"merge"}`)["id"].(string)
			id2 := a.must("memory_store", `{"title":"there too","content":"there","on_conflict":"merge"}`)["id"].(string)
			list, err := a.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			before, places := node.digest(), 0
			listed := map[string]bool{}
			for _, tool := range list.Tools {
				listed[tool.Name] = true
				base, known := needed[tool.Name]
				if _, bad := refused()[tool.Name]; !known || !bad {
					t.Errorf("%s is not put to the test: it belongs into needed and refused", tool.Name)
					continue
				}
				raw, err := json.Marshal(tool.InputSchema)
				if err != nil {
					t.Fatal(err)
				}
				var schema struct {
					Properties map[string]struct {
						Type  string
						Items struct{ Type string }
					}
				}
				if err := json.Unmarshal(raw, &schema); err != nil {
					t.Fatal(err)
				}
				for _, property := range slices.Sorted(maps.Keys(schema.Properties)) {
					of := schema.Properties[property]
					list := of.Type == "array" && of.Items.Type == "string"
					if of.Type != "string" && !list {
						continue
					}
					places++
					var args map[string]json.RawMessage
					if err := json.Unmarshal([]byte(`{`+strings.NewReplacer("ID2", id2, "ID", id).Replace(base)+`}`), &args); err != nil {
						t.Fatal(err)
					}
					for word, value := range hostileWords {
						if list && word == "a list of lists" {
							value = `[[["a"]]]`
						} else if list {
							value = `[` + value + `,"b"]`
						}
						said := `{`
						for other, v := range args {
							if other != property {
								said += `"` + other + `":` + string(v) + `,`
							}
						}
						said += `"` + property + `":` + value + `}`
						res, err := a.CallTool(t.Context(), &sdk.CallToolParams{Name: tool.Name, Arguments: json.RawMessage(said)})
						switch {
						case err != nil:
							t.Errorf("%s: %s in %s: %v", tool.Name, word, property, err)
						case !res.IsError || res.StructuredContent != nil:
							t.Errorf("%s takes %s in %s: %.200s", tool.Name, word, property, res.Content[0].(*sdk.TextContent).Text)
						case strings.Contains(res.Content[0].(*sdk.TextContent).Text, "Internal error"):
							t.Errorf("%s: %s in %s: %.200s", tool.Name, word, property, res.Content[0].(*sdk.TextContent).Text)
						}
					}
				}
			}
			for tool := range needed {
				if !listed[tool] {
					t.Errorf("%s is not listed", tool)
				}
			}
			if after := node.digest(); after != before || places < 50 {
				t.Errorf("%d places for a text; the digest was %s and is %s", places, before, after)
			}
		})
	}
	if log := node.text(); strings.Contains(log, "level=ERROR") || strings.Contains(log, strings.Repeat("a", 100)) {
		t.Errorf("the log: %.2000s", log)
	}
}
