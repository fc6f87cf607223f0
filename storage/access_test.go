package storage

import (
	"testing"

	"github.com/memd/memd/memory"
)

// What was taken is not touched by a read that comes later, also if there was nothing.
func TestTakenReadsAreTheTakersOwn(t *testing.T) {
	a := newAccessLog()
	for range 3 {
		taken := a.take()
		before := len(taken)
		a.mu.Lock()
		a.reads[memory.NewKey(memory.KindMemory, "read meanwhile")] = accessCount{n: 1}
		a.mu.Unlock()
		if len(taken) != before {
			t.Fatalf("%d reads taken, %d now", before, len(taken))
		}
	}
}
