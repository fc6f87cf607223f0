package node

import (
	"testing"

	"github.com/memd/memd/catchup"
)

// In a mesh in which every push arrives a pull brings no page, and yet tells the time.
func TestQuietPullsSampleClocks(t *testing.T) {
	nodes := startMesh(t, 2)
	n := nodes[0]
	waitFor(t, "equal clocks", func() bool { return n.store.ClockHash() == nodes[1].store.ClockHash() })
	n.skew.mu.Lock()
	clear(n.skew.offsets)
	n.skew.mu.Unlock()
	n.pull.Trigger("n2", catchup.TriggerNudge)
	waitFor(t, "a sample", func() bool {
		n.skew.mu.Lock()
		defer n.skew.mu.Unlock()
		_, ok := n.skew.offsets["n2"]
		return ok
	})
}
