package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/memory"
)

// The derived buckets whose entries come from the facts of single records.
const (
	ixOrder = iota
	ixTags
	ixTitles
	ixLinks
	ixArchived
	ixKinds
)

// indexes are those buckets in one transaction. Puts and deletes wait in pending and are
// written in key order: that way neighbours meet the same page once.
type indexes struct {
	tx      *bolt.Tx
	pending [ixKinds][]indexChange
	counts  map[counter]int64 // deltas
	arena   []byte            // keys and values of pending
}

type indexChange struct {
	key, value []byte
	nth        int // in order of arrival
	del        bool
}

// counter is one of the numbers in the counts bucket.
type counter struct{ group, name string }

var indexNames = [ixKinds][]byte{bucketOrder, bucketTags, bucketTitles, bucketLinks, bucketArchived}

// replace takes out what the old facts put in and puts in the new ones.
func (x *indexes) replace(key memory.Key, old, now *facts) {
	x.count(old, -1)
	x.count(now, +1)
	if old.memory && now.memory && sameEntries(old, now) {
		return
	}
	x.entries(key, old, true)
	x.entries(key, now, false)
}

func sameEntries(a, b *facts) bool {
	if a.ns != b.ns || a.title != b.title || a.derived != b.derived || a.priority != b.priority ||
		!a.updated.Equal(b.updated) || !a.expires.Equal(b.expires) || len(a.tags) != len(b.tags) {
		return false
	}
	for i := range a.tags {
		if a.tags[i] != b.tags[i] {
			return false
		}
	}
	return true
}

// entries queues all entries of f, to be put or deleted.
func (x *indexes) entries(key memory.Key, f *facts, del bool) {
	f.each(key, func(ix int, prefix []byte, suffix []byte, v []byte) {
		c := indexChange{nth: len(x.pending[ix]), del: del}
		c.key, c.value = x.keep(prefix, suffix), x.keep(v, nil)
		x.pending[ix] = append(x.pending[ix], c)
	})
}

// keep copies bytes to where they last as long as the transaction.
func (x *indexes) keep(a, b []byte) []byte {
	n := len(a) + len(b)
	if n == 0 {
		return nil
	}
	if n > cap(x.arena)-len(x.arena) {
		x.arena = make([]byte, 0, max(n, min(64<<10, 1<<10+2*cap(x.arena))))
	}
	at := len(x.arena)
	x.arena = append(append(x.arena, a...), b...)
	return x.arena[at : at+n : at+n]
}

// each yields the entries of a record: which index, the key in two parts, the value.
// The bytes are valid during the call.
func (f *facts) each(key memory.Key, yield func(ix int, prefix, suffix, v []byte)) {
	switch {
	case f.link != nil:
		yield(ixLinks, linkPrefix(f.link.Source()), []byte(key), nil)
		yield(ixLinks, linkPrefix(f.link.Target()), []byte(key), nil)
	case f.archived:
		yield(ixArchived, namespacePrefix(f.ns), appendOrder(nil, 0, f.updated, key), nil)
	case f.memory:
		f.eachOfMemory(key, yield)
	}
}

func (f *facts) eachOfMemory(key memory.Key, yield func(ix int, prefix, suffix, v []byte)) {
	var room [3 * 64]byte
	suffix := appendOrder(room[:0:64], f.priority, f.updated, key)
	expiry := appendExpiry(room[64:64:80], f.expires)
	prefix := append(append(room[80:80], f.ns...), 0)
	yield(ixOrder, prefix, suffix, expiry)
	for _, t := range f.tags {
		prefix = append(append(append(append(prefix[:0], t...), 0), f.ns...), 0)
		yield(ixTags, prefix, suffix, expiry)
	}
	if !f.derived {
		prefix = append(append(append(append(prefix[:0], f.ns...), 0), f.title...), 0)
		yield(ixTitles, prefix, append(suffix[:0], key...), nil)
	}
}

// eachCount yields the counters that a record adds 1 to.
func (f *facts) eachCount(yield func(counter)) {
	if f.deleted {
		yield(counter{group: countDeleted})
	}
	if f.conflicts > 0 {
		yield(counter{group: countConflicts})
	}
	if f.memory {
		yield(counter{group: countLive})
		yield(counter{countNamespace, f.ns})
		yield(counter{countTier, f.tier})
	}
	if f.link != nil {
		yield(counter{group: countLinks})
	}
	if f.archived {
		yield(counter{countArchived, f.ns})
	}
}

func (x *indexes) count(f *facts, by int64) {
	f.eachCount(func(c counter) { x.counts[c] += by })
}

// flush writes what is pending for one index. Of several changes of one key the last one
// stands.
func (x *indexes) flush(ix int) error {
	pending := x.pending[ix]
	if len(pending) == 0 {
		return nil
	}
	b := x.tx.Bucket(indexNames[ix])
	slices.SortFunc(pending, func(a, b indexChange) int {
		return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.nth, b.nth))
	})
	for i, c := range pending {
		if i+1 < len(pending) && bytes.Equal(pending[i+1].key, c.key) {
			continue
		}
		var err error
		if c.del {
			err = b.Delete(c.key)
		} else {
			err = b.Put(c.key, c.value)
		}
		if err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	x.pending[ix] = pending[:0]
	return nil
}

func (x *indexes) flushAll() error {
	var errs []error
	for ix := range ixKinds {
		errs = append(errs, x.flush(ix))
	}
	return errors.Join(errs...)
}

// writeCounts adds the deltas to the counters.
func (x *indexes) writeCounts(tx *bolt.Tx) error {
	b := tx.Bucket(bucketCounts)
	for c, by := range x.counts {
		if by == 0 {
			continue
		}
		k := []byte(c.group + c.name)
		n := readCount(b.Get(k)) + by
		var err error
		if n == 0 {
			err = b.Delete(k)
		} else {
			err = b.Put(k, binary.BigEndian.AppendUint64(nil, uint64(n)))
		}
		if err != nil {
			return fmt.Errorf("count %q: %w", k, err)
		}
	}
	clear(x.counts)
	return nil
}

func readCount(v []byte) int64 {
	if len(v) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(v))
}

// rebuildTitles makes the titles bucket anew for another cluster id.
func rebuildTitles(tx *bolt.Tx, cluster memory.ClusterID) error {
	if err := tx.DeleteBucket(bucketTitles); err != nil {
		return err
	}
	titles, err := tx.CreateBucket(bucketTitles)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketRows).ForEach(func(k, v []byte) error {
		raw, err := unseal(v, k)
		if err != nil {
			return nil // not readable, so in no index; reading it says so
		}
		rec, err := memory.DecodeStored(raw)
		if err != nil {
			return nil
		}
		f, err := factsOf(rec, cluster, 0)
		if err != nil {
			return nil
		}
		f.each(rec.Key, func(ix int, prefix, suffix, _ []byte) {
			if err == nil && ix == ixTitles {
				err = titles.Put(slices.Concat(prefix, suffix), nil)
			}
		})
		return err
	})
}
