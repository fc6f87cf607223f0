package main

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestDots(t *testing.T) {
	d := parseDots(map[string]string{"aaaa1111": "22,1-20,21", "bbbb2222": "3-4,9", "cccc": "", "dddd": "x-2,5-4", "eeee": "7"})
	if d.count() != 22+3+1 {
		t.Errorf("%v counts %d", d, d.count())
	}
	if s := d.short(); s != "aaaa:22 bbbb:9* eeee:7*" {
		t.Error(s)
	}
	if s := (dots)(nil).short(); s != "-" {
		t.Error(s)
	}
	more := parseDots(map[string]string{"aaaa1111": "1-30", "ffff": "1-2", "a": "1"})
	if n := d.lacks(more); n != 8+2+1 {
		t.Errorf("lacks %d", n)
	}
	if n := more.lacks(d); n != 4 {
		t.Errorf("lacks %d", n)
	}
	all := union(d, more)
	if all.count() != 30+3+1+2+1 || all.lacks(d) != 0 || all.lacks(more) != 0 {
		t.Errorf("%v", all)
	}
	if s := all.short(); s != "aaaa:30 bbbb:9* eeee:7* +2" {
		t.Error(s)
	}
	if d.count() != 26 {
		t.Errorf("union changed what it was given: %v", d)
	}
}

func TestRender(t *testing.T) {
	s := &screen{
		greeting: []string{"hello"}, selected: 1, busy: []bool{false, true, false},
		views: []nodeView{
			{Name: "n1", URL: "http://127.0.0.1:40001", PID: 7, State: stateRunning, Answers: true, Ready: true, Memories: 120, Digest: "0123456789", Clock: "aaaa:20"},
			{Name: "n2", URL: "http://127.0.0.1:4", PID: 12345, State: stateStopped, Memories: 100, LagDots: 20, LagSeconds: 3.25, Digest: "ffff"},
			{Name: "n3", State: stateKilled},
		},
	}
	for i := range 2 * shownEvents {
		s.add(time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.Local), "event "+string(rune('a'+i))+"\nsecond line")
	}
	lines := s.render(200)
	text := strings.Join(lines, "\n")
	for _, want := range []string{
		"hello\n",
		"   NODE  URL                     PID    STATE      MEMORIES  LAG  SECONDS  DIGEST    CLOCK\n",
		"   n1    http://127.0.0.1:40001  7      running    120       0    -        01234567  aaaa:20\n",
		">  n2    http://127.0.0.1:4      12345  stopped …  100       20   3.2      ffff      -\n",
		"   n3                            0      killed     0         0    -        -         -\n",
		"03:04:05.006  event x\n              second line",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "event a") || strings.Contains(text, "\x1b") {
		t.Errorf("too much in\n%s", text)
	}
	s.colour = true
	if text := strings.Join(s.render(200), "\n"); !strings.Contains(text, "\x1b[32m   n1 ") || !strings.Contains(text, "\x1b[33m>  n2") || !strings.Contains(text, "\x1b[31m   n3") {
		t.Errorf("colours:\n%q", text)
	}
	s.colour = false
	for _, line := range s.render(40) {
		if utf8.RuneCountInString(line) > 40 {
			t.Errorf("too wide: %q", line)
		}
	}
}

func TestParsePulls(t *testing.T) {
	const text = `# HELP memd_pull_total Pulls {x="y"} 3
memd_pull_total{peer="n1",result="ok",trigger="pause"} 2
memd_pull_total{peer="n2",result="not_modified",trigger="pause"} 1
memd_pull_rows_total{kind="new",peer="n1"} 20
memd_pull_rows_total{kind="new",peer="n2"} 1 1700000000
memd_pull_rows_total{kind="redundant",peer="n2"} 3
memd_pull_rows_total{kind="tomb",peer="n2"} 3
memd_pull_seconds_sum{peer="n2"} 3
memd_missing_dots 4
broken{
memd_pull_total{peer="n2"} many
`
	p := parsePulls(text)
	if p.Total != 3 || p.New != 21 || p.Redundant != 3 || len(p.ByTrigger) != 2 || p.ByTrigger["pause/ok"] != 2 || p.ByTrigger["pause/not_modified"] != 1 {
		t.Errorf("%+v", p)
	}
	d := p.since(pulls{Total: 1, New: 1, ByTrigger: map[string]float64{"pause/ok": 2}})
	if d.Total != 2 || d.New != 20 || d.Redundant != 3 || len(d.ByTrigger) != 1 {
		t.Errorf("%+v", d)
	}
}

func TestReport(t *testing.T) {
	var values []float64
	for i := range 100 {
		values = append(values, float64(100-i))
	}
	if p50, p99 := quantile(values, .5), quantile(values, .99); p50 != 50 || p99 != 99 {
		t.Errorf("%g, %g", p50, p99)
	}
	if q := quantile([]float64{7}, .99); q != 7 || quantile(nil, .5) != 0 {
		t.Error(q)
	}
	good := &sigstopRound{Round: 1, State: "T", Rows: batch, MissingBefore: batch, PresentAfter: batch, FirstRowMS: 1, LastRowMS: 2, LevelMS: 3}
	bad := &sigstopRound{Round: 2, State: "T", Rows: batch, MissingBefore: batch, PresentAfter: batch - 1, Error: "n3 has 19 of 20 rows"}
	for _, c := range []struct {
		rounds []*sigstopRound
		ok     bool
		says   string
	}{
		{[]*sigstopRound{good}, true, "result: 20 of 20 rows, in every round"},
		{[]*sigstopRound{good, bad}, false, "round 2 failed: n3 has 19 of 20 rows"},
		{[]*sigstopRound{bad}, false, "result: FAILED"},
		{nil, false, "result: FAILED"},
	} {
		r := &sigstopReport{Sleeper: "n3", Nodes: 3}
		var b strings.Builder
		r.head(&b)
		for _, x := range c.rounds {
			r.add(x)
			r.row(&b, x)
		}
		r.finish()
		r.foot(&b)
		if r.OK != c.ok || !strings.Contains(b.String(), c.says) {
			t.Errorf("%v, no %q in\n%s", r.OK, c.says, b.String())
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{count(1, "write"), "1 write"}, {count(0, "write"), "0 writes"}, {count(2, "memory"), "2 memories"},
		{ago(1234 * time.Microsecond), "1.2 ms"}, {ago(123 * time.Millisecond), "123 ms"}, {ago(1500 * time.Millisecond), "1.5 s"}, {ago(90 * time.Second), "1m30s"},
		{short(""), "-"}, {short("abc"), "abc"}, {short("0123456789"), "01234567"}, {cut("abcdef", 4), "abc…"}, {cut("abcd", 4), "abcd"}, {cut("abcdef", 0), "abcdef"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestFindings(t *testing.T) {
	for _, c := range []struct {
		found []string
		json  bool
		want  string
		code  int
	}{
		{nil, false, "d: 0 findings\n", 0},
		{[]string{"row x"}, false, "row x\nd: 1 finding\n", exitFailed},
		{nil, true, `{"data_dir":"d","findings":[]}` + "\n", 0},
		{[]string{"a<b"}, true, `{"data_dir":"d","findings":["a<b"]}` + "\n", exitFailed},
	} {
		var b strings.Builder
		code := 0
		err := printFindings(&b, "d", c.found, c.json)
		if exit, ok := errors.AsType[*exitError](err); ok {
			code = exit.code
		} else if err != nil {
			t.Error(err)
		}
		if b.String() != c.want || code != c.code {
			t.Errorf("%q, exit code %d", b.String(), code)
		}
	}
}
