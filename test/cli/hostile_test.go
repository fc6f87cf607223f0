package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostileTexts are no title, text, tag, namespace, id, tier, source or agent of anybody, or
// what a shell can hand over of it: an argument has no NUL.
var hostileTexts = map[string]string{
	"bytes": "a\xff\xfe", "overlong": "\xc0\xaf", "ESC": "a\x1b[31m", "C1": "a\u009b31m", "CR": "a\rb", "DEL": "a\x7f", "noncharacter": "a\ufffe", "surrogate": "a\xed\xa0\x80",
}

// verbs are calls with a place for a hostile value, X.
var hostileVerbs = [][]string{
	{"store", "X", "--content", "c"}, {"store", "T", "--content", "X"}, {"store", "T", "--content", "c", "--tags", "X"}, {"store", "T", "--content", "c", "--namespace", "X"},
	{"store", "T", "--content", "c", "--metadata", `{"a":"X"}`}, {"store", "T", "--content", "c", "--tier", "X"}, {"store", "T", "--content", "c", "--source", "X"},
	{"store", "T", "--content", "c", "--agent-id", "X"}, {"store", "T", "--content", "c", "--scope", "X"}, {"store", "T", "--content", "c", "--on-conflict", "X"},
	{"store", "T", "--content", "c", "--idempotency-key", "X"}, {"store", "T", "--content", "c", "--expires-at", "X"},
	{"get", "X"}, {"get", "ID", "--after", "X"}, {"update", "X", "--title", "t"}, {"update", "ID", "--title", "X"}, {"update", "ID", "--content", "X"},
	{"update", "ID", "--namespace", "X"}, {"update", "ID", "--tags", "X"}, {"update", "ID", "--metadata", `{"a":"X"}`}, {"update", "ID", "--title", "t", "--if-match", "X"},
	{"delete", "X"}, {"delete", "ID", "--if-match", "X"}, {"list", "--namespace", "X"}, {"list", "--tags", "X"}, {"list", "--tier", "X"}, {"list", "--by", "X"}, {"list", "--since", "X"},
	{"recall", "X"}, {"recall", "x", "--as-agent", "X"}, {"recall", "x", "--namespace", "X"}, {"search", "X"}, {"search", "x", "--tags", "X"}, {"revisions", "X"},
	{"link", "X", "ID"}, {"link", "ID", "X"}, {"link", "ID", "ID2", "--relation", "X"}, {"unlink", "X", "ID"}, {"links", "X"}, {"promote", "X"},
	{"forget", "--namespace", "X"}, {"forget", "--pattern", "X"}, {"forget", "--tier", "X"}, {"consolidate", "ID", "X", "--title", "t", "--summary", "s"},
	{"consolidate", "ID", "ID2", "--title", "X", "--summary", "s"}, {"consolidate", "ID", "ID2", "--title", "t", "--summary", "X"},
	{"archive", "add", "X"}, {"archive", "add", "ID", "--reason", "X"}, {"archive", "restore", "X"}, {"archive", "discard", "X"}, {"archive", "list", "--namespace", "X"},
	{"namespaces", "standard", "X"}, {"namespaces", "set", "X"}, {"namespaces", "set", "a", "--governance", "X"}, {"namespaces", "clear", "X"},
	{"agents", "register", "X", "--type", "human"}, {"agents", "register", "ai:a", "--type", "X"}, {"session", "X"}, {"export", "--namespace", "X"}, {"export", "--from", "X"},
	{"store", "--title", "X", "--content", "c"}, {"update", "ID", "--tier", "X"}, {"update", "ID", "--expires-at", "X"}, {"promote", "ID", "--to-namespace", "X"},
	{"list", "--until", "X"}, {"recall", "x", "--since", "X"}, {"recall", "x", "--until", "X"}, {"search", "x", "--since", "X"}, {"search", "x", "--until", "X"},
	{"recall", "x", "--tags", "X"}, {"recall", "x", "--tier", "X"}, {"recall", "x", "--by", "X"},
	{"search", "x", "--namespace", "X"}, {"search", "x", "--tier", "X"}, {"search", "x", "--by", "X"}, {"search", "x", "--as-agent", "X"},
	{"consolidate", "ID", "ID2", "--title", "t", "--summary", "s", "--namespace", "X"}, {"consolidate", "ID", "ID2", "--title", "t", "--summary", "s", "--tier", "X"},
	{"namespaces", "set", "a", "--id", "X"}, {"namespaces", "set", "a", "--parent", "X"}, {"agents", "register", "ai:a", "--type", "human", "--capabilities", "X"},
	{"bench", "--namespace", "X"}, {"bench", "--mix", "X"},
	{"keyring", "install", "X"}, {"keyring", "use", "X"}, {"keyring", "remove", "X"}, {"members", "add", "X"}, {"members", "remove", "X"},
}

// TestHostile puts values that nobody may have through every verb: each is refused with 1
// or 2 and one line that says why, nothing is stored, nothing panics, and no line of the
// terminal is taken over by what was sent.
func TestHostile(t *testing.T) {
	n := &nodes{dir: t.TempDir(), running: map[string]*process{}}
	defer n.stopAll()
	p, err := n.start("A")
	if err != nil {
		t.Fatal(err)
	}
	var server string
	for limit := time.Now().Add(patience); server == "" && time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		if m := regexp.MustCompile(`msg=ready.* http=(\S+)`).FindStringSubmatch(p.text()); m != nil {
			server = m[1]
		}
	}
	memd := func(in string, args ...string) (code int, stdout, stderr string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, "memd"), args...)
		cmd.Env = append(os.Environ(), "MEMD_SERVER="+server, "MEMD_AGENT_ID=ai:script")
		cmd.Stdin = strings.NewReader(in)
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
	}
	state := func() string {
		t.Helper()
		code, out, errOut := memd("", "status", "--json")
		m := regexp.MustCompile(`"clock_hash":"[0-9a-f]+","digest":"[0-9a-f]+"`).FindString(out)
		if code != 0 || m == "" {
			t.Fatalf("%d %s%s", code, out, errOut)
		}
		return m
	}
	store := func(title string) string {
		t.Helper()
		code, out, errOut := memd("there", "store", title, "--json")
		m := regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(out)
		if code != 0 || m == nil {
			t.Fatalf("%d %s%s", code, out, errOut)
		}
		return m[1]
	}
	id, id2 := store("one"), store("two")
	before := state()
	refused := func(in string, args ...string) {
		t.Helper()
		code, out, errOut := memd(in, args...)
		if code != 1 && code != 2 || !strings.Contains("\n"+errOut, "\nmemd: ") || strings.Contains(errOut, "goroutine") || strings.Contains(errOut, "json: ") {
			t.Errorf("memd %.100q: exit code %d, %q %q", args, code, out, errOut)
		}
		if strings.ContainsAny(errOut, "\x1b\r\u009b") {
			t.Errorf("memd %.100q writes what it was sent to the terminal: %q", args, errOut)
		}
	}
	names := func() (out []string) {
		for name := range hostileTexts {
			out = append(out, name)
		}
		slices.Sort(out)
		return out
	}()
	for i, verb := range hostileVerbs {
		some := names
		if testing.Short() || i > 2 { // all of them where a text goes, two elsewhere
			some = []string{names[i%len(names)], names[(i+3)%len(names)]}
		}
		for _, name := range some {
			args := make([]string, len(verb))
			for j, a := range verb {
				args[j] = strings.NewReplacer("ID2", id2, "ID", id, "X", hostileTexts[name]).Replace(a)
			}
			refused("", args...)
		}
		if after := state(); after != before {
			t.Fatalf("%q has changed the node from %s to %s", verb, before, after)
		}
	}

	// What comes from a pipe or a file.
	record := `{"id":"x","tier":"long","namespace":"g","title":"t","content":"c","tags":[],"priority":5,"confidence":1,"source":"api","access_count":0,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","metadata":{}}`
	for _, in := range []string{
		"\x00", "a\xff", strings.Repeat("a", 65_537), strings.Repeat("😀", 16_385), strings.Repeat("a", 3<<20), "",
	} {
		refused(in, "store", "T")
		refused(in, "store", "T", "--content", "-")
	}
	for _, in := range []string{
		"\x00", "null", "[]", `"x"`, "{", strings.Repeat("[", 100_000), `{"a":` + strings.Repeat(`{"a":`, 100_000), strings.Repeat("a", 3<<20), `{"memories":7}`, `{"memories":[1]}`, `{"memories":[`,
		strings.Replace(record, `"c"`, `"\ud800"`, 1), strings.Replace(record, `"c"`, "\"\xff\"", 1), strings.Replace(record, `"c"`, `"a\u0000"`, 1),
		strings.Replace(record, `"tier"`, `"title":"twice","tier"`, 1), strings.Replace(record, `"g"`, `"../x"`, 1), strings.Replace(record, `"x"`, `"a/b"`, 1),
		strings.Replace(record, `"x"`, `"`+strings.Repeat("a", 129)+`"`, 1), strings.Replace(record, `:5,`, `:1e999,`, 1), strings.Replace(record, `{}`, `[]`, 1),
		strings.Replace(record, "2026-01-01T00:00:00Z", "0000-01-01T00:00:00Z", 1), strings.Replace(record, `"c"`, `"`+strings.Repeat("a", 65_537)+`"`, 1),
	} {
		refused(in, "import", "--patience", "0s")
	}
	if after := state(); after != before {
		t.Errorf("the node was %s and is %s", before, after)
	}
	if code, out, errOut := memd("", "get", id, "--content"); code != 0 || out != "there\n" {
		t.Errorf("afterwards: %d %s%s", code, out, errOut)
	}
	if code, _, errOut := memd("", "health"); code != 0 {
		t.Errorf("health: %d %s", code, errOut)
	}
	if log := p.text(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "panic") {
		t.Errorf("the log: %.2000s", log)
	}
}
