package replication

import (
	"fmt"
	"testing"
	"time"

	"github.com/memd/memd/internal/mutant"
)

// TestScriptedMutants breaks the rules about peers that stand still: each scene reports
// whether its rule held, and must say no with the rule's mutant.
func TestScriptedMutants(t *testing.T) {
	for m, holds := range map[mutant.Set]func(t *testing.T, m mutant.Set) bool{
		mutant.NoBreaker:   stoppedPeerIsLeftAlone,
		mutant.PushBacklog: returnerIsNotPushedItsBacklog,
	} {
		for _, on := range []mutant.Set{0, m} {
			t.Run(fmt.Sprintf("%s=%t", m, on != 0), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					if got := holds(t, on); got != (on == 0) {
						t.Errorf("the rule holds: %t", got)
					}
				})
			})
		}
	}
}

// stoppedPeerIsLeftAlone: nothing is kept for it, and nobody counts on it.
func stoppedPeerIsLeftAlone(t *testing.T, m mutant.Set) bool {
	net := newNetwork("b", "c")
	r := start(t, net, func(c *Config) { c.Mutants = m })
	r.write(1, 3)
	soon()
	net.peers["b"].freeze()
	for range 100 {
		w := r.write(1, 2)
		soon()
		w.Cancel()
		time.Sleep(90 * time.Millisecond)
	}
	s := r.status("b")
	return s.State != Closed && s.Queued+s.InFlight == 0 && r.Reachable() == 1
}

// returnerIsNotPushedItsBacklog: it pulls what it missed; to push that as well would bring
// every row twice, from every peer.
func returnerIsNotPushedItsBacklog(t *testing.T, m mutant.Set) bool {
	net := newNetwork("b")
	b := net.peers["b"]
	r := start(t, net, func(c *Config) { c.Mutants = m })
	r.write(1, 2)
	soon()
	b.set(func(p *fakePeer) { p.down = errReset })
	b.cut()
	r.write(100, 1)
	time.Sleep(time.Second)
	b.set(func(p *fakePeer) { p.down = nil })
	r.Heard("b")
	soon()
	if !r.status("b").Connected {
		t.Fatal("not connected")
	}
	return len(b.dots()) == 1
}
