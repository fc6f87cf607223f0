package catchup

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/memd/memd/internal/mutant"
)

// TestMutantsOfPauses: whoever asks after a pause must be told of it, and a suspend must be
// seen although the monotonic clock stood still.
func TestMutantsOfPauses(t *testing.T) {
	tests := []struct {
		mutant mutant.Set
		holds  func(m mutant.Set) bool
	}{
		{mutant.PauseUnnoticed, func(m mutant.Set) bool { return toldOfPause(t, m, 5*time.Second) }},
		{mutant.PauseByTickerOnly, func(m mutant.Set) bool { return toldOfPause(t, m, 5*time.Second) }},
		{mutant.MonotonicOnly, func(m mutant.Set) bool {
			d := newPauses(m)
			d.set(time.Second, 0)
			return d.judge(time.Second+pauseTick, time.Hour) > 0
		}},
	}
	for _, tt := range tests {
		if !tt.holds(0) {
			t.Errorf("%s: not even without it", tt.mutant)
		}
		if tt.holds(tt.mutant) {
			t.Errorf("%s is not noticed", tt.mutant)
		}
	}
}

// toldOfPause reports whether a request right after a pause finds out, and Synced with it.
func toldOfPause(t *testing.T, m mutant.Set, d time.Duration) (told bool) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(1, 1)
		l := start(t, me, peers, func(c *Config) { c.Mutants = m })
		l.settle()
		l.net.set("n1", func(l *link) { l.dark = true })
		time.Sleep(pauseTick / 2) // not in the moment of a tick
		l.away(d)
		told = l.CheckPause() && !l.Synced()
	})
	return told
}
