//go:build conformance

package conformance

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mustPass are the scenarios that ask nothing of the suite's own tools: what any server of
// tools, prompts and resources has to do right.
var mustPass = map[string][]string{
	modern: {
		"tools-list", "resources-list", "prompts-list", "caching", "dns-rebinding-protection", "server-sse-multiple-streams",
		"sep-2164-resource-not-found", "input-required-result-missing-input-response", "input-required-result-unsupported-methods",
		"input-required-result-ignore-extra-params", "input-required-result-validate-input", "http-header-validation",
	},
	legacy: {
		"server-initialize", "logging-set-level", "ping", "tools-list", "resources-list", "prompts-list", "server-sse-multiple-streams",
		"dns-rebinding-protection",
	},
}

// needTools are the checks of server-stateless that call tools of the suite's own.
var needTools = []string{
	"sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400",
	"sep-2575-http-server-no-independent-requests-on-stream", "sep-2575-server-no-log-without-loglevel",
}

func TestProduction(t *testing.T) {
	s := need(t)
	url := "http://" + serve(t) + "/mcp"
	for _, revision := range []string{modern, legacy} {
		t.Run(revision, func(t *testing.T) {
			got := s.require(t, url, revision, "expected-"+revision+".yml")
			for _, name := range mustPass[revision] {
				if !got.passed(name) {
					t.Errorf("%s did not pass: %v", name, got[name])
				}
			}
			// This one is expected to fail as a whole, but only for the tools that are missing.
			for _, id := range got["server-stateless"] {
				if !slices.Contains(needTools, id) {
					t.Errorf("server-stateless: %s failed", id)
				}
			}
			t.Logf("production, %s: all of the %d that it must pass: %s", revision, len(mustPass[revision]), strings.Join(mustPass[revision], " "))
		})
	}
}

// TestInspector: the inspector finds nothing in the schemas of either era, and what it
// stores it can read back, over HTTP and over stdio.
func TestInspector(t *testing.T) {
	s := need(t)
	for _, all := range []bool{false, true} {
		set := "default"
		if all {
			set = "all"
		}
		addr := serve(t, "--mcp-tools", set)
		for _, era := range []string{"modern", "legacy"} {
			to := []string{"--server-url", "http://" + addr + "/mcp", "--transport", "http", "--protocol-era", era}
			code, out, errs := s.inspect(t, append(to, "--method", "tools/list", "--strict")...)
			var list struct {
				Tools []struct {
					Name string `json:"name"`
				} `json:"tools"`
			}
			if err := json.Unmarshal([]byte(out), &list); err != nil {
				t.Fatalf("%s %s: %v\n%s%s", set, era, err, out, errs)
			}
			if code != 0 || strings.TrimSpace(errs) != "" {
				t.Errorf("%s %s: exit code %d, %s", set, era, code, errs)
			}
			t.Logf("inspector --strict, %s tools, %s: %d tools, no warnings", set, era, len(list.Tools))

			code, out, errs = s.inspect(t, append(to, "--method", "tools/call", "--tool-name", "memory_store", "--tool-arg", "title=Seen by the inspector "+era, "content=x")...)
			if code != 0 || !strings.Contains(out, `"structuredContent"`) {
				t.Errorf("%s: store: exit code %d\n%s%s", era, code, out, errs)
			}
			// 5 is a tool that says that it failed.
			if code, out, errs = s.inspect(t, append(to, "--method", "tools/call", "--tool-name", "memory_get", "--tool-arg", "id=nobody")...); code != 5 {
				t.Errorf("%s: get of nothing: exit code %d\n%s%s", era, code, out, errs)
			}
		}
	}
	code, out, errs := s.inspect(t, "--method", "tools/list", "--strict", memd(t), "mcp", "--data-dir", t.TempDir())
	if code != 0 || !strings.Contains(out, "memory_recall") {
		t.Errorf("stdio: exit code %d\n%s%s", code, out, errs)
	}
	t.Logf("inspector --strict over stdio: exit code %d", code)
}

var built struct {
	once sync.Once
	dir  string
	err  error
	out  []byte
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// memd is the production binary.
func memd(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "memd-conformance-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-trimpath", "-o", built.dir, "github.com/memd/memd/cmd/memd")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		built.out, built.err = cmd.CombinedOutput()
	})
	if built.err != nil {
		t.Fatalf("%v\n%s", built.err, built.out)
	}
	return filepath.Join(built.dir, "memd")
}

// serve starts a node of its own and returns the address of its door.
func serve(t *testing.T, flags ...string) string {
	t.Helper()
	var log syncBuffer
	cmd := exec.Command(memd(t), append([]string{
		"serve", "--name", "n1", "--data-dir", t.TempDir(), "--http-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0",
	}, flags...)...)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("memd serve: %v\n%s", err, log.String())
		}
	})
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if m := readyLine.FindStringSubmatch(log.String()); m != nil {
			return m[1]
		}
	}
	t.Fatalf("memd serve is not ready:\n%s", log.String())
	return ""
}

var readyLine = regexp.MustCompile(`msg=ready .*\bhttp=(\S+)`)

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
