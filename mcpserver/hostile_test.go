package mcpserver

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/memd/memd/memory"
)

// hostile are JSON values that no argument of a tool survives as another one: wrong types,
// broken text, depth, size, numbers out of range.
var hostileValues = []string{
	`7`, `1e999`, `-1`, `1.5`, `true`, `[]`, `{}`, `[[]]`, `[1,null]`, `""`, `" "`, `"\ud800"`, "\"\xff\"", `"\u0000"`, `"a\u001b[31m"`, `"\uffff"`,
	`"../x"`, `"/abs"`, `"a//b"`, `"a%2f..%2fb"`, `"a/b\n"`, `"'; DROP TABLE memories;--"`, `"<script>alert(1)</script>"`,
	`"0000-01-01T00:00:00Z"`, `"292277026596-12-04T15:30:08Z"`, `99999999999999999999`, `1e400`,
	`"` + strings.Repeat("a", 4096) + `"`,
	strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
	`{"a":1,"a":2}`, `{"a":1,"A":2}`,
}

// TestHostileArguments puts every hostile value into every argument of every tool, over the
// road that a raw client has. The answer is a result, or an error of the protocol that says
// that the message was none; what reaches the service is valid; nothing panics.
func TestHostileArguments(t *testing.T) {
	f := known()
	h := New(Config{Service: f, Tools: ToolsAll}).Handler()
	for _, tool := range toolsOf(ToolsAll) {
		good := map[string]json.RawMessage{}
		for _, c := range happy {
			if c.tool == tool.name && c.args != "" {
				if err := json.Unmarshal([]byte(c.args), &good); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, p := range append(tool.in, property{name: "nonsense"}) {
			for _, value := range hostileValues {
				f.calls = nil
				var args strings.Builder
				args.WriteString(`{` + string(memory.AppendString(nil, p.name)) + `:` + value)
				for name, v := range good {
					if name != p.name {
						args.WriteString(`,"` + name + `":` + string(v))
					}
				}
				args.WriteString(`}`)
				status, body := postNamed(t, h, tool.name, args.String())
				said := string(body)
				if status >= 500 || strings.Contains(said, "panic") || strings.Contains(said, "Internal error") || strings.Contains(said, "goroutine") {
					t.Fatalf("%s, %s=%.60s: %d %.300s", tool.name, p.name, value, status, said)
				}
				var answer struct {
					Error  *struct{ Code int }
					Result *struct{ IsError bool }
				}
				if err := json.Unmarshal(body, &answer); status == 200 && (err != nil || (answer.Error == nil) == (answer.Result == nil)) {
					t.Errorf("%s, %s=%.60s: %.300s", tool.name, p.name, value, said)
				}
				refused := status != 200 || answer.Error != nil || answer.Result.IsError
				if refused && f.last() != "" {
					t.Errorf("%s, %s=%.60s is refused and has asked %s: %.300s", tool.name, p.name, value, f.last(), said)
				}
				if p.name == "nonsense" && !refused {
					t.Errorf("%s takes an argument that it does not know", tool.name)
				}
			}
		}
	}
}

// TestProtocolErrors: what is no call of a tool is an error of the protocol, and leaves the
// conversation whole.
func TestProtocolErrors(t *testing.T) {
	f := known()
	session := connect(t, Config{Service: f})
	for _, name := range []string{"memory_forget", "nonsense", "", strings.Repeat("a", 10_000)} {
		if res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name}); err == nil {
			t.Errorf("%.20s is a tool: %v", name, res)
		}
	}
	for _, body := range []string{``, `null`, `[]`, `{`, `{"jsonrpc":"1.0"}`, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":7}`, strings.Repeat("[", 100_000)} {
		status, said := send(t, New(Config{Service: f}).Handler(), body)
		if status < 400 && !strings.Contains(said, `"error"`) || status >= 500 {
			t.Errorf("%.40s: %d %s", body, status, said)
		}
	}
	for body, code := range map[string]int{
		``: -32600, `{`: -32700, `[]`: -32700, `{"jsonrpc":"1.0","id":1,"method":"ping"}`: -32700, `{"jsonrpc":"2.0","id":null,"method":"ping"}`: -32600,
		`{"jsonrpc":"2.0","id":1,"method":"no/such"}`: -32601, `{"jsonrpc":"2.0","id":1,"method":"\u00e9\ud800"}`: -32601,
	} {
		status, said := send(t, New(Config{Service: f}).Handler(), body)
		var got struct {
			JSONRPC string
			ID      *int
			Error   struct {
				Code    int
				Message string
			}
		}
		if err := json.Unmarshal([]byte(said), &got); err != nil || status != 400 || got.JSONRPC != "2.0" || got.ID != nil || got.Error.Code != code || got.Error.Message == "" {
			t.Errorf("%s: %d %s, %v, want code %d", body, status, said, err, code)
		}
	}
	if text, _, failed := call(t, session, "memory_get", `{"id":"i1"}`); failed {
		t.Errorf("afterwards: %s", text)
	}
}
