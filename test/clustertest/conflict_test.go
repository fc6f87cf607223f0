package clustertest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
)

// Two writers had read the same and wrote apart: both versions stay until somebody who
// has seen both decides.
func TestConcurrentUpdates(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode memnet.Mode) {
		c := clustertest.New(t, 3)
		w := c.Node(1).Store("title", "base", clustertest.W("3")).Want(201)
		base := c.Node(2).Get(w.ID).Want(200).Memory.Token
		c.Partition(mode, "n1 n2 | n3")
		left := c.Node(1).Update(w.ID, "left", clustertest.Match(base)).Want(200)
		c.Node(3).Update(w.ID, "right", clustertest.Match(base), clustertest.W("1")).Want(200)
		c.Heal()
		c.WaitEqual()

		var shown string
		for _, n := range c.Running() {
			got := n.Get(w.ID, clustertest.Conflicts()).Want(200)
			if got.Memory.Conflicts != 1 || len(got.Siblings) != 1 {
				t.Fatalf("%s: %v", n.Label, got)
			}
			both := []string{got.Memory.Content, got.Siblings[0].Memory.Content}
			if shown == "" {
				shown = both[0]
			}
			if both[0] != shown {
				t.Errorf("%s shows %q, others %q", n.Label, both[0], shown)
			}
			slices.Sort(both)
			if !slices.Equal(both, []string{"left", "right"}) {
				t.Errorf("%s: %v", n.Label, got)
			}
			if s := n.Status(); s.Conflicts != 1 {
				t.Errorf("%s counts %d conflicts", n.Label, s.Conflicts)
			}
		}

		// Who has read only one of them replaces only that one.
		next := c.Node(2).Update(w.ID, "left, again", clustertest.Match(left.Token)).Want(200)
		if next.Conflicts != 1 {
			t.Error(next)
		}
		c.WaitEqual()
		got := c.Node(3).Get(w.ID, clustertest.Conflicts()).Want(200)
		both := []string{got.Memory.Content, got.Siblings[0].Memory.Content}
		slices.Sort(both)
		if !slices.Equal(both, []string{"left, again", "right"}) {
			t.Error(got)
		}
		// What it had read is gone, and cannot be replaced a second time.
		c.Node(1).Update(w.ID, "left, once more", clustertest.Match(left.Token)).Want(412)
		c.Node(1).Delete(w.ID, clustertest.Match(left.Token)).Want(412)
		// Who has read both decides.
		done := c.Node(1).Update(w.ID, "decided", clustertest.Match(got.Memory.Token)).Want(200)
		if done.Conflicts != 0 {
			t.Error(done)
		}
		c.WaitEqual()
		first := ""
		for _, n := range c.Running() {
			got := n.Get(w.ID, clustertest.Conflicts()).Want(200)
			if got.Memory.Content != "decided" || got.Memory.Conflicts != 0 || len(got.Siblings) != 0 || n.Status().Conflicts != 0 {
				t.Errorf("%s: %v", n.Label, got)
			}
			// What was lost is said, and was held everywhere.
			lost := n.Do("GET", "/api/v1/memories/"+w.ID[:13]+"/revisions", nil).Want(200)
			if len(lost.Revisions) == 0 || lost.ID != w.ID {
				t.Fatalf("%s: %v", n.Label, lost)
			}
			for _, r := range lost.Revisions {
				if !r.Held || r.Memory.ID != w.ID || !slices.Contains([]string{"left", "right", "left, again"}, r.Memory.Content) || r.Dot == "" || r.Agent == "" {
					t.Errorf("%s: %v", n.Label, lost)
				}
			}
			if first == "" {
				first = lost.Raw
			}
			if lost.Raw != first {
				t.Errorf("%s: %v, others %s", n.Label, lost, first)
			}
		}
	})
}

// One title is created on both sides: it is one memory, whose two contents are siblings.
func TestConcurrentCreates(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		c.Partition(memnet.Blackhole, "n1 n2 | n3")
		a := c.Node(1).Store("one title", "left").Want(201)
		b := c.Node(3).Store("one title", "right", clustertest.W("1")).Want(201)
		if a.ID != b.ID {
			t.Fatalf("%v and %v", a, b)
		}
		c.Heal()
		c.WaitEqual()
		for _, n := range c.Running() {
			got := n.Get(a.ID, clustertest.Conflicts()).Want(200)
			if len(got.Siblings) != 1 || len(n.List().Memories) != 1 {
				t.Errorf("%s: %v", n.Label, got)
			}
			if got := n.Store("one title", "third").Want(409); got.ExistingID != a.ID {
				t.Errorf("%s: %v", n.Label, got)
			}
		}
	})
}

// A delete removes what it had seen; a version that it had not seen survives it, whatever
// the clocks say.
func TestDeleteAgainstUpdate(t *testing.T) {
	for name, late := range map[string]time.Duration{"delete first": time.Second, "delete last": -time.Second} {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, mode memnet.Mode) {
				c := clustertest.New(t, 3)
				one := c.Node(1).Store("one", "base", clustertest.W("3")).Want(201)
				two := c.Node(1).Store("two", "base", clustertest.W("3")).Want(201)
				c.Partition(mode, "n1 n2 | n3")
				deletes := func() {
					c.Node(2).Delete(one.ID).Want(200)
					c.Node(3).Delete(two.ID, clustertest.W("1")).Want(200)
				}
				updates := func() {
					c.Node(3).Update(one.ID, "kept", clustertest.W("1")).Want(200)
					c.Node(1).Update(two.ID, "kept").Want(200)
				}
				if late > 0 {
					deletes()
					time.Sleep(late)
					updates()
				} else {
					updates()
					time.Sleep(-late)
					deletes()
				}
				c.Node(2).Get(one.ID).Want(404)
				c.Node(3).Get(two.ID).Want(404)
				c.Heal()
				c.WaitEqual()
				for _, n := range c.Running() {
					for _, id := range []string{one.ID, two.ID} {
						got := n.Get(id, clustertest.Conflicts()).Want(200)
						if got.Memory.Content != "kept" || got.Memory.Conflicts != 0 || len(got.Siblings) != 0 {
							t.Errorf("%s: %v", n.Label, got)
						}
					}
				}
				// Now everybody has seen everything, and a delete is the end of it.
				c.Node(3).Delete(one.ID).Want(200)
				c.WaitEqual()
				for _, n := range c.Running() {
					n.Get(one.ID).Want(404)
				}
			})
		})
	}
}

// What was deleted while a node was away is deleted there when it is back, and stays so.
func TestDeletedWhileAway(t *testing.T) {
	for name, away := range map[string]func(*clustertest.Cluster) (back func()){
		"stopped": func(c *clustertest.Cluster) func() {
			c.Node(3).Stop()
			return func() { c.Node(3).Start("n3") }
		},
		"killed": func(c *clustertest.Cluster) func() {
			c.Node(3).Kill()
			return func() { c.Node(3).Start("n3") }
		},
		"cut off": func(c *clustertest.Cluster) func() {
			c.Net.Isolate(memnet.Blackhole, "n3")
			return c.Heal
		},
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) {
				c := clustertest.New(t, 3)
				var ids []string
				for i := range 20 {
					ids = append(ids, c.Node(3).Store(fmt.Sprint("memory ", i), "content", clustertest.W("3")).Want(201).ID)
				}
				back := away(c)
				for _, id := range ids[:10] {
					c.Node(1).Delete(id).Want(200)
				}
				time.Sleep(10 * time.Minute)
				back()
				c.WaitReady()
				c.WaitEqual()
				time.Sleep(2 * time.Minute)
				// The one that was away writes again, under one of the old titles, too.
				again := c.Node(3).Store("memory 0", "anew", clustertest.W("3")).Want(201)
				for _, n := range c.Running() {
					for i, id := range ids {
						switch {
						case id == again.ID:
							if got := n.Get(id, clustertest.Conflicts()).Want(200); got.Memory.Content != "anew" || len(got.Siblings) != 0 {
								t.Errorf("%s: %v", n.Label, got)
							}
						case i < 10:
							n.Get(id).Want(404)
						default:
							n.Get(id).Want(200)
						}
					}
					if got := len(n.List().Memories); got != 11 {
						t.Errorf("%s lists %d", n.Label, got)
					}
				}
			})
		})
	}
}
