package storage

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// pageBuilder walks the missing dots origin by origin, ascending, so that a page that ends
// early leaves no holes behind it, and sends the current state of each dot's record once.
type pageBuilder struct {
	tx      *Tx
	req     SinceRequest
	page    *Page
	missing clock.Clock
	table   *table
	quar    *bolt.Bucket // nil if nothing is quarantined
	limit   int
	steps   int
	mark    clock.Stamp // of a mutant
	mutants mutant.Set

	// Every missing dot that was looked at is in one of them.
	covered clock.Clock
	left    clock.Clock
	hidden  clock.Clock

	dots   uint64 // that the rows of the page bring, their past included
	arena  []byte // free room for row bytes: one allocation for many rows
	full   bool   // the page ends here
	broken bool   // something was left out that the peer should have got
}

func newPageBuilder(tx *Tx, r SinceRequest) (*pageBuilder, error) {
	c, err := tx.Clock()
	if err != nil {
		return nil, err
	}
	floor, err := readFloor(tx.btx)
	if err != nil {
		return nil, err
	}
	b := &pageBuilder{
		tx: tx, req: r, missing: r.missing(c), limit: r.LimitBytes, mutants: tx.s.mutants,
		page:  &Page{Clock: c, Floor: floor, Reconcile: !r.Cursor.Covers(floor), HLC: tx.s.hlc.Last()},
		table: tx.table(), quar: tx.btx.Bucket(bucketQuar),
	}
	if b.limit <= 0 {
		b.limit = DefaultPage
	}
	b.limit = min(b.limit, MaxPage)
	if !r.Hidden.Empty() && r.Guard != nil {
		b.page.Lasting = r.Hidden.Intersect(b.missing)
		b.hidden = b.page.Lasting.Clone()
		b.missing = b.missing.Minus(b.hidden)
	}
	if k, _ := b.quar.Cursor().First(); k == nil {
		b.quar = nil
	}
	if b.mutants != 0 {
		b.mutate()
	}
	return b, nil
}

// walk visits every missing dot, or as many as fit.
func (b *pageBuilder) walk() error {
	cur := b.tx.btx.Bucket(bucketDots).Cursor()
	for o, iv := range b.missing.Ranges() {
		next := iv.Lo
		for k, key := cur.Seek(dotKey(clock.Dot{Origin: o, Counter: next})); k != nil; k, key = cur.Next() {
			d, ok := parseDot(k)
			if !ok || d.Origin != o || d.Counter > iv.Hi {
				break
			}
			b.noEntry(o, next, d.Counter-1)
			next = d.Counter + 1
			if err := b.visit(d, key); err != nil || b.full {
				return err
			}
		}
		b.noEntry(o, next, iv.Hi)
	}
	return nil
}

// noEntry are missing dots that no record is known for. Below the floor they were pruned,
// and only a complete page may cover them; anything else is a claim that this store cannot
// prove and does not pass on.
func (b *pageBuilder) noEntry(o clock.Origin, lo, hi uint64) {
	if lo > hi || b.mutants.Has(mutant.HoleCovered) {
		return
	}
	var gap clock.Clock
	gap.AddRange(o, lo, hi)
	if gap = gap.Minus(b.page.Floor); !gap.Empty() {
		b.left.Union(gap)
		b.broken = true
	}
}

// visit deals with one missing dot of the record under k.
func (b *pageBuilder) visit(d clock.Dot, k []byte) error {
	if b.covered.Contains(d) || b.left.Contains(d) || b.hidden.Contains(d) {
		return nil // an earlier dot brought its record up
	}
	if b.steps++; b.steps > maxSteps {
		b.full = true
		return nil
	}
	if b.quar != nil {
		if v := b.quar.Get(dotKey(d)); v != nil {
			_, raw, err := openQuarantined(dotKey(d), v)
			if err != nil {
				return b.lose(d, &CorruptError{Key: memory.Key(k), Reason: "quarantined bytes: " + err.Error()})
			}
			return b.offerQuarantined(d, raw)
		}
	}
	_, raw, err := b.table.get(k)
	if err != nil {
		return b.lose(d, err)
	}
	if raw != nil {
		if speaks, err := b.offer(d, raw); speaks || err != nil {
			return err
		}
	}
	if speaks, err := b.offerHolder(d, memory.Key(k)); speaks || err != nil {
		return err
	}
	return b.lose(d, &CorruptError{Key: memory.Key(k), Reason: "no state speaks for dot " + d.String()})
}

// offer sends a record's current state for the sake of dot d, unless the peer has it or is
// getting it elsewhere. speaks tells whether the state says anything about d.
func (b *pageBuilder) offer(d clock.Dot, raw []byte) (speaks bool, err error) {
	env, err := memory.DecodeEnvelope(raw)
	if err != nil {
		return true, b.lose(d, fmt.Errorf("%w: %w", ErrCorrupt, err))
	}
	if b.tx.guard != nil && b.hides(d, &env) {
		return true, nil
	}
	if len(env.Dots) == 1 && env.Dots[0] == d && env.Context.Empty() && b.mutants == 0 {
		// Most rows: written once, and missing because d is.
		if b.fits(raw) {
			b.emit(raw)
			b.covered.Add(d)
		}
		return true, nil
	}
	siblings := clock.Of(env.Dots...)
	if !siblings.Contains(d) && !env.Context.Contains(d) {
		return false, nil
	}
	if b.mutants != 0 && b.skipped(d, &env) {
		b.covered.Add(d)
		return true, nil
	}
	b.send(raw, siblings, env.Context)
	return true, nil
}

// offerQuarantined sends kept bytes. They speak for the dots that are kept in them only:
// a sibling that is readable here comes with its own row.
func (b *pageBuilder) offerQuarantined(d clock.Dot, raw []byte) error {
	env, err := memory.DecodeEnvelope(raw)
	if err != nil {
		return b.lose(d, fmt.Errorf("%w: quarantined bytes: %w", ErrCorrupt, err))
	}
	if b.tx.guard != nil { // nobody can say where it belongs
		b.withhold(clock.Of(env.Dots...), env.Context, true)
		if b.hidden.Contains(d) {
			return nil
		}
	}
	var kept clock.Clock
	for _, sibling := range env.Dots {
		if b.quar.Get(dotKey(sibling)) != nil {
			kept.Add(sibling)
		}
	}
	b.send(raw, kept, env.Context)
	return nil
}

// send decides about one state: leave it to another pull, end the page before it, or put it
// in. A peer may have all siblings and not the whole context, since what has put a copy
// aside did not know of it.
func (b *pageBuilder) send(raw []byte, siblings, context clock.Clock) {
	news := siblings.Minus(b.req.Cursor)
	all := siblings
	all.Union(context)
	known := news.Empty()
	if known {
		news = all.Minus(b.req.Cursor)
	}
	switch {
	case known && b.mutants.Has(mutant.ReservedInCursor):
		b.covered.Union(all)
	case !news.Intersect(b.req.Reserved).Empty():
		b.left.Union(all)
	case !b.fits(raw):
		if b.mutants.Has(mutant.PageEdgeDrop) {
			b.covered.Union(all)
		}
	default:
		b.emit(raw)
		b.covered.Union(all)
		b.dots += all.Intersect(b.missing).Count()
	}
}

// offerHolder looks for quarantined bytes of the record whose context has superseded d.
func (b *pageBuilder) offerHolder(d clock.Dot, key memory.Key) (speaks bool, err error) {
	if b.quar == nil {
		return false, nil
	}
	cur := b.quar.Cursor()
	for k, v := cur.First(); k != nil; k, v = cur.Next() {
		_, raw, err := openQuarantined(k, v)
		if err != nil {
			continue
		}
		env, err := memory.DecodeEnvelope(raw)
		if err != nil || env.Key != key || !env.Context.Contains(d) {
			continue
		}
		return true, b.offerQuarantined(d, raw)
	}
	return false, nil
}

// lose leaves out a dot whose row cannot be served. The peer gets it elsewhere.
func (b *pageBuilder) lose(d clock.Dot, err error) error {
	b.tx.s.corrupt(err)
	b.left.Add(d)
	b.broken = true
	return nil
}

// fits tells whether a row may be added. One always may; otherwise the page ends here.
func (b *pageBuilder) fits(raw []byte) bool {
	b.full = len(b.page.Rows) > 0 && (b.page.Bytes+len(raw) > b.limit || b.dots > maxPageDots)
	return !b.full
}

func (b *pageBuilder) emit(raw []byte) {
	if len(raw) > cap(b.arena)-len(b.arena) {
		b.arena = make([]byte, 0, max(len(raw), min(b.limit-b.page.Bytes, 256<<10)))
	}
	n := len(b.arena)
	b.arena = append(b.arena, raw...)
	b.page.Rows = append(b.page.Rows, b.arena[n:len(b.arena):len(b.arena)])
	b.page.Bytes += len(raw)
}

func (b *pageBuilder) finish() *Page {
	p := b.page
	p.Complete = !b.full && !b.broken
	if p.Complete {
		p.Covers = b.missing.Minus(b.left)
	} else {
		p.Covers = b.covered.Intersect(b.missing)
	}
	if !b.hidden.Empty() {
		p.Withheld, p.Lasting = b.hidden.Minus(b.covered), p.Lasting.Minus(b.covered)
		p.Covers = p.Covers.Minus(p.Withheld)
		if b.mutants.Has(mutant.WithheldCovered) {
			p.Covers.Union(p.Withheld)
		}
	}
	if b.mutants.Has(mutant.HeadClockOnPartial) {
		p.Covers = p.Clock
	}
	return p
}
