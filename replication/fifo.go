package replication

import (
	"slices"

	"github.com/memd/memd/clock"
)

// fifo is the waits of one origin in order of their counters. A wait with several dots
// stands in it once per dot. Waits that are over stay until they are at the head, or
// until they are the majority, so taking one out costs nothing by itself.
type fifo struct {
	q    []waiting // sorted by counter; equal counters (retries) in order of arrival
	head int
	live int // entries of q[head:] whose wait is not over
}

type waiting struct {
	counter uint64
	w       *Wait
}

// add puts w in. New writes have the highest counter, so this appends; only a retry,
// which waits for an older dot, has to be put in its place.
func (f *fifo) add(counter uint64, w *Wait) {
	f.live++
	if n := len(f.q); n == f.head || f.q[n-1].counter <= counter {
		f.q = append(f.q, waiting{counter, w})
		return
	}
	f.q = slices.Insert(f.q, f.from(counter+1), waiting{counter, w})
}

// from returns the index of the first wait with at least this counter.
func (f *fifo) from(counter uint64) int {
	// The common case is the head: acks come in the order of the waits.
	lo, hi := f.head, len(f.q)
	if lo == hi || f.q[lo].counter >= counter {
		return lo
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if f.q[mid].counter < counter {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// each calls do for every wait with a dot in lo..hi that is not over.
func (f *fifo) each(lo, hi uint64, do func(*Wait)) {
	var last *Wait
	for i := f.from(lo); i < len(f.q) && f.q[i].counter <= hi; i++ {
		if w := f.q[i].w; w != last && !w.over {
			do(w)
			last = w
		}
	}
}

// tidy lets go of waits that are over. Not to be called from within each.
func (f *fifo) tidy() {
	if f.live == 0 {
		clear(f.q)
		f.q, f.head = f.q[:0], 0
		return
	}
	for f.q[f.head].w.over {
		f.q[f.head] = waiting{}
		f.head++
	}
	if held := len(f.q) - f.head; len(f.q) > 64 && f.live < len(f.q)/2 {
		// The holes in front and between are more than what is left: move up once.
		kept := slices.DeleteFunc(f.q[f.head:], func(e waiting) bool { return e.w.over })
		n := copy(f.q, kept)
		clear(f.q[n : f.head+held])
		f.q, f.head = f.q[:n], 0
	}
}

// ranges calls do for the parts of what (base, above) holds and (oldBase, oldAbove)
// does not: what an entry brings that the entry before it did not have.
func ranges(base uint64, above []clock.Interval, oldBase uint64, oldAbove []clock.Interval, do func(lo, hi uint64)) {
	rest := func(lo, hi uint64) {
		lo = max(lo, oldBase+1)
		for len(oldAbove) > 0 && oldAbove[0].Hi < lo {
			oldAbove = oldAbove[1:]
		}
		for _, old := range oldAbove {
			if old.Lo > hi {
				break
			}
			if old.Lo > lo {
				do(lo, old.Lo-1)
			}
			lo = max(lo, old.Hi+1)
		}
		if lo <= hi {
			do(lo, hi)
		}
	}
	if base > 0 {
		rest(1, base)
	}
	for _, iv := range above {
		rest(iv.Lo, iv.Hi)
	}
}
