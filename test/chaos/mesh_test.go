//go:build chaos && linux

package chaos

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/memd/memd/test/history"
)

// mesh is some nodes of the built binary, the network between them, and the record of
// what was done to them.
type mesh struct {
	t     *testing.T
	dir   string
	rec   *history.Recorder
	net   *network
	nodes []*node
	names []string
	seq   atomic.Int64                  // of names that clients give
	key   atomic.Pointer[string]        // that clients show; nil = none
	roots atomic.Pointer[x509.CertPool] // that clients trust now; nil = without TLS

	ip     func(host int) string
	expect int // nodes that the cluster began with
	made   int // nodes that there ever were
}

// node is one member: a name, addresses and a disk that outlive its processes.
type node struct {
	m       *mesh
	name    string
	dir     string // its data
	log     string
	http    string // where it listens; the test talks to it here
	proxy   string // what it tells its peers
	gossip  string
	flags   []string
	client  *http.Client
	stopped bool // by SIGSTOP

	current atomic.Pointer[proc] // clients look at it while the test replaces it
}

// proc is the process that runs, or ran last; nil before the first one.
func (n *node) proc() *proc { return n.current.Load() }

// newMesh starts three nodes and waits until each takes writes. At the end of the test
// they are ended by SIGTERM, must exit with 0, and their stores must verify.
func newMesh(t *testing.T, flags ...string) *mesh {
	t.Helper()
	return newMeshOf(t, 3, flags...)
}

// room is for how many nodes a mesh has addresses.
const room = 6

func newMeshOf(t *testing.T, size int, flags ...string) *mesh {
	t.Helper()
	m := planMesh(t)
	m.begin(size, flags...)
	return m
}

// planMesh makes a mesh without a node, for tests that prepare files in its folder.
func planMesh(t *testing.T) *mesh {
	t.Helper()
	m := &mesh{t: t, dir: filepath.Join(runDir, strings.ReplaceAll(t.Name(), "/", "_")), net: newNetwork()}
	m.must(os.Mkdir(m.dir, 0o700))
	var err error
	m.rec, err = history.NewRecorder(filepath.Join(m.dir, "history.jsonl"))
	m.must(err)
	m.ip = m.addresses()
	return m
}

// begin starts the nodes of a new cluster; {node} in a flag is the node's name.
func (m *mesh) begin(size int, flags ...string) {
	m.t.Helper()
	m.expect = size
	for range size {
		m.add(flags...)
	}
	m.t.Cleanup(m.end)
	for _, n := range m.nodes {
		n.start()
	}
	m.ready()
}

// add makes a node that does not run yet.
func (m *mesh) add(flags ...string) *node {
	m.t.Helper()
	m.made++
	i := m.made
	name := fmt.Sprintf("n%d", i)
	n := &node{
		m: m, name: name,
		dir: filepath.Join(m.dir, name), log: filepath.Join(m.dir, name+".log"),
		http: m.ip(i) + ":9077", proxy: m.ip(i+100) + ":9077", gossip: m.ip(i) + ":7946",
	}
	for _, f := range flags {
		n.flags = append(n.flags, strings.ReplaceAll(f, "{node}", name))
	}
	n.client = &http.Client{
		// A redirect would be a bug; a proxy of the environment has no business here.
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true, TLSClientConfig: m.trusting()},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if m.roots.Load() != nil { // the proxy cannot tell who calls by TLS
		n.proxy = n.http
	} else {
		m.must(m.net.add(name, n.proxy, n.http))
	}
	m.nodes = append(m.nodes, n)
	m.names = append(m.names, name)
	return n
}

// drop takes a node out of the mesh that does not run and will not come back.
func (m *mesh) drop(n *node) {
	m.nodes = slices.DeleteFunc(m.nodes, func(o *node) bool { return o == n })
	m.names = slices.DeleteFunc(m.names, func(name string) bool { return name == n.name })
}

// addresses finds a block of loopback addresses that nobody uses: each run has its own,
// so ports can be those that people know, and no other program takes one between a stop
// and a start.
func (m *mesh) addresses() func(host int) string {
	for range 100 {
		a, b := 2+rand.IntN(250), rand.IntN(256)
		ip := func(host int) string { return fmt.Sprintf("127.%d.%d.%d", a, b, host) }
		free := true
		for i := range room {
			for _, addr := range []string{ip(i+1) + ":9077", ip(i+101) + ":9077", ip(i+1) + ":7946"} {
				l, err := net.Listen("tcp", addr)
				if err != nil {
					free = false
					continue
				}
				_ = l.Close()
			}
		}
		if free {
			return ip
		}
	}
	m.t.Fatal("no free loopback addresses")
	return nil
}

func (m *mesh) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// start runs the node on its disk, whatever is on it.
func (n *node) start() {
	n.m.t.Helper()
	n.m.must(n.launch())
}

// launch is start for a goroutine that may not end the test.
func (n *node) launch() error {
	var seeds []string
	for _, o := range n.m.nodes {
		seeds = append(seeds, o.gossip)
	}
	p, err := start(n.log, binary, append([]string{
		"serve", "--name", n.name, "--data-dir", n.dir,
		"--http-addr", n.http, "--http-advertise", n.proxy, "--gossip-addr", n.gossip,
		"--join", strings.Join(seeds, ","), "--bootstrap-expect", strconv.Itoa(n.m.expect), "--recall=false", "--log-level", cmp.Or(os.Getenv("MEMD_CHAOS_LOG"), "info"),
	}, n.flags...)...)
	if err != nil {
		return err
	}
	n.current.Store(p)
	n.stopped = false
	return nil
}

// ready waits until every node that runs says so.
func (m *mesh) ready() {
	m.t.Helper()
	for _, n := range m.nodes {
		n.ready()
	}
}

func (n *node) ready() {
	n.m.t.Helper()
	var last string
	n.m.eventually(30*time.Second, func() error {
		if !n.proc().alive() {
			n.m.t.Fatalf("%s ended by itself: %s\n%s", n.name, n.proc().cmd.ProcessState, tail(n.log))
		}
		a := n.call(time.Second, "GET", "/readyz", nil)
		last = fmt.Sprintf("%d %s %v", a.status, a.body, a.err)
		if a.status != http.StatusOK {
			return fmt.Errorf("%s is not ready: %s", n.name, last)
		}
		return nil
	})
}

// eventually polls until f is content, and fails the test if that takes too long.
func (m *mesh) eventually(limit time.Duration, f func() error) time.Duration {
	m.t.Helper()
	began := time.Now()
	for {
		err := f()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			m.t.Fatalf("after %s: %v", limit, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// others are the nodes but one.
func (m *mesh) others(n *node) []*node {
	var out []*node
	for _, o := range m.nodes {
		if o != n {
			out = append(out, o)
		}
	}
	return out
}

// fault notes what was done to a node, for the checker and for people.
func (m *mesh) fault(n *node, start int64, note, proof string) {
	m.rec.Add(history.Op{Node: n.name, Kind: history.Fault, Start: start, End: m.rec.Now(), Note: note, Proof: proof})
}

// pause is SIGSTOP, proven.
func (n *node) pause() error {
	start := n.m.rec.Now()
	n.stopped = true
	if err := n.proc().stop(); err != nil {
		return err
	}
	n.m.fault(n, start, "sigstop", "every thread in state T")
	return nil
}

// resume is SIGCONT.
func (n *node) resume() {
	n.m.t.Helper()
	n.m.must(n.proc().cont())
	n.stopped = false
	n.m.fault(n, n.m.rec.Now(), "sigcont", "")
}

// kill is SIGKILL, proven.
func (n *node) kill() error {
	start := n.m.rec.Now()
	if err := n.proc().kill(); err != nil {
		return err
	}
	n.client.CloseIdleConnections()
	n.m.fault(n, start, history.Crash, "died of SIGKILL")
	return nil
}

// shut ends the node as an operator does, and holds it to its promise.
func (n *node) shut() {
	n.m.t.Helper()
	start := n.m.rec.Now()
	n.m.must(n.proc().signal(syscall.SIGTERM))
	n.m.must(n.ended())
	n.m.fault(n, start, "sigterm", "exit code 0")
}

func (n *node) ended() error {
	state, err := n.proc().wait(20 * time.Second)
	n.client.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("%s after SIGTERM: %w\n%s", n.name, err, tail(n.log))
	}
	if !state.Exited() || state.ExitCode() != 0 {
		return fmt.Errorf("%s after SIGTERM: %s, want exit code 0\n%s", n.name, state, tail(n.log))
	}
	return nil
}

// end shuts the mesh down, however the test ended, and checks the stores.
func (m *mesh) end() {
	var errs []error
	asked := map[*node]bool{}
	for _, n := range m.nodes {
		if n.proc() != nil && n.proc().alive() {
			asked[n] = true
			_ = n.proc().cont()
			_ = n.proc().signal(syscall.SIGTERM)
		}
	}
	for _, n := range m.nodes {
		if !asked[n] {
			continue
		}
		errs = append(errs, n.ended())
		if n.proc().alive() {
			_ = n.proc().signal(syscall.SIGKILL)
			<-n.proc().done
		}
	}
	m.net.close()
	if !m.t.Failed() {
		for _, n := range m.nodes {
			errs = append(errs, n.verify())
		}
	}
	errs = append(errs, m.rec.Close())
	if err := errors.Join(errs...); err != nil {
		m.t.Error(err)
	}
	if m.t.Failed() {
		m.t.Logf("history: %s", m.rec.Path())
		for _, n := range m.nodes {
			m.t.Logf("log of %s: %s", n.name, n.log)
		}
	}
}

// verify runs the offline check of every invariant of the store.
func (n *node) verify() error {
	out := filepath.Join(n.m.dir, n.name+".verify.log")
	p, err := start(out, binary, "verify", "--data-dir", n.dir)
	if err != nil {
		return err
	}
	state, err := p.wait(time.Minute)
	if err != nil {
		_ = p.signal(syscall.SIGKILL)
		return err
	}
	if state.ExitCode() != 0 {
		return fmt.Errorf("memd verify of %s: %s\n%s", n.name, state, tail(out))
	}
	return nil
}

// tail is the end of a file, for an error message.
func tail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	if len(b) > 3000 {
		b = b[len(b)-3000:]
	}
	return string(b)
}

// name is a new name: unique in the mesh, and in the order in which they were made.
func (m *mesh) name(prefix string) string {
	return fmt.Sprintf("%s-%06d", prefix, m.seq.Add(1))
}
