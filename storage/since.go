package storage

import (
	"fmt"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
)

// SinceRequest asks for what a peer is missing. It is the whole truth: the store keeps
// nothing about the peer between two requests.
type SinceRequest struct {
	Scope  string      // "" or ScopeAll
	Cursor clock.Clock // what the peer durably has
	// Reserved is what the peer is fetching elsewhere at this moment. It is not had: only
	// left alone (replication.md B7).
	Reserved clock.Clock
	// Guard hides records from the peer, see Page.Withheld; nil = none. Hidden are dots
	// that an earlier page with the same guard has given as Lasting: they are not looked at
	// again.
	Guard      Guard
	Hidden     clock.Clock
	LimitBytes int // of row bytes; 0 = DefaultPage, at most MaxPage. One row always fits.
}

// Page sizes in row bytes.
const (
	DefaultPage = 1 << 20
	MaxPage     = 4 << 20
)

// maxPageDots bounds what a page costs its reader beside its bytes: each dot becomes an entry
// of the index, and a record that was overwritten often has many in a few bytes. One row
// always fits.
const maxPageDots = 256 << 10

// maxSteps bounds the index entries that one page looks at, and with it how long its read
// transaction lasts: most of them cost a row read even if the row is not sent.
const maxSteps = 50_000

// Page is the answer: clock, floor and rows are of one instant.
type Page struct {
	NotModified bool // the peer lacks nothing of this store's: all but Clock and Floor is empty
	Clock       clock.Clock
	Floor       clock.Clock
	// Reconcile: the peer's cursor does not cover Floor, so this page cannot tell it what
	// was deleted and pruned here.
	Reconcile bool
	Rows      [][]byte
	Bytes     int // of Rows
	// Covers are the missing dots whose record's current state is among Rows or was in the
	// cursor: after applying Rows the peer may join it.
	Covers clock.Clock
	// Complete: everything missing that was not reserved elsewhere is covered.
	Complete bool
	// Withheld are missing dots that Guard hides from the peer, as far as they were looked
	// at. They are not covered: the peer must not claim what it does not have.
	Withheld clock.Clock
	// Lasting are those of Withheld that stay so until their record changes, and with it its
	// dots.
	Lasting clock.Clock
	HLC     clock.Stamp
}

// Since builds one page in one short read transaction. Errors: ErrScope, or what stopped
// the store. A row that fails its checksum is left out and its dots are not covered; the
// page is then not complete.
func (s *Store) Since(r SinceRequest) (*Page, error) {
	if r.Scope != "" && r.Scope != ScopeAll && !s.mutants.Has(mutant.FilteredAdvances) {
		return nil, fmt.Errorf("%w: %.40q", ErrScope, r.Scope)
	}
	if s.mutants.Has(mutant.ReservedInCursor) {
		r.Cursor = r.Cursor.Clone()
		r.Cursor.Union(r.Reserved)
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	// The committed clock answers the usual question, whether there is anything, without
	// touching the file.
	if snap := s.snap.Load(); r.missing(snap.clock).Empty() {
		return &Page{NotModified: true, Clock: snap.clock, Floor: snap.floor, Reconcile: !r.Cursor.Covers(snap.floor), HLC: s.hlc.Last()}, nil
	}
	var p *Page
	err := s.View(func(tx *Tx) error {
		b, err := newPageBuilder(tx.Within(r.Guard), r)
		if err != nil {
			return err
		}
		if err := b.walk(); err != nil {
			return err
		}
		p = b.finish()
		return nil
	})
	return p, err
}

func (r *SinceRequest) missing(c clock.Clock) clock.Clock { return c.Minus(r.Cursor).Minus(r.Reserved) }
