//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memd/memd/client"
)

// TestScenario is the headline, as a newcomer would run it.
func TestScenario(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three processes")
	}
	temp := t.TempDir()
	p := begin(t, []string{"TMPDIR=" + temp, "MEMD_NAME=not-for-children", "MEMD_JOIN=127.0.0.1:1"}, binary(t),
		"dev", "--scenario", "sigstop", "--rounds", "2", "--json")
	if code := p.ended(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.output())
	}
	var r sigstopReport
	if err := json.Unmarshal([]byte(p.output()), &r); err != nil {
		t.Fatalf("%v:\n%s", err, p.output())
	}
	if !r.OK || r.Nodes != 3 || r.Sleeper != "n3" || len(r.Rounds) != 2 || r.LastRow.P50 <= 0 || r.LastRow.P99 < r.LastRow.P50 {
		t.Errorf("%+v", r)
	}
	for _, x := range r.Rounds {
		if !x.ok() || x.State != "T" || x.FirstRowMS <= 0 || x.LastRowMS < x.FirstRowMS || x.LevelMS < x.LastRowMS || x.AwayMS <= 0 {
			t.Errorf("%+v", x)
		}
	}
	nothingLeft(t, temp)
}

// TestScenarioPauseIsNoticed: after more than a second the node knows itself that it was
// away, and asks.
func TestScenarioPauseIsNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three processes")
	}
	temp := t.TempDir()
	p := begin(t, []string{"TMPDIR=" + temp}, binary(t), "dev", "--scenario", "sigstop", "--away", "1300ms")
	if code := p.ended(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.output())
	}
	for _, want := range []string{"20 of 20", "pause/", "result: 20 of 20 rows, in every round"} {
		if !strings.Contains(p.output(), want) {
			t.Errorf("no %q in\n%s", want, p.output())
		}
	}
	nothingLeft(t, temp)
}

func nothingLeft(t *testing.T, temp string) {
	t.Helper()
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
	noProcess(t, temp)
}

var greeted = regexp.MustCompile(`(?m)^(n\d)  (http://\S+)  pid (\d+)  log`)

// pids waits for the greeting and returns the processes of the nodes in it.
func pids(t *testing.T, p *program) map[string]int {
	t.Helper()
	out := p.await("store on n1, read on n2:")
	pids := map[string]int{}
	for _, m := range greeted.FindAllStringSubmatch(out, -1) {
		pids[m[1]], _ = strconv.Atoi(m[3])
	}
	if len(pids) != 3 {
		t.Fatalf("%d nodes in\n%s", len(pids), out)
	}
	return pids
}

// TestDevPlain: without a terminal there is a line for every change, whoever makes it.
func TestDevPlain(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three processes")
	}
	dir := filepath.Join(t.TempDir(), "made", "here")
	p := begin(t, nil, binary(t), "dev", "--dir", dir)
	pid := pids(t, p)
	p.await("n3 running pid=")
	if err := syscall.Kill(pid["n3"], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.await("n3 stopped pid=")
	url := greeted.FindStringSubmatch(p.output())[2]
	api, err := client.New(client.Config{Servers: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	n1 := &devNode{name: "n1", url: url, api: api}
	a := &acts{mesh: &mesh{}}
	for range 3 {
		if _, err := n1.api.Store(t.Context(), a.draft(n1), client.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	p.await("n3 stopped pid=" + strconv.Itoa(pid["n3"]) + " memories=0 lag=3")
	if err := syscall.Kill(pid["n3"], syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.await("n3 is back: it had missed 3 writes and has caught up in at most")
	if err := syscall.Kill(pid["n2"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.await("n2 exited pid=")
	p.signal(os.Interrupt)
	if code := p.ended(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.output())
	}
	noProcess(t, dir)
	for _, name := range []string{"n1", "n2", "n3", "n1.log", "n2.log", "n3.log"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("the given folder is not kept: %v", err)
		}
	}
	if code, out, errOut := memd(t, nil, "verify", "--data-dir", filepath.Join(dir, "n2")); code != 0 {
		t.Errorf("verify what was killed: %d\n%s%s", code, out, errOut)
	}

	// The same folder again: the memories are there.
	p = begin(t, nil, binary(t), "dev", "--dir", dir, "--json")
	p.awaitFunc("three memories on n2", func(out string) bool {
		return regexp.MustCompile(`"name":"n2".*"memories":3`).MatchString(out)
	})
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.output())
	}
	for line := range strings.Lines(p.output()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	noProcess(t, dir)
}

// TestDevSignalDuringStart: whenever dev is told to end, nothing is left.
func TestDevSignalDuringStart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three processes")
	}
	for _, wait := range []time.Duration{0, 20 * time.Millisecond, 60 * time.Millisecond, 120 * time.Millisecond, 250 * time.Millisecond} {
		temp := t.TempDir()
		p := begin(t, []string{"TMPDIR=" + temp}, binary(t), "dev", "--scenario", "sigstop")
		for names := []os.DirEntry(nil); len(names) == 0; { // it has begun
			names, _ = os.ReadDir(temp)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(wait)
		p.signal(syscall.SIGTERM)
		if code := p.ended(); code != 1 && code != 0 {
			t.Errorf("after %s: exit code %d:\n%s", wait, code, p.output())
		}
		nothingLeft(t, temp)
	}
}

// TestDevStartFails: the end of the log of the node that does not start is shown.
func TestDevStartFails(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three processes")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "n2"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := begin(t, nil, binary(t), "dev", "--dir", dir)
	if code := p.ended(); code != 1 || !strings.Contains(p.output(), "n2 ended (exit status 1); its log ends:") || !strings.Contains(p.output(), "not a directory") {
		t.Errorf("exit code %d:\n%s", code, p.output())
	}
	noProcess(t, dir)
}

// testMesh is a mesh inside the test, whose processes are the test binary.
func testMesh(t *testing.T) *mesh {
	t.Helper()
	return testMeshOf(t, false)
}

func testMeshOf(t *testing.T, secure bool) *mesh {
	t.Helper()
	if testing.Short() {
		t.Skip("starts three processes")
	}
	t.Setenv(asMemd, "1")
	m, err := newMesh("", secure)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(m.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the folder is left: %v", err)
		}
		noProcess(t, m.dir)
	})
	return m
}

// TestPortTaken: somebody is quicker, and the mesh starts on other ports.
func TestPortTaken(t *testing.T) {
	m := testMesh(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	asked := 0
	m.ports = func(n int) ([]string, error) {
		asked++
		addrs, err := freePorts(n)
		if asked == 1 {
			addrs[1] = taken.Addr().String()
		}
		return addrs, err
	}
	if err := m.start(t.Context(), 3); err != nil || asked != 2 {
		t.Errorf("after %d tries: %v", asked, err)
	}
}

// TestActs is what the keys do.
func TestActs(t *testing.T) {
	m := testMesh(t)
	ctx := t.Context()
	if err := m.start(ctx, 3); err != nil {
		t.Fatal(err)
	}
	a, n3 := &acts{mesh: m}, m.nodes[2]
	says := func(want string) func(string, error) {
		return func(text string, err error) {
			t.Helper()
			if err != nil {
				text = "error: " + err.Error()
			}
			if !regexp.MustCompile(want).MatchString(text) {
				t.Errorf("%q, want %q", text, want)
			}
		}
	}
	says("error: n3 is running, not stopped")(a.resume(ctx, n3))
	says("error: n3 is running, not killed or exited")(a.restart(ctx, n3))
	says(`n3 stopped \(SIGSTOP`)(a.stop(ctx, n3))
	says("error: n3 is stopped, not running")(a.stop(ctx, n3))
	says("20 memories written through n1 and n2 in .*, each acknowledged by a quorum")(a.write(ctx, n3))
	says("n3 continued: it had missed 20 writes and has caught up in .*s")(a.resume(ctx, n3))
	says(`n3 killed`)(a.kill(ctx, n3))
	says("error: n3 is killed, not running or stopped")(a.kill(ctx, n3))
	says("20 memories written")(a.write(ctx, n3))
	says("n3 started again: it had missed 2. writes and has caught up in .*s")(a.restart(ctx, n3))
	says(`n3 stopped`)(a.stop(ctx, n3))
	says(`n3 killed`)(a.kill(ctx, n3)) // also one that stands still
	says(`n2 stopped`)(a.stop(ctx, m.nodes[1]))
	says(`error: n1: memory 1 of 20: quorum_not_met`)(a.write(ctx, n3))
	says(`n1 stopped`)(a.stop(ctx, m.nodes[0]))
	says(`error: no other node is running`)(a.write(ctx, n3))
}

func TestFreePorts(t *testing.T) {
	addrs, err := freePorts(18)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range addrs {
		if host, port, err := net.SplitHostPort(a); err != nil || host != "127.0.0.1" || port == "0" || seen[a] {
			t.Errorf("%s: %v", a, err)
		}
		seen[a] = true
	}
}
