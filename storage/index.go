package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/memory"
)

// The derived buckets that the list orders and titles are in.
const (
	ixOrder = iota
	ixTags
	ixTitles
	ixKinds
)

// indexes are those buckets in one transaction. Puts and deletes wait in pending and are
// written in key order: that way neighbours meet the same page once.
type indexes struct {
	buckets [ixKinds]*bolt.Bucket
	pending [ixKinds][]indexChange
	counts  map[string]int64 // deltas
}

type indexChange struct {
	key, value []byte
	del        bool
}

func indexBuckets(tx *bolt.Tx) [ixKinds]*bolt.Bucket {
	return [ixKinds]*bolt.Bucket{tx.Bucket(bucketOrder), tx.Bucket(bucketTags), tx.Bucket(bucketTitles)}
}

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
	f.each(key, func(ix int, k, v []byte) {
		x.pending[ix] = append(x.pending[ix], indexChange{key: k, value: v, del: del})
	})
}

// each yields the entries of a live memory.
func (f *facts) each(key memory.Key, yield func(ix int, k, v []byte)) {
	if !f.memory {
		return
	}
	suffix := appendOrder(make([]byte, 0, orderSuffix+len(key)), f.priority, f.updated, key)
	expiry := expiryValue(f.expires)
	yield(ixOrder, append(namespacePrefix(f.ns), suffix...), expiry)
	for _, t := range f.tags {
		yield(ixTags, append(tagPrefix(t, f.ns), suffix...), expiry)
	}
	if !f.derived {
		yield(ixTitles, append(titlePrefix(f.ns, f.title), key...), nil)
	}
}

// eachCount yields the counters that a record adds 1 to.
func (f *facts) eachCount(yield func(name string)) {
	if f.deleted {
		yield(countDeleted)
	}
	if f.conflicts > 0 {
		yield(countConflicts)
	}
	if f.memory {
		yield(countLive)
		yield(countNamespace + f.ns)
		yield(countTier + f.tier)
	}
}

func (x *indexes) count(f *facts, by int64) {
	f.eachCount(func(name string) { x.counts[name] += by })
}

// flush writes what is pending for one index. Of several changes of one key the last one
// stands.
func (x *indexes) flush(ix int) error {
	pending := x.pending[ix]
	slices.SortStableFunc(pending, func(a, b indexChange) int { return bytes.Compare(a.key, b.key) })
	for i, c := range pending {
		if i+1 < len(pending) && bytes.Equal(pending[i+1].key, c.key) {
			continue
		}
		var err error
		if c.del {
			err = x.buckets[ix].Delete(c.key)
		} else {
			err = x.buckets[ix].Put(c.key, c.value)
		}
		if err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	x.pending[ix] = pending[:0]
	return nil
}

func (x *indexes) flushAll() error {
	return errors.Join(x.flush(ixOrder), x.flush(ixTags), x.flush(ixTitles))
}

// writeCounts adds the deltas to the counters.
func (x *indexes) writeCounts(tx *bolt.Tx) error {
	b := tx.Bucket(bucketCounts)
	for name, by := range x.counts {
		if by == 0 {
			continue
		}
		k := []byte(name)
		n := readCount(b.Get(k)) + by
		var err error
		if n == 0 {
			err = b.Delete(k)
		} else {
			err = b.Put(k, binary.BigEndian.AppendUint64(nil, uint64(n)))
		}
		if err != nil {
			return fmt.Errorf("count %q: %w", name, err)
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
		_, raw, err := openRow(k, v)
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
		f.each(rec.Key, func(ix int, k, v []byte) {
			if err == nil && ix == ixTitles {
				err = titles.Put(k, v)
			}
		})
		return err
	})
}
