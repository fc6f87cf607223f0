package mcpserver

import (
	"encoding/json"
	"strings"
	"testing"
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
