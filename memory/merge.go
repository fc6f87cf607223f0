package memory

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/memd/memd/clock"
)

// Merged is the outcome of Merge and of Supersede.
type Merged struct {
	Record     Record
	Changed    bool        // the record differs from the local one
	Dropped    []Version   // local siblings that are superseded now: their bodies may be wanted for revisions
	Collisions []clock.Dot // dots that both sides hold with different bytes; the local ones were kept (replication.md B1 c)
}

// Merge joins the local state of a record with one that came from elsewhere (replication.md B4). A sibling stays if both sides have
// it, or if the side that lacks it has not seen its dot. The local side has seen what its context names and what seen tells (the
// node's clock, of the scope that holds the key; nil = nothing): the clock may under-claim after a scrub, the context may have been
// pruned. The remote side has seen what its context names.
//
// Without seen it is a join: commutative, associative, idempotent and inflationary on every part of the record, provided a dot names
// one byte string; HLC plays no part in it. With seen the same holds over states that the protocol can reach. Twins of equal content
// stay siblings: only the view collapses them.
//
// A copy (Version.Kept) also goes, into the context, if one side has seen what it is a copy of and has neither that nor another copy:
// there somebody has written who had decided about it.
//
// The caller must, in the same commit, add remote.Context to the node's clock (context absorb), and must have un-covered a dot that
// it holds only in quarantine. Merging records of two keys is a bug of the caller and panics.
func Merge(local, remote Record, seen func(clock.Dot) bool) Merged {
	if local.Key == "" {
		local.Key = remote.Key
	}
	if local.Key != remote.Key {
		panic(fmt.Sprintf("memory: merge of two keys, %q and %q", local.Key, remote.Key))
	}
	return merge(local, remote, func(d clock.Dot) bool { return local.Context.Contains(d) || seen != nil && seen(d) })
}

// merge walks both sorted lists at once. hasSeen is what the local side has seen. A sibling in its own side's context is no sound
// state; it is dropped, so that the laws hold even then.
func merge(local, remote Record, hasSeen func(clock.Dot) bool) Merged {
	var m Merged
	l, r := local.Versions, remote.Versions
	out := make([]Version, 0, max(len(l), len(r)))
	var undone []clock.Dot // of copies, superseded without having been seen
	for len(l) > 0 || len(r) > 0 {
		side := 0
		switch {
		case len(l) == 0:
			side = 1
		case len(r) == 0:
			side = -1
		default:
			side = l[0].Dot.Compare(r[0].Dot)
		}
		if side > 0 { // only there
			switch d := r[0].Dot; {
			case hasSeen(d) || remote.Context.Contains(d):
			case local.decided(&r[0]):
				undone = append(undone, d)
			default:
				out = append(out, r[0])
				m.Changed = true
			}
			r = r[1:]
			continue
		}
		switch d := l[0].Dot; {
		case remote.Context.Contains(d) || local.Context.Contains(d):
			m.Dropped = append(m.Dropped, l[0])
			m.Changed = true
		case side < 0 && remote.decided(&l[0]):
			undone = append(undone, d)
			m.Dropped = append(m.Dropped, l[0])
			m.Changed = true
		default:
			if side == 0 && l[0].Sum(local.Key) != r[0].Sum(local.Key) {
				m.Collisions = append(m.Collisions, d)
			}
			out = append(out, l[0])
		}
		l = l[1:]
		if side == 0 {
			r = r[1:]
		}
	}
	m.Record = Record{
		Key: local.Key, Versions: out, Context: local.Context,
		Lost: joinMarks(local.Lost, remote.Lost, MaxLost), Idems: joinMarks(local.Idems, remote.Idems, MaxIdems),
		Ext: joinExt(local.Ext, remote.Ext),
	}
	if past := clock.Of(undone...); !local.Context.Covers(remote.Context) || !local.Context.Covers(past) {
		m.Record.Context = local.Context.Clone()
		m.Record.Context.Union(remote.Context)
		m.Record.Context.Union(past)
		m.Changed = true
	}
	m.Changed = m.Changed || !slices.Equal(m.Record.Lost, local.Lost) || !slices.Equal(m.Record.Idems, local.Idems) ||
		!bytes.Equal(m.Record.Ext, local.Ext)
	return m
}

// decided tells that in this state somebody has written who had seen what v is a copy of: it is in the past, and nothing is left of it.
// The clock of a node is not asked: it has the past of rows that are kept as bytes, too. Once contexts are pruned, this needs another
// witness.
func (r Record) decided(v *Version) bool {
	return v.IsCopy() && r.Context.Contains(v.Kept.Dot) && r.copyOf(v.Kept.Dot) == nil
}
