package node

import (
	"testing"

	"github.com/memd/memd/clock"
)

// A name that an earlier process earned is not the next one's: its disk may be an old copy.
func TestRestartedPeerIsForgotten(t *testing.T) {
	var c clocks
	held := clock.Of(clock.Dot{Origin: 1, Counter: 1})
	c.boot("n2", 7)
	c.set("n2", held)
	c.boot("n2", 7)
	if !c.get("n2").Equal(held) {
		t.Error("forgotten without a restart")
	}
	c.boot("n2", 8)
	if !c.get("n2").Empty() {
		t.Error("a restarted peer is still taken to hold what it once reported")
	}
}
