package clock

import (
	"iter"
	"math"
	"slices"
)

// Clock is a set of dots: per origin a base (1..base are all in) and intervals
// above it. The same type serves as node clock, cursor, reservation, covers,
// context, token, floor and "what is missing".
//
// The zero Clock is empty and ready to use. A Clock behaves like a slice: a copy
// by assignment shares storage with the original, so [Clock.Clone] before one of
// two copies is changed (Add, AddRange, Union, Remove). Results of Clone, Minus,
// Intersect and Only share nothing. It is not safe for concurrent change.
type Clock struct {
	// Invariant: sorted by origin, one entry each, none empty.
	entries []entry
}

// Of returns the clock of exactly these dots; invalid ones are left out.
func Of(dots ...Dot) Clock {
	var c Clock
	for _, d := range dots {
		c.Add(d)
	}
	return c
}

// find returns where the entry of o is, or where it belongs.
func (c *Clock) find(o Origin) (int, bool) {
	lo, hi := 0, len(c.entries)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if c.entries[mid].origin < o {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(c.entries) && c.entries[lo].origin == o
}

// Contains reports whether d is in the set. An invalid dot never is.
func (c Clock) Contains(d Dot) bool {
	i, ok := c.find(d.Origin)
	return ok && c.entries[i].contains(d.Counter)
}

// Add puts d into the set and reports whether it is new. An invalid dot is ignored
// and reported as not new; whoever takes dots from outside checks [Dot.Valid].
// Adding the next dot of a known origin costs one search and no allocation.
func (c *Clock) Add(d Dot) bool {
	if !d.Valid() {
		return false
	}
	i, ok := c.find(d.Origin)
	if !ok {
		c.entries = slices.Insert(c.entries, i, entry{origin: d.Origin})
	} else if c.entries[i].contains(d.Counter) {
		return false
	}
	c.entries[i].add(d.Counter, d.Counter)
	return true
}

// AddRange adds the dots lo..hi of o, as far as they are valid.
func (c *Clock) AddRange(o Origin, lo, hi uint64) {
	lo, hi = max(lo, 1), min(hi, MaxCounter)
	if lo > hi {
		return
	}
	i, ok := c.find(o)
	if !ok {
		c.entries = slices.Insert(c.entries, i, entry{origin: o})
	}
	c.entries[i].add(lo, hi)
}

// Remove takes d out of the set and reports whether it was in. Only for a scrub
// that found the data behind a dot gone: knowledge otherwise never shrinks.
func (c *Clock) Remove(d Dot) bool {
	i, ok := c.find(d.Origin)
	if !ok || !c.entries[i].contains(d.Counter) {
		return false
	}
	c.entries[i].remove(d.Counter)
	if c.entries[i].empty() {
		c.entries = slices.Delete(c.entries, i, i+1)
	}
	return true
}

// Union adds all dots of o.
func (c *Clock) Union(o Clock) {
	fresh := 0
	i := 0
	for j := range o.entries {
		for i < len(c.entries) && c.entries[i].origin < o.entries[j].origin {
			i++
		}
		if i < len(c.entries) && c.entries[i].origin == o.entries[j].origin {
			c.entries[i].union(&o.entries[j])
		} else {
			fresh++
		}
	}
	if fresh == 0 {
		return
	}
	// New origins are woven in from the back, so that nothing moves twice.
	i = len(c.entries) - 1
	c.entries = slices.Grow(c.entries, fresh)[:len(c.entries)+fresh]
	at := len(c.entries) - 1
	for j := len(o.entries) - 1; j >= 0; at-- {
		switch {
		case i >= 0 && c.entries[i].origin > o.entries[j].origin:
			c.entries[at] = c.entries[i]
			i--
		case i >= 0 && c.entries[i].origin == o.entries[j].origin:
			c.entries[at] = c.entries[i]
			i--
			j--
		default:
			c.entries[at] = o.entries[j].clone()
			j--
		}
	}
}

// Clone returns a copy that shares nothing with c.
func (c Clock) Clone() Clock {
	if len(c.entries) == 0 {
		return Clock{}
	}
	out := Clock{entries: make([]entry, len(c.entries))}
	for i := range c.entries {
		out.entries[i] = c.entries[i].clone()
	}
	return out
}

// Minus returns the dots of c that are not in o.
func (c Clock) Minus(o Clock) Clock {
	var out Clock
	j := 0
	for i := range c.entries {
		e := &c.entries[i]
		for j < len(o.entries) && o.entries[j].origin < e.origin {
			j++
		}
		if j == len(o.entries) || o.entries[j].origin != e.origin {
			out.entries = append(out.entries, e.clone())
			continue
		}
		if rest := e.minus(&o.entries[j]); !rest.empty() {
			out.entries = append(out.entries, rest)
		}
	}
	return out
}

// Intersect returns the dots that are in both.
func (c Clock) Intersect(o Clock) Clock {
	var out Clock
	for i, j := 0, 0; i < len(c.entries) && j < len(o.entries); {
		a, b := &c.entries[i], &o.entries[j]
		switch {
		case a.origin < b.origin:
			i++
		case a.origin > b.origin:
			j++
		default:
			if both := a.intersect(b); !both.empty() {
				out.entries = append(out.entries, both)
			}
			i++
			j++
		}
	}
	return out
}

// Covers reports whether every dot of o is in c.
func (c Clock) Covers(o Clock) bool {
	i := 0
	for j := range o.entries {
		for i < len(c.entries) && c.entries[i].origin < o.entries[j].origin {
			i++
		}
		if i == len(c.entries) || c.entries[i].origin != o.entries[j].origin || !c.entries[i].covers(&o.entries[j]) {
			return false
		}
	}
	return true
}

// Equal reports whether both are the same set.
func (c Clock) Equal(o Clock) bool {
	return slices.EqualFunc(c.entries, o.entries, func(a, b entry) bool { return a.equal(&b) })
}

// Empty reports whether no dot is in the set.
func (c Clock) Empty() bool { return len(c.entries) == 0 }

// Count returns the number of dots, at most math.MaxUint64.
func (c Clock) Count() uint64 {
	var n uint64
	for _, iv := range c.Ranges() {
		size := iv.Hi - iv.Lo + 1
		if n > math.MaxUint64-size {
			return math.MaxUint64
		}
		n += size
	}
	return n
}

// Intervals returns the number of intervals above the bases, over all origins: how
// ragged the set is, and what drives the size of its encoding.
func (c Clock) Intervals() int {
	n := 0
	for i := range c.entries {
		n += len(c.entries[i].above)
	}
	return n
}

// Entry returns the base of o and the intervals above it, for reading only: the
// slice is the clock's own.
func (c Clock) Entry(o Origin) (base uint64, above []Interval) {
	if i, ok := c.find(o); ok {
		return c.entries[i].base, slices.Clip(c.entries[i].above)
	}
	return 0, nil
}

// Only returns the part of c that belongs to o.
func (c Clock) Only(o Origin) Clock {
	if i, ok := c.find(o); ok {
		return Clock{entries: []entry{c.entries[i].clone()}}
	}
	return Clock{}
}

// Max returns the highest counter of o, 0 if there is none.
func (c Clock) Max(o Origin) uint64 {
	if i, ok := c.find(o); ok {
		return c.entries[i].max()
	}
	return 0
}

// Origins yields the origins that have a dot in the set, ascending.
func (c Clock) Origins() iter.Seq[Origin] {
	return func(yield func(Origin) bool) {
		for i := range c.entries {
			if !yield(c.entries[i].origin) {
				return
			}
		}
	}
}

// Ranges yields the set as disjoint, not adjacent ranges in ascending order of
// origin and counter; a base is the range {1, base}.
func (c Clock) Ranges() iter.Seq2[Origin, Interval] {
	return func(yield func(Origin, Interval) bool) {
		for i := range c.entries {
			e := &c.entries[i]
			for r := range e.runs() {
				if !yield(e.origin, e.run(r)) {
					return
				}
			}
		}
	}
}
