package clock

import (
	"math"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestStampParts(t *testing.T) {
	s := NewStamp(epoch.UnixMilli(), 77)
	if s.Millis() != epoch.UnixMilli() || s.Logical() != 77 || !s.Time().Equal(epoch) || s.Time().Location() != time.UTC {
		t.Errorf("parts of %d: %d, %d, %v", s, s.Millis(), s.Logical(), s.Time())
	}
	if s := NewStamp(-1, 3); s != 3 {
		t.Errorf("before 1970: %d", s)
	}
	if s := NewStamp(math.MaxInt64, 0); s.Millis() != maxMillis {
		t.Errorf("beyond 48 bits: %d", s.Millis())
	}
}

// TestHLCProperties lets the wall clock step anywhere, mixes in foreign stamps of
// any value, restarts from the persisted bound, and checks every stamp issued.
func TestHLCProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHLC(0)
		now := epoch
		var highest Stamp // issued, poisoned successors aside
		var ceiling Stamp // the highest wall clock so far, plus MaxSkew
		step := func(t *rapid.T) {
			switch rapid.IntRange(0, 3).Draw(t, "kind of step") {
			case 0: // the clock stands still
			case 1:
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "forward")))
			case 2:
				now = now.Add(time.Duration(rapid.Int64Range(-int64(time.Hour), int64(time.Hour)).Draw(t, "jump")))
			case 3:
				now = epoch.Add(time.Duration(rapid.Int64Range(-int64(80*time.Second), int64(80*time.Second)).Draw(t, "set")))
			}
			ceiling = max(ceiling, limit(now))
		}
		stamp := func(t *rapid.T) Stamp {
			switch rapid.IntRange(0, 3).Draw(t, "kind of stamp") {
			case 0:
				return 0
			case 1: // about the bound of what is adopted
				return limit(now) - 2 + Stamp(rapid.Uint64Range(0, 4).Draw(t, "edge"))
			case 2:
				return NewStamp(now.UnixMilli()+rapid.Int64Range(-70_000, 70_000).Draw(t, "offset"), uint16(rapid.Uint64Range(0, math.MaxUint16).Draw(t, "logical")))
			default:
				return Stamp(rapid.Uint64().Draw(t, "any"))
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if h.Last() > ceiling+Stamp(1<<20) { // a logical count may run past a full millisecond
					t.Fatalf("HLC at %v, dragged beyond %v", h.Last().Time(), ceiling.Time())
				}
			},
			"next": func(t *rapid.T) {
				step(t)
				after := stamp(t)
				before := h.Last()
				s := h.Next(now, after)
				if s <= before || s <= highest || s < wall(now) || s <= after && after != maxStamp {
					t.Fatalf("Next(%v, %d) = %d with last %d, highest %d", now, after, s, before, highest)
				}
				if h.Last() == s {
					highest = s
				} else if after.next() <= limit(now) || s != after.next() {
					t.Fatalf("Next(%v, %d) = %d was not kept: last %d", now, after, s, h.Last())
				}
				highest = max(highest, h.Last())
			},
			"observe": func(t *rapid.T) {
				step(t)
				s := stamp(t)
				before := h.Last()
				future := h.Observe(s, now)
				if future != (s > limit(now)) {
					t.Fatalf("Observe(%d, %v) = %v", s, now, future)
				}
				if want := max(before, s); !future && h.Last() != want || future && h.Last() != before {
					t.Fatalf("Observe(%d, %v): last went from %d to %d", s, now, before, h.Last())
				}
			},
			"restart": func(t *rapid.T) { h = NewHLC(h.Last()) },
		})
	})
}

// TestHLCBackwardStep is edge case 21: the wall steps back between two writes.
func TestHLCBackwardStep(t *testing.T) {
	h := NewHLC(0)
	first := h.Next(epoch, 0)
	if second := h.Next(epoch.Add(-time.Hour), first); second <= first {
		t.Errorf("successor %d sorts below %d", second, first)
	}
	restarted := NewHLC(h.Last())
	if third := restarted.Next(epoch.Add(-2*time.Hour), 0); third <= h.Last() {
		t.Errorf("stamp %d after a restart is not above %d", third, h.Last())
	}
}

// TestHLCFarFuture is edge case 20: one row of a clock an hour fast.
func TestHLCFarFuture(t *testing.T) {
	h := NewHLC(0)
	h.Next(epoch, 0)
	before := h.Last()
	poison := NewStamp(epoch.Add(time.Hour).UnixMilli(), 0)
	if !h.Observe(poison, epoch) || h.Last() != before {
		t.Fatal("a far stamp was adopted")
	}
	if s := h.Next(epoch, poison); s <= poison {
		t.Errorf("successor %d sorts below the poisoned %d", s, poison)
	}
	if s := h.Next(epoch, 0); s >= poison {
		t.Errorf("the poison spread to another key: %d", s)
	}
	if s := h.Next(epoch, maxStamp); s != maxStamp {
		t.Errorf("the end of the range wrapped to %d", s)
	}
	if h.Observe(NewStamp(epoch.Add(MaxSkew).UnixMilli(), 0), epoch) {
		t.Error("a stamp at exactly MaxSkew counts as future")
	}
}

// TestHLCBurst issues more stamps in one millisecond than the logical count holds.
func TestHLCBurst(t *testing.T) {
	h := NewHLC(0)
	last := Stamp(0)
	for range 1<<16 + 10 {
		s := h.Next(epoch, 0)
		if s <= last {
			t.Fatalf("%d after %d", s, last)
		}
		last = s
	}
	if last.Millis() != epoch.UnixMilli()+1 {
		t.Errorf("burst ended at %v", last.Time())
	}
}

func TestHLCConcurrent(t *testing.T) {
	h := NewHLC(0)
	var mu sync.Mutex
	seen := map[Stamp]bool{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 500 {
				s := h.Next(epoch, 0)
				h.Observe(NewStamp(epoch.UnixMilli()+int64(i), 0), epoch)
				mu.Lock()
				if seen[s] {
					t.Errorf("stamp %d issued twice", s)
				}
				seen[s] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
