package replication

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func TestBreakerOpensAndProbes(t *testing.T) {
	b := NewBreaker(3, 100*time.Millisecond, 30*time.Second)
	now := t0
	lost := func(wantOpened bool, wait time.Duration) {
		t.Helper()
		if got := b.Lost(now, 0.5); got != wantOpened || b.Wait(now) != wait {
			t.Fatalf("opened %v, wait %v; want %v, %v", got, b.Wait(now), wantOpened, wait)
		}
	}
	b.Try()
	lost(false, 0) // the first loss: at once
	b.Try()
	lost(false, 150*time.Millisecond)
	b.Try()
	lost(true, 250*time.Millisecond)
	for _, wait := range []time.Duration{450, 850, 1650, 3250, 6450, 12850, 15050, 15050} {
		if b.State() != Open {
			t.Fatal(b.State())
		}
		now = now.Add(b.Wait(now))
		b.Try()
		if b.State() != HalfOpen {
			t.Fatal(b.State())
		}
		lost(false, wait*time.Millisecond) // it is open already
	}
	b.Try()
	b.Connected()
	if b.State() != Closed || b.Failures() != 2 {
		t.Fatal(b.State(), b.Failures())
	}
	lost(true, 15050*time.Millisecond) // on probation one failure is enough, the backoff goes on
	b.Try()
	b.Connected()
	b.Good()
	lost(false, 0)
}

func TestBreakerMissedDeadlines(t *testing.T) {
	b := NewBreaker(3, 100*time.Millisecond, 30*time.Second)
	b.Try()
	b.Connected()
	for i, want := range []bool{false, false, true} {
		if b.Missed(t0, 0) != want {
			t.Fatal(i)
		}
	}
	if b.State() != Open || b.Wait(t0) != 100*time.Millisecond {
		t.Error(b.State(), b.Wait(t0))
	}
	b = NewBreaker(3, 100*time.Millisecond, 30*time.Second)
	b.Missed(t0, 0)
	b.Missed(t0, 0)
	b.Good()
	if b.Missed(t0, 0) {
		t.Error("failures were not in a row")
	}
}

func TestHeardCutsOnce(t *testing.T) {
	b := NewBreaker(1, 100*time.Millisecond, 30*time.Second)
	fail := func() { b.Try(); b.Lost(t0, 0.5) }
	if b.Heard(t0) {
		t.Error("nothing to cut")
	}
	fail()
	if !b.Heard(t0) || b.Wait(t0) != 0 {
		t.Error("not cut")
	}
	fail()
	if b.Heard(t0) || b.Wait(t0) == 0 {
		t.Error("cut a second time")
	}
	b.Try() // the backoff passed whole
	later := t0.Add(time.Hour)
	b.Heard(later)
	b.Lost(later, 0.5)
	if b.Wait(later) != 0 {
		t.Error("heard during the try, and waits")
	}
	fail()
	b.Try()
	b.Connected()
	b.Missed(t0, 0.5)
	if !b.Heard(t0) {
		t.Error("a connect earns a cut")
	}
	fail()
	b.Again(t0)
	if b.Wait(t0) != 0 || b.State() != Open {
		t.Error(b.Wait(t0), b.State())
	}
}

// TestHeardCannotHammer: however often the peer is heard, tries are at most twice those
// of the backoff alone.
func TestHeardCannotHammer(t *testing.T) {
	b := NewBreaker(3, 100*time.Millisecond, 30*time.Second)
	tries := 0
	for now := t0; now.Before(t0.Add(10 * time.Minute)); now = now.Add(10 * time.Millisecond) {
		b.Heard(now)
		if b.Wait(now) == 0 {
			tries++
			b.Try()
			b.Lost(now, 0.5)
		}
	}
	if tries > 100 { // 600 s / 15 s, twice, and the start
		t.Errorf("%d tries in 10 minutes", tries)
	}
}

func TestBackoffBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.IntRange(0, 100).Draw(t, "step")
		low := time.Duration(rapid.Int64Range(1, 1e9).Draw(t, "low"))
		high := low + time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "more"))
		if d := backoff(step, low, high, rapid.Float64Range(0, 0.999).Draw(t, "rnd")); d < low || d > high {
			t.Fatalf("backoff %v outside %v..%v", d, low, high)
		}
	})
	if backoff(100, time.Second, time.Minute, 0.999) < 50*time.Second {
		t.Error("never reaches its ceiling")
	}
}

func TestFlight(t *testing.T) {
	took := func(into *[]time.Duration) func(time.Duration) {
		return func(d time.Duration) { *into = append(*into, d) }
	}
	f := NewFlight(3, 2*time.Second)
	if _, ok := f.Deadline(); ok || f.Acked(1, t0, nil) {
		t.Error("empty flight has a deadline or an answer")
	}
	for seq := uint64(1); seq <= 3; seq++ {
		f.Sent(seq, 10, t0.Add(time.Duration(seq)*time.Second))
	}
	if !f.Full() || f.Rows() != 30 {
		t.Error(f.Len(), f.Rows())
	}
	if d, _ := f.Deadline(); !d.Equal(t0.Add(3 * time.Second)) {
		t.Error(d)
	}
	// A failure restarts the deadline; the frames stuck together are not three failures.
	f.Restart(t0.Add(3 * time.Second))
	if d, _ := f.Deadline(); !d.Equal(t0.Add(5 * time.Second)) {
		t.Error(d)
	}
	var d []time.Duration
	if f.Acked(9, t0.Add(4*time.Second), took(&d)) || len(d) > 0 {
		t.Error("an answer to what was never sent")
	}
	// One answer for two frames, the newer one in time.
	if !f.Acked(2, t0.Add(4*time.Second), took(&d)) || len(d) != 2 || f.Len() != 1 {
		t.Error(d, f.Len())
	}
	if f.Acked(2, t0.Add(4*time.Second), took(&d)) || len(d) != 2 {
		t.Error("the same answer again")
	}
	if f.Acked(3, t0.Add(6*time.Second), took(&d)) || f.Len() != 0 {
		t.Error("3 s is not in time")
	}
}
