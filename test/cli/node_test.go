package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is for a busy machine; nothing here takes seconds on an idle one.
const patience = 60 * time.Second

// nodes are those of one script.
type nodes struct {
	dir     string
	running map[string]*process
}

type process struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (n *nodes) start(name string, args ...string) (*process, error) {
	all := append([]string{
		"serve", "--name", strings.ToLower(name), "--data-dir", filepath.Join(n.dir, ".nodes", name),
		"--http-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0", "--log-level", "info",
	}, args...)
	p := &process{cmd: exec.Command(filepath.Join(bin, "memd"), all...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.Env = os.Environ()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	n.running[name] = p
	return p, nil
}

// field waits for a line of the log that has a word, and returns the value of one of its
// names.
func (p *process) field(ts *testscript.TestScript, word, name string) string {
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		over := p.ended()
		for line := range strings.Lines(p.text()) {
			if !strings.Contains(line, word) {
				continue
			}
			if _, rest, ok := strings.Cut(line, " "+name+"="); ok {
				return strings.Fields(rest)[0]
			}
		}
		if over {
			break
		}
	}
	ts.Fatalf("the node does not say %q:\n%s", word, p.text())
	return ""
}

// end asks a process to end and waits for it.
func (p *process) end(signal os.Signal) bool {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
		return true
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		return false
	}
}

func (n *nodes) stopAll() {
	for _, p := range n.running {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func node(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: node NAME [flag...]")
	}
	n := ts.Value(nodesKey{}).(*nodes)
	p, err := n.start(args[0], args[1:]...)
	ts.Check(err)
	ts.Setenv(args[0], "http://"+p.field(ts, "msg=ready", "http"))
}

func mesh(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mesh NAME NAME...")
	}
	n := ts.Value(nodesKey{}).(*nodes)
	expect := strconv.Itoa(len(args))
	var seed string
	var started []*process
	for _, name := range args {
		flags := []string{"--bootstrap-expect", expect, "--catchup-interval", "1s"}
		if seed != "" {
			flags = append(flags, "--join", seed)
		}
		p, err := n.start(name, flags...)
		ts.Check(err)
		if seed == "" {
			seed = p.field(ts, "gossip=", "gossip")
		}
		started = append(started, p)
	}
	for i, p := range started {
		ts.Setenv(args[i], "http://"+p.field(ts, "msg=ready", "http"))
	}
}

func stop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stop NAME")
	}
	p := ts.Value(nodesKey{}).(*nodes).running[args[0]]
	if p == nil {
		ts.Fatalf("no node %s", args[0])
	}
	if !p.end(syscall.SIGTERM) {
		ts.Fatalf("node %s does not end:\n%s", args[0], p.text())
	}
}
