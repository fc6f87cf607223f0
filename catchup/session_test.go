package catchup

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/wire"
)

var t0 = time.Unix(1_700_000_000, 0)

func newSession(s *store, l *Leases, m mutant.Set) *Session {
	return NewSession(SessionConfig{Leases: l, Clock: s.Clock, LimitBytes: 1 << 20, Mutants: m})
}

// tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
	Context() context.Context
}

// pullOnce drives a session to its end, one page at a time.
func pullOnce(t tester, from, to *store, s *Session) Summary {
	t.Helper()
	defer s.Close()
	for range 1000 {
		if s.Done() {
			return s.Summary()
		}
		if req, ok := s.Next(t0); ok {
			page, err := from.since(req)
			s.Got(t0, page, err)
		}
		if page, ok := s.Page(); ok {
			a, err := to.ApplyPage(t.Context(), from.name, page)
			s.Applied(t0, a, err)
		}
	}
	t.Fatal("session does not end")
	return Summary{}
}

func TestSessionPullsAllPages(t *testing.T) {
	a, b := newStore("a", 1), newStore("b", 2)
	a.perPage = 3
	for i := range 20 {
		a.write(fmt.Sprint("k", i%15)) // some superseded
	}
	b.write("own")
	s := newSession(b, NewLeases(0), 0)
	sum := pullOnce(t, a, b, s)
	if sum.Err != nil || sum.Rows != 15 || sum.Applied.New != 15 || sum.Applied.Redundant != 0 || sum.Pages != 5 {
		t.Errorf("got %+v", sum)
	}
	if !b.Clock().Covers(a.Clock()) {
		t.Errorf("b at %v, a at %v", b.Clock(), a.Clock())
	}
	again := pullOnce(t, a, b, newSession(b, NewLeases(0), 0))
	if again.Err != nil || !again.NotModified || again.ClockHash != a.Clock().Hash() || again.Pages != 0 {
		t.Errorf("second pull: %+v", again)
	}
}

// Another pull ends, with its rows applied and its lease given back, just when this one
// has read the clock for its request.
func TestSessionAsksForNothingThatJustCame(t *testing.T) {
	a, b, me := newStore("a", 1), newStore("b", 2), newStore("me", 3)
	for i := range 5 {
		fill([]*store{a, b}, i, i+1)
	}
	leases := NewLeases(0)
	other := newSession(me, leases, 0)
	end := func() {}
	s := NewSession(SessionConfig{Leases: leases, LimitBytes: 1 << 20, Clock: func() clock.Clock {
		c := me.Clock()
		end()
		return c
	}})
	defer s.Close()
	req, _ := other.Next(t0)
	page, err := a.since(req)
	other.Got(t0, page, err)
	end = func() {
		end = func() {}
		page, _ := other.Page()
		applied, err := me.ApplyPage(t.Context(), "a", page)
		other.Applied(t0, applied, err)
		other.Close()
	}
	req, _ = s.Next(t0)
	asked := b.Clock().Minus(req.Cursor).Minus(req.Reserved)
	if !asked.Empty() {
		t.Errorf("asks once more for %v", asked)
	}
}

// The next page is asked for while one is applied; a third one is not.
func TestSessionPrefetchesOnePage(t *testing.T) {
	a, b := newStore("a", 1), newStore("b", 2)
	a.perPage = 2
	for i := range 8 {
		a.write(fmt.Sprint("k", i))
	}
	s := newSession(b, NewLeases(0), 0)
	defer s.Close()
	next := func() wire.SinceRequest {
		t.Helper()
		req, ok := s.Next(t0)
		if !ok {
			t.Fatal("no request")
		}
		if _, more := s.Next(t0); more {
			t.Fatal("two requests in flight")
		}
		return req
	}
	page1, _ := a.since(next())
	s.Got(t0, page1, nil)
	req2 := next()
	if !req2.Cursor.Empty() || !req2.Reserved.Equal(page1.Tail.Covers) {
		t.Errorf("prefetch with cursor %v, reserved %v", req2.Cursor, req2.Reserved)
	}
	page2, _ := a.since(req2)
	s.Got(t0, page2, nil)
	if _, ok := s.Next(t0); ok {
		t.Error("a third page was asked for with two in hand")
	}
	if p, _ := s.Page(); p != page1 {
		t.Error("pages are applied out of order")
	}
	applied, err := b.ApplyPage(t.Context(), "a", page1)
	s.Applied(t0, applied, err)
	if p, _ := s.Page(); p != page2 {
		t.Error("second page is not next")
	}
	req3 := next()
	if !req3.Cursor.Equal(b.Clock()) || !req3.Reserved.Equal(page2.Tail.Covers) {
		t.Errorf("third request with cursor %v, reserved %v", req3.Cursor, req3.Reserved)
	}
}

func TestSessionErrors(t *testing.T) {
	boom := errors.New("boom")
	rows := func(n int) *store {
		a := newStore("a", 1)
		for i := range n {
			a.write(fmt.Sprint("k", i))
		}
		return a
	}
	tests := []struct {
		name   string
		setup  func(a, b *store)
		answer func(a *store, n int, req wire.SinceRequest) (*wire.Page, error)
		want   error
		rows   int // of 6 that are here afterwards
		claims bool
	}{
		{name: "unreachable", answer: func(*store, int, wire.SinceRequest) (*wire.Page, error) { return nil, boom }, want: boom},
		{name: "nothing at all", answer: func(*store, int, wire.SinceRequest) (*wire.Page, error) { return nil, nil }, want: errNoPage},
		{name: "corrupt", answer: func(*store, int, wire.SinceRequest) (*wire.Page, error) { return nil, wire.ErrCorrupt }, want: wire.ErrCorrupt},
		{name: "truncated before HEAD", answer: func(*store, int, wire.SinceRequest) (*wire.Page, error) {
			return &wire.Page{}, wire.ErrTruncated
		}, want: wire.ErrTruncated},
		{name: "truncated", answer: func(a *store, _ int, req wire.SinceRequest) (*wire.Page, error) {
			p, _ := a.since(req) // TAIL left in on purpose: it must not be believed
			p.Rows = p.Rows[:4]
			return p, fmt.Errorf("x: %w", wire.ErrTruncated)
		}, want: wire.ErrTruncated, rows: 4},
		{name: "dies after the first page", setup: func(a, _ *store) { a.perPage = 2 }, answer: func(a *store, n int, req wire.SinceRequest) (*wire.Page, error) {
			if n > 0 {
				return nil, boom
			}
			return a.since(req)
		}, want: boom, rows: 2},
		{name: "repeats itself", setup: func(a, _ *store) { a.repeat = true }, want: ErrNoProgress},
		{name: "covers without rows that apply", setup: func(_, b *store) { b.applyErr = boom }, want: boom},
		{name: "the store takes nothing", answer: func(*store, int, wire.SinceRequest) (*wire.Page, error) {
			return &wire.Page{Tail: wire.Tail{Covers: span(5, 1, 1)}}, nil
		}, setup: func(_, b *store) { b.ignore = true }, want: ErrNoProgress},
		{name: "reconcile", setup: func(_, b *store) { b.write("x") }, answer: func(a *store, _ int, req wire.SinceRequest) (*wire.Page, error) {
			p, err := a.since(req)
			p.Head.Reconcile = true
			return p, err
		}, want: wire.ErrReconcile},
		{name: "reconcile of an empty store is nothing to do", setup: func(a, _ *store) { a.perPage = 2 }, answer: func(a *store, _ int, req wire.SinceRequest) (*wire.Page, error) {
			p, err := a.since(req)
			if p != nil {
				p.Head.Reconcile = true
			}
			return p, err
		}, rows: 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := rows(6), newStore("b", 2)
			if tt.setup != nil {
				tt.setup(a, b)
			}
			leases := NewLeases(0)
			s := newSession(b, leases, 0)
			for n := 0; !s.Done(); n++ {
				if n > 100 {
					t.Fatal("session does not end")
				}
				if req, ok := s.Next(t0); ok {
					if tt.answer != nil {
						page, err := tt.answer(a, n, req)
						s.Got(t0, page, err)
					} else {
						page, err := a.since(req)
						s.Got(t0, page, err)
					}
				}
				if page, ok := s.Page(); ok {
					applied, err := b.ApplyPage(t.Context(), "a", page)
					s.Applied(t0, applied, err)
				}
			}
			err := s.Summary().Err
			if (tt.want == nil) != (err == nil) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("err = %v, want %v", err, tt.want)
			}
			if got := len(b.rows) - int(b.counter); got != tt.rows {
				t.Errorf("%d rows arrived, want %d", got, tt.rows)
			}
			if err := b.verify(); err != nil {
				t.Error(err)
			}
			s.Close()
			if held := leases.Held(t0); !held.Empty() {
				t.Errorf("leases left: %v", held)
			}
		})
	}
}

// What was left out because a sibling was in the page ahead is asked for once more.
func TestSessionAsksAgainForWhatPrefetchLeftOut(t *testing.T) {
	b := newStore("b", 2)
	dot := func(n uint64) clock.Clock { return span(1, n, n) }
	answer := func(complete bool, covers clock.Clock) *wire.Page {
		return &wire.Page{Head: wire.Head{Clock: span(1, 1, 3)}, Tail: wire.Tail{Covers: covers, Complete: complete}}
	}
	s := newSession(b, NewLeases(0), 0)
	defer s.Close()
	next := func(cursor, reserved clock.Clock) {
		t.Helper()
		req, ok := s.Next(t0)
		if !ok || !req.Cursor.Equal(cursor) || !req.Reserved.Equal(reserved) {
			t.Errorf("request %v, cursor %v, reserved %v", ok, req.Cursor, req.Reserved)
		}
	}
	apply := func() {
		t.Helper()
		page, ok := s.Page()
		if !ok || s.Done() {
			t.Fatal("no page to apply")
		}
		a, err := b.ApplyPage(t.Context(), "a", page)
		s.Applied(t0, a, err)
	}
	next(clock.Clock{}, clock.Clock{})
	s.Got(t0, answer(false, dot(2)), nil)
	next(clock.Clock{}, dot(2))
	s.Got(t0, answer(true, dot(3)), nil)
	apply()
	apply()
	next(span(1, 2, 3), clock.Clock{})
	s.Got(t0, answer(true, dot(1)), nil)
	apply()
	if !s.Done() || s.Summary().Err != nil || !s.Summary().Owed.Empty() || b.Clock().Count() != 3 {
		t.Errorf("got %+v, b at %v", s.Summary(), b.Clock())
	}
}

// pullAhead drives a session with every page fetched before the one before is applied.
func pullAhead(t tester, from, to *store, s *Session) Summary {
	t.Helper()
	defer s.Close()
	for range 1000 {
		if s.Done() {
			return s.Summary()
		}
		if req, ok := s.Next(t0); ok {
			page, err := from.since(req)
			s.Got(t0, page, err)
			if req, ok := s.Next(t0); ok {
				page, err := from.since(req)
				s.Got(t0, page, err)
			}
		}
		if page, ok := s.Page(); ok {
			a, err := to.ApplyPage(t.Context(), from.name, page)
			s.Applied(t0, a, err)
		}
	}
	t.Fatal("session does not end")
	return Summary{}
}

func TestSessionReportsWhatOthersOwe(t *testing.T) {
	a, b := newStore("a", 1), newStore("b", 2)
	d1, d2 := a.write("x"), a.write("y")
	l := NewLeases(0)
	other := l.Open()
	l.Acquire(other, clock.Of(d1), t0, t0.Add(time.Minute))
	sum := pullOnce(t, a, b, newSession(b, l, 0))
	if sum.Err != nil || sum.Rows != 1 || !sum.Owed.Equal(clock.Of(d1)) || !b.Clock().Equal(clock.Of(d2)) {
		t.Errorf("got %+v, b at %v", sum, b.Clock())
	}
}

// A 304 may mean that everything missing is reserved for others, too.
func TestSessionOwesAfterNotModified(t *testing.T) {
	a, b := newStore("a", 1), newStore("b", 2)
	d := a.write("x")
	for _, strict := range []bool{false, true} {
		a.strict = strict
		l := NewLeases(0)
		l.Acquire(l.Open(), clock.Of(d), t0, t0.Add(time.Minute))
		sum := pullOnce(t, a, b, newSession(b, l, 0))
		if sum.Err != nil || sum.NotModified == strict || !sum.Owed.Equal(clock.Of(d)) {
			t.Errorf("strict %v: got %+v", strict, sum)
		}
	}
	a.push(b, "x")
	l := NewLeases(0)
	l.Acquire(l.Open(), span(9, 1, 5), t0, t0.Add(time.Minute))
	if sum := pullOnce(t, a, b, newSession(b, l, 0)); sum.Err != nil || !sum.Owed.Empty() || !sum.Clock.Equal(a.Clock()) {
		t.Errorf("equal clocks: got %+v", sum)
	}
}

// world is a random cluster of stores; the puller is stores[0].
type world struct {
	stores []*store
}

// drawWorld draws stores that wrote and pushed some of it. With distinct, no key is written
// twice, so that all who have a row have it in the same state.
func drawWorld(t *rapid.T, distinct bool) world {
	w := world{}
	n := rapid.IntRange(2, 4).Draw(t, "stores")
	for i := range n {
		s := newStore(fmt.Sprint("n", i), clock.Origin(10*i+7))
		s.perPage = rapid.IntRange(0, 4).Draw(t, "perPage")
		s.strict = rapid.Bool().Draw(t, "strict")
		w.stores = append(w.stores, s)
	}
	for i := range rapid.IntRange(1, 40).Draw(t, "writes") {
		at := w.stores[rapid.IntRange(0, n-1).Draw(t, "at")]
		if rapid.IntRange(0, 15).Draw(t, "dead") == 0 {
			at.skip()
		}
		key := fmt.Sprint("k", i)
		if !distinct {
			key = fmt.Sprint("k", rapid.IntRange(0, 9).Draw(t, "key"))
		}
		at.write(key)
		for _, to := range w.stores {
			if to != at && rapid.IntRange(0, 2).Draw(t, "push") > 0 {
				at.push(to, key)
			}
		}
	}
	return w
}

// run drives parallel sessions of stores[0] in a random order of steps, with faults, then
// lets pulls without faults finish. It returns the redundant rows of the parallel part.
func (w world) run(t *rapid.T, m mutant.Set, faults bool) (Applied, error) {
	me, leases := w.stores[0], NewLeases(m)
	type flight struct {
		from *store
		s    *Session
		req  *wire.SinceRequest
	}
	var flights []*flight
	for _, from := range w.stores[1:] {
		// The gate of the manager: the first page of one is here before the next asks.
		s := newSession(me, leases, m)
		f := &flight{from: from, s: s}
		if req, ok := s.Next(t0); ok {
			page, err := from.since(req)
			s.Got(t0, page, err)
		}
		flights = append(flights, f)
	}
	for len(flights) > 0 {
		i := rapid.IntRange(0, len(flights)-1).Draw(t, "flight")
		f := flights[i]
		switch rapid.IntRange(0, 2).Draw(t, "step") {
		case 0:
			if req, ok := f.s.Next(t0); ok {
				f.req = &req
			}
		case 1:
			if f.req != nil {
				page, err := f.from.since(*f.req)
				f.req = nil
				if faults && rapid.IntRange(0, 5).Draw(t, "fault") == 0 {
					page, err = nil, errors.New("reset")
				} else if faults && page != nil && len(page.Rows) > 1 && rapid.IntRange(0, 5).Draw(t, "cut") == 0 {
					page.Rows, err = page.Rows[:1], wire.ErrTruncated
				}
				f.s.Got(t0, page, err)
			}
		case 2:
			if page, ok := f.s.Page(); ok {
				if faults && rapid.IntRange(0, 9).Draw(t, "disk") == 0 {
					f.s.Applied(t0, Applied{}, errors.New("disk"))
				} else {
					a, err := me.ApplyPage(t.Context(), f.from.name, page)
					f.s.Applied(t0, a, err)
				}
				if err := me.verify(); err != nil {
					return me.total, err
				}
			}
		}
		if f.s.Done() {
			f.s.Close()
			flights = append(flights[:i], flights[i+1:]...)
		}
	}
	parallel := me.total
	for range 2 {
		for _, from := range w.stores[1:] {
			if sum := pullAhead(t, from, me, newSession(me, leases, m)); sum.Err != nil {
				return parallel, sum.Err
			}
		}
		if err := me.verify(); err != nil {
			return parallel, err
		}
	}
	for _, from := range w.stores[1:] {
		if !me.Clock().Covers(from.Clock()) {
			return parallel, fmt.Errorf("%v does not cover %v of %s", me.Clock(), from.Clock(), from.name)
		}
	}
	return parallel, nil
}

func TestParallelSessionsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if _, err := drawWorld(t, false).run(t, 0, true); err != nil {
			t.Fatal(err)
		}
	})
}

// Rows that are in different states at two peers (a conflict, or an old version beside its
// successor) may come from both. All others come once.
func TestParallelSessionsBringNoRowTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, err := drawWorld(t, true).run(t, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		if a.Redundant > 0 {
			t.Fatalf("%d rows came twice, %d once", a.Redundant, a.New)
		}
	})
}

// Every switch that breaks a rule of this package is seen by the properties above.
func TestMutantsOfSessions(t *testing.T) {
	tests := []struct {
		mutant   mutant.Set
		distinct bool
		faults   bool
	}{
		{mutant.NoReservations, true, false},
		{mutant.LeakReservation, false, true},
		{mutant.ReservedInCursor, false, true},
		{mutant.TruncatedIsComplete, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.mutant.String(), func(t *testing.T) {
			for seed := range 3000 {
				var err error
				rapid.Custom(func(r *rapid.T) int {
					var a Applied
					a, err = drawWorld(r, tt.distinct).run(r, tt.mutant, tt.faults)
					if err == nil && tt.distinct && a.Redundant > 0 {
						err = fmt.Errorf("%d rows came twice", a.Redundant)
					}
					return 0
				}).Example(seed)
				if err != nil {
					t.Logf("caught after %d runs: %v", seed+1, err)
					return
				}
			}
			t.Error("not caught")
		})
	}
}
