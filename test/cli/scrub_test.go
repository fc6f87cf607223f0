package cli

import (
	"fmt"
	"os"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// scrubber replaces what differs from run to run by what has the same width, where a table
// depends on it. An id has the same number wherever it stands in a script.
type scrubber struct{ ids map[string]string }

func newScrubber() *scrubber { return &scrubber{map[string]string{}} }

var (
	ids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	rules = []struct {
		from *regexp.Regexp
		to   string
	}{
		{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|\+00:00)`), "TIME"},
		{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|\+00:00)`), "2026-01-01T00:00:00Z"},
		{regexp.MustCompile(`"token":"[A-Za-z0-9_-]+"`), `"token":"TOKEN"`},
		{regexp.MustCompile(`(?m)^(token +)[A-Za-z0-9_-]+$`), "${1}TOKEN"},
		{regexp.MustCompile(`[0-9a-f]{16}:\d+`), "DOT"},
		{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
		{regexp.MustCompile(`(?m)^(store +)\d+ bytes`), "${1}N bytes"},
		{regexp.MustCompile(`"db_size_bytes":\d+`), `"db_size_bytes":N`},
		{regexp.MustCompile(`"score":[0-9.]+`), `"score":SCORE`},
		{regexp.MustCompile(`(?m)^\d\.\d\d  `), "0.00  "},
		{regexp.MustCompile(`"version":"[^"]*"`), `"version":"V"`},
	}
)

func (s *scrubber) scrub(text string) string {
	text = ids.ReplaceAllStringFunc(text, func(id string) string {
		if s.ids[id] == "" {
			s.ids[id] = fmt.Sprintf("00000000-0000-0000-0000-%012d", len(s.ids)+1)
		}
		return s.ids[id]
	})
	for _, r := range rules {
		text = r.from.ReplaceAllString(text, r.to)
	}
	return text
}

func scrub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: scrub FILE")
	}
	text := ts.Value(scrubKey{}).(*scrubber).scrub(ts.ReadFile("stdout"))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture VAR REGEXP")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("no match for %s in:\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], m[1])
}
