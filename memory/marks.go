package memory

import (
	"bytes"
	"cmp"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/memd/memd/clock"
)

// mark is a digest of a superseded version: one per dot, the greatest by (stamp, dot) are kept.
type mark interface {
	key() clock.Dot
	stamp() clock.Stamp
	tie() []byte // orders two different marks of one dot, which only damaged or hostile states have
}

func (l Lost) key() clock.Dot     { return l.Dot }
func (l Lost) stamp() clock.Stamp { return l.Stamp }
func (l Lost) tie() []byte        { return append(l.Content[:], l.Agent...) }

func (m IdemMark) key() clock.Dot     { return m.Dot }
func (m IdemMark) stamp() clock.Stamp { return m.Stamp }
func (m IdemMark) tie() []byte        { return append(m.Idem[:], m.Content[:]...) }

// joinMarks is the union of two sorted lists, per dot the greatest mark, cut to the limit greatest by (stamp, dot).
//
// It is associative: what a cut drops has limit other dots above it, and those stay or are replaced by greater ones, so it would not
// have survived a later cut either (test TestMarksAssociative).
func joinMarks[M mark](a, b []M, limit int) []M {
	switch {
	case len(b) == 0 && len(a) <= limit:
		return a
	case len(a) == 0 && len(b) <= limit:
		return b
	}
	all := append(append(make([]M, 0, len(a)+len(b)), a...), b...)
	slices.SortFunc(all, func(x, y M) int { // per dot the greatest first
		return cmp.Or(x.key().Compare(y.key()), cmp.Compare(y.stamp(), x.stamp()), bytes.Compare(y.tie(), x.tie()))
	})
	all = slices.CompactFunc(all, func(x, y M) bool { return x.key() == y.key() })
	if len(all) > limit {
		slices.SortFunc(all, func(x, y M) int {
			return cmp.Or(cmp.Compare(y.stamp(), x.stamp()), y.key().Compare(x.key()))
		})
		all = all[:limit]
		slices.SortFunc(all, func(x, y M) int { return x.key().Compare(y.key()) })
	}
	return all
}

// joinExt merges fields that this version does not know. Equal ones stay verbatim; different ones become the sorted union of their
// elements, cut to the greatest MaxExt. Like joinMarks, and for the same reason, this is associative.
func joinExt(a, b []byte) []byte {
	if len(b) == 0 || bytes.Equal(a, b) {
		return a
	}
	if len(a) == 0 {
		return b
	}
	type field struct {
		num protowire.Number
		raw []byte
	}
	var all []field
	for _, rest := range [][]byte{a, b} {
		for len(rest) > 0 {
			num, _, n := protowire.ConsumeField(rest)
			if n < 0 {
				break // decoding has refused such bytes; nothing sensible can be merged
			}
			all = append(all, field{num, rest[:n]})
			rest = rest[n:]
		}
	}
	slices.SortFunc(all, func(x, y field) int { return cmp.Or(cmp.Compare(x.num, y.num), bytes.Compare(x.raw, y.raw)) })
	all = slices.CompactFunc(all, func(x, y field) bool { return bytes.Equal(x.raw, y.raw) })
	if len(all) > MaxExt {
		all = all[len(all)-MaxExt:]
	}
	out := make([]byte, 0, len(a)+len(b))
	for _, f := range all {
		out = append(out, f.raw...)
	}
	return out
}
