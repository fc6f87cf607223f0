package memory

import (
	"slices"

	"github.com/memd/memd/clock"
)

// Record is the replicated unit: the versions of one key that no other version has superseded, and what is known of the rest.
//
// Invariants (made by Merge and Supersede, checked by decoding; tests TestMergeLaws, TestProtocolHistories):
//   - Versions are sorted by dot, one per dot; Lost and Idems likewise and at most 16 each.
//   - A dot is never both a sibling and in the Context.
//
// Records share the bytes and slices they were made from: treat every part as read-only.
type Record struct {
	Key      Key
	Versions []Version   // siblings
	Context  clock.Clock // exact dots of this key that are superseded
	Lost     []Lost
	Idems    []IdemMark
	Ext      []byte // record-level fields of newer versions, verbatim until two different ones merge
}

// Lost is what remains, in the replicated state, of a conflict loser that a later write superseded: enough to list it on every node
// and to ask a node that held it for the body.
type Lost struct {
	Dot     clock.Dot
	Stamp   clock.Stamp
	Content Hash
	Agent   string
}

// IdemMark remembers the idempotency key of a superseded version: a retry at a node that only knows the successor must not run again.
type IdemMark struct {
	Dot     clock.Dot
	Stamp   clock.Stamp
	Idem    Hash
	Content Hash
}

// Empty tells that the record says nothing: no sibling, no context.
func (r Record) Empty() bool { return len(r.Versions) == 0 && r.Context.Empty() }

// Dots of the siblings, ascending.
func (r Record) Dots() []clock.Dot {
	dots := make([]clock.Dot, len(r.Versions))
	for i := range r.Versions {
		dots[i] = r.Versions[i].Dot
	}
	return dots
}

// Find is the sibling with the dot, or nil.
func (r Record) Find(d clock.Dot) *Version {
	i, ok := slices.BinarySearchFunc(r.Versions, d, func(v Version, d clock.Dot) int { return v.Dot.Compare(d) })
	if !ok {
		return nil
	}
	return &r.Versions[i]
}

// FindIdem looks for a write of that idempotency key among siblings and marks.
func (r Record) FindIdem(idem Hash) (IdemMark, bool) {
	if idem.IsZero() {
		return IdemMark{}, false
	}
	for i := range r.Versions {
		if v := &r.Versions[i]; v.Idem == idem {
			return IdemMark{Dot: v.Dot, Stamp: v.Stamp, Idem: v.Idem, Content: v.Content}, true
		}
	}
	for _, m := range r.Idems {
		if m.Idem == idem {
			return m, true
		}
	}
	return IdemMark{}, false
}

// MaxStamp is the greatest stamp among the siblings, 0 if there is none: what a blind write must exceed.
func (r Record) MaxStamp() clock.Stamp { return r.StampAfter(nil) }

// StampAfter is the greatest stamp among the siblings that a write with this token supersedes.
func (r Record) StampAfter(token *clock.Clock) (after clock.Stamp) {
	for i := range r.Versions {
		if v := &r.Versions[i]; v.Stamp > after && supersedes(token, v) {
			after = v.Stamp
		}
	}
	return after
}

// Clone copies every byte that r refers to.
func (r Record) Clone() Record {
	r.Versions = slices.Clone(r.Versions)
	for i := range r.Versions {
		v := &r.Versions[i]
		v.Value, v.Ext = slices.Clone(v.Value), slices.Clone(v.Ext)
	}
	r.Context = r.Context.Clone()
	r.Lost, r.Idems, r.Ext = slices.Clone(r.Lost), slices.Clone(r.Idems), slices.Clone(r.Ext)
	return r
}

func compareVersions(a, b Version) int { return a.Dot.Compare(b.Dot) }
