package storage

import (
	"fmt"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// PutOptions say who writes and what is superseded.
type PutOptions struct {
	Agent   string
	Content memory.Hash // of what the user said: equal contents collapse in the view
	Idem    memory.Hash // of the idempotency key, zero = none
	// Match, if not nil, is the token of what the writer had seen: exactly those versions
	// are superseded, others become siblings. nil supersedes everything held here.
	Match *clock.Clock
	// Copy, if not nil, is a live version held here that a node writes anew, or deletes, by
	// itself: nobody else has to know (memory.Kept). It says what that says; Content and
	// Match are not looked at. Until is the end of it, zero = none.
	Copy  *memory.Version
	Until time.Time
}

// Put gives the record a new version and returns its dot, which is real once the Op is
// done. value must not be changed afterwards. Errors: those of package memory for a value
// that cannot be read or is too large, a *memory.BehindError if Match names versions that
// this store has not seen, a *CorruptError if the stored record cannot be read.
func (tx *Tx) Put(key memory.Key, value []byte, o PutOptions) (clock.Dot, error) {
	return tx.write(key, memory.Version{Value: value, Agent: o.Agent, Content: o.Content, Idem: o.Idem}, o)
}

// Delete gives the record a deletion, which removes what it has seen: a concurrent live
// version survives it.
func (tx *Tx) Delete(key memory.Key, o PutOptions) (clock.Dot, error) {
	return tx.write(key, memory.Version{Deleted: true, Agent: o.Agent, Content: o.Content, Idem: o.Idem}, o)
}

func (tx *Tx) write(key memory.Key, v memory.Version, o PutOptions) (clock.Dot, error) {
	if !tx.writable {
		return clock.Dot{}, errReadOnly
	}
	if _, err := memory.ParseKey([]byte(key)); err != nil {
		return clock.Dot{}, &memory.FieldError{Field: "id", Problem: "cannot be stored"}
	}
	match := o.Match
	if o.Copy != nil {
		match = nil
		o.Copy.Mark(&v, o.Until)
	}
	c, fresh, err := tx.changeOf(key)
	if err != nil {
		return clock.Dot{}, err
	}
	before := c.old
	if !fresh {
		before = c.now
	}
	if match != nil {
		ours, missing, err := before.Vouch(*match, tx.w.hasSeen)
		if err != nil {
			return clock.Dot{}, err
		}
		if !missing.Empty() {
			return clock.Dot{}, &memory.BehindError{Missing: missing}
		}
		match = &ours
	}
	if err := tx.permit(&before, &v); err != nil {
		return clock.Dot{}, fmt.Errorf("write %s: %w", key, err)
	}
	own, minted := tx.w.own, tx.w.minted
	v.Dot, v.Stamp = tx.w.nextDot(), tx.w.stamp(before.StampAfter(match))
	m, err := before.SupersedeWith(tx.s.mutants, v, match)
	var f facts
	if err == nil {
		f, err = tx.inspect(&m.Record, &v)
	}
	if err != nil {
		tx.w.own, tx.w.minted = own, minted
		return clock.Dot{}, fmt.Errorf("write %s: %w", key, err)
	}
	c.now, c.facts = m.Record, f
	c.dropped = append(c.dropped, m.Dropped...)
	c.dots = append(c.dots, v.Dot)
	if fresh {
		if tx.byKey == nil {
			tx.byKey = make(map[memory.Key]*change)
		}
		tx.byKey[key] = c
		tx.changes = append(tx.changes, c)
	}
	return v.Dot, nil
}

// inspect reads the facts of a record that a local write has just changed, and makes sure
// that the new value can be read: usually it is the winner, so that one pass does both.
func (tx *Tx) inspect(rec *memory.Record, v *memory.Version) (facts, error) {
	if len(rec.Versions) == 0 {
		return facts{}, nil
	}
	view := rec.ViewWith(tx.s.mutants)
	if !v.Deleted && (view.Winner.Dot != v.Dot || !indexed(rec.Key.Kind())) {
		if err := memory.ValidateValue(rec.Key, v.Value); err != nil {
			return facts{}, err
		}
	}
	return factsOfView(*rec, view, tx.w.cluster)
}

// changeOf is this Op's change of a record, or a new one.
func (tx *Tx) changeOf(key memory.Key) (c *change, fresh bool, err error) {
	if c := tx.byKey[key]; c != nil {
		return c, false, nil
	}
	c, err = tx.w.load(key)
	return c, true, err
}
