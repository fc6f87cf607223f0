package sim

import (
	"math/bits"
	"slices"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// The model of causality. A write has a past: the writes of its record that it superseded,
// and theirs. A disk knows a set of writes per record; telling it something adds to the set,
// and nothing else ever happens to it. What a store must show are the known writes that are
// in no other known write's past. No clock, context or merge is in this.

// maxWrites bounds the writes of one schedule.
const maxWrites = 256

// set is a set of writes, by number. All sets that a disk or a message holds are closed:
// with a write its past is in them.
type set [maxWrites / 64]uint64

func (s *set) add(n int)     { s[n/64] |= 1 << (n % 64) }
func (s set) has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }

func (s set) union(o set) set {
	for i := range s {
		s[i] |= o[i]
	}
	return s
}

func (s set) minus(o set) set {
	for i := range s {
		s[i] &^= o[i]
	}
	return s
}

func (s set) empty() bool { return s == set{} }

// each yields the members in ascending order.
func (s set) each(yield func(n int) bool) {
	for i, word := range s {
		for word != 0 {
			if !yield(i*64 + bits.TrailingZeros64(word)) {
				return
			}
			word &= word - 1
		}
	}
}

// write is one version that someone made.
type write struct {
	n       int
	key     int // number of the record
	dot     clock.Dot
	past    set
	of      *write    // what it is a copy of that nobody asked for; nil = somebody wrote it
	lasts   time.Time // of a copy
	stamp   clock.Stamp
	sum     memory.Hash
	deleted bool
	title   string
	ends    [2]memory.Key // of a link
	content memory.Hash
	idem    memory.Hash
	idemKey string

	maker *process // nil: a node of a newer version, or the cluster's founder
	local bool     // its client was told that it is durable there, and not yet at W
	acked bool
	w     int
	names []string // that were counted when it was acknowledged
	slots []int    // the disks behind those names
	// lost are the disks that held it and were then destroyed, wiped or set back to a copy
	// without it. A crash is no reason to lose anything.
	lost uint64
}

// excused tells that so many of the disks that its acknowledgement counted lost the write
// that nothing was promised any more: at least W distinct names.
func (w *write) excused() bool {
	var gone []string
	for i, name := range w.names {
		if w.lost&(1<<w.slots[i]) != 0 && !slices.Contains(gone, name) {
			gone = append(gone, name)
		}
	}
	return len(gone) >= w.w
}

// told is what one row says: a record, and what of it the sender knew.
type told struct {
	key    int
	known  set
	defect bool // no node of this version can read it
}

// knowledge is what a disk was told, by number of record.
type knowledge []set

func (k knowledge) at(key int) set {
	if key < len(k) {
		return k[key]
	}
	return set{}
}

// tell adds to k, which is grown and returned.
func (k knowledge) tell(t told) knowledge {
	for len(k) <= t.key {
		k = append(k, set{})
	}
	k[t.key] = k[t.key].union(t.known)
	return k
}

// origin is what somebody wrote: the write, or what it is a copy of.
func (w *write) origin() *write {
	if w.of != nil {
		return w.of
	}
	return w
}

// siblings are the members of known that no other member has superseded, in order of their
// dots. Who has written over what a copy is a copy of has superseded the copy, too.
func (w *World) siblings(known set) []*write {
	var past set
	for n := range known.each {
		past = past.union(w.writes[n].past)
	}
	var out []*write
	for n := range known.minus(past).each {
		if s := w.writes[n]; s.of == nil || !w.decided(known, s.of) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *write) int { return a.dot.Compare(b.dot) })
	return out
}

// decided tells that somebody who has written had read it, or a copy of it.
func (w *World) decided(known set, origin *write) bool {
	for n := range known.each {
		if m := w.writes[n]; m.origin() != origin && m.past.has(origin.n) {
			return true
		}
	}
	return false
}

// winner is the sibling that a reader is shown, nil if there is none or all are deletions.
func winner(siblings []*write) *write {
	var best *write
	for _, s := range siblings {
		if s.deleted {
			continue
		}
		if best == nil {
			best = s
			continue
		}
		a, b := s.origin(), best.origin()
		if a == b { // copies of one
			if a, b = s, best; !a.lasts.Equal(b.lasts) {
				if a.lasts.After(b.lasts) {
					best = s
				}
				continue
			}
		}
		if a.stamp > b.stamp || a.stamp == b.stamp && a.dot.Compare(b.dot) > 0 {
			best = s
		}
	}
	return best
}

// holders are the records that show the title, as the model has it.
func (w *World) holders(k knowledge, title string) []int {
	var out []int
	for key := range k {
		if best := winner(w.siblings(k[key])); best != nil && best.title == title {
			out = append(out, key)
		}
	}
	return out
}
