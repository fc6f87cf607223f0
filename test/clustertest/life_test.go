package clustertest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/node"
	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
	"github.com/memd/memd/wire"
)

// fill stores so many memories through all nodes.
func fill(c *clustertest.Cluster, count int) []clustertest.Answer {
	var all []clustertest.Answer
	nodes := c.Running()
	for i := range count {
		n := nodes[i%len(nodes)]
		all = append(all, n.Store(fmt.Sprintf("%s has %d", n.Label, i), strings.Repeat("x", 200)).Want(201))
	}
	return all
}

func names(n *clustertest.Node) []string {
	var all []string
	for _, m := range n.Status().Members {
		all = append(all, m.Name+" "+m.Addr)
	}
	return all
}

// A restart is a new life in the same data: the cluster and the registry stay, the origin
// is a new one, and nothing is written for it.
func TestRestart(t *testing.T) {
	for name, end := range map[string]func(*clustertest.Node){"stopped": (*clustertest.Node).Stop, "killed": (*clustertest.Node).Kill} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) {
				c := clustertest.New(t, 3)
				written := fill(c, 30)
				c.WaitEqual()
				n2 := c.Node(2)
				before := n2.Status()
				registry := names(n2)

				end(n2)
				time.Sleep(time.Minute)
				n2.Start("n2")
				c.WaitReady()
				c.WaitEqual()
				after := n2.Status()
				if after.ClusterID != before.ClusterID || after.Boot == before.Boot {
					t.Errorf("before %+v, after %+v", before, after)
				}
				if after.ClockHash != before.ClockHash || after.Digest != before.Digest {
					t.Errorf("something was written: %v, before %v", after.Clock, before.Clock)
				}
				if !slices.Equal(names(n2), registry) {
					t.Errorf("registry %v, before %v", names(n2), registry)
				}
				if after.Origin != "" {
					t.Errorf("an origin before the first write: %s", after.Origin)
				}
				n2.Store("in a new life", "content").Want(201)
				if o := n2.Status().Origin; o == "" || o == before.Origin {
					t.Errorf("origin %q, before %q", o, before.Origin)
				}
				for _, w := range written {
					n2.Get(w.ID).Want(200)
				}
				if n := n2.Metric("memd_pull_rows_total", "kind=redundant"); n != 0 {
					t.Errorf("%v redundant rows", n)
				}
			})
		})
	}
}

func TestRestartOfAll(t *testing.T) {
	for name, end := range map[string]func(*clustertest.Node){"stopped": (*clustertest.Node).Stop, "killed": (*clustertest.Node).Kill} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) {
				c := clustertest.New(t, 3)
				written := fill(c, 30)
				c.WaitEqual()
				before := c.Node(1).Status()
				all := c.Running()
				for _, n := range all {
					end(n)
				}
				for _, n := range all {
					n.Start(n.Label)
				}
				t.Logf("ready in %v", c.WaitReady())
				c.WaitEqual()
				if after := c.Node(1).Status(); after.ClusterID != before.ClusterID || after.Digest != before.Digest {
					t.Errorf("before %+v, after %+v", before, after)
				}
				for _, n := range all {
					for _, w := range written {
						n.Get(w.ID).Want(200)
					}
					n.Store("after, at "+n.Label, "content").Want(201)
				}
			})
		})
	}
}

// A node that lost its disk joins again by its name. Nothing of its old life is taken
// over but what the others have of it.
func TestWiped(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		written := fill(c, 100)
		c.WaitEqual()
		n2 := c.Node(2)
		before := n2.Status()
		n2.Kill()
		n2.Wipe()
		// Alone it knows of no cluster and takes nothing, whatever it is asked.
		c.Net.Isolate(memnet.Reset, "n2")
		n2.Start("n2")
		time.Sleep(10 * time.Minute)
		refused(t, n2, "unreachable")
		n2.Store("mine", "content", clustertest.W("1")).Want(503)
		c.Heal()
		t.Logf("ready in %v", c.WaitReady())
		c.WaitEqual()
		after := n2.Status()
		if after.ClusterID != before.ClusterID || len(after.Members) != 3 || after.Digest != before.Digest {
			t.Errorf("before %+v, after %+v", before, after)
		}
		for _, w := range written {
			n2.Get(w.ID).Want(200)
		}
		if n := n2.Metric("memd_pull_rows_total", "kind=redundant"); n != 0 {
			t.Errorf("%v redundant rows", n)
		}
		n2.Store("anew", "content", clustertest.W("3")).Want(201)
		if o := n2.Status().Origin; o == before.Origin {
			t.Error("the origin of the lost disk is in use again")
		}
	})
}

// It comes back elsewhere, too, and its wall clock is behind the one of its first life:
// what it says of itself must take the place of what the registry has.
func TestWipedElsewhere(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		n2 := c.Node(2)
		n2.Kill()
		n2.Wipe()
		n2.Start("elsewhere", func(cfg *node.Config) { cfg.ClockOffset = -50 * time.Second })
		c.WaitReady()
		c.WaitEqual()
		// Gossip says where it is now; the registry is asked when gossip does not.
		c.CutAll(clustertest.Gossip)
		n2.Stop()
		c.Node(1).Restart()
		c.Await("n1 is ready", func() bool { return c.Node(1).Reasons() == "" })
		if m := c.Node(1).Member("n2"); m.Addr != n2.Host.Addr(clustertest.HTTPPort) {
			t.Errorf("%+v", m)
		}
	})
}

// A node that comes back elsewhere is found there.
func TestNewAddress(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		n3 := c.Node(3)
		n3.Stop()
		missing := fill(c, 10)
		n3.Start("elsewhere")
		c.WaitReady()
		addr := n3.Host.Addr(clustertest.HTTPPort)
		t.Logf("known after %v", c.Within(15*time.Second, "all know the new address", func() bool {
			for _, n := range c.Running() {
				if n.Member("n3").Addr != addr || n.Status().Quorum.N != 3 {
					return false
				}
			}
			return true
		}))
		for _, w := range missing {
			n3.Get(w.ID).Want(200)
		}
		c.Await("it can be pushed to", func() bool { return c.Node(1).Status().Quorum.Reachable == 3 })
		c.Node(1).Store("pushed", "content", clustertest.W("3")).Want(201)
		n3.Store("pulled", "content", clustertest.W("3")).Want(201)
		c.WaitEqual()
		// The registry says so, too: it is what a node has that has not gossiped yet.
		c.Node(2).Kill()
		c.Node(1).Stop()
		c.Cut(clustertest.Gossip, c.Node(1), n3)
		c.Cut(clustertest.Gossip, n3, c.Node(1))
		c.Node(1).Start("n1")
		c.Await("n1 is ready", func() bool { return c.Node(1).Reasons() == "" })
		if got := c.Node(1).Member("n3"); got.State == "alive" || got.Addr != addr {
			t.Errorf("%+v", got)
		}
		c.Node(1).Store("without gossip", "content").Want(201)
	})
}

// All machines change at once, and only one address is given.
func TestNewAddressesOfAll(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		fill(c, 30)
		c.WaitEqual()
		all := c.Running()
		for _, n := range all {
			n.Stop()
		}
		seeds := c.Seeds("new-n2")
		for _, n := range all {
			n.Start("new-"+n.Label, func(cfg *node.Config) { cfg.Join = seeds })
		}
		t.Logf("ready in %v", c.WaitReady())
		for _, n := range all {
			c.Await("all are reachable", func() bool { return n.Status().Quorum.Reachable == 3 })
			n.Store("after, at "+n.Label, "content", clustertest.W("3")).Want(201)
			if s := n.Status(); s.Quorum.N != 3 {
				t.Errorf("%+v", s)
			}
		}
	})
}

// A node of one cluster that is pointed at another is kept out: by gossip, and by the
// doors.
func TestOtherCluster(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		ours := fill(c, 5)
		stranger := c.Add("stranger")
		c.Odd(stranger)
		c.Await("the stranger's own cluster", func() bool { return stranger.Reasons() == "" })
		theirs := stranger.Store("theirs", "content").Want(201)
		if stranger.Status().ClusterID == c.Node(1).Status().ClusterID {
			t.Fatal("one cluster")
		}
		stranger.Restart(func(cfg *node.Config) { cfg.Join = c.Seeds("n1", "n2") })
		time.Sleep(10 * time.Minute)

		for _, n := range c.Running()[:3] {
			if s := n.Status(); s.Quorum.N != 3 || !s.Ready || len(s.Members) != 3 {
				t.Errorf("%s: %+v", n.Label, s)
			}
			n.Get(theirs.ID).Want(404)
			n.Store("still, at "+n.Label, "content", clustertest.W("3")).Want(201)
		}
		stranger.Get(ours[0].ID).Want(404)
		// It was told to join somebody, so that it is the whole of its own cluster is not to be
		// believed any more; its operator sees that the order was in vain.
		if s := stranger.Status(); s.Quorum.N != 1 || s.Ready || len(s.Reasons) != 1 {
			t.Errorf("%+v", s)
		}
		refused(t, stranger, "unreachable")
		stranger.Store("to itself", "content", clustertest.W("1")).Want(201)
		if n := c.Node(1).Metric("memd_cluster_refused_total") + c.Node(2).Metric("memd_cluster_refused_total"); n == 0 {
			t.Error("nobody says that a member was refused")
		}

		// At the doors, with every paper in order but the cluster's id.
		id, err := memory.ParseClusterID(stranger.Status().ClusterID)
		if err != nil {
			t.Fatal(err)
		}
		client := wire.NewClient(wire.Self{Name: "stranger", Boot: 1, Cluster: func() memory.ClusterID { return id }},
			wire.ClientConfig{Dial: stranger.Host.DialContext})
		defer client.Close()
		peer := wire.Peer{Name: "n1", Addr: c.Node(1).Host.Addr(clustertest.HTTPPort)}
		if _, err := client.Since(t.Context(), peer, wire.SinceRequest{Scope: wire.ScopeAll}); !isCluster(err) {
			t.Errorf("pull: %v", err)
		}
		if _, err := client.OpenPush(t.Context(), peer); !isCluster(err) {
			t.Errorf("push: %v", err)
		}
	})
}

// A disk is copied, and both copies run under one name. The one that came later is fenced:
// it acknowledges nothing, and both write under origins of their own. When the first one
// goes, the second takes its place.
func TestClone(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		fill(c, 30)
		c.WaitEqual()
		n2 := c.Node(2)
		n2.Stop()
		twin := n2.Clone("twin")
		n2.Start("n2")
		c.WaitReady()
		n2.Store("first life", "content").Want(201)
		first := n2.Status().Origin
		time.Sleep(time.Minute)

		twin.Start("copy")
		t.Logf("noticed after %v", c.Within(30*time.Second, "the twin is fenced", func() bool {
			return strings.Contains(twin.Reasons(), "another process uses the name n2")
		}))
		c.Within(30*time.Second, "the first one knows", func() bool { return n2.Metric("memd_cluster_name_conflicts_total") > 0 })
		if why := n2.Reasons(); why != "" {
			t.Errorf("n2 is not ready: %s", why)
		}
		// Both mint.
		n2.Store("while there are two", "content").Want(201)
		if o := n2.Status().Origin; o == first || o == "" {
			t.Errorf("n2 still writes as %s", o)
		}
		// It gives no ack; the other one does.
		if got := ackOf(t, c, n2); got != wire.AckOK {
			t.Errorf("n2 answers a push with %v", got)
		}
		if got := ackOf(t, c, twin); got == wire.AckOK {
			t.Errorf("the twin answers a push with %v", got)
		}
		// Nobody took it for a fourth member.
		if s := c.Node(1).Status(); s.Quorum.N != 3 || len(s.Members) != 3 {
			t.Errorf("%+v", s)
		}
		c.WaitEqual()

		n2.Stop()
		t.Logf("took over after %v", c.Within(2*time.Minute, "the twin takes over", func() bool {
			return twin.Reasons() == "" && c.Node(1).Status().Quorum.Reachable == 3 &&
				c.Node(1).Member("n2").Addr == twin.Host.Addr(clustertest.HTTPPort)
		}))
		if got := ackOf(t, c, twin); got != wire.AckOK {
			t.Errorf("the twin answers a push with %v", got)
		}
		c.Node(1).Store("after", "content", clustertest.W("3")).Want(201)
		twin.Store("by the twin", "content", clustertest.W("3")).Want(201)
	})
}

func isCluster(err error) bool { return errors.Is(err, wire.ErrCluster) }

// ackOf opens a push stream to a node as n1 would, and returns what it is greeted with.
func ackOf(t *testing.T, c *clustertest.Cluster, to *clustertest.Node) wire.AckResult {
	t.Helper()
	id, err := memory.ParseClusterID(c.Node(1).Status().ClusterID)
	if err != nil {
		t.Fatal(err)
	}
	client := wire.NewClient(wire.Self{Name: "n1", Boot: 1, Cluster: func() memory.ClusterID { return id }},
		wire.ClientConfig{Dial: c.Node(1).Host.DialContext})
	defer client.Close()
	s, err := client.OpenPush(context.Background(), wire.Peer{Name: to.Name, Addr: to.Host.Addr(clustertest.HTTPPort)})
	if err != nil {
		t.Fatalf("push to %s: %v", to.Label, err)
	}
	defer s.Close()
	ack, err := s.Recv()
	if err != nil {
		t.Fatalf("push to %s: %v", to.Label, err)
	}
	return ack.Result
}
