package node

import (
	"fmt"
	"testing"
	"time"

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

// The offsets of the peers, in minutes, and whether it is this node that is wrong.
func TestWhoseClockIsWrong(t *testing.T) {
	for _, tt := range []struct {
		peers  []int
		tooFar bool
	}{
		{nil, false},
		{[]int{10}, false}, // one of two: who knows
		{[]int{0, 0}, false},
		{[]int{0, 10}, false},
		{[]int{0, -10}, false},
		{[]int{10, 10}, true},
		{[]int{-10, -10}, true},
		{[]int{10, -10}, false}, // all differ
		{[]int{5, 10}, true},    // both say that it is late
		{[]int{0, 10, 10}, false},
		{[]int{10, 10, 10}, true},
		{[]int{0, 0, 10, 10}, false},
		{[]int{0, 10, 10, 10}, true},
	} {
		s := skew{offsets: map[string]time.Duration{}}
		for i, m := range tt.peers {
			s.offsets[fmt.Sprint(i)] = time.Duration(m) * time.Minute
		}
		if got := s.tooFar(); got != tt.tooFar {
			t.Errorf("peers at %v: too far %t", tt.peers, got)
		}
	}
}
