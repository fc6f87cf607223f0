package mcpserver

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// conversation serves what is said until its end; the answers are by their id, those
// without one together.
func conversation(t *testing.T, said string) (byID map[string]string, nameless []string) {
	t.Helper()
	answers, told := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := New(Config{Service: known()}).Serve(t.Context(), io.NopCloser(strings.NewReader(said)), told)
		ended <- err
		told.Close()
	}()
	byID = map[string]string{}
	take := func(b []byte) {
		var m struct {
			ID    json.RawMessage `json:"id"`
			Error *struct{ Code int }
		}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		what := "done"
		if m.Error != nil {
			what = fmt.Sprint(m.Error.Code)
		}
		if id := string(m.ID); id == "null" || id == "" {
			nameless = append(nameless, what)
		} else {
			byID[id] = what
		}
	}
	out := bufio.NewScanner(answers)
	out.Buffer(nil, 16<<20)
	for out.Scan() {
		var batch []json.RawMessage
		if json.Unmarshal(out.Bytes(), &batch) != nil {
			batch = []json.RawMessage{slices.Clone(out.Bytes())}
		}
		for _, b := range batch {
			take(b)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	return byID, nameless
}

const (
	oldHello = `{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}` + "\n" +
		`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n"
	lastPing = "\n" + `{"jsonrpc":"2.0","id":"the last","method":"ping"}` + "\n"
)

var newHello = strings.Replace(oldHello, "2025-03-26", "2025-11-25", 1)

// Whatever stands in a line, the next ones are answered.
func TestServeGoesOn(t *testing.T) {
	ping := func(id string) string { return `{"jsonrpc":"2.0","id":` + id + `,"method":"ping"}` }
	for _, c := range []struct {
		name, said string
		byID       string
		nameless   string
	}{
		{"no JSON", newHello + "hello?", "", "-32700"},
		{"bytes", newHello + "\x00\xff\xfe{", "", "-32700"},
		{"half a message", newHello + `{"jsonrpc":"2.0","id":1,`, "", "-32700"},
		{"two in a line", newHello + ping("1") + ping("2"), "", "-32700"},
		{"something behind it", newHello + ping("1") + ` x`, "", "-32700"},
		{"white space around it", newHello + " \t" + ping("1") + " \r", "1 done", ""},
		{"empty lines", newHello + "\n\r\n \n" + ping("1"), "1 done", ""},
		{"several", newHello + "a\nb\n" + ping("1") + "\nc", "1 done", "-32700 -32700 -32700"},
		{"too long", newHello + `"` + strings.Repeat("x", maxLine) + `"`, "", "-32700"},
		{"deeper than anybody reads", newHello + strings.Repeat("[", 20000) + strings.Repeat("]", 20000), "", "-32700"},
		{"no message", newHello + `7` + "\n" + `null` + "\n" + `{}`, "", "-32600 -32600 -32600"},
		{"another JSON-RPC", newHello + `{"jsonrpc":"1.0","id":5,"method":"ping"}`, "5 -32600", ""},
		{"an id that is none", newHello + `{"jsonrpc":"2.0","id":{},"method":"ping"}`, "", "-32600"},
		{"a method that is none", newHello + `{"jsonrpc":"2.0","id":"m","method":7}`, `"m" -32600`, ""},
		{"before the greeting", "hello?\n" + newHello, "", "-32700"},
		{"a batch", oldHello + `[` + ping("1") + `,` + ping("2") + `]`, "1 done 2 done", ""},
		{"a batch with notifications", oldHello + `[` + ping("1") + strings.Repeat(`,{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}`, 2) + `]`, "1 done", ""},
		{"a batch with one id twice", oldHello + `[` + ping("1") + `,` + ping("1") + `]`, "1 -32600", ""},
		{"a batch with something else", oldHello + `[` + ping("1") + `,7]`, "", "-32600"},
		{"an empty batch", oldHello + `[]`, "", "-32600"},
		{"a batch where there are none", newHello + `[` + ping("1") + `]`, "", "-32600"},
	} {
		byID, nameless := conversation(t, c.said+lastPing)
		if byID[`"the last"`] != "done" || byID[`"hello"`] != "done" {
			t.Errorf("%s: what came before and after it: %v", c.name, byID)
		}
		delete(byID, `"the last"`)
		delete(byID, `"hello"`)
		var got []string
		for id, what := range byID {
			got = append(got, id+" "+what)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.byID || strings.Join(nameless, " ") != c.nameless {
			t.Errorf("%s: %q %q, want %q %q", c.name, got, nameless, c.byID, c.nameless)
		}
	}
}

// FuzzLines says anything before a request: it is answered.
func FuzzLines(f *testing.F) {
	for _, s := range []string{
		"", "x", `[]`, `[7]`, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, `{"jsonrpc":"2.0","id":1}`, `{"jsonrpc":"2.0","id":1,"result":{}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"x"}]`, oldHello, newHello, "\n\r\n", `{"jsonrpc":"2.0","id":1,"method":"initialize"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		if byID, _ := conversation(t, said+lastPing); byID[`"the last"`] == "" {
			t.Errorf("%q: %v", said, byID)
		}
	})
}
