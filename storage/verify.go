package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// Finding is one broken invariant (replication.md C).
type Finding struct {
	Rule    string // "cover", "row", "index", "sum", "clock", ...
	Key     memory.Key
	Dot     clock.Dot
	Problem string
}

func (f Finding) String() string {
	s := f.Rule + ": "
	if f.Key != "" {
		s += f.Key.String() + ": "
	}
	if !f.Dot.IsZero() {
		s += "dot " + f.Dot.String() + ": "
	}
	return s + f.Problem
}

// maxFindings are listed: one broken page can show in every row.
const maxFindings = 1000

// Verify checks every invariant that can be seen in the file: that the clock claims what
// is held and nothing else, checksums, and that keys, rows, dots, indexes, counters, marks
// and the view sum agree, both ways. It reads everything in one transaction, so it is for
// tests and quiet moments. The error is one that kept it from looking.
func (s *Store) Verify(ctx context.Context) (found []Finding, err error) {
	err = s.View(func(tx *Tx) error {
		v := verifier{ctx: ctx, tx: tx.btx, mutants: s.mutants, table: *tx.table()}
		if snap := s.snap.Load(); snap.txid == tx.btx.ID() {
			v.snap = snap
			if s.ident.mint.Load() == nil { // else the origin is given up: another process may have it
				v.own = s.ident.load()
			}
		}
		err := v.run()
		found = v.found
		return err
	})
	return found, err
}

// VerifyFile checks the store in dir, which no process may have open: the pages of the
// file, then all that Verify does. It changes nothing.
func VerifyFile(ctx context.Context, dir string) (found []Finding, err error) {
	path := filepath.Join(dir, DataFile)
	unlock, err := lock(path, lockPatience)
	if err != nil {
		return nil, err
	}
	check, err := checkFile(path)
	if err == nil {
		err = checkPages(path, check.meta)
	}
	unlock()
	if err != nil {
		return nil, err
	}
	if check.fellBack {
		found = append(found, Finding{Rule: "file", Problem: "one of two meta pages is not valid: after anything but a crash in the middle of a commit the last transaction is lost"})
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: lockPatience, NoStatistics: true})
	if err != nil {
		if errors.Is(err, berrors.ErrTimeout) {
			err = ErrLocked
		}
		return found, fmt.Errorf("%s: %w", path, err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		if err := checkFormat(tx); err != nil {
			return err
		}
		r, err := loadRecent(tx)
		if err != nil {
			return err
		}
		v := verifier{ctx: ctx, tx: tx, table: openTable(tx, r, math.MaxUint64)}
		err = v.run()
		found = append(found, v.found...)
		return err
	})
	return found, err
}

// verifier collects findings over one transaction. Derived buckets are checked one way by
// looking each expected entry up, and the other way by counting: as many entries as
// expected, all expected ones there, so no others.
type verifier struct {
	ctx     context.Context
	tx      *bolt.Tx
	mutants mutant.Set
	snap    *snapshot // of the running store, nil offline
	own     issued

	handles map[string]*bolt.Bucket
	table   table
	found   []Finding
	cluster memory.ClusterID
	clock   clock.Clock
	floor   clock.Clock
	state   state

	sum    viewSum
	counts map[string]int64
	revKey memory.Key // of the last revision, and how many it has so far
	revs   int
	rows   uint64
	dots   uint64 // expected entries of the dots bucket
	ix     [ixKinds]uint64
	idems  uint64
}

func (v *verifier) report(f Finding) {
	if len(v.found) < maxFindings {
		v.found = append(v.found, f)
	}
}

func (v *verifier) complain(rule, format string, args ...any) {
	v.report(Finding{Rule: rule, Problem: fmt.Sprintf(format, args...)})
}

func (v *verifier) run() error {
	v.counts, v.handles = make(map[string]int64), make(map[string]*bolt.Bucket)
	if err := v.readState(); err != nil {
		return err
	}
	if err := v.records(); err != nil {
		return err
	}
	if err := v.quarantine(); err != nil {
		return err
	}
	for _, step := range []struct {
		bucket []byte
		visit  func(k, val []byte)
	}{
		{bucketDots, v.dot}, {bucketRows, v.row}, {bucketRevs, v.revision}, {bucketAccess, v.accessEntry},
	} {
		if err := v.each(step.bucket, step.visit); err != nil {
			return err
		}
	}
	v.totals()
	v.checkSnapshot()
	return nil
}

// bucket is tx.Bucket, which searches on every call, with a memory.
func (v *verifier) bucket(name []byte) *bolt.Bucket {
	b := v.handles[string(name)]
	if b == nil {
		b = v.tx.Bucket(name)
		v.handles[string(name)] = b
	}
	return b
}

func (v *verifier) each(bucket []byte, visit func(k, val []byte)) error {
	n := 0
	return v.bucket(bucket).ForEach(func(k, val []byte) error {
		if n++; n%1024 == 0 && v.ctx.Err() != nil {
			return v.ctx.Err()
		}
		visit(k, val)
		return nil
	})
}

func (v *verifier) readState() (err error) {
	meta := v.bucket(bucketMeta)
	copy(v.cluster[:], meta.Get(metaCluster))
	if v.clock, err = readClock(v.tx); err != nil {
		return err
	}
	if v.floor, err = readFloor(v.tx); err != nil {
		return err
	}
	if v.state, err = decodeState(meta.Get(metaState)); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if !v.clock.Covers(v.floor) {
		v.complain("floor", "is not below the clock: %s", v.floor.Minus(v.clock))
	}
	for o := range v.clock.Origins() {
		if v.clock.Max(o) > clock.MaxCounter {
			v.complain("clock", "counter out of range under %s", o)
		}
	}
	return nil
}

// records checks every record, and that a start would find the same ones at the same
// places as the running store does.
func (v *verifier) records() error {
	again, err := loadRecent(v.tx)
	if err != nil {
		return err
	}
	restarted := openTable(v.tx, again, math.MaxUint64)
	n := 0
	for k := range v.table.all(nil, nil) {
		if n++; n%1024 == 0 && v.ctx.Err() != nil {
			return v.ctx.Err()
		}
		v.record(k)
		seq, _ := v.table.find(k)
		if then, found := restarted.find(k); !found || then != seq {
			v.report(Finding{Rule: "keys", Key: memory.Key(k), Problem: fmt.Sprintf("lies at %d, and a start would look at %d (%t)", seq, then, found)})
		}
	}
	for range restarted.all(nil, nil) {
		n--
	}
	if n != 0 {
		v.complain("keys", "%d more records than a start would find", n)
	}
	return nil
}

// record checks one record and everything derived from it.
func (v *verifier) record(k []byte) {
	v.rows++
	key, err := memory.ParseKey(k)
	if err != nil {
		v.complain("row", "key %x: %v", k, err)
		return
	}
	bad := func(rule, format string, args ...any) {
		v.report(Finding{Rule: rule, Key: key, Problem: fmt.Sprintf(format, args...)})
	}
	seq, raw, err := v.table.get(k)
	if err != nil {
		bad("row", "%v", err)
		return
	}
	rec, err := memory.DecodeRecord(raw) // checks the sum of every version, and the values
	if err != nil {
		bad("row", "%v", err)
		return
	}
	if rec.Key != key {
		bad("row", "holds record %s", rec.Key)
	}
	if !bytes.Equal(rec.Append(nil), raw) {
		bad("row", "is not in canonical form")
	}
	if seq > v.state.seq {
		bad("row", "lies at %d, behind the last place %d", seq, v.state.seq)
	}
	v.claims(key, k, rec.Dots(), rec.Context)
	if len(rec.Versions) > memory.MaxSiblings || len(rec.Lost) > memory.MaxLost || len(rec.Idems) > memory.MaxIdems {
		bad("caps", "%d siblings, %d lost, %d idempotency marks", len(rec.Versions), len(rec.Lost), len(rec.Idems))
	}
	for i := range rec.Lost {
		if !rec.Context.Contains(rec.Lost[i].Dot) {
			v.report(Finding{Rule: "lost", Key: key, Dot: rec.Lost[i].Dot, Problem: "digest of a version that is not superseded"})
		}
		v.above(&rec, key, rec.Lost[i].Dot, rec.Lost[i].Stamp)
	}
	if len(rec.Versions) == 0 {
		bad("row", "has no sibling")
	}
	eachIdem(&rec, func(h memory.Hash, d clock.Dot, content memory.Hash) {
		v.idems++
		if got := v.bucket(bucketIdem).Get(idemKey(h, d)); !bytes.Equal(got, append(content[:], k...)) {
			v.report(Finding{Rule: "idem", Key: key, Dot: d, Problem: "idempotency key without its entry"})
		}
	})
	f, err := factsOf(rec, v.cluster, v.mutants)
	if err != nil {
		bad("row", "%v", err)
	}
	v.sum.add(f.sum)
	f.eachCount(func(c counter) { v.counts[c.group+c.name]++ })
	f.each(key, func(ix int, prefix, suffix, iv []byte) {
		ik := slices.Concat(prefix, suffix)
		v.ix[ix]++
		// Get cannot tell an empty value from none.
		if gotK, gotV := v.bucket(indexNames[ix]).Cursor().Seek(ik); !bytes.Equal(gotK, ik) || !bytes.Equal(gotV, iv) {
			bad("index", "entry %q is missing", ik)
		}
	})
}

// above checks that a superseded version sorts below what came after it: the chain of its
// successors ends in a sibling, which has the greater stamp. A quarantined row may be the
// end of a chain, too, and says nothing.
func (v *verifier) above(rec *memory.Record, key memory.Key, d clock.Dot, stamp clock.Stamp) {
	if k, _ := v.bucket(bucketQuar).Cursor().First(); k == nil && rec.MaxStamp() <= stamp {
		v.report(Finding{Rule: "stamp", Key: key, Dot: d, Problem: "superseded, and no sibling has a later stamp"})
	}
}

// claims checks that the clock and the dots index know the dots that a state speaks for.
func (v *verifier) claims(key memory.Key, k []byte, siblings []clock.Dot, ctx clock.Clock) {
	all := clock.Of(siblings...)
	all.Union(ctx)
	v.dots += all.Count()
	if !v.clock.Covers(all) {
		v.report(Finding{Rule: "cover", Key: key, Problem: "holds dots that the clock does not cover: " + all.Minus(v.clock).String()})
	}
	b := v.bucket(bucketDots)
	for o, iv := range all.Ranges() {
		for n := iv.Lo; n <= iv.Hi; n++ {
			d := clock.Dot{Origin: o, Counter: n}
			if got := b.Get(dotKey(d)); !bytes.Equal(got, k) {
				v.report(Finding{Rule: "dots", Key: key, Dot: d, Problem: fmt.Sprintf("index says %x", got)})
			}
		}
	}
}

// quarantine checks the kept bytes and what they cover beyond the rows.
func (v *verifier) quarantine() error {
	var counted clock.Clock
	return v.each(bucketQuar, func(k, val []byte) {
		d, ok := parseDot(k)
		if !ok {
			v.complain("quarantine", "key %x is no dot", k)
			return
		}
		bad := func(problem string) { v.report(Finding{Rule: "quarantine", Dot: d, Problem: problem}) }
		_, raw, err := openQuarantined(k, val)
		if err != nil {
			bad(err.Error())
			return
		}
		env, err := memory.DecodeEnvelope(raw)
		if err != nil {
			bad(err.Error())
			return
		}
		if !clock.Of(env.Dots...).Contains(d) {
			bad("its bytes are those of another dot")
		}
		// What a readable state of the record speaks for was counted there.
		var known clock.Clock
		if _, row, err := v.table.get([]byte(env.Key)); err == nil && row != nil {
			if e, err := memory.DecodeEnvelope(row); err == nil {
				known = clock.Of(e.Dots...)
				known.Union(e.Context)
			}
		}
		if known.Contains(d) {
			bad("a readable state speaks for the dot")
		}
		ctx := env.Context.Minus(known).Minus(counted)
		counted.Union(ctx)
		counted.Add(d)
		v.claims(env.Key, []byte(env.Key), []clock.Dot{d}, ctx)
	})
}

func (v *verifier) dot(k, key []byte) {
	d, ok := parseDot(k)
	if !ok {
		v.complain("dots", "key %x is no dot", k)
		return
	}
	if !v.clock.Contains(d) {
		v.report(Finding{Rule: "cover", Dot: d, Key: memory.Key(key), Problem: "indexed and not covered"})
	}
	v.dots-- // every entry is used up by one claim
}

// row checks that the record of a row knows its place.
func (v *verifier) row(place, val []byte) {
	v.rows--
	key, err := rowKey(place, val)
	if err != nil || len(place) != 8 {
		v.complain("row", "at %x: %v", place, err)
		return
	}
	if seq, found := v.table.find([]byte(key)); !found || seq != binary.BigEndian.Uint64(place) {
		v.report(Finding{Rule: "row", Key: key, Problem: fmt.Sprintf("lies at %x, the keys say %d", place, seq)})
	}
}

func (v *verifier) revision(k, val []byte) {
	version, err := openRevision(k, val)
	if err != nil {
		v.complain("revision", "%x: %v", k, err)
		return
	}
	key := memory.Key(k[:len(k)-dotSize])
	version.Sum(key)
	if key != v.revKey {
		v.revKey, v.revs = key, 0
	}
	if v.revs++; v.revs == maxRevisions+1 {
		v.report(Finding{Rule: "caps", Key: key, Problem: fmt.Sprintf("more than %d revisions", maxRevisions)})
	}
	_, raw, err := v.table.get([]byte(key))
	if err != nil {
		return // reported with the record
	}
	if rec, err := memory.DecodeStored(raw); err == nil && !rec.Context.Contains(version.Dot) {
		v.report(Finding{Rule: "revision", Key: key, Dot: version.Dot, Problem: "body of a version that is not superseded"})
	} else if err == nil {
		v.above(&rec, key, version.Dot, version.Stamp)
	}
}

func (v *verifier) accessEntry(k, val []byte) {
	if _, ok := decodeAccess(val); !ok {
		v.report(Finding{Rule: "access", Key: memory.Key(k), Problem: "unreadable"})
	}
}

// totals compares what was counted with what was expected.
func (v *verifier) totals() {
	if v.dots != 0 {
		v.complain("dots", "%d more dots in records than in the index", int64(v.dots))
	}
	if v.rows != 0 {
		v.complain("row", "%d more keys than rows", int64(v.rows))
	}
	v.covered()
	for ix, name := range indexNames {
		if n := countKeys(v.bucket(name)); n != v.ix[ix] {
			v.complain("index", "%d entries in %s, %d expected", n, name, v.ix[ix])
		}
	}
	if n := countKeys(v.bucket(bucketIdem)); n != v.idems {
		v.complain("idem", "%d entries, %d expected", n, v.idems)
	}
	_ = v.bucket(bucketCounts).ForEach(func(k, val []byte) error {
		if n := readCount(val); n == 0 || n != v.counts[string(k)] {
			v.complain("counts", "%q is %d, not %d", k, n, v.counts[string(k)])
		}
		delete(v.counts, string(k))
		return nil
	})
	for name, n := range v.counts {
		v.complain("counts", "%q is missing, not %d", name, n)
	}
	if v.sum != v.state.sum {
		v.complain("sum", "is %x, the rows sum up to %x", v.state.sum, v.sum)
	}
}

// covered checks that the clock claims no dot that nothing here speaks for: every dot in
// it is indexed, unless it was pruned below the floor.
func (v *verifier) covered() {
	cur := v.bucket(bucketDots).Cursor()
	for o, iv := range v.clock.Minus(v.floor).Ranges() {
		next := iv.Lo
		for k, _ := cur.Seek(dotKey(clock.Dot{Origin: o, Counter: next})); k != nil && next <= iv.Hi; k, _ = cur.Next() {
			d, ok := parseDot(k)
			if !ok || d.Origin != o || d.Counter != next {
				break
			}
			next++
		}
		if next <= iv.Hi {
			v.report(Finding{Rule: "cover", Dot: clock.Dot{Origin: o, Counter: next}, Problem: "the clock claims it and nothing here speaks for it"})
		}
	}
}

func countKeys(b *bolt.Bucket) (n uint64) {
	_ = b.ForEach(func(_, _ []byte) error { n++; return nil })
	return n
}

// checkSnapshot compares the file with what the running store believes.
func (v *verifier) checkSnapshot() {
	if v.snap == nil {
		return
	}
	if !v.snap.clock.Equal(v.clock) {
		v.complain("memory", "clock in RAM is %s, on disk %s", v.snap.clock, v.clock)
	}
	if v.snap.state != v.state {
		v.complain("memory", "state in RAM is %+v, on disk %+v", v.snap.state, v.state)
	}
	if v.own.origin == 0 {
		return
	}
	if base, above := v.clock.Entry(v.own.origin); len(above) > 0 || base > v.own.counter {
		v.complain("own", "entry of the own origin %s is not gap-free: base %d, %d intervals, issued %d", v.own.origin, base, len(above), v.own.counter)
	}
}
