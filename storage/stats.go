package storage

import (
	"time"

	"github.com/memd/memd/memory"
)

// Stats are counts of what the store shows.
type Stats struct {
	Total       int64   // live memories, expired ones included
	ByTier      []Count // live memories, by name of the tier
	ByNamespace []Count // likewise
	Deleted     int64   // records of all kinds whose view is a deletion
	Conflicts   int64   // records with more than one live content
	Links       int64   // live links
	Archived    []Count // live archive records, by the memory's namespace
	Quarantined int64   // dots held as bytes that cannot be read
	FileBytes   int64
}

// Count is a number of something with a name.
type Count struct {
	Name  string
	Count int64
}

// Stats reads the counters; its cost does not depend on the number of records.
func (tx *Tx) Stats() (Stats, error) {
	st := Stats{FileBytes: tx.btx.Size()}
	quarantined := tx.s.Quarantined()
	if tx.w != nil {
		quarantined = tx.w.quarantined
		if err := tx.w.ix.writeCounts(tx.btx); err != nil {
			return st, err
		}
	}
	st.Quarantined = int64(quarantined.Count())
	b := tx.btx.Bucket(bucketCounts)
	st.Total, st.Deleted, st.Conflicts = readCount(b.Get([]byte(countLive))), readCount(b.Get([]byte(countDeleted))), readCount(b.Get([]byte(countConflicts)))
	tx.eachCount(countTier, func(tier string, n int64) { st.ByTier = append(st.ByTier, Count{tier, n}) })
	tx.eachCount(countNamespace, func(ns string, n int64) { st.ByNamespace = append(st.ByNamespace, Count{ns, n}) })
	st.Links = readCount(b.Get([]byte(countLinks)))
	tx.eachCount(countArchived, func(ns string, n int64) { st.Archived = append(st.Archived, Count{ns, n}) })
	return st, nil
}

// Expiring counts the live memories whose expiry lies in (from, to]. It reads the list
// index of every namespace and no row.
func (tx *Tx) Expiring(from, to time.Time) (n int, err error) {
	ranges, err := tx.ranges(&memory.Filter{})
	if err != nil {
		return 0, err
	}
	for {
		_, value, ok := ranges.next()
		if !ok {
			return n, nil
		}
		if expired(value, to) && !expired(value, from) {
			n++
		}
	}
}
