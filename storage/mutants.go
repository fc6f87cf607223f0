package storage

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// What is too long for the line where the broken rule lives. Nothing here runs in
// production, whose set of mutants is empty.

// alsoCovered is covers and what mutants wrongly add to it.
func (w *txn) alsoCovered(in *incoming, covers clock.Clock) clock.Clock {
	m := w.s.mutants
	if m == 0 {
		return covers
	}
	covers = covers.Clone()
	if m.Has(mutant.CopyClockOnRelay) {
		covers.Union(in.batch.Clock)
	}
	if m.Has(mutant.SkipFailedRow) {
		for i := range in.rows {
			covers.Union(clock.Of(in.rows[i].dots...))
		}
	}
	if m.Has(mutant.DeadHoleSeen) && !in.push && !covers.Empty() {
		for o := range w.clock.Origins() {
			covers.AddRange(o, 1, w.clock.Max(o))
		}
	}
	if m.Has(mutant.OverCapDrops) {
		w.dropOverCap()
	}
	return covers
}

// dropOverCap makes a ragged clock fit by forgetting what the disk holds.
func (w *txn) dropOverCap() {
	for o := range w.clock.Clone().Origins() {
		for {
			_, above := w.clock.Entry(o)
			if len(above) <= capIntervals {
				break
			}
			w.ownClock()
			w.origins[o] = struct{}{}
			for n, hi := above[0].Lo, above[0].Hi; n <= hi; n++ {
				w.clock.Remove(clock.Dot{Origin: o, Counter: n})
			}
		}
	}
}

// commitClockFirst is two transactions where there must be one: a crash between them
// leaves the clock without its rows.
func (s *Store) commitClockFirst(w *txn) error {
	failed := s.fail("between")
	if failed == nil {
		return nil
	}
	w.rollback()
	err := s.db.Update(func(tx *bolt.Tx) error {
		for o := range w.origins {
			k := clockKey(o)
			if err := tx.Bucket(bucketClock).Put(k, sealClock(k, w.clock.Only(o))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w, and then: %w", failed, err)
	}
	return failed
}

var metaOrigin = []byte("mutant/origin")

// loadMutants resumes the origin of the process before.
func (s *Store) loadMutants(tx *bolt.Tx) error {
	v := tx.Bucket(bucketMeta).Get(metaOrigin)
	if !s.mutants.Has(mutant.ReuseOrigin) || len(v) != 8 {
		return nil
	}
	o := clock.Origin(binary.BigEndian.Uint64(v))
	s.ident.publish(issued{origin: o, counter: s.Clock().Max(o)}, nil)
	return nil
}

func (s *Store) saveMutants(w *txn) error {
	if !s.mutants.Has(mutant.ReuseOrigin) || w.own.origin == 0 {
		return nil
	}
	return w.btx.Bucket(bucketMeta).Put(metaOrigin, binary.BigEndian.AppendUint64(nil, uint64(w.own.origin)))
}

// namedOrigin is the same one for every process of a name.
func namedOrigin(name string) clock.Origin {
	h := fnv.New64a()
	h.Write([]byte(name))
	return clock.Origin(h.Sum64() | 1)
}

// mutate changes what a page believes to be missing.
func (b *pageBuilder) mutate() {
	if b.mutants.Has(mutant.OffsetCursor) {
		b.missing = clock.Clock{}
		at, from := uint64(0), b.req.Cursor.Count()
		for o, iv := range b.page.Clock.Ranges() {
			for n := iv.Lo; n <= iv.Hi; n++ {
				if at++; at > from {
					b.missing.AddRange(o, n, n)
				}
			}
		}
	}
	if b.mutants.Has(mutant.TimeWatermark) {
		b.mark = b.watermark()
	}
	if b.mutants.Has(mutant.EndlessPage) {
		b.limit, b.steps = math.MaxInt, math.MinInt
	}
}

// watermark is the greatest stamp among the versions that the peer has.
func (b *pageBuilder) watermark() (mark clock.Stamp) {
	_ = b.table.rows.ForEach(func(k, v []byte) error {
		raw, _ := unseal(v, k)
		rec, err := memory.DecodeStored(raw)
		for i := range rec.Versions {
			if v := &rec.Versions[i]; err == nil && b.req.Cursor.Contains(v.Dot) {
				mark = max(mark, v.Stamp)
			}
		}
		return nil
	})
	return mark
}

// skipped tells that a broken rule takes the peer to have the row.
func (b *pageBuilder) skipped(d clock.Dot, env *memory.Envelope) bool {
	rec, err := memory.DecodeStored(env.Raw)
	if err != nil {
		return false
	}
	switch {
	case b.mutants.Has(mutant.HoleCovered):
		// The dot was overwritten: no row sits at it.
		return rec.Find(d) == nil
	case b.mutants.Has(mutant.MemoriesOnly):
		return rec.Key.Kind() != memory.KindMemory && rec.Key.Kind() != memory.KindMember
	case b.mutants.Has(mutant.TimeWatermark):
		return b.mark > 0 && rec.MaxStamp() <= b.mark
	case b.mutants.Has(mutant.FilteredAdvances):
		ns, filtered := strings.CutPrefix(b.req.Scope, "ns:")
		f, err := factsOf(rec, memory.ClusterID{}, b.mutants)
		return filtered && (err != nil || f.ns != ns)
	}
	return false
}
