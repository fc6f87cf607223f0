package sim_test

import (
	"testing"
	"time"

	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/node"
	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
)

// TestQuorumFromGossipInANode: the coordinators of the simulation are its own. That a whole
// node, too, counts registered members and not those that gossip calls alive is seen with
// whole nodes: one that is cut off must refuse, and with the rule broken it answers 201.
func TestQuorumFromGossipInANode(t *testing.T) {
	for m, status := range map[mutant.Set]int{0: 503, mutant.QuorumFromGossip: 201} {
		t.Run(m.String(), func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) {
				c := clustertest.New(t, 3, func(cfg *node.Config) { cfg.Mutants = m })
				n1 := c.Node(1)
				c.Net.Isolate(memnet.Blackhole, "n1")
				time.Sleep(time.Minute) // until gossip has given the others up
				n1.Store("alone", "content").Want(status)
			})
		})
	}
}
