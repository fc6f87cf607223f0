package node

import (
	"testing"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

// gauge is the value of a metric without labels; ok is false if it is not exported.
func gauge(t *testing.T, n *Node, name string) (v float64, ok bool) {
	t.Helper()
	families, err := n.cfg.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue(), true
		}
	}
	return 0, false
}

// TestGauges: what alerts stand on tells a mesh that agrees from one that does not.
func TestGauges(t *testing.T) {
	nodes := startMesh(t, 3)
	waitFor(t, "all three reached", func() bool { // ready takes a majority only
		n, _ := gauge(t, nodes[0], "memd_quorum_reachable")
		return n == 3
	})
	created, err := nodes[0].Create(t.Context(), memory.Draft{Title: new("a"), Content: new("b")}, httpapi.WriteOptions{Agent: "ai:t", W: 3})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"memd_ready": 1, "memd_registered_members": 3, "memd_quorum_writes": 2, "memd_quorum_reachable": 3}
	clockOf, digestOf := map[float64]bool{}, map[float64]bool{}
	for _, n := range nodes {
		if _, err := n.Get(t.Context(), created.ID, httpapi.ReadOptions{After: &created.Token}); err != nil {
			t.Fatal(err)
		}
	}
	// Registrations of members are writes, too: some may still be on their way.
	waitFor(t, "one clock and one digest", func() bool {
		clear(clockOf)
		clear(digestOf)
		for _, n := range nodes {
			c, _ := gauge(t, n, "memd_state_clock")
			d, _ := gauge(t, n, "memd_state_digest")
			clockOf[c], digestOf[d] = true, true
		}
		return len(clockOf) == 1 && len(digestOf) == 1
	})
	for _, n := range nodes {
		for name, v := range want {
			if got, ok := gauge(t, n, name); !ok || got != v {
				t.Errorf("%s: %s is %v (%v), want %v", n.Name(), name, got, ok, v)
			}
		}
		if free, ok := gauge(t, n, "memd_storage_free_bytes"); !ok || free <= 0 {
			t.Errorf("%s: free bytes %v, %v", n.Name(), free, ok)
		}
	}
	if clockOf[0] || digestOf[0] {
		t.Error("a state of nothing")
	}
}
