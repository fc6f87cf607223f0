package storage

import (
	"bytes"
	"container/heap"
	"iter"
	"time"

	"github.com/memd/memd/memory"
)

// Archived is one memory that was put aside.
type Archived struct {
	Key  memory.Key // of the archive record
	View memory.View
	memory.Archived
	Memory memory.Memory
}

func decodeArchived(key memory.Key, value []byte) (memory.Archived, memory.Memory, error) {
	a, err := memory.DecodeArchived(value)
	if err != nil {
		return a, memory.Memory{}, err
	}
	m, err := a.Memory(key)
	return a, m, err
}

// Archived reads what was put aside under a memory's key.
func (tx *Tx) Archived(of memory.Key) (a Archived, live bool, err error) {
	return tx.archivedAt(memory.ArchiveKey(of))
}

func (tx *Tx) archivedAt(key memory.Key) (a Archived, live bool, err error) {
	rec, _, found, err := tx.Get(key)
	a.Key, a.View = key, rec.ViewWith(tx.s.mutants)
	if err != nil || !found || !a.View.Live {
		return a, false, err
	}
	if a.Archived, a.Memory, err = decodeArchived(key, a.View.Winner.Value); err != nil {
		return a, false, &CorruptError{Key: key, Reason: err.Error()}
	}
	return a, true, nil
}

// Archive yields what was put aside, the latest first, behind the first skip ones; ns ""
// is all namespaces. Only what is yielded is read. A row that fails its checksum is yielded
// as an error in its place.
func (tx *Tx) Archive(ns string, skip int) iter.Seq2[Archived, error] {
	return func(yield func(Archived, error) bool) {
		ranges, err := tx.archiveRanges(ns)
		if err != nil {
			yield(Archived{}, err)
			return
		}
		for {
			key, _, ok := ranges.next()
			if !ok {
				return
			}
			if skip > 0 {
				skip--
				continue
			}
			a, live, err := tx.archivedAt(key)
			if err == nil && !live && tx.guard != nil {
				continue // hidden
			}
			if err == nil && !live {
				err = &CorruptError{Key: key, Reason: "listed and not live"}
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

func (tx *Tx) archiveRanges(ns string) (*listRanges, error) {
	if err := tx.settle(); err != nil {
		return nil, err
	}
	out := &listRanges{worst: invertPriority(0)}
	b := tx.btx.Bucket(bucketArchived)
	add := func(ns string) {
		if tx.guard == nil || tx.guard.Namespace(ns) {
			out.add(b, namespacePrefix(ns))
		}
	}
	if ns != "" {
		add(indexText(ns))
	} else {
		tx.eachCount(countArchived, func(ns string, _ int64) { add(ns) })
	}
	heap.Init(&out.heap)
	return out, nil
}

// ArchivedBefore returns the keys of up to limit archive records that are older than t,
// from the index alone.
func (tx *Tx) ArchivedBefore(t time.Time, limit int) (keys []memory.Key, err error) {
	if err := tx.settle(); err != nil {
		return nil, err
	}
	var namespaces []string
	tx.eachCount(countArchived, func(ns string, _ int64) {
		if tx.guard == nil || tx.guard.Namespace(ns) {
			namespaces = append(namespaces, ns)
		}
	})
	cur := tx.btx.Bucket(bucketArchived).Cursor()
	for _, ns := range namespaces {
		r := listRange{cur: cur, prefix: namespacePrefix(ns)}
		// A later time sorts first, so what is older lies behind t.
		for ok := r.load(cur.Seek(appendOrder(namespacePrefix(ns), 0, t, "\xff"))); ok; ok = r.load(cur.Next()) {
			if len(keys) == limit {
				return keys, nil
			}
			keys = append(keys, memory.Key(r.suffix[orderSuffix:]))
		}
	}
	return keys, nil
}

// Expired looks at up to look entries of the index of memories, from a place on, and returns
// the keys of those whose expiry is not after t; nil is the beginning. next is the place to
// go on from, in another transaction, nil at the end. No row is read.
func (tx *Tx) Expired(t time.Time, from []byte, look int) (keys []memory.Key, next []byte, err error) {
	if err := tx.settle(); err != nil {
		return nil, nil, err
	}
	cur := tx.btx.Bucket(bucketOrder).Cursor()
	for k, v := cur.Seek(from); k != nil; k, v = cur.Next() {
		if look--; look < 0 {
			return keys, bytes.Clone(k), nil
		}
		ns := bytes.IndexByte(k, 0)
		if at := ns + 1 + orderSuffix; ns >= 0 && len(k) > at && expired(v, t) && (tx.guard == nil || tx.guard.Namespace(string(k[:ns]))) {
			keys = append(keys, memory.Key(k[at:]))
		}
	}
	return keys, nil, nil
}
