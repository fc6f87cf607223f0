package memory

import (
	"cmp"
	"crypto/sha256"

	"github.com/memd/memd/clock"
)

// View is what a reader is shown of a record.
type View struct {
	Live      bool        // false: deleted, or no version at all
	Winner    *Version    // the live sibling shown; if none is live the greatest deletion; nil for a record without siblings
	Conflicts int         // distinct contents among the live siblings, minus one
	Token     clock.Clock // dots of all siblings, and of what they are copies of: the If-Match of a write that has seen this
}

// View is a pure function of the siblings. The winner is the live one with the greatest (stamp, origin, counter) of what somebody wrote,
// and of copies of one version that which lasts longest; a deletion wins only when nothing is live, whatever its stamp, because a
// tombstone may be pruned on one node and not yet on another (replication.md B4).
func (r Record) View() View {
	var w View
	for i := range r.Versions {
		v := &r.Versions[i]
		w.Token.Add(v.Dot)
		if v.IsCopy() {
			w.Token.Add(v.Kept.Dot)
		}
		if w.Winner == nil || outranks(v, w.Winner) {
			w.Winner = v
		}
	}
	if w.Winner != nil && !w.Winner.Deleted {
		w.Live = true
		w.Conflicts = r.distinct() - 1
	}
	return w
}

func outranks(a, b *Version) bool {
	if a.Deleted != b.Deleted {
		return b.Deleted
	}
	return later(a, b)
}

func later(a, b *Version) bool {
	if a, b := a.Origin(), b.Origin(); a.Dot != b.Dot {
		return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), a.Dot.Compare(b.Dot)) > 0
	}
	if a.Lasts != b.Lasts {
		return a.Lasts > b.Lasts
	}
	return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), a.Dot.Compare(b.Dot)) > 0
}

// distinct counts the contents of the live siblings. Twins (one write retried on two nodes) count once.
func (r Record) distinct() int {
	if len(r.Versions) == 1 {
		return 1
	}
	seen := make(map[Hash]struct{}, len(r.Versions))
	for i := range r.Versions {
		if v := &r.Versions[i]; !v.Deleted {
			seen[v.content()] = struct{}{}
		}
	}
	return len(seen)
}

// content is what the version says; a writer that set no content hash means its bytes.
func (v *Version) content() Hash {
	if v.Content.IsZero() && !v.Deleted {
		return cut(sha256.Sum256(v.Value))
	}
	return v.Content
}
