package clustertest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
)

// Faults of single links, of the kind that no partition describes. The numbers are the
// scenarios of reliability.md D.4.

// S13: five nodes in a ring, each of which reaches its neighbours only. There is a quorum
// everywhere, and what one has reaches the far side by relay while the ring lasts.
func TestRing(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 5)
		for i := range 5 {
			c.CutBoth(c.Node(i+1), c.Node((i+2)%5+1), clustertest.Pushes, clustertest.Pulls, clustertest.Gossip)
		}
		for round := range 10 {
			for _, n := range c.Running() {
				if w := n.Store(fmt.Sprintf("%s round %d", n.Label, round), "content").Want(201); w.Acks != 3 {
					t.Error(w)
				}
			}
			time.Sleep(7 * time.Second)
		}
		took := c.WaitEqual()
		t.Logf("equal after %v", took)
		if took > 10*time.Second {
			t.Error("that is long")
		}
		for _, n := range c.Running() {
			if s := n.Status(); s.Quorum.N != 5 || s.Quorum.Reachable != 3 {
				t.Errorf("%s: %+v", n.Label, s.Quorum)
			}
		}
	})
}

// S14: nothing that n1 sends by itself arrives at n3. Its own questions do, and so does
// what n2 says.
func TestOneWay(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3, triggersOnly)
		c.Cut(clustertest.Pushes, c.Node(1), c.Node(3))
		c.Cut(clustertest.Pulls, c.Node(1), c.Node(3))
		c.Cut(clustertest.Gossip, c.Node(1), c.Node(3))
		for i := range 10 {
			w := c.Node(1).Store(fmt.Sprint("to nobody but n2 ", i), "content").Want(201)
			took := c.Within(3*time.Second, "n3 has it", has(c.Node(3), w.ID))
			w = c.Node(3).Store(fmt.Sprint("back ", i), "content", clustertest.W("3")).Want(201)
			c.Node(1).Get(w.ID).Want(200)
			t.Logf("after %v", took)
			time.Sleep(time.Duration(i) * 3 * time.Second)
		}
	})
}

// S20: UDP is filtered and TCP is not. Nobody is lost, writes need what they needed, and
// what a lost push leaves out comes without a timer.
func TestPacketsDead(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3, triggersOnly)
		c.CutAll(clustertest.Packets)
		for i := range 20 {
			c.Node(i%3+1).Store(fmt.Sprint("without packets ", i), "content", clustertest.W("3")).Want(201)
			time.Sleep(15 * time.Second)
		}
		for _, n := range c.Running() {
			for _, m := range n.Status().Members {
				if m.State != "alive" && m.State != "self" {
					t.Errorf("%s sees %s %s", n.Label, m.Name, m.State)
				}
			}
		}
		c.Cut(clustertest.Pushes, c.Node(1), c.Node(3))
		w := c.Node(1).Store("lost on its way", "content").Want(201)
		t.Logf("repaired after %v", c.Within(2*time.Minute, "n3 has it", has(c.Node(3), w.ID)))
	})
}

// S21: the door of n3 is dead in both directions, and gossip is alive. Its peers do without
// it, and it says itself that it is behind.
func TestDoorDead(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		n1, n3 := c.Node(1), c.Node(3)
		for _, n := range []*clustertest.Node{n1, c.Node(2)} {
			c.CutBoth(n, n3, clustertest.Pushes, clustertest.Pulls)
		}
		for i := range 100 {
			if w := n1.Store(fmt.Sprint("without n3 ", i), "content").Want(201); w.Took > 0 {
				t.Error(w)
			}
			time.Sleep(100 * time.Millisecond)
		}
		m := n1.Member("n3")
		if m.State != "alive" || m.Breaker != "open" {
			t.Errorf("%+v", m)
		}
		if m := n3.Member("n1"); m.LagDots == 0 || m.LagSeconds < 5 {
			t.Errorf("%+v", m)
		}
		ready := n3.Do("GET", "/readyz", nil).Want(503)
		t.Logf("%v", ready.Reasons)
		c.Heal()
		c.WaitEqual()
		c.WaitReady()
	})
}

// S22: a link that comes and goes five times a second. What it costs is bounded, and it
// ends when the link stays.
func TestFlapping(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode memnet.Mode) {
		c := clustertest.New(t, 3)
		time.Sleep(time.Minute)
		before, links := c.Node(1).Host.Traffic().Streams, c.Links()
		for i := range 150 {
			c.Net.Isolate(mode, "n3")
			c.Node(1).Store(fmt.Sprint("while it flaps ", i), "content").Want(201)
			time.Sleep(200 * time.Millisecond)
			c.Heal()
			c.Node(2).Store(fmt.Sprint("and back ", i), "content").Want(201)
			time.Sleep(200 * time.Millisecond)
		}
		streams := c.Node(1).Host.Traffic().Streams - before
		took := c.WaitEqual() + c.WaitReady()
		t.Logf("%d streams of n1 in a minute, equal after %v", streams, took)
		if streams > 600 || took > 10*time.Second {
			t.Errorf("%d streams, %v", streams, took)
		}
		c.Await("all are reachable", func() bool { return c.Node(1).Status().Quorum.Reachable == 3 })
		c.Node(1).Store("after", "content", clustertest.W("3")).Want(201)
		// Nothing is left over: one stream of pushes each way, and kept connections of pulls.
		time.Sleep(20 * time.Minute)
		if now := c.Links(); now > max(links, 12) {
			t.Errorf("%d connections, %d before", now, links)
		}
	})
}
