package clustertest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memd/memd/node"
	"github.com/memd/memd/test/clustertest"
)

func TestFormation(t *testing.T) {
	for _, size := range []int{3, 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) {
				start := time.Now()
				c := clustertest.New(t, size)
				t.Logf("formed in %v", time.Since(start))
				first := c.Node(1).Status()
				if first.ClusterID == "" || first.Quorum.N != size || first.Quorum.W != size/2+1 || first.Quorum.Reachable != size {
					t.Errorf("%+v", first)
				}
				var written []clustertest.Answer
				for _, n := range c.Running() {
					s := n.Status()
					if s.ClusterID != first.ClusterID || len(s.Members) != size || !s.Ready {
						t.Errorf("%s: %+v", n.Label, s)
					}
					w := n.Store(fmt.Sprintf("from %s", n.Label), "content").Want(201)
					if w.Acks < size/2+1 || w.Token == "" || w.Took > 0 {
						t.Errorf("%s: %v", n.Label, w)
					}
					n.Do("GET", "/readyz", nil).Want(200)
					written = append(written, w)
				}
				for _, n := range c.Running() {
					for _, w := range written {
						if got := n.Get(w.ID, clustertest.After(w.Token)).Want(200); got.Memory.Content != "content" {
							t.Errorf("%s: %v", n.Label, got)
						}
					}
				}
			})
		})
	}
}

func TestSingle(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.Empty(t)
		n := c.Add("n1")
		took := c.WaitReady()
		t.Logf("ready in %v", took)
		if s := n.Status(); took > time.Second || s.Quorum.N != 1 || s.Quorum.W != 1 || s.ClusterID == "" {
			t.Errorf("%v %+v", took, s)
		}
		w := n.Store("alone", "content").Want(201)
		if w.Acks != 1 || w.Took > 0 {
			t.Errorf("%v", w)
		}
		n.Store("more than there are", "content", clustertest.W("2")).Want(400)
		id := n.Status().ClusterID
		n.Restart()
		c.WaitReady()
		n.Get(w.ID).Want(200)
		if n.Status().ClusterID != id {
			t.Error("another cluster after a restart")
		}
	})
}

// All start at once and none has been seen by all: the id must be the one of one founder.
func TestFormationStaggered(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.Empty(t)
		expect := func(cfg *node.Config) { cfg.Join, cfg.BootstrapExpect = c.Seeds("n1", "n2", "n3"), 3 }
		c.Add("n3", expect)
		time.Sleep(3 * time.Second)
		n2 := c.Add("n2", expect)
		time.Sleep(10 * time.Minute)
		for _, n := range c.Running() {
			refused(t, n, "unreachable")
			if why := n.Reasons(); why != "no cluster yet" {
				t.Errorf("%s: %q", n.Label, why)
			}
		}
		c.Add("n1", expect)
		t.Logf("formed %v after the last one came", c.WaitReady())
		n2.Store("a", "b").Want(201)
	})
}

// refused stores something and wants to hear that nothing was written.
func refused(t *testing.T, n *clustertest.Node, reason string) clustertest.Answer {
	t.Helper()
	before := n.Status()
	a := n.Store("refused", "content").Want(503)
	if a.Committed != false || a.Code != "QUORUM_NOT_MET" || a.Error != "quorum_not_met" || a.Reason != reason ||
		a.Dot != "" || a.StatusURL != "" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%s: %v, Retry-After %q", n.Label, a, a.Header.Get("Retry-After"))
	}
	if after := n.Status(); after.ClockHash != before.ClockHash {
		t.Errorf("%s: a refused write left something behind: %v", n.Label, after.Clock)
	}
	return a
}

func TestJoinNobody(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.Empty(t)
		lost := c.Add("lost", func(cfg *node.Config) { cfg.Join = c.Seeds("n1") })
		time.Sleep(time.Hour)
		if a := refused(t, lost, "unreachable"); a.Took > 2*time.Second {
			t.Errorf("refused only after %v", a.Took)
		}
		if a := lost.Do("GET", "/readyz", nil).Want(503); len(a.Reasons) != 1 || a.Reasons[0] != "no cluster yet" {
			t.Error(a)
		}
		// Not even one that asks for nobody else: the memory would belong to no cluster.
		if a := lost.Store("mine", "content", clustertest.W("1")).Want(503); a.Committed != false {
			t.Error(a)
		}
		// Somebody is there after all.
		n1 := c.Add("n1")
		t.Logf("joined in %v", c.WaitReady())
		if a, b := lost.Status().ClusterID, n1.Status().ClusterID; a != b {
			t.Errorf("%s and %s", a, b)
		}
		c.Await("both are registered", func() bool { return n1.Status().Quorum.N == 2 && lost.Status().Quorum.N == 2 })
		if w := lost.Store("now", "content").Want(201); w.Acks != 2 {
			t.Error(w)
		}
	})
}

// A node learns by gossip which cluster it belongs to, and not who else does. Until a member
// has told it, it must not take itself for the only one.
func TestJoinByGossipAlone(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		n4 := c.Add("n4", func(cfg *node.Config) { cfg.Join = c.Seeds("n1") })
		for i := range 3 {
			c.Cut(clustertest.Pulls, n4, c.Node(i+1))
		}
		c.Await("n4 knows its cluster", func() bool { return n4.Status().ClusterID != "" })
		refused(t, n4, "unreachable")
		for i := range 3 {
			c.Node(i + 1).Kill()
		}
		time.Sleep(time.Hour)
		refused(t, n4, "unreachable")
		if a := n4.Store("for myself", "content", clustertest.W("1")).Want(503); a.Committed != false {
			t.Error(a)
		}
		if s := n4.Status(); s.Quorum.N != 0 || s.Ready {
			t.Errorf("%+v", s)
		}
		c.Heal()
		for i := range 3 {
			c.Node(i + 1).Start(fmt.Sprintf("n%d", i+1))
		}
		c.WaitReady()
		c.Await("four members", func() bool { return n4.Status().Quorum.N == 4 })
		n4.Store("for all", "content").Want(201)
	})
}

// A copy of a store from the time when its node was alone is put back, the others cannot be
// reached, and gossip shows nobody: told to join others, it must not take itself for the
// whole cluster, of which it would be the majority.
func TestOldCopyOfALonelyNode(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.Empty(t)
		n1 := c.Add("n1")
		c.WaitReady()
		n1.Store("alone", "content").Want(201)
		n1.Stop()
		old := n1.Clone("old")
		c.Odd(old)
		n1.Start("n1")
		n2 := c.Add("n2", func(cfg *node.Config) { cfg.Join = c.Seeds("n1") })
		n3 := c.Add("n3", func(cfg *node.Config) { cfg.Join = c.Seeds("n1") })
		c.WaitReady()
		c.Await("three members", func() bool { return n1.Status().Quorum.N == 3 })
		w := n1.Store("of three", "content", clustertest.W("3")).Want(201)
		for _, n := range c.Running() {
			n.Kill()
		}

		old.Start("n1", func(cfg *node.Config) { cfg.Join = c.Seeds("n1", "n2", "n3") })
		time.Sleep(time.Minute)
		if a := refused(t, old, "unreachable"); a.Got != 0 {
			t.Error(a)
		}
		old.Do("GET", "/readyz", nil).Want(503)
		if a := old.Store("for myself", "content", clustertest.W("1")).Want(201); a.Acks != 1 {
			t.Error(a)
		}
		n2.Start("n2")
		n3.Start("n3")
		c.Await("it knows the others", func() bool { return old.Status().Quorum.N == 3 })
		old.Get(w.ID).Want(200)
		if a := old.Store("of three again", "content").Want(201); a.Acks < 2 {
			t.Error(a)
		}
	})
}

func TestJoinDuringWrites(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		for i := range 50 {
			c.Node(i%3+1).Store(fmt.Sprintf("before %d", i), strings.Repeat("x", 500)).Want(201)
		}
		ws := startWriters(c, 5*time.Millisecond)
		time.Sleep(200 * time.Millisecond)
		n4 := c.Add("n4", func(cfg *node.Config) { cfg.Join, cfg.BootstrapExpect = c.Seeds("n1", "n2", "n3"), 3 })
		took := c.Await("n4 is ready", func() bool { return n4.Reasons() == "" })
		c.Await("everyone knows four", func() bool {
			for _, n := range c.Running() {
				if s := n.Status(); s.Quorum.N != 4 || s.Quorum.W != 3 {
					return false
				}
			}
			return true
		})
		time.Sleep(200 * time.Millisecond)
		acked := ws.stop(t)
		t.Logf("%d writes, n4 ready in %v", len(acked), took)
		for _, w := range acked {
			n4.Get(w.ID, clustertest.After(w.Token)).Want(200)
		}
		n4.Store("of its own", "content").Want(201)
		c.WaitEqual()
		if got := len(n4.List().Want(200).Memories); got != len(acked)+51 {
			t.Errorf("n4 has %d memories, want %d", got, len(acked)+51)
		}
	})
}

// writers store memories at all nodes until they are stopped; each write must be acked.
type writers struct {
	quit  chan struct{}
	wg    sync.WaitGroup
	mu    sync.Mutex
	acked []clustertest.Answer
	bad   []clustertest.Answer
}

func startWriters(c *clustertest.Cluster, every time.Duration) *writers {
	ws := &writers{quit: make(chan struct{})}
	for _, n := range c.Running() {
		ws.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-ws.quit:
					return
				case <-time.After(every):
				}
				a := n.Store(fmt.Sprintf("%s writes %d", n.Label, i), "content")
				ws.mu.Lock()
				if a.Status == 201 {
					ws.acked = append(ws.acked, a)
				} else {
					ws.bad = append(ws.bad, a)
				}
				ws.mu.Unlock()
			}
		})
	}
	return ws
}

// stop ends them and returns what was acknowledged.
func (ws *writers) stop(t *testing.T) []clustertest.Answer {
	t.Helper()
	close(ws.quit)
	ws.wg.Wait()
	for _, a := range ws.bad {
		t.Errorf("write failed: %v", a)
	}
	return ws.acked
}
