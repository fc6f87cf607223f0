package storage

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// Tx is a transaction as [Store.View] and [Op.Fn] see it. In an Op it reads what earlier
// operations of the same transaction wrote, and what this one has put; List, Stats and
// Members see the former only. Everything it returns is a copy that outlives it.
type Tx struct {
	s        *Store
	btx      *bolt.Tx
	w        *txn    // nil in a read transaction
	recent   *recent // of a read transaction
	writable bool
	guard    Guard // nil = sees everything

	changes []*change // of this Op, in order
	byKey   map[memory.Key]*change

	tab    *table // made at first use
	access *bolt.Bucket
}

func (tx *Tx) table() *table {
	if tx.tab == nil {
		if tx.w != nil {
			tx.tab = &tx.w.table
		} else {
			t := openTable(tx.btx, tx.recent, tx.seq())
			tx.tab = &t
		}
	}
	return tx.tab
}

// seq is the last place that was given out in a read transaction. A state that cannot be
// read hides nothing: the store would not have been opened with it.
func (tx *Tx) seq() uint64 {
	if snap := tx.s.snap.Load(); snap.txid == tx.btx.ID() {
		return snap.state.seq
	}
	st, err := decodeState(tx.btx.Bucket(bucketMeta).Get(metaState))
	if err != nil {
		return math.MaxUint64
	}
	return st.seq
}

// Local is what this node alone knows of a record.
type Local struct {
	Seq            uint64 // its place in the order of arrival
	AccessCount    int64
	LastAccessedAt time.Time // zero = never
}

var errReadOnly = errors.New("storage: write in a read transaction")

// Clock is the clock of this transaction. Not to be changed.
func (tx *Tx) Clock() (clock.Clock, error) {
	if tx.w != nil {
		return tx.w.clock, nil
	}
	if snap := tx.s.snap.Load(); snap.txid == tx.btx.ID() {
		return snap.clock, nil
	}
	return readClock(tx.btx)
}

// Get returns the record of a key. found tells that there is one, which may be deleted.
// A row that fails its checksum is a *CorruptError.
func (tx *Tx) Get(key memory.Key) (rec memory.Record, local Local, found bool, err error) {
	rec, local, found, err = tx.get(key)
	if found && err == nil && !tx.visible(&rec) {
		return memory.Record{}, Local{}, false, nil
	}
	return rec, local, found, err
}

// get is Get past the guard.
func (tx *Tx) get(key memory.Key) (rec memory.Record, local Local, found bool, err error) {
	if c := tx.byKey[key]; c != nil {
		return c.now, tx.local([]byte(key), c.seq), true, nil
	}
	k := []byte(key)
	rec, seq, found, err := tx.read(k)
	if err != nil || !found {
		return memory.Record{}, Local{}, false, err
	}
	return rec, tx.local(k, seq), true, nil
}

// read decodes a stored row into memory of its own.
func (tx *Tx) read(k []byte) (rec memory.Record, seq uint64, found bool, err error) {
	seq, raw, err := tx.table().get(k)
	if err == nil && raw != nil {
		rec, err = decodeRow(memory.Key(k), bytes.Clone(raw))
	}
	if err != nil {
		tx.s.corrupt(err)
		return memory.Record{}, 0, true, err
	}
	return rec, seq, raw != nil, nil
}

func (tx *Tx) local(k []byte, seq uint64) Local {
	if tx.access == nil {
		tx.access = tx.btx.Bucket(bucketAccess)
	}
	c, _ := decodeAccess(tx.access.Get(k))
	c = c.plus(tx.s.access.get(memory.Key(k)))
	return Local{Seq: seq, AccessCount: c.n, LastAccessedAt: c.last}
}

// ByTitle returns the live memories that show title in the namespace, the one with the
// greatest stamp first. More than one is what a create that raced with a rename leaves.
func (tx *Tx) ByTitle(ns, title string) ([]memory.Key, error) {
	title = memory.TitleKey(title)
	candidates := []memory.Key{memory.NewKey(memory.KindMemory, memory.DerivedID(tx.cluster(), ns, title, 0))}
	if tx.w != nil {
		if err := tx.w.ix.flush(ixTitles); err != nil {
			return nil, err
		}
	}
	prefix := titlePrefix(indexText(ns), indexText(title))
	cur := tx.btx.Bucket(bucketTitles).Cursor()
	for k, _ := cur.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = cur.Next() {
		candidates = append(candidates, memory.Key(k[len(prefix):]))
	}
	for _, c := range tx.changes {
		if !slices.Contains(candidates, c.now.Key) {
			candidates = append(candidates, c.now.Key)
		}
	}
	type hit struct {
		key   memory.Key
		stamp clock.Stamp
	}
	var hits []hit
	for _, key := range candidates {
		stamp, shows, err := tx.shows(key, ns, title)
		if err != nil {
			return nil, err
		}
		if shows {
			hits = append(hits, hit{key, stamp})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return cmp.Or(cmp.Compare(b.stamp, a.stamp), cmp.Compare(a.key, b.key)) })
	keys := make([]memory.Key, len(hits))
	for i := range hits {
		keys[i] = hits[i].key
	}
	return keys, nil
}

// shows tells whether the record is a live memory of that namespace and title.
func (tx *Tx) shows(key memory.Key, ns, title string) (stamp clock.Stamp, shows bool, err error) {
	rec, _, found, err := tx.Get(key)
	if err != nil || !found {
		return 0, false, err
	}
	view := rec.ViewWith(tx.s.mutants)
	if !view.Live || key.Kind() != memory.KindMemory {
		return 0, false, nil
	}
	doc, err := memory.DecodeMemory(key, view.Winner.Value)
	if err != nil {
		return 0, false, &CorruptError{Key: key, Reason: err.Error()}
	}
	return view.Winner.Stamp, doc.Namespace == ns && memory.TitleKey(doc.Title) == title, nil
}

func (tx *Tx) cluster() memory.ClusterID {
	if tx.w != nil {
		return tx.w.cluster
	}
	return tx.s.Cluster()
}

// Idem finds a write with that idempotency key, made here or elsewhere, that a record
// still remembers: its record, and its mark without the stamp. Of several (retries on
// nodes that did not know of each other) it is the one with the lowest dot.
func (tx *Tx) Idem(h memory.Hash) (key memory.Key, mark memory.IdemMark, found bool, err error) {
	if h.IsZero() || tx.s.mutants.Has(mutant.RetryNewDot) {
		return "", mark, false, nil
	}
	for _, c := range tx.changes {
		if m, ok := c.now.FindIdem(h); ok && tx.visible(&c.now) {
			return c.now.Key, m, true, nil
		}
	}
	k, v := tx.btx.Bucket(bucketIdem).Cursor().Seek(h[:])
	if !bytes.HasPrefix(k, h[:]) {
		return "", mark, false, nil
	}
	dot, ok := parseDot(k[len(h):])
	if !ok || len(v) < len(mark.Content) {
		return "", mark, false, fmt.Errorf("idempotency entry: %w", ErrCorrupt)
	}
	if key, err = memory.ParseKey(v[len(mark.Content):]); err != nil {
		return "", mark, false, fmt.Errorf("idempotency entry: %w: %w", ErrCorrupt, err)
	}
	if tx.guard != nil { // somebody else's key of the same text
		if rec, _, _, err := tx.get(key); err != nil || !tx.visible(&rec) {
			return "", mark, false, err
		}
	}
	return key, memory.IdemMark{Dot: dot, Idem: h, Content: memory.Hash(v[:len(mark.Content)])}, true, nil
}

// Members are the registered nodes, by name, and the names that were removed
// (memory.Record.Membership).
func (tx *Tx) Members() (members []memory.Member, removed []string, err error) {
	for rec, err := range tx.Each(memory.KindMember) {
		if err != nil {
			return nil, nil, err
		}
		view := rec.ViewWith(tx.s.mutants)
		switch is := rec.Membership(); {
		case is == memory.NeverMember:
			continue
		case is == memory.RemovedMember && !(view.Live && tx.s.mutants.Has(mutant.RegistrationRevives)):
			removed = append(removed, rec.Key.ID())
			continue
		}
		m, err := memory.DecodeMember(view.Winner.Value)
		if err != nil {
			return nil, nil, &CorruptError{Key: rec.Key, Reason: err.Error()}
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b memory.Member) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(removed)
	return members, removed, nil
}

// Revisions are the bodies kept here of versions that lost a conflict and were superseded,
// the newest first. Other nodes may hold other ones: the record's Lost lists them all.
func (tx *Tx) Revisions(key memory.Key) ([]memory.Version, error) {
	var out []memory.Version
	prefix := []byte(key)
	cur := tx.btx.Bucket(bucketRevs).Cursor()
	for k, v := cur.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = cur.Next() {
		if len(k) != len(prefix)+dotSize {
			continue // of a longer key
		}
		version, err := openRevision(k, bytes.Clone(v))
		if err != nil {
			return nil, &CorruptError{Key: key, Reason: "revision: " + err.Error()}
		}
		if !tx.allows(key, version.Value) {
			continue
		}
		out = append(out, version)
	}
	slices.SortFunc(out, func(a, b memory.Version) int { return cmp.Or(cmp.Compare(b.Stamp, a.Stamp), b.Dot.Compare(a.Dot)) })
	return out, nil
}

// corrupt counts and reports a row that failed its checksum.
func (s *Store) corrupt(err error) {
	s.metrics.corruptRows.Inc()
	s.log.Error("a row on disk does not match its checksum", "err", err)
}

// Records yields every record in key order, deleted ones and unknown kinds included. A row
// that fails its checksum is yielded as an error in its place.
func (tx *Tx) Records() iter.Seq2[memory.Record, error] { return tx.records(nil, nil) }

// Each is Records of one kind.
func (tx *Tx) Each(kind memory.Kind) iter.Seq2[memory.Record, error] {
	return tx.records([]byte{byte(kind)}, []byte{byte(kind) + 1})
}

// After is Records behind a key, for a walk that goes on in another transaction.
func (tx *Tx) After(key memory.Key) iter.Seq2[memory.Record, error] {
	return tx.records(append([]byte(key), 0), nil)
}

func (tx *Tx) records(lo, hi []byte) iter.Seq2[memory.Record, error] {
	return func(yield func(memory.Record, error) bool) {
		for k := range tx.table().all(lo, hi) {
			rec, _, _, err := tx.read(k)
			if err == nil && !tx.visible(&rec) {
				continue
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}
