package memory

import (
	"bytes"
	"slices"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
)

// MergeWith is Merge with some of its rules broken, so that the suites can show that they would notice. Production passes the empty
// set, which is Merge. A result without siblings and context (DropDeletedRow) stands for a row that is gone.
func MergeWith(m mutant.Set, local, remote Record, seen func(clock.Dot) bool) Merged {
	if m == 0 {
		return Merge(local, remote, seen)
	}
	if m.Has(mutant.StripUnknown) {
		remote = stripped(remote)
	}
	var out Merged
	if m.Has(mutant.ReviveCovered) {
		seen = nil
	}
	if m.Has(mutant.CopyIsAWrite) {
		return Merge(written(local), written(remote), seen)
	}
	if m.Has(mutant.SeenByClockOnly) || m.Has(mutant.ReviveCovered) {
		local.Key = remote.Key
		out = merge(local, remote, func(d clock.Dot) bool { return seen != nil && seen(d) })
		out.Record = revived(out.Record)
	} else {
		out = Merge(local, remote, seen)
	}
	if m.Has(mutant.CollisionOverwrites) {
		for _, d := range out.Collisions {
			*out.Record.Find(d) = *remote.Find(d)
			out.Changed = true
		}
	}
	if m.Has(mutant.CollapseInState) {
		out.Record = collapsed(out.Record)
		out.Changed = out.Changed || len(out.Record.Versions) < len(local.Versions)
	}
	if m.Has(mutant.DropDeletedRow) && len(out.Record.Versions) > 0 && !out.Record.View().Live {
		out.Record = Record{Key: out.Record.Key}
		out.Changed = true
	}
	return out
}

// SupersedeWith is Supersede with some of its rules broken.
func (r Record) SupersedeWith(m mutant.Set, v Version, token *clock.Clock) (Merged, error) {
	if m.Has(mutant.DropDeletedRow) && v.Deleted {
		return Merged{Record: Record{Key: r.Key}, Changed: true, Dropped: r.Versions}, nil
	}
	if m.Has(mutant.StampFromWall) {
		if err := r.checkNew(&v, token); err != nil {
			return Merged{}, err
		}
		return r.supersede(v, token), nil
	}
	return r.Supersede(v, token)
}

// ViewWith is View with some of its rules broken.
func (r Record) ViewWith(m mutant.Set) View {
	w := r.View()
	if !m.Has(mutant.HLCDecidesDelete) {
		return w
	}
	for i := range r.Versions {
		if v := &r.Versions[i]; later(v, w.Winner) {
			w.Winner = v
		}
	}
	w.Live = w.Winner != nil && !w.Winner.Deleted
	return w
}

// written is a record whose copies pass for what somebody wrote. Their sums stay.
func written(r Record) Record {
	r.Versions = slices.Clone(r.Versions)
	for i := range r.Versions {
		r.Versions[i].Sum(r.Key)
		r.Versions[i].Kept, r.Versions[i].Lasts = Kept{}, 0
	}
	return r
}

// revived gives a merge that forgot the local context a state that can be stored: what was revived leaves the context.
func revived(r Record) Record {
	r.Context = r.Context.Clone()
	for i := range r.Versions {
		r.Context.Remove(r.Versions[i].Dot)
	}
	return r
}

// stripped is a record as a node stores it that keeps only what it understands.
func stripped(r Record) Record {
	r = r.Clone()
	r.Ext = nil
	for i := range r.Versions {
		if v := &r.Versions[i]; len(v.Ext) > 0 {
			v.Ext, v.sum = nil, Hash{}
			v.Sum(r.Key)
		}
	}
	return r
}

// collapsed keeps of twins only the one with the greatest dot.
func collapsed(r Record) Record {
	var out []Version
	context := r.Context.Clone()
	for i := range r.Versions {
		v := &r.Versions[i]
		twin := false
		for j := i + 1; j < len(r.Versions); j++ {
			w := &r.Versions[j]
			twin = twin || v.Deleted == w.Deleted && v.content() == w.content() && bytes.Equal(v.Value, w.Value)
		}
		if twin {
			context.Add(v.Dot)
			continue
		}
		out = append(out, *v)
	}
	r.Versions, r.Context = out, context
	return r
}
