package clock

import "slices"

// Interval is an inclusive range of counters, Lo <= Hi.
type Interval struct{ Lo, Hi uint64 }

// entry is the set of counters seen of one origin: its "runs" are {1,base}, if base
// is not zero, followed by the intervals above it.
//
// Invariant: above is sorted, disjoint and not adjacent, above[0].Lo >= base+2, all
// counters are within 1..MaxCounter, and an entry in a Clock is not empty. So equal
// sets have equal entries. Guarded by check in the tests after every operation.
type entry struct {
	origin Origin
	base   uint64
	above  []Interval
}

func (e *entry) empty() bool { return e.base == 0 && len(e.above) == 0 }

// runs counts the runs; run returns the i-th of them.
func (e *entry) runs() int {
	if e.base > 0 {
		return len(e.above) + 1
	}
	return len(e.above)
}

func (e *entry) run(i int) Interval {
	if e.base > 0 {
		if i == 0 {
			return Interval{1, e.base}
		}
		i--
	}
	return e.above[i]
}

// search returns the index of the first interval above the base with Hi >= n.
func (e *entry) search(n uint64) int {
	lo, hi := 0, len(e.above)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if e.above[mid].Hi < n {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (e *entry) contains(n uint64) bool {
	if n <= e.base {
		return n > 0
	}
	i := e.search(n)
	return i < len(e.above) && e.above[i].Lo <= n
}

func (e *entry) max() uint64 {
	if n := len(e.above); n > 0 {
		return e.above[n-1].Hi
	}
	return e.base
}

// add inserts lo..hi, which the caller has clamped to 1..MaxCounter.
func (e *entry) add(lo, hi uint64) {
	if lo > e.base+1 {
		// Everything that touches lo..hi, adjacency included, becomes one interval.
		i := e.search(lo - 1)
		j := i
		for j < len(e.above) && e.above[j].Lo <= hi+1 {
			lo, hi = min(lo, e.above[j].Lo), max(hi, e.above[j].Hi)
			j++
		}
		if i == j {
			e.above = slices.Insert(e.above, i, Interval{lo, hi})
			return
		}
		e.above[i] = Interval{lo, hi}
		e.above = slices.Delete(e.above, i+1, j)
		return
	}
	e.base = max(e.base, hi)
	// The base swallows the intervals that it has met.
	i := 0
	for i < len(e.above) && e.above[i].Lo <= e.base+1 {
		e.base = max(e.base, e.above[i].Hi)
		i++
	}
	if i > 0 {
		e.above = slices.Delete(e.above, 0, i)
	}
}

// remove takes n out; the caller knows that it is in.
func (e *entry) remove(n uint64) {
	if n <= e.base {
		if n < e.base {
			e.above = slices.Insert(e.above, 0, Interval{n + 1, e.base})
		}
		e.base = n - 1
		return
	}
	i := e.search(n)
	switch iv := &e.above[i]; {
	case iv.Lo == n && iv.Hi == n:
		e.above = slices.Delete(e.above, i, i+1)
	case iv.Lo == n:
		iv.Lo++
	case iv.Hi == n:
		iv.Hi--
	default:
		rest := Interval{n + 1, iv.Hi}
		iv.Hi = n - 1
		e.above = slices.Insert(e.above, i+1, rest)
	}
}

// extend adds iv behind all runs so far; the caller feeds runs in order of Lo, so
// that a merge of two entries needs no search.
func (e *entry) extend(iv Interval) {
	n := len(e.above)
	switch {
	case n == 0 && iv.Lo <= e.base+1:
		e.base = max(e.base, iv.Hi)
	case n > 0 && iv.Lo <= e.above[n-1].Hi+1:
		e.above[n-1].Hi = max(e.above[n-1].Hi, iv.Hi)
	default:
		e.above = append(e.above, iv)
	}
}

func (e *entry) clone() entry {
	return entry{e.origin, e.base, slices.Clone(e.above)}
}

// union merges b into e. It never keeps a reference to b's intervals.
func (e *entry) union(b *entry) {
	if len(b.above) == 0 {
		if b.base > e.base {
			e.add(1, b.base)
		}
		return
	}
	if e.covers(b) {
		return
	}
	out := entry{origin: e.origin, above: make([]Interval, 0, len(e.above)+len(b.above))}
	i, j := 0, 0
	for i < e.runs() || j < b.runs() {
		if j == b.runs() || i < e.runs() && e.run(i).Lo <= b.run(j).Lo {
			out.extend(e.run(i))
			i++
		} else {
			out.extend(b.run(j))
			j++
		}
	}
	*e = out
}

// minus returns the counters of e that are not in b.
func (e *entry) minus(b *entry) entry {
	out := entry{origin: e.origin}
	j := 0
	for i := range e.runs() {
		iv := e.run(i)
		for j < b.runs() && b.run(j).Hi < iv.Lo {
			j++
		}
		for k := j; k < b.runs() && b.run(k).Lo <= iv.Hi; k++ {
			cut := b.run(k)
			if cut.Lo > iv.Lo {
				out.extend(Interval{iv.Lo, cut.Lo - 1})
			}
			iv.Lo = cut.Hi + 1
			j = k
		}
		if iv.Lo <= iv.Hi {
			out.extend(iv)
		}
	}
	return out
}

// intersect returns the counters that are in both.
func (e *entry) intersect(b *entry) entry {
	out := entry{origin: e.origin}
	for i, j := 0, 0; i < e.runs() && j < b.runs(); {
		x, y := e.run(i), b.run(j)
		if lo, hi := max(x.Lo, y.Lo), min(x.Hi, y.Hi); lo <= hi {
			out.extend(Interval{lo, hi})
		}
		if x.Hi < y.Hi {
			i++
		} else {
			j++
		}
	}
	return out
}

// covers reports whether e contains all of b.
func (e *entry) covers(b *entry) bool {
	if e.base < b.base {
		return false
	}
	i := 0
	for _, iv := range b.above {
		if iv.Hi <= e.base {
			continue
		}
		for i < len(e.above) && e.above[i].Hi < iv.Hi {
			i++
		}
		if i == len(e.above) || e.above[i].Lo > iv.Lo {
			return false
		}
	}
	return true
}

func (e *entry) equal(b *entry) bool {
	return e.origin == b.origin && e.base == b.base && slices.Equal(e.above, b.above)
}
