package storage

import (
	"context"
	"fmt"
	"slices"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// Batch is rows from another node: one page of a pull, or one frame of a push.
type Batch struct {
	From string   // the sender's name, for logs
	Rows [][]byte // encoded records; not to be changed until the outcome is known
	// Floor is the sender's floor when it read the rows. A store whose clock does not cover
	// it applies nothing: ErrReconcile.
	Floor clock.Clock
	// Covers is what the page proves beyond its rows: empty for a push and for a page that
	// was cut short.
	Covers clock.Clock
	// Clock is the sender's clock, if known. It is never joined; it shows when another
	// process writes under this one's origin.
	Clock clock.Clock
	Push  bool
}

// Applied says what became of a Batch.
type Applied struct {
	New         int         // rows that brought at least one dot
	Redundant   int         // rows that brought none
	Tombs       int         // of New: rows whose view is a deletion now
	Conflicts   int         // rows that got a concurrent version of other content
	Quarantined int         // rows kept as bytes because they cannot be read
	Refused     int         // pushed rows not taken because the clock is too ragged: pull instead
	Collisions  int         // dots that came with other bytes than the ones held, which stay
	Collided    clock.Clock // which dots these were: covered here, but not by what came
	Failed      int         // rows whose record here cannot be read, or whose context is too large: not applied, not covered
	NewDots     int         // dots covered that were not before
	// Clock is durable and covers what was applied: what an ack may claim.
	Clock clock.Clock
}

// capIntervals is how ragged one origin may become by pushes. Beyond it a pull must fill
// the gaps: a claim whose row this disk holds is never dropped to make room.
const capIntervals = 1024

// maxAbsorbed is how many dots one transaction takes into the index. A context of a few
// bytes can name 2^63 of them: what is beyond the bound is left out, not covered, and said.
const maxAbsorbed = 4 << 20

// incoming is a Batch made ready outside of the writer: decoded, checked, sorted by key.
type incoming struct {
	batch   Batch
	push    bool
	rows    []*incomingRow
	cluster memory.ClusterID // that the facts were made for
	done    func(Applied, error)
}

// SubmitApply queues b for the next transaction. done is called exactly once, on the
// writer, with nil when everything that Applied claims is durable. If b is not queued it
// is called at once, in the caller's goroutine: ErrBusy, memory.ErrStopped, or
// memory.ErrFrame for a row whose envelope cannot be read, which spoils the batch.
//
// The rows are decoded here, in the caller's goroutine, while the writer works.
func (s *Store) SubmitApply(b Batch, done func(Applied, error)) {
	in, err := s.prepare(b)
	if err != nil {
		s.metrics.rejected.WithLabelValues("malformed").Inc()
		done(Applied{}, fmt.Errorf("apply rows from %s: %w", b.From, err))
		return
	}
	in.done = done
	var size int64
	for i := range in.rows {
		size += int64(len(in.rows[i].raw))
	}
	if err := s.enqueue(item{apply: in, size: size}); err != nil {
		done(Applied{}, err)
	}
}

// Apply is SubmitApply and the wait for its outcome. A context that ends does not undo what
// was queued. Run must be running.
func (s *Store) Apply(ctx context.Context, b Batch) (Applied, error) {
	type outcome struct {
		a   Applied
		err error
	}
	done := make(chan outcome, 1)
	s.SubmitApply(b, func(a Applied, err error) { done <- outcome{a, err} })
	select {
	case o := <-done:
		return o.a, o.err
	case <-ctx.Done():
		return Applied{}, ctx.Err()
	}
}

// apply merges a batch. itemErr refuses the batch as a whole; err ends the transaction.
func (w *txn) apply(in *incoming) (a Applied, itemErr, err error) {
	if !w.clock.Covers(in.batch.Floor) {
		w.s.metrics.rejected.WithLabelValues("reconcile").Inc()
		return a, fmt.Errorf("rows from %s: %w", in.batch.From, ErrReconcile), nil
	}
	w.watch(in.batch.Clock)
	w.watch(in.batch.Covers)
	covers := in.batch.Covers
	for i := range in.rows {
		r := in.rows[i]
		taken, err := w.applyRow(in, r, &a)
		if err != nil {
			return a, nil, fmt.Errorf("apply %s from %s: %w", r.key, in.batch.From, err)
		}
		if !taken && !w.s.mutants.Has(mutant.SkipFailedRow) {
			covers = covers.Minus(clock.Of(r.dots...)).Minus(r.ctx)
		}
	}
	a.NewDots += w.cover(w.alsoCovered(in, covers))
	w.s.metrics.countApplied(&a)
	return a, nil, nil
}

// applyRow merges one row. taken is false if its dots must not be covered.
func (w *txn) applyRow(in *incoming, r *incomingRow, a *Applied) (taken bool, err error) {
	w.watchRow(r)
	if in.push && w.tooRagged(r) {
		a.Refused++
		w.s.metrics.refusedRows.Inc()
		return false, nil
	}
	if room := uint64(maxAbsorbed - min(len(w.newDots), maxAbsorbed)); r.ctx.Count() > room && r.ctx.Minus(w.clock).Count() > room {
		a.Failed++
		w.s.metrics.rejected.WithLabelValues("context").Inc()
		w.s.log.Error("a row names more past versions than a transaction takes", "from", in.batch.From, "key", r.key, "dots", r.ctx.Count())
		return false, nil
	}
	if r.defect != nil {
		return true, w.quarantine(in, r, a)
	}
	c, err := w.load(r.key)
	if err != nil {
		a.Failed++ // our own state of the record is unreadable: nothing may be claimed
		return false, nil
	}
	m := memory.MergeWith(w.s.mutants, c.old, r.rec, w.hasSeen)
	collided := append(m.Collisions, w.taken(r, &c.old)...)
	if len(collided) > 0 {
		a.Collisions += len(collided)
		a.Collided.Union(clock.Of(collided...))
		w.s.metrics.collisions.Add(float64(len(collided)))
		w.s.log.Error("a dot came with other bytes than the ones held; the held ones stay", "from", in.batch.From, "key", r.key, "dots", collided)
	}
	if m.Changed && len(m.Record.Versions) == 0 && !w.quarantined.Empty() {
		// Only bytes that nobody here can read have superseded all of it. A row without siblings
		// would speak for dots that those bytes prove.
		m.Changed = false
		// But it may name a dot that they do not: of a copy that was put aside elsewhere. For that
		// a readable state has to speak, so these are joined as if there were no bytes; what they
		// have superseded goes when they are read.
		if len(collided) == 0 && !w.clock.Covers(r.ctx) {
			if plain := memory.MergeWith(w.s.mutants, c.old, r.rec, nil); len(plain.Record.Versions) > 0 {
				m = plain
			}
		}
	}
	if m.Changed {
		c.now, c.dropped = m.Record, m.Dropped
		if sameSiblings(&m.Record, &r.rec) && in.cluster == w.cluster {
			c.facts = r.facts
		} else if c.facts, err = factsOf(m.Record, w.cluster, w.s.mutants); err != nil {
			w.s.log.Error("a merged memory cannot be read", "key", r.key, "err", err)
		}
		if w.s.mutants.Has(mutant.UniqueTitles) && w.titleTaken(c) {
			a.Failed++
			return false, nil
		}
		if _, err := w.write(c); err != nil {
			return false, err
		}
	}
	w.count(r, c, m.Changed, w.earn(r, c.k), a)
	return true, w.release(r)
}

// taken finds dots of a row that are known here as dots of another record: the merge,
// which sees only this one, takes them for long superseded.
func (w *txn) taken(r *incomingRow, old *memory.Record) (dots []clock.Dot) {
	for _, d := range r.dots {
		if !w.clock.Contains(d) || old.Find(d) != nil || old.Context.Contains(d) {
			continue
		}
		if k := w.holder(d); k != nil && string(k) != string(r.key) {
			dots = append(dots, d)
		}
	}
	return dots
}

// holder is the key of the record that a covered dot belongs to, nil if none is known.
func (w *txn) holder(d clock.Dot) []byte {
	if k := w.bucket(bucketDots).Get(dotKey(d)); k != nil {
		return k
	}
	for i := range w.newDots { // of this transaction: written at its end
		if w.newDots[i].dot == d {
			return w.newDots[i].key
		}
	}
	return nil
}

// earn puts the dots of an applied row into the clock: siblings, and the context, since
// this store now holds a state that has superseded them (context absorb).
func (w *txn) earn(r *incomingRow, k []byte) (news int) {
	for _, d := range r.dots {
		if w.addDot(d, k) {
			news++
			w.observe(r.rec.Find(d))
		}
	}
	if !w.s.mutants.Has(mutant.NoAbsorb) {
		news += w.addDots(r.ctx, k)
	}
	return news
}

// observe lets the HLC follow a foreign stamp, within bounds.
func (w *txn) observe(v *memory.Version) {
	if v == nil {
		return
	}
	now := w.now
	if w.s.mutants.Has(mutant.HLCUnbounded) {
		now = v.Stamp.Time()
	}
	if w.s.hlc.Observe(v.Stamp, now) {
		w.s.metrics.futureRows.Inc()
	}
}

func (w *txn) count(r *incomingRow, c *change, changed bool, news int, a *Applied) {
	a.NewDots += news
	if news == 0 {
		a.Redundant++
		return
	}
	a.New++
	if !changed {
		return
	}
	if c.facts.deleted {
		a.Tombs++
	}
	if c.facts.conflicts > 0 && (!c.found || c.old.View().Conflicts < c.facts.conflicts) {
		a.Conflicts++
	}
}

// hasSeen is what the merge may take as known here. A dot that only quarantined bytes
// stand for was not: its readable version is welcome.
func (w *txn) hasSeen(d clock.Dot) bool { return w.clock.Contains(d) && !w.quarantined.Contains(d) }

// sameSiblings tells that the merge kept exactly the received siblings.
func sameSiblings(merged, received *memory.Record) bool {
	return slices.EqualFunc(merged.Versions, received.Versions, func(a, b memory.Version) bool {
		return a.Dot == b.Dot && a.Sum(merged.Key) == b.Sum(merged.Key)
	})
}

// quarantine keeps the bytes of a row that cannot be read under each dot that is news, and
// covers them: the store holds the row and can relay it.
func (w *txn) quarantine(in *incoming, r *incomingRow, a *Applied) error {
	key := []byte(r.key)
	news := w.addDots(r.ctx, key)
	for _, d := range r.dots {
		if !w.addDot(d, key) {
			continue
		}
		news++
		if w.s.mutants.Has(mutant.PoisonSkip) {
			continue
		}
		k := dotKey(d)
		if err := w.bucket(bucketQuar).Put(k, sealQuarantined(k, r.defect.Error(), r.raw)); err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
		w.ownQuarantine()
		w.quarantined.Add(d)
	}
	a.NewDots += news
	if news == 0 {
		a.Redundant++
		return nil
	}
	a.Quarantined++
	w.s.log.Warn("a row cannot be read and is kept as bytes", "from", in.batch.From, "key", r.key, "dots", r.dots, "err", r.defect)
	return nil
}

// cover joins dots that a page proved without bringing their rows.
func (w *txn) cover(c clock.Clock) int {
	c = c.Minus(w.clock)
	if c.Empty() {
		return 0
	}
	w.ownClock()
	w.clock.Union(c)
	for o := range c.Origins() {
		w.origins[o] = struct{}{}
	}
	return int(min(c.Count(), 1<<31-1))
}

// tooRagged tells that taking the row would add an interval to an origin at its cap.
func (w *txn) tooRagged(r *incomingRow) bool {
	if w.clock.Intervals() < capIntervals || w.s.mutants.Has(mutant.OverCapDrops) {
		return false
	}
	for _, d := range r.dots {
		if w.addsInterval(d.Origin, clock.Interval{Lo: d.Counter, Hi: d.Counter}) {
			return true
		}
	}
	for o, iv := range r.ctx.Ranges() {
		if w.addsInterval(o, iv) {
			return true
		}
	}
	return false
}

func (w *txn) addsInterval(o clock.Origin, iv clock.Interval) bool {
	base, above := w.clock.Entry(o)
	if len(above) < capIntervals || iv.Lo <= base+1 {
		return false
	}
	i, _ := slices.BinarySearchFunc(above, iv.Lo, func(a clock.Interval, lo uint64) int {
		if a.Hi+1 < lo {
			return -1
		}
		return 1
	})
	return i == len(above) || above[i].Lo > iv.Hi+1 // touches no interval there is
}

// watch looks for counters of this process's origin that it never issued.
func (w *txn) watch(c clock.Clock) {
	if w.own.origin != 0 && c.Max(w.own.origin) > w.own.counter {
		w.s.fence(w.own, c.Max(w.own.origin))
	}
}

func (w *txn) watchRow(r *incomingRow) {
	if w.own.origin == 0 {
		return
	}
	for _, d := range r.dots {
		if d.Origin == w.own.origin && d.Counter > w.own.counter {
			w.s.fence(w.own, d.Counter)
		}
	}
	w.watch(r.ctx)
}
