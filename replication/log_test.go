package replication

import (
	"slices"
	"testing"

	"github.com/memd/memd/clock"
	"pgregory.net/rapid"
)

func nothing(clock.Origin, uint64, uint64) bool { return false }

func covers(c clock.Clock) func(clock.Origin, uint64, uint64) bool {
	return func(o clock.Origin, lo, hi uint64) bool {
		var want clock.Clock
		want.AddRange(o, lo, hi)
		return c.Covers(want)
	}
}

func lacks(c clock.Clock) func(clock.Origin, uint64) uint64 {
	k := NewTracker("me", 0)
	k.SetPeers("b")
	k.Greet("b", c)
	return func(o clock.Origin, hi uint64) uint64 { return k.Lacks("b", o, hi) }
}

// counters are the dots of a frame whose rows are made by rows.
func counters(f Frame) []uint64 {
	var all []uint64
	for _, raw := range f.Rows {
		d, err := clock.ParseDot(string(raw))
		if err != nil {
			panic(err)
		}
		all = append(all, d.Counter)
	}
	return all
}

func TestFrames(t *testing.T) {
	l := NewLog(16, 1<<20, 100)
	q := NewQueue(l)
	low, high := entry(1, 1), entry(1, 3)
	l.Append(0, low, rows(1, 2))
	l.Append(3, high, rows(3, 5))
	l.Append(0, high, []Row{{clock.Dot{Origin: 0xb, Counter: 1}, []byte("000000000000000b:1")}})
	var f Frame
	size := len(rows(1, 1)[0].Raw)
	for i, want := range []struct {
		rows  []uint64
		base  uint64
		floor clock.Clock
	}{
		{[]uint64{1, 2, 3}, 3, high}, // base 3 as of the second commit
		{[]uint64{4, 5}, 3, high},
		{[]uint64{1}, 0, high}, // another origin, another frame
	} {
		if !q.Take(&f, 10, 3*size, nothing) {
			t.Fatalf("frame %d: none", i)
		}
		if got := counters(f); !slices.Equal(got, want.rows) || f.Base != want.base || !f.Floor.Equal(want.floor) || f.Bytes != size*len(got) {
			t.Errorf("frame %d: rows %v base %d floor %v, want %+v", i, got, f.Base, f.Floor, want)
		}
	}
	if q.Take(&f, 10, 100, nothing) || q.Len() != 0 {
		t.Error("more than was put in")
	}
	// One commit in two frames: the first does not claim the rows of the second.
	l.Append(9, high, rows(6, 9))
	q.Take(&f, 2, 1000, nothing)
	if f.Base != 7 {
		t.Errorf("base %d claims rows of the next frame", f.Base)
	}
	// A row above the limit of a frame travels alone.
	q.Skip()
	l.Append(11, high, rows(10, 11))
	if q.Take(&f, 10, 1, nothing); !slices.Equal(counters(f), []uint64{10}) {
		t.Error(counters(f))
	}
}

func TestRowsThatCannotBePushed(t *testing.T) {
	l := NewLog(16, 1<<20, 30)
	if unfit := l.Append(3, clock.Clock{}, []Row{{dot(1), nil}, {dot(2), []byte("ok")}, {dot(3), make([]byte, 31)}}); unfit != 2 || l.Len() != 1 {
		t.Error(unfit, l.Len())
	}
	if l.Forgotten(lacks(entry(1, 2))) != 1 || l.Forgotten(lacks(entry(1, 3))) != 0 {
		t.Error("who has it is not told from who lacks it")
	}
}

func TestOverflow(t *testing.T) {
	l := NewLog(4, 1<<20, 100)
	fast, slow := NewQueue(l), NewQueue(l)
	var f Frame
	for n := uint64(1); n <= 10; n++ {
		l.Append(n, clock.Clock{}, rows(n, n))
		if fast.Overflow() != 0 {
			t.Fatal("fast overflows")
		}
		fast.Take(&f, 10, 100, nothing)
	}
	if got := slow.Overflow(); got != 6 || slow.Len() != 4 || slow.Overflow() != 0 {
		t.Errorf("lost %d, left %d", got, slow.Len())
	}
	if slow.Take(&f, 10, 1000, nothing); !slices.Equal(counters(f), []uint64{7, 8, 9, 10}) {
		t.Error(counters(f))
	}
	if l.Forgotten(lacks(entry(2, 5))) != 2 || l.Forgotten(lacks(entry(1, 6))) != 0 {
		t.Error("forgotten is up to 6")
	}
	// By bytes.
	l = NewLog(1000, 3*len(rows(1, 1)[0].Raw), 100)
	l.Append(5, clock.Clock{}, rows(1, 5))
	if l.Len() != 3 {
		t.Errorf("%d rows", l.Len())
	}
}

func TestRewind(t *testing.T) {
	l := NewLog(8, 1<<20, 100)
	q := NewQueue(l)
	var f Frame
	l.Append(6, clock.Clock{}, rows(1, 6))
	q.Take(&f, 10, 1000, nothing)
	place := q.next
	l.Append(8, clock.Clock{}, rows(7, 8))
	q.Rewind()
	if has := covers(entry(2, 3)); q.Len() != 8 || l.Lacking(l.head, has) != 6 || l.Lacking(place, has) != 4 {
		t.Error(q.Len(), l.Lacking(l.head, has), l.Lacking(place, has))
	}
	if q.Take(&f, 10, 1000, covers(entry(2, 3))); !slices.Equal(counters(f), []uint64{1, 4, 5, 6, 7, 8}) {
		t.Error(counters(f))
	}
	q.RewindTo(place)
	if q.Take(&f, 10, 1000, covers(entry(1, 5))); !slices.Equal(counters(f), []uint64{6}) {
		t.Error(counters(f))
	}
	// Rows due again that the log forgets meanwhile are lost, and counted.
	q.Rewind()
	l.Append(11, clock.Clock{}, rows(9, 11))
	if got := q.Overflow(); got != 3 {
		t.Error("lost", got)
	}
}

// TestQueueAgainstModel: each row that is not given up is sent once, in order, unless
// it was asked for again.
func TestQueueAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.SampledFrom([]int{1, 4, 16}).Draw(t, "bound")
		l := NewLog(bound, 1<<20, 100)
		q := NewQueue(l)
		var due []uint64 // what the queue owes
		issued := uint64(0)
		kept := func(n uint64) bool { return n+uint64(bound) > issued }
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				n := rapid.Uint64Range(1, 7).Draw(t, "n")
				l.Append(issued+n, clock.Clock{}, rows(issued+1, issued+n))
				for range n {
					issued++
					due = append(due, issued)
				}
				before := len(due)
				due = slices.DeleteFunc(due, func(n uint64) bool { return !kept(n) })
				if lost := q.Overflow(); lost != before-len(due) {
					t.Fatalf("lost %d, want %d", lost, before-len(due))
				}
			},
			"take": func(t *rapid.T) {
				has := rapid.Uint64Range(0, issued+1).Draw(t, "has")
				again := map[uint64]bool{}
				for i := q.again; i < q.against; i++ {
					again[l.at(i).Dot.Counter] = true
				}
				var f Frame
				most := rapid.IntRange(1, 5).Draw(t, "max")
				q.Take(&f, most, 1<<20, covers(entry(1, has)))
				var want []uint64
				for len(due) > 0 && len(want) < most {
					if n := due[0]; !again[n] || n > has {
						want = append(want, n)
					}
					due = due[1:]
				}
				// Rows that need not be sent may be left for the next call.
				for len(due) > 0 && q.Len() < len(due) && again[due[0]] && due[0] <= has {
					due = due[1:]
				}
				if got := counters(f); !slices.Equal(got, want) {
					t.Fatalf("got %v, want %v", got, want)
				}
			},
			"rewind": func(*rapid.T) {
				q.Rewind()
				first := uint64(1)
				if issued > uint64(bound) {
					first = issued - uint64(bound) + 1
				}
				due = nil
				for n := first; n <= issued; n++ {
					due = append(due, n)
				}
			},
			"skip": func(*rapid.T) { q.Skip(); due = nil },
			"": func(t *rapid.T) {
				if q.Len() != len(due) {
					t.Fatalf("queue %d, want %d", q.Len(), len(due))
				}
				if l.Len() != int(min(issued, uint64(bound))) {
					t.Fatalf("log %d", l.Len())
				}
			},
		})
	})
}
