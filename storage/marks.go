package storage

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// writeMarks moves what a record remembers beside its siblings: idempotency keys, bodies
// of conflict losers, quarantined bytes that it has overtaken.
func (w *txn) writeMarks(key []byte, c *change) error {
	if err := w.writeIdems(key, c); err != nil {
		return fmt.Errorf("idempotency keys: %w", err)
	}
	if err := w.keepLosers(key, c); err != nil {
		return fmt.Errorf("revisions: %w", err)
	}
	return nil
}

// eachIdem yields the idempotency keys that a record knows, each with its dot.
func eachIdem(rec *memory.Record, yield func(h memory.Hash, d clock.Dot, content memory.Hash)) {
	for i := range rec.Versions {
		if v := &rec.Versions[i]; !v.Idem.IsZero() {
			yield(v.Idem, v.Dot, v.Content)
		}
	}
	for i := range rec.Idems {
		m := &rec.Idems[i]
		yield(m.Idem, m.Dot, m.Content)
	}
}

func hasIdem(rec *memory.Record) bool {
	for i := range rec.Versions {
		if !rec.Versions[i].Idem.IsZero() {
			return true
		}
	}
	return len(rec.Idems) > 0
}

func (w *txn) writeIdems(key []byte, c *change) (err error) {
	if !hasIdem(&c.old) && !hasIdem(&c.now) {
		return nil
	}
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	eachIdem(&c.old, func(h memory.Hash, d clock.Dot, _ memory.Hash) {
		still := false
		eachIdem(&c.now, func(h2 memory.Hash, d2 clock.Dot, _ memory.Hash) { still = still || h == h2 && d == d2 })
		if !still {
			keep(w.bucket(bucketIdem).Delete(idemKey(h, d)))
		}
	})
	eachIdem(&c.now, func(h memory.Hash, d clock.Dot, content memory.Hash) {
		keep(w.bucket(bucketIdem).Put(idemKey(h, d), append(content[:len(content):len(content)], key...)))
	})
	return err
}

// maxRevisions of one record are kept.
const maxRevisions = 8

// keepLosers stores the bodies of siblings that went as conflict losers. Their digests are
// in the record, so every node can list them; the bodies stay where they were held.
func (w *txn) keepLosers(key []byte, c *change) error {
	kept := false
	for i := range c.dropped {
		v := &c.dropped[i]
		if v.Deleted || !isLost(&c.now, v.Dot) {
			continue
		}
		k := revKey(c.now.Key, v.Dot)
		body := memory.Record{Key: c.now.Key, Versions: c.dropped[i : i+1 : i+1]}
		if err := w.bucket(bucketRevs).Put(k, seal(body.Append(make([]byte, sealSize)), k)); err != nil {
			return err
		}
		kept = true
	}
	if !kept {
		return nil
	}
	return w.trimRevisions(key)
}

func isLost(rec *memory.Record, d clock.Dot) bool {
	return slices.ContainsFunc(rec.Lost, func(l memory.Lost) bool { return l.Dot == d })
}

// trimRevisions drops the oldest bodies of a record over the cap.
func (w *txn) trimRevisions(key []byte) error {
	type rev struct {
		k     []byte
		stamp clock.Stamp
		dot   clock.Dot
	}
	var all []rev
	cur := w.bucket(bucketRevs).Cursor()
	for k, v := cur.Seek(key); k != nil && bytes.HasPrefix(k, key); k, v = cur.Next() {
		if len(k) != len(key)+dotSize {
			continue
		}
		r := rev{k: bytes.Clone(k)}
		if version, err := openRevision(k, v); err == nil {
			r.stamp, r.dot = version.Stamp, version.Dot
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b rev) int { return cmp.Or(cmp.Compare(b.stamp, a.stamp), b.dot.Compare(a.dot)) })
	for i := maxRevisions; i < len(all); i++ {
		if err := w.bucket(bucketRevs).Delete(all[i].k); err != nil {
			return err
		}
	}
	return nil
}

// openRevision reads an entry of the revs bucket, aliasing v.
func openRevision(k, v []byte) (memory.Version, error) {
	b, err := unseal(v, k)
	if err != nil {
		return memory.Version{}, err
	}
	rec, err := memory.DecodeStored(b)
	if err == nil && (len(rec.Versions) != 1 || !bytes.Equal(k, revKey(rec.Key, rec.Versions[0].Dot))) {
		err = errSeal
	}
	if err != nil {
		return memory.Version{}, err
	}
	return rec.Versions[0], nil
}

// release forgets quarantined bytes of dots that a readable state of the record now
// speaks for.
func (w *txn) release(r *incomingRow) error {
	if w.quarantined.Empty() {
		return nil
	}
	dots := clock.Of(r.dots...)
	dots.Union(r.ctx)
	for o, iv := range w.quarantined.Intersect(dots).Ranges() {
		for n := iv.Lo; n <= iv.Hi; n++ {
			d := clock.Dot{Origin: o, Counter: n}
			if err := w.bucket(bucketQuar).Delete(dotKey(d)); err != nil {
				return fmt.Errorf("quarantine: %w", err)
			}
			w.ownQuarantine()
			w.quarantined.Remove(d)
		}
	}
	return nil
}

func (w *txn) ownQuarantine() {
	if !w.quarOwned {
		w.quarantined, w.quarOwned = w.quarantined.Clone(), true
	}
	w.changed = true
}
