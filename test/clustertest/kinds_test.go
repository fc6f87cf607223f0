package clustertest_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/memd/memd/node"
	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
)

// shows is everything that a reader of a node can see, as one text: memories with their
// links, the archive, counts.
func shows(t *testing.T, n *clustertest.Node) string {
	t.Helper()
	var view []string
	var export map[string]json.RawMessage
	if err := json.Unmarshal([]byte(n.Do("GET", "/api/v1/export", nil).Want(200).Raw), &export); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"memories", "links", "archived"} {
		view = append(view, list+" "+string(export[list]))
	}
	for _, m := range n.List().Want(200).Memories {
		view = append(view, m.ID+" "+n.Do("GET", "/api/v1/links/"+m.ID, nil).Want(200).Raw)
	}
	for _, path := range []string{"/api/v1/archive", "/api/v1/archive/stats"} {
		view = append(view, n.Do("GET", path, nil).Want(200).Raw)
	}
	var stats map[string]json.RawMessage
	if err := json.Unmarshal([]byte(n.Do("GET", "/api/v1/stats", nil).Want(200).Raw), &stats); err != nil {
		t.Fatal(err)
	}
	delete(stats, "db_size_bytes") // of one disk
	whole, err := json.Marshal(stats)
	if err != nil {
		t.Fatal(err)
	}
	view = append(view, string(whole))
	return fmt.Sprint(view)
}

type body map[string]any

// While one node is stopped every changing verb is done elsewhere. When it goes on it has
// all of that, not memories alone.
func TestEveryVerbWhileOneIsStopped(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode memnet.Mode) {
		c := clustertest.New(t, 3, triggersOnly)
		n1, n2, n3 := c.Node(1), c.Node(2), c.Node(3)
		var ids []string
		for i := range 12 {
			ids = append(ids, n1.Store(fmt.Sprint("m", i), fmt.Sprint("word", i), clustertest.W("3")).Want(201).ID)
		}
		link := func(n *clustertest.Node, from, to int, relation string) {
			t.Helper()
			n.Do("POST", "/api/v1/links", body{"source_id": ids[from], "target_id": ids[to], "relation": relation}).Want(201)
		}
		link(n1, 0, 1, "related_to")
		link(n1, 2, 3, "supersedes")
		link(n1, 3, 2, "related_to")
		link(n1, 4, 5, "derived_from")
		n1.Do("POST", "/api/v1/archive", body{"ids": ids[6:9], "reason": "before"}).Want(200)
		c.WaitEqual()
		before := shows(t, n3)
		if before != shows(t, n1) {
			t.Fatalf("they differ before:\n%s\n%s", before, shows(t, n1))
		}

		n3.Sleep(mode)
		link(n2, 0, 1, "contradicts")                                                                                          // one more
		n1.Do("DELETE", "/api/v1/links", body{"source_id": ids[2], "target_id": ids[3]}).Want(200)                             // one less
		n2.Delete(ids[4]).Want(200)                                                                                            // and its link
		n1.Do("POST", "/api/v1/archive/"+ids[6]+"/restore", nil).Want(200)                                                     // back
		n2.Do("DELETE", "/api/v1/archive/"+ids[7], nil).Want(200)                                                              // for good
		n1.Do("POST", "/api/v1/archive", body{"ids": []string{ids[9]}, "reason": "while"}).Want(200)                           // aside
		n2.Do("POST", "/api/v1/consolidate", body{"ids": []string{ids[0], ids[10]}, "title": "sum", "summary": "s"}).Want(201) // with its links
		n1.Do("POST", "/api/v1/forget", body{"pattern": "word11"}).Want(200)
		short := n2.Do("POST", "/api/v1/memories", body{"title": "short", "content": "c", "tier": "short"}).Want(201).ID
		n1.Do("POST", "/api/v1/memories/"+short+"/promote", nil).Want(200)
		n2.Do("POST", "/api/v1/memories", body{"title": "brief", "content": "c", "ttl_secs": 1}).Want(201)
		time.Sleep(2 * time.Second)
		if a := n1.Do("POST", "/api/v1/gc", nil).Want(200); a.ExpiredDeleted != 1 {
			t.Error(a)
		}
		want := shows(t, n1)
		if n3view := shows(t, n3); n3view != before {
			t.Fatal("n3 is not stopped")
		}
		n3.Wake()
		c.WaitEqual()
		for _, n := range c.Running() {
			if got := shows(t, n); got != want {
				t.Errorf("%s shows\n%s\nwant\n%s", n.Label, got, want)
			}
		}
		if want == before {
			t.Error("nothing happened")
		}
	})
}

// Both sides of a cut make, unmake and hide the same things. They end with the same.
func TestKindsMeet(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		n1, n3 := c.Node(1), c.Node(3)
		one := clustertest.W("1")
		var ids []string
		for i := range 5 {
			ids = append(ids, n1.Store(fmt.Sprint("m", i), "c", clustertest.W("3")).Want(201).ID)
		}
		c.Partition(memnet.Blackhole, "n1 n2 | n3")
		both := body{"source_id": ids[0], "target_id": ids[1]}
		n1.Do("POST", "/api/v1/links", both).Want(201)
		time.Sleep(time.Second)
		n3.Do("POST", "/api/v1/links", both, one).Want(201)
		n1.Do("POST", "/api/v1/archive", body{"ids": []string{ids[2]}, "reason": "here"}).Want(200)
		n3.Do("POST", "/api/v1/archive", body{"ids": []string{ids[2]}, "reason": "there"}, one).Want(200)
		// One side deletes a memory that the other links to.
		n1.Delete(ids[3]).Want(200)
		n3.Do("POST", "/api/v1/links", body{"source_id": ids[3], "target_id": ids[4]}, one).Want(201)
		// One side puts aside what the other changes: the change lives.
		n1.Do("POST", "/api/v1/archive", body{"ids": []string{ids[4]}}).Want(200)
		n3.Update(ids[4], "changed", one).Want(200)
		c.Heal()
		c.WaitEqual()
		want := shows(t, n1)
		for _, n := range c.Running() {
			if got := shows(t, n); got != want {
				t.Errorf("%s shows\n%s\nwant\n%s", n.Label, got, want)
			}
			if s := n.Status(); s.Conflicts != 0 {
				t.Errorf("%s counts %d conflicts", n.Label, s.Conflicts)
			}
			if got := n.Do("GET", "/api/v1/links/"+ids[1], nil).Want(200); len(got.Links) != 1 {
				t.Errorf("%s: one link made twice: %s", n.Label, got)
			}
			if got := n.Do("GET", "/api/v1/links/"+ids[4], nil).Want(200); len(got.Links) != 0 {
				t.Errorf("%s: a link to what is deleted: %s", n.Label, got)
			}
			if got := n.Get(ids[4]).Want(200); got.Memory.Content != "changed" {
				t.Errorf("%s: %s", n.Label, got)
			}
		}
		n3.Do("POST", "/api/v1/archive/"+ids[4]+"/restore", nil).Want(409)
		n1.Do("POST", "/api/v1/gc", nil).Want(200)
		c.WaitEqual()
		for _, n := range c.Running() {
			if got := n.Do("GET", "/api/v1/stats", nil).Want(200); got.LinksCount != 1 {
				t.Errorf("%s: %s", n.Label, got)
			}
		}
	})
}

// Clocks differ by less than what stops a node. What has an end is gone once: a clock that
// is ahead hides it on its own node and takes it from nobody, and nothing comes back.
func TestExpiryWithClocksApart(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		ahead, right, late := c.Node(1), c.Node(2), c.Node(3)
		ahead.Restart(func(cfg *node.Config) { cfg.ClockOffset = 25 * time.Second })
		late.Restart(func(cfg *node.Config) { cfg.ClockOffset = -25 * time.Second })
		c.WaitReady()
		time.Sleep(40 * time.Second) // a pull each: they know each other's clocks
		id := right.Do("POST", "/api/v1/memories", body{"title": "t", "content": "c", "ttl_secs": 60}, clustertest.W("3")).Want(201).ID
		time.Sleep(40 * time.Second)
		ahead.Get(id).Want(404)
		if a := ahead.Do("POST", "/api/v1/gc", nil).Want(200); a.ExpiredDeleted != 0 {
			t.Errorf("it takes from others what they show: %s", a)
		}
		time.Sleep(time.Second)
		right.Get(id).Want(200)
		late.Get(id).Want(200)
		time.Sleep(22 * time.Second)
		right.Get(id).Want(404)
		late.Get(id).Want(200)
		if a := ahead.Do("POST", "/api/v1/gc", nil).Want(200); a.ExpiredDeleted != 1 {
			t.Error(a)
		}
		c.WaitEqual()
		for range 30 {
			for _, n := range c.Running() {
				n.Get(id).Want(404)
			}
			time.Sleep(2 * time.Second)
		}
	})
}

// Every node looks by itself, and one delete is written for each memory. A member that is
// away leaves its share to the others.
func TestSweep(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		const every = 20 * time.Second
		c := clustertest.New(t, 3, func(cfg *node.Config) { cfg.SweepInterval = every })
		store := func(name string, many int) {
			for i := range many {
				c.Node(1).Do("POST", "/api/v1/memories", body{"title": fmt.Sprint(name, i), "content": "c", "ttl_secs": 1}, clustertest.W("2")).Want(201)
			}
		}
		swept := func() (sum float64, by int) {
			for _, n := range c.Running() {
				v := n.Metric("memd_memory_expired_total")
				if sum += v; v > 0 {
					by++
				}
			}
			return sum, by
		}
		store("all here ", 30)
		time.Sleep(every + every/2 + time.Second) // everybody has had a turn since it expired
		if sum, by := swept(); sum != 30 || by < 2 {
			t.Errorf("%v deletes by %d nodes for 30 memories", sum, by)
		}
		c.WaitEqual()
		c.Node(3).Stop()
		first, _ := swept()
		store("one away ", 30)
		time.Sleep(8 * every)
		if sum, _ := swept(); sum-first != 30 {
			t.Errorf("%v deletes for 30 memories", sum-first)
		}
		c.Node(3).Start("n3")
		c.WaitReady()
		c.WaitEqual()
		for _, n := range c.Running() {
			if a := n.Do("GET", "/api/v1/stats", nil).Want(200); a.Total != 0 {
				t.Errorf("%s: %s", n.Label, a)
			}
			if a := n.Do("GET", "/api/v1/archive/stats", nil).Want(200); a.ArchivedTotal != 60 {
				t.Errorf("%s: %s", n.Label, a)
			}
		}
	})
}
