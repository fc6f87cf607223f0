package storage

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/memd/memd/memory"
)

// Change says that a record changed. Seq orders changes as they arrived here; a record has
// one entry, at its last change. Key is empty for a row that fails its checksum.
type Change struct {
	Seq uint64
	Key memory.Key
}

// Changed is closed at the next commit that changes a record or the clock. Take it before
// reading Changes or Clock, so that nothing falls in between.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Seq is the seq of the last change.
func (s *Store) Seq() uint64 { return s.snap.Load().state.seq }

// Changes returns up to limit changes after a seq, oldest first. Walking on from the last
// one's Seq misses nothing: a record that changes meanwhile moves to the end.
func (s *Store) Changes(after uint64, limit int) (out []Change, err error) {
	if after >= s.Seq() {
		return nil, s.Err()
	}
	err = s.View(func(tx *Tx) error {
		out, err = tx.Changes(after, limit)
		return err
	})
	return out, err
}

// Changes is Store.Changes inside a transaction.
func (tx *Tx) Changes(after uint64, limit int) (out []Change, err error) {
	cur := tx.table().rows.Cursor()
	for k, v := cur.Seek(seqKey(after + 1)); k != nil && len(out) < limit; k, v = cur.Next() {
		key, err := rowKey(k, v)
		if err != nil {
			// Whoever follows the feed must get past it: nothing can be learned from the row.
			tx.s.corrupt(fmt.Errorf("row at %x: %w: %w", k, ErrCorrupt, err))
		}
		out = append(out, Change{Seq: binary.BigEndian.Uint64(k), Key: key})
	}
	return out, nil
}

// Arrival is one memory of ChangedSince.
type Arrival struct {
	Seq       uint64 // its place in the order of arrival
	Key       memory.Key
	Value     []byte // the winner's document
	UpdatedAt time.Time
	Local     Local
}

// maxArrivalBytes ends an answer of ChangedSince early.
const maxArrivalBytes = 8 << 20

// ChangedSince returns, as far as the guard lets them be seen (nil = all), the live memories whose updated_at is later than t, in order of
// arrival after the given seq, at most limit; more tells that there are others behind
// them. Expired ones are in it, as in the original's sync/since. A memory that fails its
// checksum is left out: it is counted, and other nodes have it.
func (s *Store) ChangedSince(g Guard, t time.Time, after uint64, limit int) (out []Arrival, more bool, err error) {
	if limit <= 0 {
		return nil, false, s.Err()
	}
	err = s.View(func(tx *Tx) error {
		tx.guard = g
		keys := tx.updatedAfter(t, after, limit+1)
		bytes := 0
		for i, key := range keys {
			if i == limit || bytes > maxArrivalBytes {
				more = true
				break
			}
			it, pass, err := tx.item(key, nil, true)
			if err != nil || !pass {
				continue
			}
			doc, err := it.Memory()
			if err != nil {
				continue
			}
			out = append(out, Arrival{Seq: it.Local.Seq, Key: key, Value: it.View.Winner.Value, UpdatedAt: doc.UpdatedAt, Local: it.Local})
			bytes += len(it.View.Winner.Value)
		}
		return nil
	})
	return out, more, err
}

// updatedAfter finds the keys through the list index, which has the update time in it, so
// that asking for the latest costs little in a large store. Only the seq of a match is
// read, and only the lowest limit of them are kept.
func (tx *Tx) updatedAfter(t time.Time, after uint64, limit int) []memory.Key {
	var best seqHeap
	table := tx.table()
	mark := invertTime(t)
	var namespaces []string
	tx.eachCount(countNamespace, func(ns string, _ int64) {
		if tx.guard == nil || tx.guard.Namespace(ns) {
			namespaces = append(namespaces, ns)
		}
	})
	cur := tx.btx.Bucket(bucketOrder).Cursor()
	for _, ns := range namespaces {
		prefix := namespacePrefix(ns)
		r := listRange{prefix: prefix}
		for ok := r.load(cur.Seek(prefix)); ok; {
			if binary.BigEndian.Uint64(r.suffix[1:]) >= mark {
				// The rest of this priority is older: on to the next.
				if r.suffix[0] == 255 {
					break
				}
				ok = r.load(cur.Seek(append(slices.Clone(prefix), r.suffix[0]+1)))
				continue
			}
			key := r.suffix[orderSuffix:]
			if seq, _ := table.find(key); seq > after && (len(best) < limit || seq < best[0].Seq) {
				if len(best) == limit {
					heap.Pop(&best)
				}
				heap.Push(&best, Change{Seq: seq, Key: memory.Key(key)})
			}
			ok = r.load(cur.Next())
		}
	}
	slices.SortFunc(best, func(a, b Change) int {
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	})
	keys := make([]memory.Key, len(best))
	for i := range best {
		keys[i] = best[i].Key
	}
	return keys
}

// seqHeap has the highest seq on top.
type seqHeap []Change

func (h seqHeap) Len() int           { return len(h) }
func (h seqHeap) Less(i, j int) bool { return h[i].Seq > h[j].Seq }
func (h seqHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *seqHeap) Push(x any)        { *h = append(*h, x.(Change)) }
func (h *seqHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
