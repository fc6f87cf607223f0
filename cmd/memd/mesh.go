package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/memd/memd/client"
)

// mesh is a cluster of real serve processes on loopback.
type mesh struct {
	dir   string
	temp  bool // dir goes with the mesh
	spawn *spawner
	guard *meshGuard                    // nil without --tls
	ports func(n int) ([]string, error) // freePorts, but in tests
	nodes []*devNode
}

// devNode is one place in the mesh, whichever process is in it.
type devNode struct {
	name string
	url  string
	api  *client.Client
	log  string   // file
	args []string // of its serve

	mu     sync.Mutex
	proc   *proc // the last one
	had    dots  // its clock when it last answered
	byHand bool  // an act has told of its coming back
}

func (n *devNode) current() *proc {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

func (n *devNode) lastClock() dots {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.had
}

// ask returns how the node sees the cluster, and remembers its clock.
func (n *devNode) ask(ctx context.Context) (*client.ClusterStatus, error) {
	s, err := n.api.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.had = parseDots(s.Clock)
	return s, nil
}

// tellOnce reports whether an act has told of the node's coming back, and forgets it.
func (n *devNode) tellOnce() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	told := n.byHand
	n.byHand = false
	return told
}

func (n *devNode) setByHand() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byHand = true
}

// newMesh makes the folder. Nothing runs before start; close is due in any case.
func newMesh(dir string, secure bool) (*mesh, error) {
	m := &mesh{dir: dir, temp: dir == "", ports: freePorts}
	var err error
	if m.temp {
		m.dir, err = os.MkdirTemp("", "memd-dev-")
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	if secure {
		if m.guard, err = newMeshGuard(filepath.Join(m.dir, "ca")); err != nil {
			return nil, errors.Join(err, m.remove())
		}
	}
	m.spawn = newSpawner()
	return m, nil
}

// errPortTaken is a node that could not listen.
var errPortTaken = errors.New("its port was taken")

// startTries is how often a mesh is started when somebody else takes a port.
const startTries = 5

// start runs n nodes and returns when all of them are ready.
func (m *mesh) start(ctx context.Context, n int) error {
	for try := 1; ; try++ {
		err := m.tryStart(ctx, n)
		if err == nil || try == startTries || !errors.Is(err, errPortTaken) {
			return err
		}
		m.endNodes()
	}
}

func (m *mesh) tryStart(ctx context.Context, n int) error {
	addrs, err := m.ports(2 * n)
	if err != nil {
		return err
	}
	http, gossip := addrs[:n], addrs[n:]
	m.nodes = nil
	for i := range n {
		name := "n" + strconv.Itoa(i+1)
		node := &devNode{name: name, url: m.scheme() + http[i], log: filepath.Join(m.dir, name+".log")}
		node.args = []string{
			"serve", "--name", name, "--data-dir", filepath.Join(m.dir, name),
			"--http-addr", http[i], "--gossip-addr", gossip[i], "--bootstrap-expect", strconv.Itoa(n),
		}
		for j, seed := range gossip {
			if j != i {
				node.args = append(node.args, "--join", seed)
			}
		}
		ask := client.Config{Servers: []string{node.url}, Agent: "memd-dev"}
		if m.guard != nil {
			if err := m.guard.admit(node, &ask); err != nil {
				return err
			}
		}
		if node.api, err = client.New(ask); err != nil {
			return err
		}
		m.nodes = append(m.nodes, node)
	}
	for _, node := range m.nodes {
		if err := m.run(node); err != nil {
			return err
		}
	}
	return m.waitReady(ctx)
}

// run starts the process of node.
func (m *mesh) run(node *devNode) error {
	p, err := startProc(m.spawn, node.log, node.args...)
	if err != nil {
		return fmt.Errorf("start %s: %w", node.name, err)
	}
	node.mu.Lock()
	defer node.mu.Unlock()
	node.proc = p
	return nil
}

// readyTimeout is how long the nodes of a mesh may take to find each other.
const readyTimeout = 30 * time.Second

// waitReady returns when every node answers that it is ready. A process that ends, or takes
// too long, is an error with the end of its log. None is ready before all have come up, so
// all of them are watched at once.
func (m *mesh) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	waiting := slices.Clone(m.nodes)
	var last error // of the first that is waited for
	for {
		for _, n := range m.nodes {
			if n.current().gone() {
				return n.startError()
			}
		}
		if len(waiting) == 0 { // and nobody has gone since
			return nil
		}
		first := waiting[0]
		waiting = slices.DeleteFunc(waiting, func(n *devNode) bool {
			// Briefly: on a port that was taken there may be somebody who never answers.
			ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			defer cancel()
			err := n.api.Ready(ctx)
			if n == first {
				last = err
			}
			return err == nil
		})
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("%s is not ready after %s: %w; its log ends:\n%s", first.name, readyTimeout, last, logTail(first.log))
		}
	}
}

// startError says why a process has ended that should not have.
func (n *devNode) startError() error {
	tail := logTail(n.log)
	if strings.Contains(tail, "address already in use") {
		return fmt.Errorf("%s: %w:\n%s", n.name, errPortTaken, tail)
	}
	return fmt.Errorf("%s ended (%w); its log ends:\n%s", n.name, orWell(n.current().err), tail)
}

// orWell is the error of a process that should not have ended, also if it ended well.
func orWell(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// logTail is the end of a log.
func logTail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	lines = lines[max(0, len(lines)-15):]
	return "  " + string(bytes.Join(lines, []byte("\n  ")))
}

// others are the nodes except this one whose process runs.
func (m *mesh) others(but *devNode) []*devNode {
	return slices.DeleteFunc(slices.Clone(m.nodes), func(n *devNode) bool {
		return n == but || n.current().state() != stateRunning
	})
}

// endNodes ends every process and waits for it.
func (m *mesh) endNodes() {
	var wg sync.WaitGroup
	for _, n := range m.nodes {
		if p := n.current(); p != nil {
			wg.Go(p.end)
		}
		n.api.Close()
	}
	wg.Wait()
	m.nodes = nil
}

// close ends every process and removes the folder if it was made for the mesh.
func (m *mesh) close() error {
	m.endNodes()
	m.spawn.close()
	return m.remove()
}

// remove is the end of the folder if it was made for the mesh.
func (m *mesh) remove() error {
	if m.temp {
		return os.RemoveAll(m.dir)
	}
	return nil
}

// withoutSettings is the environment without memd's own: a child is told everything by
// flags, and MEMD_NAME is not meant for three nodes.
func withoutSettings(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(s string) bool { return strings.HasPrefix(s, "MEMD_") })
}
