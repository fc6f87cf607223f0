package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

var bin string // the binary under test

func TestMain(m *testing.M) {
	os.Exit(func() int {
		for _, kv := range os.Environ() { // settings of whoever runs the tests
			if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "MEMD_") {
				os.Unsetenv(name)
			}
		}
		dir, err := os.MkdirTemp("", "memd-mcp-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = filepath.Join(dir, "memd")
		if out, err := exec.Command("go", "build", "-o", bin, "github.com/memd/memd/cmd/memd").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// patience is for a busy machine; nothing here takes seconds on an idle one.
const patience = 60 * time.Second

// server is one process of memd serve.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	url  string

	mu  sync.Mutex
	log bytes.Buffer
}

func (s *server) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(b)
}

func (s *server) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// start runs a node that is ended with the test.
func start(t *testing.T, name string, args ...string) *server {
	t.Helper()
	all := append([]string{
		"serve", "--name", name, "--data-dir", t.TempDir(), "--http-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0",
		"--mcp-tools", "all", "--catchup-interval", "1s",
	}, args...)
	s := &server{t: t, cmd: exec.Command(bin, all...), done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		s.stop()
		if strings.Contains(s.text(), "panic") {
			t.Errorf("%s panicked:\n%s", name, s.text())
		}
	})
	return s
}

// stop ends the node and waits for it.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.done
		s.t.Errorf("does not end:\n%s", s.text())
	}
}

// says waits for a line of the log with these words and returns the value of one of its
// names.
func (s *server) says(words, name string) string {
	s.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		for line := range strings.Lines(s.text()) {
			if !strings.Contains(line, words) {
				continue
			}
			if _, rest, ok := strings.Cut(line, " "+name+"="); ok {
				return strings.Fields(rest)[0]
			}
		}
	}
	s.t.Fatalf("no %q in\n%s", words, s.text())
	return ""
}

// mesh is n nodes that have found each other.
func mesh(t *testing.T, n int) []*server {
	t.Helper()
	var nodes []*server
	for i := range n {
		args := []string{"--bootstrap-expect", strconv.Itoa(n)}
		if i > 0 {
			args = append(args, "--join", nodes[0].says("gossip=", "gossip"))
		}
		nodes = append(nodes, start(t, fmt.Sprintf("n%d", i+1), args...))
	}
	for _, s := range nodes {
		s.url = "http://" + s.says("msg=ready", "http")
	}
	return nodes
}

// get is the body of a path of the node.
func (s *server) get(path string) (int, string) {
	s.t.Helper()
	res, err := http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// digest is equal before and after what stored nothing.
func (s *server) digest() string {
	s.t.Helper()
	var status struct{ Digest, ClockHash string }
	_, body := s.get("/api/v1/cluster")
	if err := json.Unmarshal([]byte(body), &status); err != nil || status.Digest == "" {
		s.t.Fatalf("%v: %s", err, body)
	}
	return status.Digest
}

// agent is one conversation with a server.
type agent struct {
	t *testing.T
	*sdk.ClientSession
}

const (
	modern = "2026-07-28"
	legacy = "2025-11-25"
)

// connect opens a conversation of one revision.
func connect(t *testing.T, revision string, to sdk.Transport) agent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := sdk.NewClient(&sdk.Implementation{Name: "agent", Version: "1"}, nil).Connect(ctx, to, &sdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if got := s.InitializeResult().ProtocolVersion; got != revision {
		t.Fatalf("speaks %s, want %s", got, revision)
	}
	return agent{t, s}
}

func overHTTP(s *server) sdk.Transport {
	return &sdk.StreamableClientTransport{Endpoint: s.url + "/mcp", DisableStandaloneSSE: true}
}

// overStdio starts memd mcp.
func overStdio(t *testing.T, args ...string) sdk.Transport {
	cmd := exec.Command(bin, append([]string{"mcp", "--mcp-tools", "all"}, args...)...)
	cmd.Stderr = t.Output()
	return &sdk.CommandTransport{Command: cmd, TerminateDuration: patience}
}

// call is a tool call whose result is no error of the protocol.
func (a agent) call(tool, args string) (text string, data map[string]any, failed bool) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	res, err := a.CallTool(ctx, &sdk.CallToolParams{Name: tool, Arguments: json.RawMessage(args)})
	if err != nil {
		a.t.Fatalf("%s %.200s: %v", tool, args, err)
	}
	data, _ = res.StructuredContent.(map[string]any)
	return res.Content[0].(*sdk.TextContent).Text, data, res.IsError
}

// must is a call that succeeds.
func (a agent) must(tool, format string, args ...any) map[string]any {
	a.t.Helper()
	text, data, failed := a.call(tool, fmt.Sprintf(format, args...))
	if failed {
		a.t.Fatalf("%s %s: %s", tool, fmt.Sprintf(format, args...), text)
	}
	return data
}

// fails is a call that a tool refuses.
func (a agent) fails(tool, want, format string, args ...any) {
	a.t.Helper()
	text, _, failed := a.call(tool, fmt.Sprintf(format, args...))
	if !failed || !strings.Contains(text, want) {
		a.t.Errorf("%s %s: failed %v, %s", tool, fmt.Sprintf(format, args...), failed, text)
	}
}
