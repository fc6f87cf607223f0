package memory

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/memd/memd/clock"
)

// supersedes tells whether a write with the token takes the place of the sibling. Deleted siblings go with any write: nobody reads
// them, and they would pile up; those that nobody asked for stand for what somebody wrote, and stay unless that was read.
func supersedes(token *clock.Clock, v *Version) bool {
	return token == nil || v.Deleted && !v.IsCopy() || v.ReadBy(*token)
}

// ReadBy tells whether a reader with the token (View.Token) has read the version, or what it is a copy of.
func (v *Version) ReadBy(token clock.Clock) bool {
	return token.Contains(v.Dot) || token.Contains(v.Origin().Dot)
}

// replaces tells whether v, written with the token, takes the place of the sibling.
func (v *Version) replaces(old *Version, token *clock.Clock) bool {
	if v.IsCopy() {
		return old.Origin().Dot == v.Kept.Dot
	}
	return supersedes(token, old)
}

// Supersede is a local write. Without a token v takes the place of every sibling held here; with one, of exactly the token's dots.
// Superseded conflict losers (live, not the view's winner, other content) leave a digest in Lost, superseded idempotency keys in
// Idems. Merged.Dropped has the versions that went. A copy (Version.Kept) takes the place of what it is a copy of, and of other copies
// of that, and has no token.
//
// A token dot that this record neither holds nor has superseded goes into the context: the writer had read that version, so it must
// die when it arrives. That is right only for dots of this very key: a context is absorbed into clocks, so a foreign dot in it would
// be a claim with no row behind it, which is data loss. Callers that take a token from a client pass it through Vouch first.
//
// Errors are the caller's faults: a used dot, a stamp not above what is superseded (replication.md B3), a value with a deletion or
// over the limit, a token of more dots than a record can have siblings.
func (r Record) Supersede(v Version, token *clock.Clock) (Merged, error) {
	if err := r.checkNew(&v, token); err != nil {
		return Merged{}, fmt.Errorf("supersede %s: %w", r.Key, err)
	}
	if after := r.StampAfter(token); v.Stamp <= after {
		return Merged{}, fmt.Errorf("supersede %s: stamp %d of %s is not above %d", r.Key, v.Stamp, v.Dot, after)
	}
	return r.supersede(v, token), nil
}

func (r Record) checkNew(v *Version, token *clock.Clock) error {
	switch {
	case v.Dot.Counter == 0 || v.Dot.Counter > clock.MaxCounter:
		return fmt.Errorf("dot %s out of range", v.Dot)
	case r.Find(v.Dot) != nil || r.Context.Contains(v.Dot) || token != nil && token.Contains(v.Dot):
		return fmt.Errorf("dot %s is used", v.Dot)
	case v.Deleted != (len(v.Value) == 0):
		return fmt.Errorf("%s: a version has a value or is a deletion", v.Dot)
	case len(v.Value) > MaxValue:
		return fieldErrorf("body", "is more than %d bytes at rest", MaxValue)
	case v.IsCopy() && (token != nil || !v.Idem.IsZero()):
		return fmt.Errorf("%s: a copy that was asked for", v.Dot)
	case v.IsCopy() && r.copyOf(v.Kept.Dot) == nil:
		return fmt.Errorf("%s: a copy of %s, of which nothing is here", v.Dot, v.Kept.Dot)
	case len(v.Agent) > MaxAgentLen:
		return fieldErrorf("agent_id", "is more than %d bytes", MaxAgentLen)
	case token != nil && token.Count() > MaxSiblings:
		return fieldErrorf("If-Match", "names more versions than one memory can have")
	}
	return nil
}

// copyOf is a sibling that has the dot, or is a copy of what has it; nil if there is none.
func (r Record) copyOf(d clock.Dot) *Version {
	for i := range r.Versions {
		if v := &r.Versions[i]; v.Origin().Dot == d {
			return v
		}
	}
	return nil
}

// Mark makes a copy of v out of to, which lasts until then; zero = for ever, or a deletion, which does not last.
func (v *Version) Mark(to *Version, until time.Time) {
	to.Kept = v.Origin()
	if to.Deleted {
		return
	}
	to.Content, to.Lasts = v.content(), math.MaxUint64
	if !until.IsZero() {
		to.Lasts = uint64(max(until.UnixMilli(), 0)) // #nosec G115 -- not negative
	}
}

// OneOrigin tells that all siblings stand for one version that somebody wrote.
func (r Record) OneOrigin() bool {
	for i := range r.Versions {
		if r.Versions[i].Origin().Dot != r.Versions[0].Origin().Dot {
			return false
		}
	}
	return true
}

func (r Record) supersede(v Version, token *clock.Clock) Merged {
	winner := r.View().Winner
	m := Merged{Changed: true, Record: Record{Key: r.Key, Context: r.Context.Clone(), Ext: r.Ext}}
	var lost []Lost
	var idems []IdemMark
	for i := range r.Versions {
		old := &r.Versions[i]
		if !v.replaces(old, token) {
			m.Record.Versions = append(m.Record.Versions, *old)
			continue
		}
		m.Dropped = append(m.Dropped, *old)
		m.Record.Context.Add(old.Dot)
		if !old.Deleted && winner.Origin().Dot != old.Origin().Dot && winner.content() != old.content() {
			lost = append(lost, Lost{Dot: old.Dot, Stamp: old.Stamp, Content: old.content(), Agent: old.Agent})
		}
		if !old.Idem.IsZero() {
			idems = append(idems, IdemMark{Dot: old.Dot, Stamp: old.Stamp, Idem: old.Idem, Content: old.content()})
		}
	}
	if token != nil {
		// What of the token is a sibling went above; the rest the writer had read and this node has not.
		m.Record.Context.Union(*token)
	}
	at, _ := slices.BinarySearchFunc(m.Record.Versions, v, compareVersions)
	m.Record.Versions = slices.Insert(m.Record.Versions, at, v)
	m.Record.Versions[at].Sum(r.Key)
	m.Record.Lost = joinMarks(r.Lost, lost, MaxLost)
	m.Record.Idems = joinMarks(r.Idems, idems, MaxIdems)
	return m
}

// Vouch sorts the dots of a client's token. ours are the ones known to belong to this record, siblings and superseded: safe to pass
// to Supersede. missing are the ones that this node has not seen at all: wait for them, or answer 425 with them. What is in neither
// was seen and is not here, so it was pruned, or belongs to another key (a session token used as If-Match), and must be left out.
func (r Record) Vouch(token clock.Clock, seen func(clock.Dot) bool) (ours, missing clock.Clock, err error) {
	if token.Count() > MaxSiblings {
		return ours, missing, fieldErrorf("If-Match", "names more versions than one memory can have")
	}
	for o, iv := range token.Ranges() {
		for c := iv.Lo; c <= iv.Hi; c++ {
			d := clock.Dot{Origin: o, Counter: c}
			switch {
			case r.Find(d) != nil || r.Context.Contains(d):
				ours.Add(d)
			case seen == nil || !seen(d):
				missing.Add(d)
			}
		}
	}
	return ours, missing, nil
}
