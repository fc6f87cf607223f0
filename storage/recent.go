package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// The keys bucket is written late. Record keys look random, so that keeping it up to date
// would cost every commit one page per row, and the pages of a commit are what it takes
// time for; everything else a commit appends. So the places of new rows are kept in RAM
// first, and are written to the bucket in sorted slices, a few with every transaction,
// where neighbours share a page. Nothing depends on RAM: the rows themselves are what is
// durable, and a start reads the last of them again, from the checkpoint in meta on.

// recent is the part of the key index that is ahead of the keys bucket. The pair is
// immutable; what is found in it is limited by the transaction that looks.
//
// Invariant: a record whose row lies at seq <= checkpoint, or in a generation that is no
// longer listed here, has its place in the keys bucket. All others are in active or
// draining. Guarded by Verify and by TestRecentKeysMatchAMap.
type recent struct {
	active   *generation // takes every row that is written
	draining *generation // is on its way into the keys bucket; nil if there is none
}

// generation is some rows that were written one after the other.
type generation struct {
	mu     sync.RWMutex
	places map[memory.Key]place
	keys   []memory.Key // of places, as they came; sorted when it drains
	rows   int          // in places, the superseded ones too
	bytes  int64        // of those rows
	last   uint64       // the highest seq

	drained int // how many of keys are in the bucket; of the writer alone
}

// place is where a row lies, and where the record's rows before it lay: a reader of an
// older transaction still finds those there.
type place struct {
	seq    uint64
	gone   bool // removed at seq, for good
	before *place
}

func newGeneration() *generation { return &generation{places: make(map[memory.Key]place)} }

// add notes a row. Only the writer does, and only in the active generation.
func (g *generation) add(key memory.Key, seq uint64, gone bool, size int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := place{seq: seq, gone: gone}
	if old, known := g.places[key]; known {
		p.before = &old
	} else {
		g.keys = append(g.keys, key)
	}
	g.places[key] = p
	g.rows++
	g.bytes += int64(size)
	g.last = max(g.last, seq)
}

// find is where the record of k lies for a transaction that sees rows up to last.
func (g *generation) find(k []byte, last uint64) (place, bool) {
	g.mu.RLock()
	p, known := g.places[memory.Key(k)] // does not allocate
	g.mu.RUnlock()
	for known && p.seq > last {
		if p.before == nil {
			return place{}, false
		}
		p = *p.before
	}
	return p, known
}

func (g *generation) has(key memory.Key) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	_, known := g.places[key]
	return known
}

// full tells that a start would have to read enough.
func (g *generation) full(rows int) bool { return g.rows >= rows || g.bytes >= maxRecentBytes }

func (r *recent) find(k []byte, last uint64) (place, bool) {
	if p, known := r.active.find(k, last); known {
		return p, true
	}
	if r.draining != nil {
		return r.draining.find(k, last)
	}
	return place{}, false
}

// between collects the keys from lo on and below hi (nil = no end) that a transaction that
// sees rows up to last finds here, sorted.
func (r *recent) between(lo, hi []byte, last uint64) []memory.Key {
	var keys []memory.Key
	for _, g := range []*generation{r.active, r.draining} {
		if g == nil {
			continue
		}
		g.mu.RLock()
		all := slices.Clip(g.keys) // what is in it does not change any more
		g.mu.RUnlock()
		for _, key := range all {
			if string(key) < string(lo) || hi != nil && string(key) >= string(hi) {
				continue
			}
			if _, known := g.find([]byte(key), last); known {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

const (
	// defaultRecentRows is as many rows as are worth waiting for: with n records in the
	// store, some 64 to a page of the bucket, a slice meets each page defaultRecentRows/n*64
	// times.
	defaultRecentRows = 16384
	// maxRecentBytes of rows fill a generation too. A start reads at most two of them.
	maxRecentBytes = 16 << 20
	// One part in minSlices of a generation is written by every transaction while it drains,
	// at least, and more by one that writes many rows.
	minSlices = 256
)

// rotate begins a new generation when the active one is full and the one before is through.
// All rows of both are committed. Readers that began before find what they see in the old
// pair; a transaction that writes into the new one commits after this.
func (s *Store) rotate() {
	r := s.recent.Load()
	if !r.active.full(s.cfg.RecentRows) || r.draining != nil {
		return
	}
	// A copy: readers go through the list that it was.
	r.active.mu.Lock()
	keys := slices.Clone(r.active.keys)
	slices.Sort(keys)
	r.active.keys = keys
	r.active.mu.Unlock()
	s.recent.Store(&recent{active: newGeneration(), draining: r.active})
}

// drain writes the next slice of the draining generation into the keys bucket, so large
// that it is through before the active one is full. The checkpoint moves with the last one.
func (w *txn) drain() error {
	r := w.table.recent
	g := r.draining
	if g == nil {
		return nil
	}
	n := len(g.keys) - g.drained
	if !r.active.full(w.s.cfg.RecentRows) {
		share := 2 * float64(len(g.keys)) * (float64(w.rows)/float64(w.s.cfg.RecentRows) + float64(w.rowBytes)/maxRecentBytes)
		n = min(n, max(1, w.s.cfg.RecentRows/minSlices, int(share)))
	}
	for _, key := range g.keys[g.drained : g.drained+n] {
		if r.active.has(key) {
			continue // its row has moved on: it comes with the next generation
		}
		k, p := []byte(key), g.places[key]
		var err error
		if p.gone {
			err = w.table.keys.Delete(k)
		} else {
			err = w.table.keys.Put(k, seqKey(p.seq))
		}
		if err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	}
	g.drained += n
	w.drained = g.drained == len(g.keys) || w.s.mutants.Has(mutant.DropUndrained)
	if !w.drained {
		return nil
	}
	upTo := g.last
	if w.s.mutants.Has(mutant.CheckpointAhead) {
		upTo = w.state.seq
	}
	return w.btx.Bucket(bucketMeta).Put(metaIndexed, seqKey(upTo))
}

// settle forgets a generation that the committed transaction has written to its end.
func (w *txn) settle() {
	if w.drained {
		w.s.recent.Store(&recent{active: w.table.recent.active})
	}
}

// readIndexed is the checkpoint: the keys bucket has the place of every row up to it that
// is still its record's.
func readIndexed(tx *bolt.Tx) (uint64, error) {
	v := tx.Bucket(bucketMeta).Get(metaIndexed)
	if len(v) != 8 {
		return 0, fmt.Errorf("checkpoint of the keys: %w", ErrCorrupt)
	}
	return binary.BigEndian.Uint64(v), nil
}

// loadRecent reads the rows behind the checkpoint, as a start does.
//
// A row there that fails its checksum does not say whose it is. The dots do: they name a
// record that then has no row. It is told to lie at such a row, so that reading it is the
// error that it has to be, and not an answer that there never was such a record.
func loadRecent(tx *bolt.Tx) (*recent, error) {
	from, err := readIndexed(tx)
	if err != nil {
		return nil, err
	}
	g := newGeneration()
	var damaged uint64 // seq of an unreadable row
	cur := tx.Bucket(bucketRows).Cursor()
	for at, v := cur.Seek(seqKey(from + 1)); at != nil; at, v = cur.Next() {
		if len(at) != 8 {
			return nil, fmt.Errorf("row at %x: %w", at, ErrCorrupt)
		}
		seq := binary.BigEndian.Uint64(at)
		key, err := rowKey(at, v)
		if err != nil {
			damaged = seq
			continue
		}
		g.add(key, seq, false, len(v))
	}
	r := &recent{active: g}
	if damaged > 0 {
		r.blame(tx, damaged)
	}
	return r, nil
}

// blame gives the records that have no row the damaged one.
func (r *recent) blame(tx *bolt.Tx, damaged uint64) {
	t := openTable(tx, r, ^uint64(0))
	var last []byte
	cur := tx.Bucket(bucketDots).Cursor()
	for d, k := cur.First(); d != nil; d, k = cur.Next() {
		if bytes.Equal(k, last) {
			continue
		}
		last = k
		seq, found := t.find(k)
		if found {
			at, _ := t.row.Seek(seqKey(seq))
			found = bytes.Equal(at, seqKey(seq))
		}
		if !found && tx.Bucket(bucketQuar).Get(d) == nil {
			r.active.add(memory.Key(bytes.Clone(k)), damaged, false, 0)
		}
	}
}
