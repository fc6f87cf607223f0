package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// exporter serves records 0 to n-1 as pages; in the page that begins at breaks it is cut
// off after one record, until mended.
type exporter struct {
	n int

	mu     sync.Mutex
	breaks int
	asked  []string
}

func (e *exporter) mend() { e.mu.Lock(); e.breaks = -1; e.asked = nil; e.mu.Unlock() }

func (e *exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	e.mu.Lock()
	breaks := e.breaks == from
	e.asked = append(e.asked, strconv.Itoa(from))
	e.mu.Unlock()
	end := min(from+limit, e.n)
	io.WriteString(w, `{"memories":[`)
	for i := from; i < end; i++ {
		if i > from {
			io.WriteString(w, ",")
		}
		fmt.Fprintf(w, `{"id":"m%d"}`, i)
		if breaks {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	io.WriteString(w, `],"links":[]`)
	if end < e.n {
		fmt.Fprintf(w, `,"next":"%d"`, end)
	}
	io.WriteString(w, `}`)
}

// lines are what an export of n records has to be.
func wanted(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"id\":\"m%d\"}\n", i)
	}
	return b.String()
}

// TestExportResumes: what a broken export has left is gone on from, to the byte.
func TestExportResumes(t *testing.T) {
	e := &exporter{n: 3*exportPage + 7, breaks: 2 * exportPage}
	server := httptest.NewServer(e)
	defer server.Close()
	path := filepath.Join(t.TempDir(), "out.jsonl")
	args := []string{"export", path, "--server", server.URL, "--patience", "0s"}
	code, _, stderr := memd(t, nil, args...)
	if _, err := os.Stat(path); code != 1 || err == nil || !strings.Contains(stderr, "unavailable") {
		t.Fatalf("a broken export: exit code %d, %s", code, stderr)
	}
	// What is behind the last whole page may be anything after a crash.
	f, err := os.OpenFile(path+".part", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString("garbage")
	_ = f.Close()
	if code, _, stderr := memd(t, nil, append(args, "--namespace", "other")...); code != 2 || !strings.Contains(stderr, "--namespace") {
		t.Errorf("with another namespace: exit code %d, %s", code, stderr)
	}
	e.mend()
	code, stdout, stderr := memd(t, nil, append(args, "--json")...)
	if code != 0 || strings.TrimSpace(stdout) != fmt.Sprintf(`{"file":%q,"records":%d}`, path, e.n) {
		t.Fatalf("run again: exit code %d, %s%s", code, stdout, stderr)
	}
	if e.asked[0] != strconv.Itoa(2*exportPage) {
		t.Errorf("began again at %s", e.asked[0])
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != wanted(e.n) {
		t.Errorf("%d bytes, want %d (%v)", len(got), len(wanted(e.n)), err)
	}
	for _, left := range []string{path + ".part", path + ".part.next"} {
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s is left", left)
		}
	}
	if code, _, _ := memd(t, nil, args...); code != 1 {
		t.Errorf("over a file that exists: exit code %d", code)
	}
}

// TestExportPipe: what went out before it broke and what goes out with --from make one.
func TestExportPipe(t *testing.T) {
	e := &exporter{n: exportPage + 7, breaks: exportPage}
	server := httptest.NewServer(e)
	defer server.Close()
	code, first, stderr := memd(t, nil, "export", "--server", server.URL, "--patience", "0s")
	_, from, ok := strings.Cut(strings.TrimSpace(stderr), "--from ")
	if code != 1 || !ok {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	e.mend()
	code, second, stderr := memd(t, nil, "export", "--server", server.URL, "--from", from)
	if code != 0 || first+second != wanted(e.n) {
		t.Errorf("exit code %d, %s: %d and %d bytes of %d", code, stderr, len(first), len(second), len(wanted(e.n)))
	}
}

// importer takes records and counts how often it got each; it is away for the first few
// requests, and refuses every id that ends in 3.
type importer struct {
	mu    sync.Mutex
	away  int
	slow  int // requests in which the last memory misses its quorum, and stands
	got   map[string]int
	links []string
	early bool // a link came before its ends
}

func (i *importer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Memories []struct{ ID string }
		Links    []struct {
			Source string `json:"source_id"`
			Target string `json:"target_id"`
		}
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &in)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.away--; i.away >= 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"error":"not ready","code":"NOT_READY"}`)
		return
	}
	out := struct {
		Imported  int      `json:"imported"`
		Unchanged int      `json:"unchanged"`
		Errors    []string `json:"errors"`
	}{Errors: []string{}}
	for at, m := range in.Memories {
		switch {
		case m.ID == "":
			out.Errors = append(out.Errors, fmt.Sprintf("memories[%d]: id is required", at))
		case i.got[m.ID] > 0:
			out.Unchanged++
		case i.slow > 0 && at == len(in.Memories)-1:
			i.slow--
			out.Errors = append(out.Errors, m.ID+": quorum_not_met: 1 of 2 acknowledged (timeout), committed: local")
		default:
			out.Imported++
		}
		i.got[m.ID]++
	}
	for _, l := range in.Links {
		i.early = i.early || i.got[l.Source] == 0 || i.got[l.Target] == 0
		i.links = append(i.links, l.Source+" "+l.Target)
		out.Imported++
	}
	_ = json.NewEncoder(w).Encode(out)
}

func TestImport(t *testing.T) {
	i := &importer{away: 3, slow: 2, got: map[string]int{}}
	server := httptest.NewServer(i)
	defer server.Close()
	const n = 9*batchRecords + 11
	path := filepath.Join(t.TempDir(), "in.jsonl")
	text := wanted(n) + `{"source_id":"m0","target_id":"m` + strconv.Itoa(n-1) + `"}` + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (code int, sum importSum, stderr string) {
		code, stdout, stderr := memd(t, nil, append([]string{"import", "--json", "--server", server.URL}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &sum); err != nil {
			t.Errorf("%v: %s%s", err, stdout, stderr)
		}
		return code, sum, stderr
	}
	// The two that stand without their quorum are there when they are sent again.
	if code, sum, stderr := run(path); code != 0 || sum != (importSum{Records: n + 1, Imported: n - 1, Unchanged: 2}) {
		t.Errorf("exit code %d, %+v, %s", code, sum, stderr)
	}
	i.mu.Lock()
	if len(i.got) != n || len(i.links) != 1 || i.early {
		t.Errorf("%d memories and links %v, early %v", len(i.got), i.links, i.early)
	}
	i.mu.Unlock()
	if code, sum, _ := run(path); code != 0 || sum != (importSum{Records: n + 1, Imported: 1, Unchanged: n}) {
		t.Errorf("again: exit code %d, %+v", code, sum)
	}
	if code, sum, _ := run(path, "--skip", strconv.Itoa(n-1)); code != 0 || sum != (importSum{Records: n + 1, Imported: 1, Unchanged: 1}) {
		t.Errorf("with --skip: exit code %d, %+v", code, sum)
	}

	// A line that is none: what stands before it is stored, and it is named.
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, append([]byte(wanted(batchRecords+2)), "{\"id\":"...), 0o600); err != nil {
		t.Fatal(err)
	}
	code, sum, stderr := run(bad)
	if code != 2 || sum.Records != batchRecords+2 || !strings.Contains(stderr, "record 253: is not a JSON object") || !strings.Contains(stderr, "--skip 252") {
		t.Errorf("a bad line: exit code %d, %+v, %s", code, sum, stderr)
	}
	if err := os.WriteFile(bad, append([]byte(wanted(batchRecords+2)), `{"title":"x"}`...), 0o600); err != nil {
		t.Fatal(err)
	}
	code, sum, stderr = run(bad)
	if code != 1 || sum.Refused != 1 || !strings.Contains(stderr, "refused: record 253: id is required") {
		t.Errorf("a record that is refused: exit code %d, %+v, %s", code, sum, stderr)
	}
	i.mu.Lock()
	i.away = 1 << 30
	i.mu.Unlock()
	if code, sum, stderr := run(path, "--patience", "0s"); code != 1 || sum.Records != 0 || !strings.Contains(stderr, "not ready") {
		t.Errorf("nobody there: exit code %d, %+v, %s", code, sum, stderr)
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, "moved")
	p.every = 0
	p.add(2, 3<<20)
	p.note("something")
	p.end()
	text := out.String()
	if !strings.HasPrefix(text, "moved 2, 3.0 MiB, ") || strings.Count(text, "\n") != 3 || strings.Contains(text, "\r") {
		t.Errorf("%q", text)
	}
	out.Reset()
	p.onTerminal = true
	p.add(1, 0)
	p.note("something")
	p.end()
	if text := out.String(); !strings.HasPrefix(text, "\rmoved 3, ") || !strings.Contains(text, "\x1b[K\nsomething\n\rmoved 3") || !strings.HasSuffix(text, "\n") {
		t.Errorf("%q", text)
	}
}
