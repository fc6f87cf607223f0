package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asMemd makes the test binary be memd. The name does not begin with MEMD_: dev passes
// such variables on to no child, and its children have to be memd too.
const asMemd = "RUN_AS_MEMD"

func TestMain(m *testing.M) {
	if os.Getenv(asMemd) != "" {
		main()
	}
	for _, kv := range os.Environ() { // settings of whoever runs the tests
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "MEMD_") {
			os.Unsetenv(name)
		}
	}
	// The search library starts its workers when it is linked, and keeps them.
	workers := goleak.IgnoreAnyFunction("github.com/blevesearch/bleve_index_api.AnalysisWorker")
	goleak.VerifyTestMain(m, workers, goleak.Cleanup(func(code int) {
		if built.dir != "" {
			os.RemoveAll(built.dir)
		}
		os.Exit(code)
	}))
}

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// binary is memd as `go build` makes it, built once for all tests.
func binary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "memd-test-"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "memd")
		if out, err := exec.Command("go", "build", "-o", built.path, ".").CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// memd runs the test binary as memd to its end.
func memd(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(append(os.Environ(), asMemd+"=1"), env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// program is a process that a test talks to while it runs.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer // stdout and stderr
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// begin starts path and ends it with the test, if it is still there.
func begin(t *testing.T, env []string, path string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// await returns the output once it has text in it.
func (p *program) await(text string) string {
	p.t.Helper()
	return p.awaitFunc(text, func(out string) bool { return strings.Contains(out, text) })
}

// patience is for a busy machine; nothing here takes a second on an idle one.
const patience = 40 * time.Second

func (p *program) awaitFunc(what string, ok func(string) bool) string {
	p.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		out := p.output()
		if ok(out) {
			return out
		}
		select {
		case <-p.done:
			if out = p.output(); ok(out) {
				return out
			}
			p.t.Fatalf("ended before %q: %s\n%s", what, p.cmd.ProcessState, out)
		default:
		}
	}
	p.t.Fatalf("no %q in\n%s", what, p.output())
	return ""
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// ended waits for the end and returns the exit code; -1 is a signal.
func (p *program) ended() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("does not end:\n%s", p.output())
		return 0
	}
}

// noProcess fails if a process is left whose command line names dir. Processes that are
// about to be gone get a moment.
func noProcess(t *testing.T, dir string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	var left []string
	for range 200 {
		left = nil
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range lines {
			if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(dir)) {
				left = append(left, path+" "+strings.ReplaceAll(string(b), "\x00", " "))
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("processes are left:\n%s", strings.Join(left, "\n"))
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string // on stderr if it failed
	}{
		{"", 0, "Available Commands"},
		{"--help", 0, "Available Commands"},
		{"serve --help", 0, "127.0.0.1:9077"},
		{"version", 0, "protocol 2"},
		{"version --json", 0, `"protocol":2`},
		{"completion bash", 0, "memd"},
		{"nonsense", 2, `unknown command "nonsense"`},
		{"members remove", 2, "arg(s)"},
		{"members remove n1 --server 127.0.0.1:1", 1, "connection refused"},
		{"members retire n1", 2, `unknown command "retire"`},
		{"--nonsense", 2, "unknown flag"},
		{"serve extra", 2, "extra"},
		{"serve --nonsense", 2, "unknown flag: --nonsense"},
		{"serve --quorum-timeout 3", 2, "--quorum-timeout"},
		{"serve --quorum-timeout 0s", 2, "--quorum-timeout must be above 0"},
		{"serve --bootstrap-expect two", 2, "--bootstrap-expect"},
		{"serve --log-level loud", 2, "--log-level"},
		{"serve --log-level info+1", 2, "--log-level"},
		{"serve --log-format xml", 2, "--log-format"},
		{"serve --http-addr 0.0.0.0:0", 2, "--http-addr 0.0.0.0:0 can be reached by others"},
		{"serve --http-addr :0", 2, "can be reached by others"},
		{"serve --gossip-addr [::]:0", 2, "--gossip-addr [::]:0 can be reached by others"},
		{"serve --gossip-addr example.org:1", 2, "can be reached by others"},
		{"serve --http-addr 127.0.0.1", 2, "--http-addr"},
		{"serve --insecure --http-addr 127.0.0.1", 2, "--http-addr"},
		{"serve --http-addr 0.0.0.0:0", 2, "--tls-cert and --tls-key (memd ca makes them) and an API key"},
		{"serve --http-addr 0.0.0.0:0 --tls-cert c --tls-key k", 2, "strangers out: give an API key"},
		{"serve --gossip-addr 0.0.0.0:0", 2, "--gossip-key"},
		{"serve --gossip-key c2hvcnQ=", 2, "16, 24 or 32 bytes"},
		{"serve --tls-cert c", 2, "tls-cert and tls-key go together"},
		{"serve --tls-ca c", 2, "need tls-cert"},
		{"serve --tls-cert /nowhere.crt --tls-key /nowhere.key", 2, "/nowhere.crt"},
		{"serve --peer-allowlist /nowhere", 2, "--peer-allowlist needs --tls-ca"},
		{"serve --peer-networks 10.0.0.0/33", 2, "--peer-networks"},
		{"status --tls-ca /nowhere.crt", 2, "/nowhere.crt"},
		{"ca issue n1 --dir /nowhere", 1, "/nowhere"},
		{"ca issue n1 --days 0", 2, "--days"},
		{"ca issue n1 --client --host x", 2, "--host"},
		{"keyring use", 2, "arg(s)"},
		{"keyring install short", 2, "base64"},
		{"serve --config /nowhere.yaml", 2, "/nowhere.yaml"},
		{"serve --config /nowhere.json", 2, ".yaml, .yml or .toml"},
		{"serve --name a/b", 2, "name"},
		{"serve --quorum-writes 4 --bootstrap-expect 3", 2, "quorum-writes is 4"},
		{"serve --http-addr 127.0.0.1:1 --data-dir /dev/null/x", 1, "/dev/null"},
		{"dev --nodes 0", 2, "--nodes"},
		{"dev --nodes 10", 2, "--nodes"},
		{"dev --scenario other", 2, "--scenario"},
		{"dev --scenario sigstop --nodes 2", 2, "no quorum"},
		{"dev --scenario sigstop --rounds 0", 2, "--rounds"},
		{"dev --rounds 2", 2, "--rounds"},
		{"status --server ftp://x", 2, "--server"},
		{"status --server 127.0.0.1:1", 1, "connection refused"},
		{"members --server 127.0.0.1:1,127.0.0.1:2", 1, "no server could answer"},
		{"verify --data-dir /nowhere", 1, "/nowhere"},
	} {
		code, stdout, stderr := memd(t, nil, strings.Fields(c.args)...)
		says := stdout
		if c.code != 0 {
			says = stderr
			if !strings.HasPrefix(stderr, "memd: ") || stdout != "" {
				t.Errorf("memd %s prints %q and says %q", c.args, stdout, stderr)
			}
		}
		if code != c.code || !strings.Contains(says, c.says) {
			t.Errorf("memd %s: exit code %d, %s", c.args, code, says)
		}
	}
}

// TestServe runs one node through its life: ready line, second opener, graceful end,
// offline check.
func TestServe(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env := []string{asMemd + "=1"}
	serveArgs := []string{"serve", "--name", "x1", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0"}
	p := begin(t, env, self, serveArgs...)
	ready := readyLine(t, p)
	for _, key := range []string{"name", "http", "gossip", "cluster"} {
		if ready[key] == "" {
			t.Errorf("the ready line has no %s: %v", key, ready)
		}
	}
	if ready["name"] != "x1" || len(ready["cluster"]) != 32 {
		t.Errorf("ready line: %v", ready)
	}
	if code, out, errOut := memd(t, nil, "status", "--server", ready["http"]); code != 0 || !strings.Contains(out, "x1") || !strings.Contains(out, "1 of 1 member") {
		t.Errorf("status: %d\n%s%s", code, out, errOut)
	}
	if code, out, errOut := memd(t, []string{"MEMD_SERVER=127.0.0.1:1," + ready["http"]}, "members", "--json"); code != 0 || !strings.Contains(out, `"state":"self"`) {
		t.Errorf("members: %d\n%s%s", code, out, errOut)
	}
	for _, args := range [][]string{{"verify", "--data-dir", dir}, serveArgs} {
		if code, _, errOut := memd(t, nil, args...); code != 1 || !strings.Contains(errOut, "already open in another process") {
			t.Errorf("%s beside it: %d, %s", args[0], code, errOut)
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != 0 {
		t.Errorf("after SIGTERM: %d\n%s", code, p.output())
	}
	if n := strings.Count(p.output(), "msg=ready "); n != 1 {
		t.Errorf("%d ready lines\n%s", n, p.output())
	}
	if code, out, errOut := memd(t, []string{"MEMD_DATA_DIR=" + dir}, "verify"); code != 0 || !strings.Contains(out, "0 findings") {
		t.Errorf("verify: %d, %s%s", code, out, errOut)
	}
	if code, out, _ := memd(t, nil, "verify", "--json", "--data-dir", dir); code != 0 || !strings.Contains(out, `"findings":[]`) {
		t.Errorf("verify --json: %d, %s", code, out)
	}
}

// readyLine waits for the line that scripts wait for and takes it apart.
func readyLine(t *testing.T, p *program) map[string]string {
	t.Helper()
	out := p.awaitFunc("msg=ready", func(out string) bool {
		_, rest, ok := strings.Cut(out, "msg=ready ")
		return ok && strings.Contains(rest, "\n")
	})
	_, rest, _ := strings.Cut(out, "msg=ready ")
	line, _, _ := strings.Cut(rest, "\n")
	values := map[string]string{}
	for kv := range strings.FieldsSeq(line) {
		k, v, _ := strings.Cut(kv, "=")
		values[k] = v
	}
	return values
}

// TestSecondSignal: the first waits for what is in flight, the second does not.
func TestSecondSignal(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := begin(t, []string{asMemd + "=1"}, self, "serve", "--name", "x1", "--data-dir", t.TempDir(), "--http-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0")
	addr := readyLine(t, p)["http"]
	slow, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	// The answer to "Expect" shows that the request is being read.
	fmt.Fprintf(slow, "POST /api/v1/memories HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", addr)
	if line, err := bufio.NewReader(slow).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	p.signal(syscall.SIGTERM)
	for { // it takes no more, so the signal has arrived
		c, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		c.Close()
		time.Sleep(time.Millisecond)
	}
	select {
	case <-p.done:
		t.Fatalf("it did not wait for the request:\n%s", p.output())
	case <-time.After(100 * time.Millisecond):
	}
	began := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != -1 || time.Since(began) > 2*time.Second {
		t.Errorf("exit code %d after %s:\n%s", code, time.Since(began), p.output())
	}
}
