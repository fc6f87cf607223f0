package catchup

import (
	"errors"
	"fmt"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/wire"
)

// ErrNoProgress is a page that claims nothing beyond its request's cursor although it is
// not the last one, or of whose claims nothing is in the clock after it was applied.
var ErrNoProgress = errors.New("page without progress")

var errNoPage = errors.New("neither a page nor an error")

// SessionConfig of a Session.
type SessionConfig struct {
	Leases     *Leases
	Clock      func() clock.Clock // what is durable here
	LimitBytes int
	Mutants    mutant.Set // tests only
}

// Session is one pull from one peer as a step machine: pages until nothing is missing.
// It does no I/O, starts nothing and asks no clock of the wall, so a simulation can drive
// it as well as a goroutine:
//
//	s := NewSession(...)
//	defer s.Close()
//	for !s.Done() {
//		if req, ok := s.Next(now); ok { /* send it; the answer goes to s.Got */ }
//		if page, ok := s.Page(); ok { /* apply it; the outcome goes to s.Applied */ }
//	}
//
// Next allows one request ahead while a page is being applied: at most two pages are in
// memory. A caller that does not want that applies first.
//
// It is not safe for concurrent use.
type Session struct {
	cfg   SessionConfig
	lease LeaseID
	// known is what the peer has, by its last page. Before the first one it is empty, so
	// that a peer which never answers leases nothing: what it had an hour ago is no
	// reason to keep others from sending it.
	known clock.Clock

	out      *request // in flight
	applying *fetched
	waiting  *fetched // arrived while the one before is being applied

	first     bool     // no request was sent so far
	empty     bool     // the store was empty at the first request
	last      bool     // the peer says there is no more
	final     *request // to which it said so
	truncated error
	err       error
	sum       Summary
}

type request struct {
	cursor clock.Clock
	others clock.Clock // reserved for other pulls
	ahead  bool        // reserved for the page being applied, too
}

type fetched struct {
	page     *wire.Page
	req      *request
	withheld bool // it tells of more that is withheld than the pages before it
}

// Summary is what a pull came to. It is final when the session is done.
type Summary struct {
	Err         error // nil: the peer has nothing more for us, but for Owed and Withheld
	NotModified bool  // not even a page was needed
	Pages, Rows int
	In, Out     int64 // bytes: of rows if the source does not count its own
	Applied     Applied
	// Clock is what the peer has, exactly, by its last answer; empty if it did not say,
	// which it may only if we have all of it. ClockHash is its hash; 0 = not said.
	Clock     clock.Clock
	ClockHash uint64
	Withheld  clock.Clock // hidden from us by the peer's policy
	// Owed are dots that the peer has, or may have, and did not send because other pulls
	// had them reserved. If those end without them, this peer is to be pulled again.
	Owed clock.Clock
}

// NewSession returns a session that has sent nothing. It must be closed.
func NewSession(cfg SessionConfig) *Session {
	return &Session{cfg: cfg, lease: cfg.Leases.Open(), first: true}
}

// Close ends the leases of the session.
func (s *Session) Close() { s.cfg.Leases.Release(s.lease) }

// Next returns the request to send now; false if there is none, or one is in flight, or
// two pages are in hand.
func (s *Session) Next(now time.Time) (wire.SinceRequest, bool) {
	if s.err != nil || s.last || s.out != nil || s.waiting != nil {
		return wire.SinceRequest{}, false
	}
	others := s.renew(now, s.cfg.Clock())
	// Read after the leases: a lease ends when its rows are in the clock, so what is in
	// neither is really missing. The other way round a pull that ends in between would
	// have its rows fetched once more.
	mine := s.cfg.Clock()
	if s.first {
		s.first, s.empty = false, mine.Empty()
	}
	r := &request{cursor: mine, others: others.Minus(mine)}
	if r.others.Intervals() > maxReservedIntervals {
		r.others = clock.Clock{}
	}
	reserved := r.others.Clone()
	if s.applying != nil {
		r.ahead = true
		if !s.cfg.Mutants.Has(mutant.NoReservations) {
			reserved.Union(s.applying.page.Tail.Covers)
		}
	}
	// What the peer withholds it need not look at again with every page.
	reserved.Union(s.sum.Withheld)
	reserved = reserved.Minus(mine)
	if s.cfg.Mutants.Has(mutant.ReservedInCursor) {
		r.cursor = mine.Clone()
		r.cursor.Union(reserved)
		reserved = clock.Clock{}
	}
	s.out = r
	return wire.SinceRequest{
		Scope: wire.ScopeAll, Cursor: r.cursor, Reserved: reserved, LimitBytes: s.cfg.LimitBytes,
	}, true
}

// renew leases what the peer is known to have and we lack, as far as no other pull gets
// it, and returns what the others get.
func (s *Session) renew(now time.Time, mine clock.Clock) (others clock.Clock) {
	until := now.Add(patience)
	if s.applying != nil {
		until = now.Add(holdTime)
	}
	return s.cfg.Leases.Acquire(s.lease, s.known.Minus(mine).Minus(s.sum.Withheld), now, until).Minus(mine)
}

// Drop forgets the request in flight: it was given up before it was answered, and Next
// will return another one.
func (s *Session) Drop() { s.out = nil }

// Got takes the answer to the request in flight, as a Source returns it.
func (s *Session) Got(now time.Time, page *wire.Page, err error) {
	req := s.out
	s.out = nil
	if req == nil || s.err != nil {
		return
	}
	switch {
	case err == nil && page != nil:
	case errors.Is(err, wire.ErrNotModified):
		s.last, s.sum.NotModified = true, s.sum.Pages == 0
		// It has no more than the cursor and what was reserved, of which it may have all.
		s.sum.Clock, s.sum.ClockHash = clock.Clock{}, 0
		if s.sum.Pages == 0 {
			s.known = req.others
		}
		if same, ok := errors.AsType[*wire.NotModified](err); ok {
			s.sum.ClockHash = same.ClockHash
			if same.ClockHash == req.cursor.Hash() {
				s.sum.Clock, s.known = req.cursor, req.cursor
			}
		}
		s.final = req
		if s.applying == nil {
			s.finish(s.cfg.Clock())
		}
		return
	case errors.Is(err, wire.ErrTruncated) && page != nil && len(page.Rows) > 0:
		// What arrived whole is good and spares the next pull the bytes. It proves nothing.
		s.last = true
		page.Withheld, page.Tail = clock.Clock{}, wire.Tail{}
		if s.cfg.Mutants.Has(mutant.TruncatedIsComplete) {
			page.Tail = wire.Tail{Covers: page.Head.Clock, Complete: true}
		} else {
			s.truncated = err
		}
	default:
		if err == nil {
			err = errNoPage
		}
		s.err = err
		return
	}
	s.count(page)
	if page.Head.Reconcile && !s.empty {
		// A store without rows has no deleted ones to find out about. Nor has one that
		// was empty when this pull began: its cursor stays below the floor until the end.
		s.err = fmt.Errorf("%w: floor of %d dots", wire.ErrReconcile, page.Head.Floor.Count())
		return
	}
	f := &fetched{page: page, req: req, withheld: !page.Withheld.Minus(s.sum.Withheld).Empty()}
	s.sum.Withheld = s.sum.Withheld.Clone()
	s.sum.Withheld.Union(page.Withheld)
	switch {
	case page.Tail.Complete:
		s.last, s.final = true, req
	case f.claims().Empty() && !f.withheld:
		s.last = true // no progress, see Applied
	}
	if s.applying == nil {
		s.applying = f
	} else {
		s.waiting = f
	}
	s.known = page.Head.Clock
	s.renew(now, s.cfg.Clock())
}

func (s *Session) count(p *wire.Page) {
	s.sum.Clock, s.sum.ClockHash = p.Head.Clock, p.Head.Clock.Hash()
	s.sum.Pages++
	s.sum.Rows += len(p.Rows)
	in := p.WireBytes
	if in == 0 {
		for _, row := range p.Rows {
			in += int64(len(row))
		}
	}
	s.sum.In += in
	s.sum.Out += p.SentBytes
}

// Page returns the page to apply now, until Applied was called for it.
func (s *Session) Page() (*wire.Page, bool) {
	if s.applying == nil {
		return nil, false
	}
	return s.applying.page, true
}

// Applied takes the outcome of applying the current page.
func (s *Session) Applied(now time.Time, a Applied, err error) {
	f := s.applying
	s.applying, s.waiting = s.waiting, nil
	if f == nil {
		return
	}
	t := &s.sum.Applied
	t.New, t.Redundant, t.Tombs = t.New+a.New, t.Redundant+a.Redundant, t.Tombs+a.Tombs
	t.Quarantined, t.NewDots = t.Quarantined+a.Quarantined, t.NewDots+a.NewDots
	switch mine := s.cfg.Clock(); {
	case err != nil:
		s.fail(applyError{fmt.Errorf("apply page: %w", err)})
	case s.applying == nil && s.truncated != nil:
		s.fail(s.truncated)
	case !progress(f, mine):
		s.fail(fmt.Errorf("%w: %d rows, covers %d dots, complete=%t",
			ErrNoProgress, len(f.page.Rows), f.page.Tail.Covers.Count(), f.page.Tail.Complete))
	case s.last && s.applying == nil:
		s.finish(mine)
	}
	if s.err == nil {
		s.renew(now, s.cfg.Clock())
	}
}

func (s *Session) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.applying, s.waiting = nil, nil
}

// claims are what the page adds to its request's cursor.
func (f *fetched) claims() clock.Clock { return f.page.Tail.Covers.Minus(f.req.cursor) }

// progress reports whether a page claimed something beyond the cursor of its request and
// got some of it into the clock, or had nothing to claim because it is the last one.
// Growth of the clock alone would not do: pushes make it grow too, and a peer that
// repeats itself would be asked as long as they last. A page without TAIL claims nothing.
func progress(f *fetched, mine clock.Clock) bool {
	claims := f.claims()
	if claims.Empty() {
		return f.page.Tail.Complete || f.withheld
	}
	return !claims.Intersect(mine).Empty()
}

// finish looks at what the last answer left open.
func (s *Session) finish(mine clock.Clock) {
	rest := s.known.Minus(mine).Minus(s.sum.Withheld)
	switch {
	case rest.Empty() || s.final == nil:
	case s.final.ahead:
		// The request had the page before it reserved, and a row may have been left out
		// for a sibling in that page. Ask once more with nothing ahead.
		s.last, s.final = false, nil
	case !s.final.others.Empty():
		s.sum.Owed = rest
	}
}

// Done reports whether the session has nothing more to do. If it ended with an error, an
// answer may still be on its way; Got ignores it.
func (s *Session) Done() bool {
	if s.err != nil {
		return s.applying == nil
	}
	return s.last && s.applying == nil && s.out == nil
}

// Abort ends the session with err, unless it is done.
func (s *Session) Abort(err error) {
	if !s.Done() {
		s.fail(err)
	}
}

// Known returns what the peer is known to have, from its pages.
func (s *Session) Known() clock.Clock { return s.known }

// Summary returns what came of it.
func (s *Session) Summary() Summary {
	out := s.sum
	out.Err = s.err
	return out
}
