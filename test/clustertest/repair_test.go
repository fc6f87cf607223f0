package clustertest_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/memd/memd/node"
	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
)

func triggersOnly(cfg *node.Config) { cfg.CatchupInterval = 0 }

// has reports whether the node shows the memory.
func has(n *clustertest.Node, id string) func() bool {
	return func() bool { return n.Get(id).Status == 200 }
}

// A push is lost and nobody reads with a token: what gossip says is enough.
func TestDigestRepairs(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3, triggersOnly)
		n3 := c.Node(3)
		c.Cut(clustertest.Pushes, c.Node(1), n3)
		c.Cut(clustertest.Pushes, c.Node(2), n3)
		for i := range 5 {
			time.Sleep(10 * time.Second)
			w := c.Node(1).Store(fmt.Sprint("lost on the way to n3 ", i), "content").Want(201)
			n3.Get(w.ID).Want(404)
			took := c.Within(time.Second, "n3 has it", has(n3, w.ID))
			t.Logf("repaired after %v", took)
		}
		if n := n3.Metric("memd_pull_rows_total", "kind=new"); n < 5 {
			t.Errorf("only %v rows were pulled", n)
		}
		if n := n3.Metric("memd_pull_total", "trigger=digest"); n < 4 {
			t.Errorf("%v pulls for digests", n)
		}
	})
}

// A stream breaks in the middle of a burst and is opened again.
func TestStreamBreaks(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3, triggersOnly)
		for i := range 30 {
			if i%10 == 5 {
				c.Cut(clustertest.Pushes, c.Node(1), c.Node(3))
				c.Heal()
			}
			c.Node(1).Store(fmt.Sprint("one of a burst ", i), "content").Want(201)
		}
		if took := c.WaitEqual(); took > time.Second {
			t.Errorf("equal after %v", took)
		}
	})
}

// Gossip is dead, and so is the push: the timer is the last net.
func TestTimerRepairs(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		c.CutAll(clustertest.Gossip)
		n3 := c.Node(3)
		c.Cut(clustertest.Pushes, c.Node(1), n3)
		c.Await("n3 is thought dead", func() bool { return c.Node(1).Member("n3").State == "dead" })
		time.Sleep(20 * time.Minute)
		before := n3.Metric("memd_pull_total")
		timed := n3.Metric("memd_pull_total", "trigger=timer")
		w := c.Node(1).Store("nobody tells n3", "content").Want(201)
		n3.Get(w.ID).Want(404)
		// Quiet for long, it asks one of two peers every 2.5 to 7.5 minutes.
		took, ok := time.Duration(0), false
		for ; took < 15*time.Minute && !ok; took += time.Second {
			time.Sleep(time.Second)
			ok = has(n3, w.ID)()
		}
		t.Logf("repaired after %v by %v pulls", took, n3.Metric("memd_pull_total")-before)
		if !ok {
			t.Error("not repaired")
		}
		if n3.Metric("memd_pull_total")-before != n3.Metric("memd_pull_total", "trigger=timer")-timed {
			t.Error("not by the timer alone")
		}
	})
}

// What was missed takes many pages, from two peers at once, and nothing comes twice.
func TestLongCatchUp(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		n3 := c.Node(3)
		n3.Kill()
		const rows = 4000
		bulk(t, c, rows)
		n3.Start("n3")
		c.WaitReady()
		c.WaitEqual()
		pages, fresh := n3.Metric("memd_pull_pages_total"), n3.Metric("memd_pull_rows_total", "kind=new")
		t.Logf("%v rows in %v pages", fresh, pages)
		if again := n3.Metric("memd_pull_rows_total", "kind=redundant"); fresh != rows || again != 0 || pages < 3 {
			t.Errorf("%v new rows, %v redundant, %v pages", fresh, again, pages)
		}
	})
}

// The same over connections that break in the middle of every page, while others write.
func TestBrokenCatchUp(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		n3 := c.Node(3)
		c.Net.Isolate(memnet.Reset, "n3")
		for i := range 4 {
			bulkAt(t, c.Node(i%2+1), fmt.Sprint("part ", i), 500)
		}
		c.Wear(clustertest.Pulls, n3, 100<<10)
		c.CutAll(clustertest.Pushes)
		before := n3.Metric("memd_pull_rows_total", "kind=new")
		c.Net.Heal()
		took := c.Within(10*time.Minute, "n3 has caught up", func() bool {
			return n3.Do("GET", "/api/v1/stats", nil).Want(200).Total == 2000
		})
		broken, fresh := n3.Metric("memd_pull_total", "result=truncated"), n3.Metric("memd_pull_rows_total", "kind=new")-before
		t.Logf("%v rows in %v, by %v pulls that broke", fresh, took, broken)
		if again := n3.Metric("memd_pull_rows_total", "kind=redundant"); broken < 10 || fresh != 2000 || again != 0 {
			t.Errorf("%v pulls broke, %v rows, %v redundant", broken, fresh, again)
		}
	})
}

// quiet is what a time without writes costs all nodes together.
type quiet struct {
	pulls, unchanged, rows float64
	pullBytes, pushBytes   int
	packets, packetBytes   int64
	streams, streamBytes   int64 // of doors and of gossip
}

func measure(c *clustertest.Cluster) quiet {
	x := quiet{pullBytes: c.Bytes(clustertest.Pulls), pushBytes: c.Bytes(clustertest.Pushes)}
	for _, n := range c.Running() {
		tr := n.Host.Traffic()
		x.pulls += n.Metric("memd_pull_total")
		x.unchanged += n.Metric("memd_pull_total", "result=not_modified")
		x.rows += n.Metric("memd_pull_rows_total")
		x.packets += tr.Packets
		x.packetBytes += tr.PacketBytes
		x.streams += tr.Streams
		x.streamBytes += tr.StreamBytes
	}
	return x
}

func (x quiet) minus(y quiet) quiet {
	return quiet{pulls: x.pulls - y.pulls, unchanged: x.unchanged - y.unchanged, rows: x.rows - y.rows,
		pullBytes: x.pullBytes - y.pullBytes, pushBytes: x.pushBytes - y.pushBytes,
		packets: x.packets - y.packets, packetBytes: x.packetBytes - y.packetBytes,
		streams: x.streams - y.streams, streamBytes: x.streamBytes - y.streamBytes}
}

// A quiet cluster says little, and as little with many memories as with few.
func TestIdle(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		var perPull []float64
		for _, rows := range []int{10, 2000} {
			bulk(t, c, rows)
			c.WaitEqual()
			time.Sleep(20 * time.Minute) // until the timers are slow
			before := measure(c)
			time.Sleep(time.Hour)
			x := measure(c).minus(before)
			t.Logf("%d rows, an hour of three nodes: %+v", rows, x)
			if x.pulls < 3*6 || x.pulls > 3*20 {
				t.Errorf("%v pulls", x.pulls)
			}
			if x.unchanged != x.pulls || x.rows != 0 || x.pushBytes != 0 {
				t.Error("something moved although nothing was written")
			}
			perPull = append(perPull, float64(x.pullBytes)/x.pulls)
			if x.packetBytes > 1_200_000 || x.streamBytes > 400_000 {
				t.Errorf("%d bytes of packets, %d in streams", x.packetBytes, x.streamBytes)
			}
		}
		t.Logf("%.0f bytes per pull with few memories, %.0f with many", perPull[0], perPull[1])
		// The cursor has one number per origin, which is a byte or two longer now.
		if perPull[1] > perPull[0]*1.05 || perPull[1] > 1200 {
			t.Errorf("a pull grows with the store: %v", perPull)
		}
	})
}

// bulk stores many memories, some hundreds per request, at all nodes.
func bulk(t *testing.T, c *clustertest.Cluster, rows int) {
	t.Helper()
	nodes := c.Running()
	for i := 0; rows > 0; i++ {
		part := min(500, rows)
		bulkAt(t, nodes[i%len(nodes)], fmt.Sprintf("bulk with %d to go", rows), part)
		rows -= part
	}
}

// noise is a text that does not get shorter by compression.
func noise(size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(' ' + rand.N(95))
	}
	return string(b)
}

func bulkAt(t *testing.T, n *clustertest.Node, title string, rows int) {
	t.Helper()
	var drafts []map[string]any
	for i := range rows {
		drafts = append(drafts, map[string]any{"title": fmt.Sprint(title, " ", i), "content": noise(700), "tier": "long"})
	}
	if a := n.Do("POST", "/api/v1/memories/bulk", drafts).Want(200); a.Created != rows {
		t.Fatalf("%d of %d: %.300v", a.Created, rows, a)
	}
}

// A node that cannot ask anybody after its start says so, serves what it has as stale, and
// takes nothing that it would have to promise for others.
func TestStartAlone(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		w := c.Node(1).Store("title", "content", clustertest.W("3")).Want(201)
		for _, n := range c.Running() {
			n.Kill()
		}
		n1 := c.Node(1)
		n1.Start("n1")
		c.Await("n1 has begun", func() bool { return n1.Reasons() != "not started" })
		ready := n1.Do("GET", "/readyz", nil).Want(503)
		if len(ready.Reasons) != 1 || ready.Reasons[0] != "catching up: no peer has answered since the start" || ready.Header.Get("Retry-After") == "" {
			t.Errorf("%v", ready)
		}
		got := n1.Get(w.ID).Want(200)
		if got.Header.Get("Memd-Stale") != "1" || got.Took != 250*time.Millisecond {
			t.Errorf("%v, %v", got, got.Header)
		}
		if a := refused(t, n1, "unreachable"); a.Took != 2*time.Second || a.Needed != 2 {
			t.Error(a)
		}
		if a := n1.Store("alone", "content", clustertest.W("1")).Want(201); a.Acks != 1 {
			t.Error(a)
		}
		n1.Do("GET", "/livez", nil).Want(200)
		time.Sleep(time.Hour)
		n1.Do("GET", "/readyz", nil).Want(503)

		c.Node(2).Start("n2")
		t.Logf("ready in %v", c.WaitReady())
		if got := n1.Get(w.ID).Want(200); got.Header.Get("Memd-Stale") != "" || got.Took != 0 {
			t.Errorf("%v, %v", got, got.Header)
		}
		n1.Do("GET", "/readyz", nil).Want(200)
		n1.Store("together", "content").Want(201)
		c.Node(3).Start("n3")
		c.WaitReady()
	})
}
