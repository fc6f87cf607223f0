package catchup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/wire"
)

func top(n int64) int64   { return n - 1 }
func zero(int64) int64    { return 0 }
func at(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }

func span(o clock.Origin, lo, hi uint64) clock.Clock {
	var c clock.Clock
	c.AddRange(o, lo, hi)
	return c
}

func TestTriggers(t *testing.T) {
	if len(triggers) != numTriggers {
		t.Fatalf("%d triggers, numTriggers = %d", len(triggers), numTriggers)
	}
	for i, tr := range triggers {
		if tr.rank() != i {
			t.Errorf("%s has rank %d", tr, tr.rank())
		}
	}
	if Trigger("nonsense").rank() != triggerOther.rank() {
		t.Error("unknown trigger")
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	if ok, _ := b.ready(t0, false); !ok {
		t.Error("not ready at first")
	}
	var waits []time.Duration
	for range 12 {
		b.fail(t0, 0, top)
		waits = append(waits, b.until.Sub(t0))
	}
	want := []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000}
	for i := range want {
		if waits[i] != want[i]*time.Millisecond {
			t.Errorf("failure %d waits %v", i+1, waits[i])
		}
	}
	for range 100 { // no shift runs over
		b.fail(t0, 0, top)
	}
	if b.until.Sub(t0) != maxBackoff {
		t.Errorf("after many failures: %v", b.until.Sub(t0))
	}
	// News cuts once; the next cut comes after a backoff that was sat out.
	if ok, _ := b.ready(t0, true); !ok {
		t.Error("news does not cut")
	}
	b.begin(t0)
	b.fail(t0, 0, top)
	if ok, until := b.ready(t0, true); ok || until != t0.Add(maxBackoff) {
		t.Error("news cuts twice")
	}
	b.begin(t0.Add(maxBackoff))
	b.fail(t0, 0, top)
	if ok, _ := b.ready(t0, true); !ok {
		t.Error("cut does not come back")
	}
	// What the peer asked for is not cut.
	b.ok()
	b.fail(t0, time.Minute, zero)
	if ok, until := b.ready(t0, true); ok || until != t0.Add(time.Minute) {
		t.Error("Retry-After was cut")
	}
	if ok, _ := b.ready(t0.Add(time.Minute), false); !ok {
		t.Error("not ready after Retry-After")
	}
	b.ok()
	if b != (backoff{}) {
		t.Error("ok leaves something")
	}
}

func TestLeases(t *testing.T) {
	l := NewLeases(0)
	a, b := l.Open(), l.Open()
	if got := l.Acquire(a, span(1, 1, 10), t0, at(100)); !got.Empty() {
		t.Errorf("others of the first: %v", got)
	}
	if got := l.Acquire(b, span(1, 5, 20), t0, at(200)); !got.Equal(span(1, 1, 10)) {
		t.Errorf("others of the second: %v", got)
	}
	// Renewing gives back what is no longer wanted, and takes nothing of others.
	if got := l.Acquire(a, span(1, 8, 15), t0, at(100)); !got.Equal(span(1, 11, 20)) {
		t.Errorf("others after b: %v", got)
	}
	if got := l.Held(t0); !got.Equal(span(1, 8, 20)) {
		t.Errorf("held: %v", got)
	}
	if got := l.Held(at(100)); !got.Equal(span(1, 11, 20)) {
		t.Errorf("held after one expired: %v", got)
	}
	l.Release(b)
	l.Release(b)
	l.Release(a)
	if got := l.Held(at(100)); !got.Empty() {
		t.Errorf("held at the end: %v", got)
	}
	l = NewLeases(mutant.NoReservations)
	l.Acquire(l.Open(), span(1, 1, 10), t0, at(1))
	if got := l.Acquire(l.Open(), span(1, 1, 10), t0, at(1)); !got.Empty() {
		t.Error("the mutant reserves")
	}
}

// Leases of different pulls never overlap, nobody is told to leave out what nobody gets,
// and whatever happens nothing stays.
func TestLeasesProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, now := NewLeases(0), t0
		var ids []LeaseID
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "ms")) * time.Millisecond)
			switch {
			case len(ids) == 0 || rapid.IntRange(0, 4).Draw(t, "open") == 0:
				ids = append(ids, l.Open())
			case rapid.IntRange(0, 5).Draw(t, "release") == 0:
				i := rapid.IntRange(0, len(ids)-1).Draw(t, "which")
				l.Release(ids[i])
				ids = slices.Delete(ids, i, i+1)
			default:
				id := rapid.SampledFrom(ids).Draw(t, "id")
				lo := rapid.Uint64Range(1, 20).Draw(t, "lo")
				want := span(1, lo, lo+rapid.Uint64Range(0, 10).Draw(t, "n"))
				others := l.Acquire(id, want, now, now.Add(100*time.Millisecond))
				if got := l.held[id].dots; !got.Equal(want.Minus(others)) {
					t.Fatalf("wanted %v, others have %v, got %v", want, others, got)
				}
				held := l.Held(now)
				if !held.Covers(want) || !held.Covers(others) {
					t.Fatalf("%v or %v is in no lease of %v", want, others, held)
				}
			}
			var sum uint64
			for _, held := range l.held {
				if now.Before(held.until) {
					sum += held.dots.Count()
				}
			}
			if n := l.Held(now).Count(); n != sum {
				t.Fatalf("leases overlap: %d dots in %d", n, sum)
			}
		}
		if left := l.Held(now.Add(100 * time.Millisecond)); !left.Empty() {
			t.Fatalf("leases without end: %v", left)
		}
		for _, id := range ids {
			l.Release(id)
		}
		if len(l.held) != 0 {
			t.Fatalf("leak: %v", l.held)
		}
	})
}

func TestHoles(t *testing.T) {
	c := span(1, 1, 5)
	c.Union(span(1, 8, 9))
	c.Union(span(1, 20, 20))
	c.Union(span(2, 3, 3))
	c.Union(span(3, 1, 7))
	want := span(1, 6, 7)
	want.Union(span(1, 10, 19))
	want.Union(span(2, 1, 2))
	if got := holes(c); !got.Equal(want) {
		t.Errorf("holes(%v) = %v", c, got)
	}
	if got := holes(clock.Clock{}); !got.Empty() {
		t.Errorf("holes of nothing: %v", got)
	}
}

func TestGapWatch(t *testing.T) {
	mine := span(1, 3, 3)
	none := clock.Clock{}
	var g gapWatch
	g.seen(at(0), mine)
	if g.due(at(49), mine, none) {
		t.Error("due too early")
	}
	if !g.due(at(50), mine, none) || g.due(at(51), mine, none) {
		t.Error("not due exactly once")
	}
	g.seen(at(60), mine)
	if g.due(at(110), mine, span(1, 1, 2)) {
		t.Error("due for what another pull gets")
	}
	g.seen(at(120), mine)
	if g.due(at(170), span(1, 1, 3), none) {
		t.Error("due for a hole that closed")
	}
	// A pull that did not bring 2 proves that the peer lacks it.
	g.pulled(span(1, 1, 1), span(1, 1, 1))
	mine = span(1, 1, 1)
	mine.Add(clock.Dot{Origin: 1, Counter: 3})
	g.seen(at(200), mine)
	if !g.due(at(250), mine, none) {
		t.Error("not due for a hole above the last pull")
	}
	g.pulled(mine, mine)
	g.seen(at(300), mine)
	if !g.at.IsZero() {
		t.Error("watches a dead hole")
	}
	// What was reported during a watch is watched next.
	mine.Add(clock.Dot{Origin: 1, Counter: 5})
	g.seen(at(400), mine)
	mine.Add(clock.Dot{Origin: 1, Counter: 7})
	g.seen(at(440), mine)
	if !g.due(at(450), mine, none) || g.at != at(500) || !g.due(at(500), mine, none) || !g.at.IsZero() {
		t.Error("second hole")
	}
}

func TestDigestWatch(t *testing.T) {
	mine := span(1, 1, 5)
	same := mine.Hash()
	judge := func(d *digestWatch, now int, mine clock.Clock, pull bool, wake int) {
		t.Helper()
		got, next := d.judge(at(now), mine)
		if got != pull || wake < 0 != next.IsZero() || wake >= 0 && next != at(wake) {
			t.Errorf("at %d: %v, wake at %d", now, got, next.Sub(t0).Milliseconds())
		}
	}
	var d digestWatch
	judge(&d, 0, mine, false, -1)
	d.hear(at(0), DigestHint{1, 5, same})
	judge(&d, 1, mine, false, -1) // nothing to see

	d.hear(at(10), DigestHint{1, 6, 77})
	judge(&d, 20, mine, false, 210)
	judge(&d, 20, span(1, 1, 6), false, 210) // the write came, the hash is still another
	d.hear(at(100), DigestHint{1, 6, 77})    // repeating it changes nothing
	judge(&d, 210, mine, true, -1)
	judge(&d, 211, mine, false, 2210) // for 2 s, whatever comes
	d.hear(at(220), DigestHint{1, 9, 78})
	judge(&d, 1000, mine, false, 2210)
	judge(&d, 2210, mine, true, -1)

	d.pulled(asked{hint: DigestHint{1, 9, 78}, dot: d.dot}, 79)
	judge(&d, 5000, mine, false, -1) // answered: the peer had no more than it gave
	d.hear(at(5000), DigestHint{1, 9, 79})
	judge(&d, 5300, mine, false, -1) // the hash is the one that the pull showed
	d.hear(at(6000), DigestHint{1, 10, 80})
	judge(&d, 6000, mine, false, 6200)

	// Under load: each write comes within its time, the hash never stands still.
	d = digestWatch{}
	for i := range 100 {
		now := i * 100
		d.hear(at(now), DigestHint{1, uint64(6 + i), uint64(1000 + i)})
		judge(&d, now, span(1, 1, uint64(5+i)), false, now+200)
	}
	// A restarted peer writes under another origin.
	d = digestWatch{}
	d.hear(at(0), DigestHint{1, 9, 5})
	a := d.asked()
	d.hear(at(10), DigestHint{2, 1, 6})
	d.pulled(a, 5)
	judge(&d, 20, mine, false, 210)
	// Origin 0: it has not written.
	d = digestWatch{}
	d.hear(at(0), DigestHint{0, 3, same})
	judge(&d, 300, mine, false, -1)
}

func TestAgenda(t *testing.T) {
	none := clock.Clock{}
	var a agenda
	next := func(now int, trigger Trigger, wake int) {
		t.Helper()
		got, pull, at2 := a.next(at(now), none, none)
		if got != trigger || pull != (trigger != "") || wake < 0 != at2.IsZero() || wake >= 0 && at2 != at(wake) {
			t.Errorf("at %d: %q %v, wake at %d", now, got, pull, at2.Sub(t0).Milliseconds())
		}
	}
	next(0, "", -1)
	a.post(TriggerJoin, at(100))
	a.post(TriggerJoin, at(200)) // coalesces with the earlier one
	next(0, "", 100)
	next(100, TriggerJoin, -1)
	a.post(TriggerTimer, at(100))
	a.post(TriggerPause, at(90))
	a.post(TriggerToken, at(150))
	next(100, TriggerPause, -1)
	if got := a.begin(at(100)); got != TriggerPause {
		t.Errorf("began for %s", got)
	}
	next(100, "", 150) // one pull for all that was due
	next(150, TriggerToken, -1)
	a.begin(at(150))
	a.fail(TriggerToken, at(160), 0, top)
	next(160, "", 260)
	a.post(TriggerTimer, at(170)) // the passing of time does not cut
	next(170, "", 260)
	next(260, TriggerToken, -1)
	a.begin(at(260))
	a.post(TriggerNudge, at(265)) // came while the pull was under way
	a.fail(TriggerToken, at(270), 0, top)
	next(270, TriggerToken, -1)
	a.begin(at(270))
	a.fail(TriggerToken, at(280), 0, top)
	a.post(TriggerNudge, at(281))
	next(281, "", 680)
	// A gap wakes by itself.
	a = agenda{}
	mine := span(1, 2, 2)
	a.gap.seen(at(0), mine)
	if _, pull, wake := a.next(at(1), mine, none); pull || wake != at(50) {
		t.Errorf("gap: %v %v", pull, wake)
	}
	if got, pull, _ := a.next(at(50), mine, none); !pull || got != TriggerGap {
		t.Errorf("gap: %v %v", got, pull)
	}
}

func TestRank(t *testing.T) {
	peers := []candidate{
		{name: "waiting", waiting: true, failures: 2, claims: 100},
		{name: "failing", failures: 1, claims: 100},
		{name: "unknown"},
		{name: "far", rtt: 90 * time.Millisecond},
		{name: "near old", rtt: 900 * time.Microsecond, lastOK: at(0)},
		{name: "near new", rtt: 950 * time.Microsecond, lastOK: at(9)},
		{name: "has it", rtt: time.Second, claims: 3},
	}
	want := []string{"has it", "near new", "near old", "far", "unknown", "failing", "waiting"}
	for range 20 {
		rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		rank(peers)
		for i := range want {
			if peers[i].name != want[i] {
				t.Fatalf("ranked %v", peers)
			}
		}
	}
}

func TestErrand(t *testing.T) {
	ms := time.Millisecond
	type peers = []candidate
	type step struct { // what the peers look like, and what is to follow
		now   int
		event uint64
		peers peers
		post  []string
		wake  int // -1 = none
		done  bool
	}
	tests := []struct {
		name  string
		e     errand
		steps []step
	}{
		{"answers", errand{width: 2, hedge: 15 * ms, start: 10}, []step{
			{0, 11, peers{{name: "a"}, {name: "b"}, {name: "c"}}, []string{"a", "b"}, 30, false},
			{2, 13, peers{{name: "a", answeredAt: 12, answeredWhen: at(1)}, {name: "b"}, {name: "c"}}, nil, 251, false},
			{5, 15, peers{{name: "a", okStart: 12}, {name: "b"}, {name: "c"}}, nil, -1, true},
		}},
		{"silence adds one", errand{width: 2, hedge: 15 * ms, start: 10}, []step{
			{0, 11, peers{{name: "a"}, {name: "b"}, {name: "c"}, {name: "d"}}, []string{"a", "b"}, 30, false},
			{29, 12, peers{{name: "a"}, {name: "b"}, {name: "c"}, {name: "d"}}, nil, 30, false},
			{30, 13, peers{{name: "a"}, {name: "b"}, {name: "c"}, {name: "d"}}, []string{"c"}, 45, false},
			{45, 14, peers{{name: "a"}, {name: "b"}, {name: "c"}, {name: "d"}}, []string{"d"}, -1, false},
			{99, 15, peers{{name: "a", failedAt: 15}, {name: "b", failedAt: 15}, {name: "c", failedAt: 15}, {name: "d", failedAt: 15}}, nil, -1, true},
		}},
		{"a failure is replaced", errand{width: 1, hedge: 15 * ms, start: 10}, []step{
			{0, 11, peers{{name: "a", failedAt: 9, okStart: 8}, {name: "b"}}, []string{"a"}, 15, false},
			{1, 13, peers{{name: "a", failedAt: 12}, {name: "b"}}, []string{"b"}, -1, false},
		}},
		{"a token asks all", errand{width: 1, hedge: 15 * ms, start: 10, all: true}, []step{
			{0, 11, peers{{name: "a"}, {name: "b"}}, []string{"a"}, 15, false},
			{1, 13, peers{{name: "a", okStart: 12}, {name: "b"}}, []string{"b"}, 16, false},
			{2, 14, peers{{name: "a", okStart: 12}, {name: "b"}}, nil, 16, false},
			{16, 15, peers{{name: "a", okStart: 12}, {name: "b"}}, nil, -1, true}, // b is silent
		}},
		{"nobody is there", errand{width: 2, hedge: 15 * ms, start: 10}, []step{{0, 11, nil, nil, -1, true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, s := range tt.steps {
				post, wake, done := tt.e.step(at(s.now), s.event, s.peers)
				if !slices.Equal(post, s.post) || done != s.done || s.wake < 0 != wake.IsZero() || s.wake >= 0 && wake != at(s.wake) {
					t.Errorf("at %d: post %v, wake %d, done %v", s.now, post, wake.Sub(t0).Milliseconds(), done)
				}
			}
		})
	}
}

func TestPace(t *testing.T) {
	p := newPace(30 * time.Second)
	if p.wait(zero) != 15*time.Second || p.wait(top) != 45*time.Second {
		t.Errorf("wait %v to %v", p.wait(zero), p.wait(top))
	}
	for range 10 {
		p.quiet()
	}
	if p.now != maxInterval || !p.changed() || p.now != 30*time.Second || p.changed() {
		t.Errorf("interval %v", p.now)
	}
	p = newPace(time.Hour)
	if p.quiet(); p.now != time.Hour {
		t.Errorf("a long interval became %v", p.now)
	}
	rapid.Check(t, func(t *rapid.T) {
		p := newPace(time.Second)
		random := func(n int64) int64 { return rapid.Int64Range(0, n-1).Draw(t, "random") }
		visit := func(peers ...string) {
			seen := map[string]bool{}
			for range peers {
				seen[p.pick(peers, random)] = true
			}
			if len(seen) != len(peers) {
				t.Fatalf("%d ticks visited %v", len(peers), seen)
			}
		}
		for range 3 {
			visit("a", "b", "c", "d")
			p.pick([]string{"a", "b", "c", "d"}, random)
		}
		visit("b", "c", "x", "y")
		visit("b", "c", "x", "y")
		visit("a", "b")
	})
	if got := p.pick(nil, zero); got != "" {
		t.Errorf("picked %q of nobody", got)
	}
}

func TestJudgePause(t *testing.T) {
	s, ms := time.Second, time.Millisecond
	limit, tick := s, 500*ms
	tests := []struct {
		name                       string
		last, lastSkew, mono, skew time.Duration
		want                       time.Duration
	}{
		{"no beat yet", 0, 0, 99 * s, 0, 0},
		{"on time", 10 * s, 0, 10*s + 500*ms, 0, 0},
		{"late, but not too late", 10 * s, 0, 11 * s, 0, 0},
		{"stopped for 2 s", 10 * s, 0, 12*s + 500*ms, 0, 2 * s},
		{"just too late", 10 * s, 0, 11*s + 1, 0, 500*ms + 1},
		{"suspended for an hour", 10 * s, 0, 10*s + 100*ms, 3600 * s, 3600 * s},
		{"suspended and slow", 10 * s, 5 * s, 12 * s, 15 * s, 11500 * ms},
		{"wall set back", 10 * s, 0, 10*s + 500*ms, -3600 * s, 0},
		{"wall slewed", 10 * s, 0, 10*s + 500*ms, s, 0},
	}
	for _, tt := range tests {
		if got := judgePause(tt.last, tt.lastSkew, tt.mono, tt.skew, limit, tick, suspendGap); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestPauseDetector(t *testing.T) {
	d := NewPauseDetector(500*time.Millisecond, 500*time.Millisecond)
	now := time.Now()
	if _, ok := d.Check(now.Add(time.Hour)); ok {
		t.Error("a pause before the first beat")
	}
	d.Beat(now)
	d.Beat(now.Add(-time.Hour)) // changes nothing
	if _, ok := d.Check(now.Add(time.Second)); ok {
		t.Error("a pause within the threshold")
	}
	if away, ok := d.Check(now.Add(3 * time.Second)); !ok || away != 2500*time.Millisecond {
		t.Errorf("%v %v", away, ok)
	}
	if _, ok := d.Check(now.Add(3 * time.Second)); ok {
		t.Error("reported twice")
	}
	if n := testing.AllocsPerRun(100, func() { d.Overdue(now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestHedgeAfter(t *testing.T) {
	for rtt, want := range map[time.Duration]time.Duration{
		0: 15, 1: 15, 4: 15, 6: 18, 30: 90, 40: 100, 5000: 100,
	} {
		if got := hedgeAfter(DefaultHedge, rtt*time.Millisecond); got != want*time.Millisecond {
			t.Errorf("rtt %d ms: %v", rtt, got)
		}
	}
	if got := hedgeAfter(time.Second, time.Hour); got != time.Second {
		t.Errorf("a long hedge became %v", got)
	}
}

func TestSlots(t *testing.T) {
	s := slots{total: 3, kept: 1}
	in := func(ts ...*ticket) (n int) {
		for _, t := range ts {
			select {
			case <-t.let:
				n++
			default:
			}
		}
		return n
	}
	a, b, c, d := s.line(false), s.line(false), s.line(false), s.line(false)
	if in(a, b) != 2 || in(c, d) != 0 {
		t.Fatal("two slots are for everyone, no more")
	}
	urgent, second := s.line(true), s.line(true)
	if in(urgent) != 1 || in(second) != 0 {
		t.Fatal("one slot is for the urgent, no more")
	}
	s.promote(d)
	s.release(a)
	if in(d) != 1 || in(second, c) != 0 {
		t.Fatal("urgent ones go first, in order, the promoted too")
	}
	s.release(d)
	s.release(d) // twice is once
	if in(second) != 1 || in(c) != 0 {
		t.Fatal("urgent ones go before the others")
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errPaused)
	if err := c.wait(ctx); !errors.Is(err, errPaused) {
		t.Errorf("wait: %v", err)
	}
	for _, t := range []*ticket{urgent, second, b, c} {
		s.release(t)
	}
	if s.used != 0 || len(s.waiting) != 0 {
		t.Errorf("left: %d used, %d waiting", s.used, len(s.waiting))
	}
}

func TestResult(t *testing.T) {
	for want, err := range map[string]error{
		"ok":          nil,
		"apply":       applyError{wire.ErrCorrupt},
		"no_progress": fmt.Errorf("x: %w", ErrNoProgress),
		"truncated":   fmt.Errorf("x: %w: %w", wire.ErrTruncated, context.DeadlineExceeded),
		"cluster":     &wire.StatusError{Status: 409},
		"busy":        fmt.Errorf("x: %w", &wire.StatusError{Status: 429}),
		"unavailable": &wire.StatusError{Status: 503},
		"reconcile":   &wire.StatusError{Status: 410},
		"scope":       &wire.StatusError{Status: 421},
		"refused":     &wire.StatusError{Status: 500},
		"wrong_peer":  wire.ErrWrongPeer,
		"malformed":   wire.ErrMalformed,
		"corrupt":     wire.ErrCorrupt,
		"too_large":   wire.ErrTooLarge,
		"timeout":     context.DeadlineExceeded,
		"paused":      errPaused,
		"unreachable": errors.New("connection refused"),
	} {
		if got := result(Summary{Err: err}); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	if got := result(Summary{NotModified: true}); got != "not_modified" {
		t.Errorf("304: %s", got)
	}
}
