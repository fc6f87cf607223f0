package clustertest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
)

var modes = map[string]memnet.Mode{"blackhole": memnet.Blackhole, "reset": memnet.Reset}

// inBothModes runs f with both ways in which a network can fail.
func inBothModes(t *testing.T, f func(*testing.T, memnet.Mode)) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) { clustertest.Run(t, func(t *testing.T) { f(t, mode) }) })
	}
}

func TestKillOne(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		c.Node(3).Kill()
		var written []clustertest.Answer
		for i := range 20 {
			w := c.Node(i%2+1).Store(fmt.Sprint("while n3 is dead ", i), "content").Want(201)
			if w.Acks != 2 || w.Took > 0 {
				t.Error(w)
			}
			written = append(written, w)
		}
		// Time for gossip to bury it.
		c.Await("n1 sees n3 dead", func() bool { return c.Node(1).Member("n3").State == "dead" })
		if s := c.Node(1).Status(); s.Quorum.N != 3 || s.Quorum.W != 2 || s.Quorum.Reachable != 2 || !s.Ready {
			t.Errorf("%+v", s)
		}
		c.Node(3).Start("n3")
		t.Logf("back in %v", c.WaitReady())
		for _, w := range written {
			if got := c.Node(3).Get(w.ID).Want(200); got.Header.Get("Memd-Stale") != "" {
				t.Error("stale")
			}
		}
		c.Await("n3 is seen again", func() bool {
			m := c.Node(1).Member("n3")
			return m.State == "alive" && m.Breaker == "closed" && c.Node(1).Status().Quorum.Reachable == 3
		})
		if w := c.Node(1).Store("again", "content", clustertest.W("3")).Want(201); w.Acks != 3 {
			t.Error(w)
		}
	})
}

func TestKillTwo(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		n1 := c.Node(1)
		c.Node(2).Kill()
		c.Node(3).Kill()
		w := n1.Store("hardly", "content", clustertest.Idempotency("k1"))
		missed(t, w, 1, 2)
		before := n1.Do("GET", w.StatusURL, nil).Want(200)
		if before.QuorumMet || before.Acks != 1 || !before.Local || !slices.Equal(before.AckedBy, []string{"n1"}) {
			t.Error(before)
		}
		// It is there, and says so.
		n1.Get(w.ID).Want(200)
		// Soon nobody is even tried.
		c.Await("the breakers open", func() bool { return n1.Status().Quorum.Reachable == 1 })
		if a := refused(t, n1, "unreachable"); a.Took > 0 || a.Needed != 2 {
			t.Error(a)
		}
		// The metrics tell the fates apart as the answers did.
		for fate, want := range map[string]float64{"local": 1, "false": 1, "unknown": 0} {
			if got := n1.Metric("memd_quorum_failures_total", "committed="+fate); got != want {
				t.Errorf("%v failures with committed %s, want %v", got, fate, want)
			}
		}
		// Waiting for nobody else is still possible.
		alone := n1.Store("alone", "content", clustertest.W("1")).Want(201)
		if alone.Acks != 1 {
			t.Error(alone)
		}
		time.Sleep(10 * time.Minute)

		c.Node(2).Start("n2")
		t.Logf("quorum met %v after n2 is back", c.Within(35*time.Second, "the status shows the quorum", func() bool {
			return n1.Do("GET", w.StatusURL, nil).Want(200).QuorumMet
		}))
		again := n1.Store("hardly", "content", clustertest.Idempotency("k1")).Want(201)
		if again.ID != w.ID || again.Dot != w.Dot || again.Acks < 2 || !again.Existing {
			t.Errorf("%v, first %v", again, w)
		}
		c.Node(3).Start("n3")
		c.WaitReady()
		c.WaitEqual()
		for _, n := range c.Running() {
			n.Get(w.ID).Want(200)
			n.Get(alone.ID).Want(200)
		}
		if got := n1.Do("GET", w.StatusURL, nil).Want(200); got.Acks != 3 {
			c.Await("all three have it", func() bool { return n1.Do("GET", w.StatusURL, nil).Want(200).Acks == 3 })
		}
	})
}

// missed wants a 503 that says: durable here, not yet at W.
func missed(t *testing.T, a clustertest.Answer, got, needed int) {
	t.Helper()
	a.Want(503)
	if a.Committed != "local" || a.Got != got || a.Needed != needed || a.Dot == "" || a.ID == "" || a.StatusURL == "" ||
		a.Code != "QUORUM_NOT_MET" || a.Header.Get("Retry-After") == "" || a.Reason == "" {
		t.Errorf("%v, Retry-After %q", a, a.Header.Get("Retry-After"))
	}
}

// The network breaks in two; both sides are written to, in every way that they allow.
func TestPartition(t *testing.T) {
	for name, p := range map[string]struct {
		size         int
		groups       string
		large, small []int
	}{
		"2|1": {3, "n1 n2 | n3", []int{1, 2}, []int{3}},
		"3|2": {5, "n1 n4 n5 | n2 n3", []int{1, 4, 5}, []int{2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, mode memnet.Mode) {
				c := clustertest.New(t, p.size)
				needed := p.size/2 + 1
				for i := range 10 {
					c.Node(i%p.size+1).Store(fmt.Sprint("before ", i), "content").Want(201)
				}
				c.WaitEqual()
				c.Partition(mode, p.groups)
				written := map[string]bool{}
				for round := range 5 {
					for _, i := range p.large {
						w := c.Node(i).Store(fmt.Sprintf("large %d %d", i, round), "content").Want(201)
						if w.Acks < needed {
							t.Error(w)
						}
						written[w.ID] = true
					}
					for _, i := range p.small {
						w := c.Node(i).Store(fmt.Sprintf("small %d %d", i, round), "content").Want(503)
						if w.Took > 2*time.Second+50*time.Millisecond {
							t.Errorf("took %v", w.Took)
						}
						switch w.Committed {
						case "local":
							missed(t, w, min(w.Got, len(p.small)), needed)
							written[w.ID] = true
						case false:
						default:
							t.Error(w)
						}
						w = c.Node(i).Store(fmt.Sprintf("alone %d %d", i, round), "content", clustertest.W("1")).Want(201)
						written[w.ID] = true
					}
					time.Sleep(15 * time.Second)
				}
				for _, i := range p.small {
					c.Node(i).Do("GET", "/livez", nil).Want(200)
					refused(t, c.Node(i), "unreachable")
				}
				if c.Equal() {
					t.Fatal("the sides hold the same: the partition has not worked")
				}
				c.Heal()
				equal := c.WaitEqual() // without any further write
				ready := c.WaitReady()
				t.Logf("equal %v after the heal, ready %v later", equal, ready)
				if equal+ready > 30*time.Second {
					t.Error("that is long")
				}
				for _, n := range c.Running() {
					for id := range written {
						n.Get(id).Want(200)
					}
					if got := len(n.List().Want(200).Memories); got != len(written)+10 {
						t.Errorf("%s lists %d, want %d", n.Label, got, len(written)+10)
					}
				}
				for _, n := range c.Running() {
					c.Await("all are reachable for "+n.Label, func() bool { return n.Status().Quorum.Reachable == p.size })
					n.Store("after, at "+n.Label, "content", clustertest.W(fmt.Sprint(p.size))).Want(201)
				}
			})
		})
	}
}

// From the first write on, a node that is cut off answers within its timeout, and at once
// when it knows.
func TestIsolated(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode memnet.Mode) {
		c := clustertest.New(t, 3)
		n1 := c.Node(1)
		c.Net.Isolate(mode, "n1")
		for i := range 10 {
			a := n1.Store(fmt.Sprint("isolated ", i), "content").Want(503)
			t.Logf("%v %v got %d", a.Took, a.Committed, a.Got)
			if a.Took > 2*time.Second {
				t.Errorf("answered after %v", a.Took)
			}
		}
		for range 3 {
			if a := refused(t, n1, "unreachable"); a.Took > 0 {
				t.Errorf("refused after %v", a.Took)
			}
		}
		// Reads go on.
		if got := n1.List().Want(200); len(got.Memories) == 0 {
			t.Error("no local reads")
		}
	})
}
