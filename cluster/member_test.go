package cluster

import (
	"fmt"
	"testing"
)

func TestTableBound(t *testing.T) {
	tb := newTable()
	for i := range 3 * maxGone {
		name := fmt.Sprint(i)
		tb.alive(name, "10.0.0.1:1", Meta{Boot: uint64(i + 1)})
		tb.gone(name)
	}
	tb.alive("here", "10.0.0.1:2", Meta{Boot: 1 << 40})
	n := tb.count()
	if n[StateDead] != maxGone || n[StateAlive] != 1 {
		t.Fatalf("%v", n)
	}
	if _, ok := tb.get(fmt.Sprint(3*maxGone - 1)); !ok {
		t.Fatal("the newest dead was dropped")
	}
}

// Whichever comes first, the goodbye or the death, the member has left.
func TestTableGoodbye(t *testing.T) {
	for _, first := range []bool{true, false} {
		tb := newTable()
		tb.alive("a", "10.0.0.1:1", Meta{Boot: 1})
		if first {
			tb.goodbye(1)
		}
		tb.gone("a")
		if !first {
			tb.goodbye(1)
		}
		if m, _ := tb.get("a"); m.State != StateLeft {
			t.Fatalf("goodbye first %v: %v", first, m.State)
		}
		if tb.goodbye(1) || tb.goodbye(2) {
			t.Fatal("a known or foreign goodbye is news")
		}
		// It returns as another process, which is then killed.
		tb.alive("a", "10.0.0.1:1", Meta{Boot: 3})
		tb.gone("a")
		if m, _ := tb.get("a"); m.State != StateDead {
			t.Fatalf("second life: %v", m.State)
		}
	}
}
