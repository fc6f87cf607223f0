package node

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// pair is two nodes of one cluster: start runs one of them on its directory until stop. Their
// addresses stay: a node that has moved writes its registration anew, and a pull that is
// under way meanwhile may bring it back that row.
func pair(t testing.TB, change ...func(i int, c *Config)) (start func(i int) (n *Node, stop func())) {
	t.Helper()
	gossip, addrs := []string{freeAddr(t), freeAddr(t)}, []string{freeAddr(t), freeAddr(t)}
	dirs := []string{t.TempDir(), t.TempDir()}
	return func(i int) (*Node, func()) {
		cfg := Config{
			Name: fmt.Sprintf("n%d", i+1), DataDir: dirs[i], HTTPAddr: addrs[i], GossipAddr: gossip[i],
			Join: gossip, BootstrapExpect: 2, QuorumWrites: 1, Version: "test",
		}
		for _, f := range change {
			f(i, &cfg)
		}
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		stop := sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(stop)
		return n, stop
	}
}

// createMany writes memories that are numbered from first on, in one request.
func createMany(t testing.TB, n *Node, first, count int, content string) {
	t.Helper()
	ds := make([]memory.Draft, count)
	for i := range ds {
		title := fmt.Sprintf("row %d", first+i)
		ds[i] = memory.Draft{Title: &title, Content: &content}
	}
	if out, err := n.CreateAll(context.Background(), ds, httpapi.WriteOptions{Agent: "test"}); err != nil || len(out.Errors) > 0 {
		t.Fatal(err, out.Errors)
	}
}

// What a node pulls after it was away is what it misses, and hardly a byte more.
func TestCatchUpBytes(t *testing.T) {
	start := pair(t)
	full, stopFull := start(0)
	away, stopAway := start(1)
	waitFor(t, "two members", func() bool {
		a, _ := full.Ready()
		b, _ := away.Ready()
		return a && b && away.store.Clock().Equal(full.store.Clock())
	})
	had := away.store.Clock()
	stopAway()
	createMany(t, full, 0, 80, strings.Repeat("abcdefgh", 128))
	missing, err := full.store.Since(storage.SinceRequest{Cursor: had})
	if err != nil || !missing.Complete || missing.Bytes < 64<<10 {
		t.Fatalf("%d bytes are missing, complete %t: %v", missing.Bytes, missing.Complete, err)
	}
	back, stopBack := start(1)
	defer stopFull()
	defer stopBack()
	waitFor(t, "the rows", func() bool { return back.store.Clock().Covers(full.store.Clock()) })
	pulled, redundant := 0.0, 0.0
	waitFor(t, "the count of the pull", func() bool {
		pulled = metric(t, back, "memd_pull_bytes", "in")
		redundant = metric(t, back, "memd_pull_rows_total", "redundant")
		return pulled > 0
	})
	t.Logf("%.0f bytes for %d missing ones: %.3f", pulled, missing.Bytes, pulled/float64(missing.Bytes))
	if pulled > 1.05*float64(missing.Bytes) || redundant != 0 {
		t.Errorf("%.0f bytes and %.0f redundant rows were pulled", pulled, redundant)
	}
}

// metric sums a counter of a node over the series that have the label value; "" is the
// one without labels.
func metric(t testing.TB, n *Node, name, value string) (sum float64) {
	t.Helper()
	families, err := n.cfg.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if value == "" && len(m.GetLabel()) == 0 {
				sum += m.GetCounter().GetValue()
			}
			for _, l := range m.GetLabel() {
				if l.GetValue() == value {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}
