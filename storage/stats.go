package storage

import (
	"maps"
	"slices"
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
	if tx.guard != nil {
		return tx.guarded()
	}
	b := tx.btx.Bucket(bucketCounts)
	st.Total, st.Deleted, st.Conflicts = readCount(b.Get([]byte(countLive))), readCount(b.Get([]byte(countDeleted))), readCount(b.Get([]byte(countConflicts)))
	tx.eachCount(countTier, func(tier string, n int64) { st.ByTier = append(st.ByTier, Count{tier, n}) })
	tx.eachCount(countNamespace, func(ns string, n int64) { st.ByNamespace = append(st.ByNamespace, Count{ns, n}) })
	st.Links = readCount(b.Get([]byte(countLinks)))
	tx.eachCount(countArchived, func(ns string, n int64) { st.Archived = append(st.Archived, Count{ns, n}) })
	return st, nil
}

// Namespaces are those of live memories that the guard lets be seen, at most limit of them; more
// tells that there are others. They are in no order that means anything.
func (tx *Tx) Namespaces(limit int) (names []string, more bool) {
	tx.eachCount(countNamespace, func(ns string, _ int64) {
		switch {
		case tx.guard != nil && !tx.guard.Namespace(ns):
		case len(names) == limit:
			more = true
		default:
			names = append(names, ns)
		}
	})
	return names, more
}

// guarded counts what the guard lets be seen, by looking at all of it: the counters know
// namespaces and tiers, not the tiers of a namespace. It says nothing of the store as a whole.
func (tx *Tx) guarded() (Stats, error) {
	var st Stats
	tiers, namespaces := make(map[string]int64), make(map[string]int64)
	ranges, err := tx.ranges(&memory.Filter{})
	if err != nil {
		return st, err
	}
	for {
		key, _, ok := ranges.next()
		if !ok {
			break
		}
		it, pass, err := tx.item(key, nil, true)
		if err != nil || !pass {
			continue // the first is counted and logged
		}
		m, err := it.Memory()
		if err != nil {
			continue
		}
		st.Total++
		tiers[m.Tier]++
		namespaces[m.Namespace]++
		if it.View.Conflicts > 0 {
			st.Conflicts++
		}
	}
	st.ByTier, st.ByNamespace = sorted(tiers), sorted(namespaces)
	tx.eachCount(countArchived, func(ns string, n int64) {
		if tx.guard.Namespace(ns) {
			st.Archived = append(st.Archived, Count{ns, n})
		}
	})
	for l, err := range tx.LinksAfter("") {
		if err == nil && l.View.Live {
			st.Links++
		}
	}
	return st, nil
}

func sorted(counts map[string]int64) []Count {
	var out []Count
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, Count{name, counts[name]})
	}
	return out
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
