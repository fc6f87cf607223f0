package clustertest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memd/memd/node"
	"github.com/memd/memd/test/clustertest/memnet"
)

// Run runs f in a bubble of fake time, beside other tests. What f registers with
// t.Cleanup runs in the bubble, too.
func Run(t *testing.T, f func(*testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// Option changes the configuration of a node before it starts.
type Option func(*node.Config)

// Patience is how long, in fake time, the helpers wait for a state before they fail
// the test. It is far above what any state should take, so that a miss means never.
const Patience = 2 * time.Minute

// Cluster is a set of nodes on one network. It is used by the goroutine of the test.
type Cluster struct {
	Net *memnet.Network

	t      *testing.T
	dir    string
	start  time.Time
	nodes  []*Node // in the order in which they were made
	faults faults
	odd    map[string]bool // labels of nodes that are not compared at the end

	excused map[string]bool // metrics that may be other than 0 in this test
}

// Empty returns a cluster without nodes. When the test ends, all nodes are stopped and
// their stores are checked and compared.
func Empty(t *testing.T) *Cluster {
	t.Helper()
	c := &Cluster{Net: memnet.New(), t: t, start: time.Now(), odd: map[string]bool{}, excused: map[string]bool{}}
	c.faults.init()
	var err error
	if c.dir, err = os.MkdirTemp(ram(), "memd-clustertest-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// New returns a cluster of n nodes, n1, n2 and so on, that have found each other: each
// is ready, and they hold the same.
func New(t *testing.T, n int, options ...Option) *Cluster {
	t.Helper()
	c := Empty(t)
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i+1)
	}
	seeds := c.Seeds(names...)
	for _, name := range names {
		all := append([]Option{func(cfg *node.Config) { cfg.Join, cfg.BootstrapExpect = seeds, n }}, options...)
		c.Add(name, all...)
	}
	c.WaitReady()
	c.WaitEqual()
	return c
}

// Seeds are the gossip addresses of hosts, for node.Config.Join.
func (c *Cluster) Seeds(hosts ...string) []string {
	var addrs []string
	for _, h := range hosts {
		addrs = append(addrs, c.Net.Host(h).Addr(memnet.GossipPort))
	}
	return addrs
}

// Add starts a node with a store of its own on a host of its own name.
func (c *Cluster) Add(name string, options ...Option) *Node {
	c.t.Helper()
	n := c.node(name, name, options)
	c.nodes = append(c.nodes, n)
	n.Start(name)
	return n
}

func (c *Cluster) node(label, name string, options []Option) *Node {
	n := &Node{c: c, Label: label, Name: name, Dir: filepath.Join(c.dir, label), options: options}
	n.client = newClient(n)
	return n
}

// Node returns the i-th node, from 1 on.
func (c *Cluster) Node(i int) *Node { return c.nodes[i-1] }

// Running are the nodes that run, in order.
func (c *Cluster) Running() []*Node {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *Node) bool { return n.node == nil })
}

// Odd takes a node out of the comparison at the end, because what it holds is not what
// the others hold: a member of another cluster, or a node that never joined.
func (c *Cluster) Odd(n *Node) { c.odd[n.Label] = true }

// Excuse lets a metric that is held to 0 in all other tests count something in this one.
func (c *Cluster) Excuse(metric string) { c.excused[metric] = true }

// peers are the running nodes that are to hold the same.
func (c *Cluster) peers() []*Node {
	return slices.DeleteFunc(c.Running(), func(n *Node) bool { return c.odd[n.Label] })
}

// Await polls ok in fake time and returns how long that took.
func (c *Cluster) Await(what string, ok func() bool) time.Duration {
	c.t.Helper()
	took, done := c.within(Patience, ok)
	if !done {
		c.t.Fatalf("not within %v: %s\n%s", Patience, what, c.describe())
	}
	return took
}

// Within is Await with a limit that is part of what is tested.
func (c *Cluster) Within(limit time.Duration, what string, ok func() bool) time.Duration {
	c.t.Helper()
	took, done := c.within(limit, ok)
	if !done {
		c.t.Fatalf("not within %v: %s\n%s", limit, what, c.describe())
	}
	return took
}

func (c *Cluster) within(limit time.Duration, ok func() bool) (time.Duration, bool) {
	start := time.Now()
	for !ok() {
		if time.Since(start) >= limit {
			return limit, false
		}
		time.Sleep(poll)
	}
	return time.Since(start), true
}

const poll = 5 * time.Millisecond

// WaitReady waits until every running node says that it is ready.
func (c *Cluster) WaitReady() time.Duration {
	c.t.Helper()
	return c.Await("every node is ready", func() bool {
		for _, n := range c.peers() {
			if ok, _ := n.node.Ready(); !ok {
				return false
			}
		}
		return true
	})
}

// WaitEqual waits until all running nodes show the same digest of clock and view.
func (c *Cluster) WaitEqual() time.Duration {
	c.t.Helper()
	return c.Await("equal digests", c.Equal)
}

// Equal reports whether all running nodes show the same digest now.
func (c *Cluster) Equal() bool {
	all := c.peers()
	for _, n := range all[min(1, len(all)):] {
		if n.Digest() != all[0].Digest() {
			return false
		}
	}
	return true
}

// Partition cuts the network into groups of node labels: "n1 n2 | n3".
func (c *Cluster) Partition(mode memnet.Mode, groups string) {
	var sides [][]string
	for side := range strings.SplitSeq(groups, "|") {
		var hosts []string
		for label := range strings.FieldsSeq(side) {
			hosts = append(hosts, c.find(label).Host.Name())
		}
		sides = append(sides, hosts)
	}
	c.Net.Partition(mode, sides...)
}

// Heal undoes Partition, Isolate and Cut. Killed nodes stay dead.
func (c *Cluster) Heal() {
	c.faults.mend()
	c.Net.Heal()
}

func (c *Cluster) find(label string) *Node {
	i := slices.IndexFunc(c.nodes, func(n *Node) bool { return n.Label == label })
	if i < 0 {
		c.t.Fatalf("no node %q", label)
	}
	return c.nodes[i]
}

// describe says where every node stands, for the message of a test that failed.
func (c *Cluster) describe() string {
	var b strings.Builder
	for _, n := range c.nodes {
		if n.node == nil {
			fmt.Fprintf(&b, "%s does not run\n", n.Label)
			continue
		}
		s := n.Status()
		fmt.Fprintf(&b, "%s ready=%t %q digest %s clock %v", n.Label, s.Ready, s.Reasons, s.Digest, s.Clock)
		for _, m := range s.Members {
			fmt.Fprintf(&b, " %s=%s/%s lag %d", m.Name, m.State, m.Breaker, m.LagDots)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// ram is a directory in memory, "" if the machine has none.
func ram() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}
