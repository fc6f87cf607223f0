package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// txn is one write transaction: the bbolt transaction, and in RAM what is written once at
// its end. Only the writer touches it.
type txn struct {
	s       *Store
	btx     *bolt.Tx // nil when it is over
	txid    int
	now     time.Time
	cluster memory.ClusterID
	base    *snapshot // what it began from

	table table
	ix    indexes

	// What will be the next snapshot. The clocks are base's until own... took a copy.
	clock       clock.Clock
	quarantined clock.Clock
	state       state
	clockOwned  bool
	quarOwned   bool
	origins     map[clock.Origin]struct{} // whose clock entries changed

	newDots []dotEntry
	reads   map[memory.Key]accessCount

	own    issued // origin and counter of local writes
	minted *string
	staged []StagedRow

	items     int
	rows      int // written
	rowBytes  int64
	drained   bool // the draining generation is in the keys bucket
	fileBytes int64
	changed   bool // something must be committed
	registry  bool // a member's record changed
}

type dotEntry struct {
	dot clock.Dot
	key []byte
}

func (s *Store) begin() (*txn, error) {
	s.rotate()
	btx, err := s.db.Begin(true)
	if err != nil {
		return nil, err
	}
	base := s.snap.Load()
	w := &txn{
		s: s, btx: btx, txid: btx.ID(), now: s.cfg.Now(), cluster: s.Cluster(), base: base,
		table: openTable(btx, s.recent.Load(), math.MaxUint64), ix: indexes{tx: btx, counts: make(map[counter]int64)},
		clock: base.clock, quarantined: base.quarantined, state: base.state,
		origins: make(map[clock.Origin]struct{}), own: s.ident.load(),
	}
	return w, nil
}

func (w *txn) bucket(name []byte) *bolt.Bucket { return w.btx.Bucket(name) }

func (w *txn) rollback() {
	if w.btx == nil {
		return
	}
	w.s.access.giveBack(w.reads)
	defer func() { _ = recover() }() // after a panic in bbolt
	_ = w.btx.Rollback()
	w.btx = nil
}

// run does one item. Its own failure is kept in it; an error ends the transaction.
func (w *txn) run(it *item) error {
	if !it.take() {
		it.done = true // given up: nobody waits
		return nil
	}
	w.items++
	if it.apply != nil {
		var err error
		it.out, it.err, err = w.apply(it.apply)
		return err
	}
	return w.runOp(it)
}

func (w *txn) runOp(it *item) error {
	if it.op.Fn == nil {
		return nil
	}
	own, minted := w.own, w.minted
	tx := &Tx{s: w.s, btx: w.btx, w: w, writable: true}
	it.err = it.op.Fn(tx)
	tx.writable = false
	if it.err != nil {
		w.own, w.minted = own, minted // its counters were never seen
		return nil
	}
	for _, c := range tx.changes {
		raw, err := w.write(c)
		if err != nil {
			return err
		}
		for _, d := range c.dots {
			w.addDot(d, c.k)
			it.res.Dots = append(it.res.Dots, d)
			it.res.Rows = append(it.res.Rows, raw)
			w.staged = append(w.staged, StagedRow{Dot: d, Raw: raw})
		}
	}
	return nil
}

// change is one record on its way from what is stored to what will be.
type change struct {
	k        []byte // the key, as bytes that last
	found    bool   // there is a stored row
	seq      uint64
	old, now memory.Record
	dropped  []memory.Version
	facts    facts       // of now
	dots     []clock.Dot // that a local write gave it
}

// load reads a stored row, aliasing the file: valid inside the transaction.
func (w *txn) load(key memory.Key) (*change, error) {
	c := &change{k: []byte(key), old: memory.Record{Key: key}}
	seq, raw, err := w.table.get(c.k)
	if err == nil && raw != nil {
		c.old, err = decodeRow(key, raw)
	}
	if err != nil {
		w.s.corrupt(err)
		return nil, err
	}
	c.found, c.seq = raw != nil, seq
	return c, nil
}

// decodeRow decodes record bytes that passed their checksum.
func decodeRow(key memory.Key, raw []byte) (memory.Record, error) {
	rec, err := memory.DecodeStored(raw)
	if err == nil && rec.Key != key {
		err = errors.New("row of another key")
	}
	if err != nil {
		return memory.Record{}, &CorruptError{Key: key, Reason: err.Error()}
	}
	return rec, nil
}

// write puts a changed record and everything derived from it.
func (w *txn) write(c *change) (raw []byte, err error) {
	w.changed = true
	key, k := c.now.Key, c.k
	w.registry = w.registry || key.Kind() == memory.KindMember
	old, err := factsOf(c.old, w.cluster, w.s.mutants)
	if err != nil {
		w.s.log.Error("a stored memory cannot be read any more", "key", key, "err", err)
	}
	w.state.sum.sub(old.sum)
	w.state.sum.add(c.facts.sum)
	w.ix.replace(key, &old, &c.facts)
	if c.facts.conflicts > old.conflicts {
		w.s.metrics.conflicts.inc(c.facts.ns)
	}
	if w.titleShared(c, &old) {
		w.s.metrics.ambiguous.Inc()
	}
	if err := w.writeMarks(k, c); err != nil {
		return nil, err
	}
	w.state.seq++
	if c.now.Empty() { // only a mutant makes such a record
		return nil, w.table.remove(k, c.seq, w.state.seq)
	}
	w.rows++
	stored, raw := sealRow(seqKey(w.state.seq), c.now)
	w.rowBytes += int64(len(stored))
	return raw, w.table.put(k, c.seq, c.found, w.state.seq, stored)
}

// titleShared tells that c has just taken a title that another live memory shows. Who has
// the id that follows from the title cannot find another one there when it is written; who
// has it by another id (renamed, imported) is looked at, and that is rare.
func (w *txn) titleShared(c *change, old *facts) bool {
	f := &c.facts
	return f.memory && !f.derived && (!old.memory || old.ns != f.ns || old.title != f.title) && w.titleTaken(c)
}

// titleTaken tells that another live memory has the title of c.
func (w *txn) titleTaken(c *change) bool {
	if !c.facts.memory {
		return false
	}
	tx := &Tx{s: w.s, btx: w.btx, w: w}
	keys, err := tx.ByTitle(c.facts.ns, c.facts.title)
	for _, k := range keys {
		if k != c.now.Key {
			return true
		}
	}
	return err != nil
}

// addDot makes the store cover a dot of a record. It reports whether that is news.
func (w *txn) addDot(d clock.Dot, key []byte) bool {
	if w.clock.Contains(d) {
		return false
	}
	w.ownClock()
	w.clock.Add(d)
	if w.s.mutants.Has(mutant.MaxCounterClock) {
		w.clock.AddRange(d.Origin, 1, d.Counter)
	}
	w.origins[d.Origin] = struct{}{}
	w.newDots = append(w.newDots, dotEntry{d, key})
	return true
}

// addDots is addDot for a set.
func (w *txn) addDots(c clock.Clock, key []byte) (news int) {
	if c.Empty() || w.clock.Covers(c) {
		return 0
	}
	for o, iv := range c.Minus(w.clock).Ranges() {
		for n := iv.Lo; n <= iv.Hi; n++ {
			if w.addDot(clock.Dot{Origin: o, Counter: n}, key) {
				news++
			}
		}
	}
	return news
}

func (w *txn) ownClock() {
	if !w.clockOwned {
		w.clock, w.clockOwned = w.clock.Clone(), true
	}
	w.changed = true
}

// stamp is the time of a local write that supersedes versions up to after.
func (w *txn) stamp(after clock.Stamp) clock.Stamp {
	if w.s.mutants.Has(mutant.StampFromWall) {
		return clock.NewStamp(w.now.UnixMilli(), 0)
	}
	return w.s.hlc.Next(w.now, after)
}

// nextDot allocates the dot of a local write. It becomes true with the transaction.
func (w *txn) nextDot() clock.Dot {
	if mint := w.s.ident.mint.Load(); w.own.origin == 0 || mint != nil && w.minted != mint {
		w.minted = mint
		w.own = issued{origin: w.s.nextOrigin(w.clock)}
		w.s.log.Info("took a new origin", "origin", w.own.origin)
	}
	w.own.counter++
	return clock.Dot{Origin: w.own.origin, Counter: w.own.counter}
}

// finish writes what waited for the end and tells who wants to know before the sync.
func (w *txn) finish(work []item) error {
	if w.changed || w.s.access.pending() >= maxPendingReads {
		w.reads = w.s.access.take()
		if err := writeAccess(w.btx, &w.table, w.reads); err != nil {
			return fmt.Errorf("access statistics: %w", err)
		}
		w.changed = w.changed || len(w.reads) > 0
	}
	if !w.changed {
		return nil
	}
	err := errors.Join(w.drain(), w.ix.flushAll(), w.ix.writeCounts(w.btx), w.writeDots(), w.writeClock(), w.writeState())
	if err != nil {
		return err
	}
	if len(w.staged) > 0 {
		w.s.ident.publish(w.own, w.minted)
	}
	for i := range work {
		if it := &work[i]; it.apply == nil && it.err == nil && !it.done && it.op.Staged != nil {
			it.op.Staged(it.res)
		}
	}
	w.tellStaged()
	return nil
}

// tellStaged hands the own rows to replication, origin by origin.
func (w *txn) tellStaged() {
	if w.s.cfg.Staged == nil {
		return
	}
	for rows := w.staged; len(rows) > 0; {
		n := 1
		for n < len(rows) && rows[n].Dot.Origin == rows[0].Dot.Origin {
			n++
		}
		w.s.cfg.Staged(Staged{Origin: rows[0].Dot.Origin, Base: rows[0].Dot.Counter - 1, Floor: w.base.floor, Rows: rows[:n:n]})
		rows = rows[n:]
	}
}

func (w *txn) writeDots() error {
	slices.SortFunc(w.newDots, func(a, b dotEntry) int { return a.dot.Compare(b.dot) })
	b := w.btx.Bucket(bucketDots)
	b.FillPercent = fillAppend // per origin
	buf := make([]byte, 0, dotSize*len(w.newDots))
	for _, e := range w.newDots {
		n := len(buf)
		buf = appendDot(buf, e.dot)
		if err := b.Put(buf[n:], e.key); err != nil {
			return fmt.Errorf("dot %s: %w", e.dot, err)
		}
	}
	return nil
}

func (w *txn) writeClock() error {
	b := w.btx.Bucket(bucketClock)
	for o := range w.origins {
		k := clockKey(o)
		var err error
		if e := w.clock.Only(o); e.Empty() {
			err = b.Delete(k)
		} else {
			err = b.Put(k, sealClock(k, e))
		}
		if err != nil {
			return fmt.Errorf("clock: %w", err)
		}
	}
	return nil
}

func (w *txn) writeState() error {
	w.state.bound = max(w.state.bound, w.s.hlc.Last())
	meta := w.btx.Bucket(bucketMeta)
	return errors.Join(meta.Put(metaState, w.state.encode()), w.s.saveMutants(w))
}

// membersTold reads the registry as the transaction leaves it, and returns what tells it.
func (w *txn) membersTold() (tell func(), err error) {
	if !w.registry || w.s.cfg.Members == nil {
		return func() {}, nil
	}
	members, removed, err := (&Tx{s: w.s, btx: w.btx, w: w}).Members()
	return func() { w.s.cfg.Members(members, removed) }, err
}

func (w *txn) snapshot() *snapshot {
	return newSnapshot(w.txid, w.clock, w.base.floor, w.quarantined, w.state)
}

// complete tells the submitters.
func (w *txn) complete(work []item) {
	for i := range work {
		it := &work[i]
		if it.apply != nil {
			it.out.Clock = w.clock
		}
		it.finish()
	}
}

func stack() string { return string(bytes.TrimSpace(debug.Stack())) }
