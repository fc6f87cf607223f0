package storage

import (
	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// hides withholds a record's current state if it speaks for d and the guard hides it.
func (b *pageBuilder) hides(d clock.Dot, env *memory.Envelope) bool {
	siblings := clock.Of(env.Dots...)
	if !siblings.Contains(d) && !env.Context.Contains(d) {
		return false
	}
	rec, err := memory.DecodeStored(env.Raw)
	if err == nil && b.tx.visible(&rec) {
		return false
	}
	b.withhold(siblings, env.Context, err != nil || !restsOnOthers(&rec))
	return true
}

// withhold notes all missing dots of one record: what it is now, and what it was before,
// of which nothing else here tells.
func (b *pageBuilder) withhold(siblings, context clock.Clock, lasting bool) {
	siblings.Union(context)
	dots := siblings.Intersect(b.missing).Minus(b.covered)
	b.hidden.Union(dots)
	if lasting {
		b.page.Lasting.Union(dots)
	}
}

// restsOnOthers tells that a record may be seen or not without a change of its own: it
// belongs where other records do.
func restsOnOthers(rec *memory.Record) bool {
	for i := range rec.Versions {
		v := &rec.Versions[i]
		if v.Deleted {
			continue
		}
		if to, err := memory.BelongingOf(rec.Key, v.Value); err == nil && len(to.Memories) > 0 {
			return true
		}
	}
	return false
}
