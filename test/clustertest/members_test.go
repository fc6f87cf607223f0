package clustertest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/node"
	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
)

func remove(n *clustertest.Node, name string, ask ...clustertest.Ask) clustertest.Answer {
	return n.Do("DELETE", "/api/v1/members/"+name, nil, ask...)
}

func force(_ *http.Request, q url.Values) { q.Set("force", "1") }

func admit(n *clustertest.Node, name string) clustertest.Answer {
	return n.Do("PUT", "/api/v1/members/"+name, nil)
}

// quorums waits until all running nodes count n members and want w acks.
func quorums(c *clustertest.Cluster, n, w int) {
	c.Await(fmt.Sprintf("a quorum of %d of %d everywhere", w, n), func() bool {
		for _, x := range c.Running() {
			if q := x.Status().Quorum; q.N != n || q.W != w {
				return false
			}
		}
		return true
	})
}

// N and W follow the registry on every node, for each size of a cluster.
func TestRemovalMovesTheQuorum(t *testing.T) {
	for size := 2; size <= 5; size++ {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) {
				c := clustertest.New(t, size)
				for left := size; left > 1; left-- {
					name := fmt.Sprintf("n%d", left)
					c.Node(left).Stop()
					c.Await("it is seen to be gone", func() bool { return c.Node(1).Member(name).State != "alive" })
					w := remove(c.Node(1), name, clustertest.W(fmt.Sprint(min(left-1, left/2+1)))).Want(200)
					if !strings.Contains(w.Raw, fmt.Sprintf(`"n":%d,"w":%d`, left-1, (left-1)/2+1)) {
						t.Error(w)
					}
					quorums(c, left-1, (left-1)/2+1)
					c.WaitReady() // also those who were started to expect more
					for _, n := range c.Running() {
						if a := n.Store(fmt.Sprintf("of %d at %s", left-1, n.Label), "content").Want(201); a.Acks < (left-1)/2+1 {
							t.Error(a)
						}
					}
					again := remove(c.Node(1), name, clustertest.W("1")).Want(200)
					if again.Dot != w.Dot || !again.Existing {
						t.Errorf("%v, first %v", again, w)
					}
				}
				remove(c.Node(1), "nobody", clustertest.W("1")).Want(404)
			})
		})
	}
}

// What would be a mistake is refused, and changes nothing.
func TestRemovalIsRefused(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		before := c.Node(1).Digest()
		if a := remove(c.Node(1), "n2").Want(409); a.Code != "MEMBER" || !strings.Contains(a.Error, "alive") {
			t.Error(a)
		}
		if a := remove(c.Node(1), "n1").Want(409); a.Code != "MEMBER" || !strings.Contains(a.Error, "itself") {
			t.Error(a)
		}
		remove(c.Node(1), "no%20name").Want(400)
		remove(c.Node(1), "n4").Want(404)
		admit(c.Node(1), "n4").Want(409)
		if a := admit(c.Node(1), "n2").Want(200); !a.Existing { // it is one
			t.Error(a)
		}
		if c.Node(1).Digest() != before {
			t.Error("something was written")
		}
		// Without a quorum nobody is removed by the minority, unless it is told to.
		c.Node(2).Kill()
		c.Node(3).Kill()
		c.Await("the breakers open", func() bool {
			remove(c.Node(1), "n3")
			return c.Node(1).Status().Quorum.Reachable == 1
		})
	})
}

// removed is a mesh of three from which n3 was taken while it lived.
func removed(t *testing.T, options ...clustertest.Option) *clustertest.Cluster {
	t.Helper()
	c := clustertest.New(t, 3, options...)
	c.Node(1).Store("before", "content").Want(201)
	remove(c.Node(1), "n3", force).Want(200)
	c.Await("n3 knows", func() bool { return strings.Contains(c.Node(3).Reasons(), "was removed") })
	quorums(c, 2, 2)
	c.Odd(c.Node(3)) // what it lacks at the end is nobody's business
	return c
}

// A removed node lives on: it acknowledges nothing, takes nothing, says why, and is not
// registered again by a restart, by gossip or by another address.
func TestRemovedNode(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := removed(t)
		n3 := c.Node(3)
		check := func(when string) {
			t.Helper()
			if ok := n3.Do("GET", "/readyz", nil); ok.Status != 503 || !strings.Contains(ok.Raw, "memd members add n3") {
				t.Errorf("%s: %v", when, ok)
			}
			for _, w := range []string{"", "1"} {
				a := n3.Store("mine "+when, "content", clustertest.W(w)).Want(503)
				if a.Committed != false || a.Reason != "removed" {
					t.Errorf("%s: %v", when, a)
				}
			}
			if s := c.Node(1).Status(); s.Quorum.N != 2 || !slices.Equal(s.Removed, []string{"n3"}) {
				t.Errorf("%s: %+v", when, s)
			}
			w := c.Node(1).Store("theirs "+when, "content").Want(201)
			n3.Get(w.ID, clustertest.After(w.Token)).Want(200) // its pulls are served
			if got := c.Node(1).Do("GET", "/api/v1/writes/"+strings.Replace(w.Dot, ":", "/", 1), nil).Want(200); slices.Contains(got.AckedBy, "n3") {
				t.Errorf("%s: %v", when, got)
			}
			c.Node(1).Store("three "+when, "content", clustertest.W("3")).Want(400) // of two members
		}
		check("at once")
		n3.Restart()
		c.Await("n3 knows again", func() bool { return strings.Contains(n3.Reasons(), "was removed") })
		check("after a restart")
		n3.Stop()
		n3.Start("elsewhere")
		time.Sleep(time.Minute)
		check("elsewhere")
		n3.Kill()
		n3.Wipe()
		n3.Start("n3")
		c.Await("n3 has learned it", func() bool { return strings.Contains(n3.Reasons(), "was removed") })
		check("wiped")

		if a := admit(c.Node(1), "n3").Want(200); !strings.Contains(a.Raw, `"n":3,"w":2`) {
			t.Error(a)
		}
		quorums(c, 3, 2)
		c.Await("n3 is ready", func() bool { return n3.Reasons() == "" })
		c.Await("it is pushed to", func() bool { return c.Node(1).Status().Quorum.Reachable == 3 })
		c.Node(1).Store("again", "content", clustertest.W("3")).Want(201)
		n3.Store("again mine", "content", clustertest.W("3")).Want(201)
		c.Await("n3 holds the same", func() bool { return n3.Digest() == c.Node(1).Digest() })
	})
}

// With n2 dead, n1 and a removed n3 are no quorum of two; to a mesh that goes on counting a
// removed name they are.
func TestRemovedDoesNotCount(t *testing.T) {
	for m, status := range map[mutant.Set]int{0: 503, mutant.RemovedCounts: 201} {
		t.Run(m.String(), func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) {
				c := removed(t, func(cfg *node.Config) { cfg.Mutants = m })
				c.Node(2).Kill()
				if a := c.Node(1).Store("alone", "content"); a.Status != status {
					t.Errorf("want %d: %v", status, a)
				}
			})
		})
	}
}

// A node that has not heard of its removal gets no ack of one that has.
func TestRemovedCoordinator(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		// n3 reaches the others by pushes, and hears nothing by pulls, pushes or gossip.
		c.CutAll(clustertest.Gossip)
		for _, i := range []int{1, 2} {
			c.CutBoth(c.Node(i), c.Node(3), clustertest.Pulls)
			c.Cut(clustertest.Pushes, c.Node(i), c.Node(3))
		}
		if a := c.Node(3).Store("before", "content").Want(201); a.Acks < 2 {
			t.Error(a)
		}
		remove(c.Node(1), "n3", force).Want(200)
		quorumsOf(c, 2, 1, 2)
		n3 := c.Node(3)
		deadline := time.Now().Add(time.Minute)
		for i := 0; time.Now().Before(deadline); i++ {
			if a := n3.Store(fmt.Sprint("stale ", i), "content"); a.Status == 201 {
				t.Fatalf("a removed name counts itself: %v", a)
			}
			time.Sleep(time.Second)
		}
		c.Heal()
		c.Await("n3 knows", func() bool { return strings.Contains(n3.Reasons(), "was removed") })
		c.WaitEqual() // what it has all the same is pulled from it
	})
}

// quorumsOf is quorums of single nodes.
func quorumsOf(c *clustertest.Cluster, n int, nodes ...int) {
	c.Await("the new quorum", func() bool {
		for _, i := range nodes {
			if c.Node(i).Status().Quorum.N != n {
				return false
			}
		}
		return true
	})
}

// A node that moves while it is removed, and has not heard of it, registers its new address:
// the removal wins all the same, on every node.
func TestRemovalWins(t *testing.T) {
	for m, members := range map[mutant.Set]int{0: 2, mutant.RegistrationRevives: 3} {
		t.Run(m.String(), func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) {
				c := clustertest.New(t, 4, func(cfg *node.Config) { cfg.Mutants = m })
				c.Partition(memnet.Blackhole, "n1 n2 | n3 n4")
				time.Sleep(time.Minute)
				remove(c.Node(1), "n3", clustertest.W("2")).Want(200)
				remove(c.Node(1), "n4", clustertest.W("2")).Want(200)
				// n3 compares itself with n4 only.
				c.Node(3).Stop()
				c.Net.Host("elsewhere")
				c.Net.Partition(memnet.Blackhole, []string{"n1", "n2"}, []string{"n4", "elsewhere"})
				c.Node(3).Start("elsewhere")
				c.Await("n4 has the new address", func() bool {
					return c.Node(4).Member("n3").Addr == c.Node(3).Host.Addr(clustertest.HTTPPort) && c.Node(3).Status().Origin != ""
				})
				c.Heal()
				c.WaitEqual()
				for _, n := range c.Running() {
					c.Await(n.Label+" counts", func() bool { return n.Status().Quorum.N == members })
				}
			})
		})
	}
}

// A node that is lost for good is replaced by one with a new name, with writes going on.
func TestReplaceByNewName(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		written := fill(c, 50)
		c.Node(3).Kill()
		w := c.Node(1).Store("while it is dead", "content").Want(201)
		c.Await("n3 is dead", func() bool { return c.Node(1).Member("n3").State == "dead" })
		remove(c.Node(1), "n3").Want(200)
		quorums(c, 2, 2)
		seeds := c.Seeds("n1", "n2")
		n4 := c.Add("n4", func(cfg *node.Config) { cfg.Join, cfg.BootstrapExpect = seeds, 3 })
		quorums(c, 3, 2)
		c.WaitReady()
		c.WaitEqual()
		for _, a := range append(written, w) {
			n4.Get(a.ID).Want(200)
		}
		c.Await("it is pushed to", func() bool { return c.Node(1).Status().Quorum.Reachable == 3 })
		c.Node(1).Store("all three", "content", clustertest.W("3")).Want(201)
		// And all of them start again, told to expect three, while one is removed.
		for _, i := range []int{1, 2} {
			c.Node(i).Restart()
		}
		c.WaitReady()
		n4.Store("after", "content").Want(201)
	})
}
