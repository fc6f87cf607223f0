package sim_test

import (
	"fmt"
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

// TestMutantsOfNodes are rules that only whole nodes have, in fake time.
func TestMutantsOfNodes(t *testing.T) {
	for m, holds := range map[mutant.Set]func(t *testing.T, m mutant.Set) bool{
		mutant.PauseUnnoticed:    firstReadAfterPauseIsFresh,
		mutant.PauseByTickerOnly: firstReadAfterPauseIsFresh,
		mutant.PullFromAliveOnly: falseSuspicionDelaysNoPull,
	} {
		for _, on := range []mutant.Set{0, m} {
			t.Run(fmt.Sprintf("%s=%t", m, on != 0), func(t *testing.T) {
				clustertest.Run(t, func(t *testing.T) {
					if got := holds(t, on); got != (on == 0) {
						t.Errorf("the rule holds: %t", got)
					}
				})
			})
		}
	}
}

// firstReadAfterPauseIsFresh: a node that was stopped for two seconds answers its first
// reader with what was written meanwhile.
func firstReadAfterPauseIsFresh(t *testing.T, m mutant.Set) bool {
	c := clustertest.New(t, 3, func(cfg *node.Config) { cfg.Mutants, cfg.CatchupInterval = m, 0 })
	n3 := c.Node(3)
	n3.Store("before", "content", clustertest.W("3")).Want(201)
	for i := range 3 { // one of them could end in the very moment of a tick
		n3.Sleep(memnet.Reset)
		time.Sleep(time.Second)
		id := c.Node(1).Store(fmt.Sprint("while n3 sleeps ", i), "content").Want(201).ID
		time.Sleep(1200*time.Millisecond + time.Duration(i)*77*time.Millisecond)
		n3.Wake()
		if n3.Get(id).Status != 200 {
			return false
		}
		time.Sleep(time.Minute)
	}
	return true
}

// falseSuspicionDelaysNoPull: gossip is dead and suspects everyone, the data channel is
// not, and one push was lost.
func falseSuspicionDelaysNoPull(t *testing.T, m mutant.Set) bool {
	c := clustertest.New(t, 3, func(cfg *node.Config) { cfg.Mutants = m })
	n3 := c.Node(3)
	c.CutAll(clustertest.Gossip)
	time.Sleep(2 * time.Minute)
	if s := n3.Member("n1").State; s == "alive" {
		t.Fatalf("n3 sees n1 %s", s)
	}
	for i := range 2 {
		c.Cut(clustertest.Pushes, c.Node(i+1), n3)
	}
	id := c.Node(1).Store("lost on its way", "content").Want(201).ID
	time.Sleep(15 * time.Minute)
	return n3.Get(id).Status == 200
}
