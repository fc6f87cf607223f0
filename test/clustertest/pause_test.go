package clustertest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
)

// The headline, in fake time: n3 is stopped, twenty memories are written, n3 goes on, and
// its first reader sees all of them, before any tick.
func TestPause(t *testing.T) {
	for name, asleep := range map[string]time.Duration{"two seconds": 2 * time.Second, "a minute": time.Minute} {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, mode memnet.Mode) {
				c := clustertest.New(t, 3, triggersOnly)
				n3 := c.Node(3)
				n3.Store("before", "content", clustertest.W("3")).Want(201)
				before := n3.Status()
				n3.Sleep(mode)
				time.Sleep(asleep / 2)
				var ids []string
				for i := range 20 {
					ids = append(ids, c.Node(i%2+1).Store(fmt.Sprint("while n3 sleeps ", i), "content").Want(201).ID)
				}
				time.Sleep(asleep / 2)
				if now := n3.Status(); now.ClockHash != before.ClockHash {
					t.Fatalf("n3 has something: %v", now.Clock)
				}
				n3.Wake()
				first := n3.Get(ids[19]).Want(200)
				t.Logf("first read took %v", first.Took)
				for _, id := range ids {
					if got := n3.Get(id).Want(200); got.Header.Get("Memd-Stale") != "" || got.Took > 0 {
						t.Errorf("%v, %v", got, got.Header)
					}
				}
				if first.Took > 50*time.Millisecond || first.Header.Get("Memd-Stale") != "" {
					t.Errorf("%v, %v", first, first.Header)
				}
				if n := n3.Metric("memd_pauses_total"); n != 1 {
					t.Errorf("%v pauses", n)
				}
				if mode == memnet.Reset {
					if n := n3.Metric("memd_pull_rows_total", "kind=redundant"); n != 0 {
						t.Errorf("%v redundant rows", n)
					}
				}
				// It has not really slept: its breakers have opened meanwhile.
				c.Await("peers are in reach", func() bool { return n3.Status().Quorum.Reachable == 3 })
				// A doubled memory image would look the same from inside.
				n3.Store("after", "content").Want(201)
				if o := n3.Status().Origin; o == before.Origin {
					t.Error("it goes on under its old origin")
				}
				c.WaitReady()
			})
		})
	}
}

// It wakes and reaches nobody: readers get what there is, marked, and soon.
func TestPauseAlone(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		n3 := c.Node(3)
		w := n3.Store("before", "content", clustertest.W("3")).Want(201)
		n3.Sleep(memnet.Reset)
		time.Sleep(time.Minute)
		n3.Wake()
		c.Net.Isolate(memnet.Blackhole, "n3")
		got := n3.Get(w.ID).Want(200)
		if got.Header.Get("Memd-Stale") != "1" || got.Took != 250*time.Millisecond {
			t.Errorf("%v, %v", got, got.Header)
		}
		if a := n3.Do("GET", "/readyz", nil).Want(503); len(a.Reasons) == 0 || a.Reasons[0] != "catching up: no peer has answered since this process was paused" {
			t.Error(a)
		}
		c.Heal()
		c.WaitReady()
		if got := n3.Get(w.ID).Want(200); got.Header.Get("Memd-Stale") != "" || got.Took > 0 {
			t.Errorf("%v, %v", got, got.Header)
		}
	})
}

// All are stopped at once and go on in any order.
func TestPauseOfAll(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		ids := []string{}
		for i := range 10 {
			ids = append(ids, c.Node(i%3+1).Store(fmt.Sprint("before ", i), "content").Want(201).ID)
		}
		for _, n := range c.Running() {
			n.Sleep(memnet.Blackhole)
		}
		time.Sleep(10 * time.Minute)
		for _, i := range []int{2, 3, 1} {
			c.Node(i).Wake()
		}
		t.Logf("ready in %v", c.WaitReady())
		for _, n := range c.Running() {
			for _, id := range ids {
				n.Get(id).Want(200)
			}
			n.Store("after, at "+n.Label, "content").Want(201)
		}
	})
}
