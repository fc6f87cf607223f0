package recall

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// batches is how many were taken.
func batches(t *testing.T, r *running) uint64 {
	t.Helper()
	var m dto.Metric
	if err := r.metrics.batchSeconds.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetHistogram().GetSampleCount()
}

// TestGathers: writes that come one by one are not indexed one by one, and whoever waits
// for one of them does not wait for a batch to fill.
func TestGathers(t *testing.T) {
	f := newFeed("a")
	r := start(t, t.TempDir(), f)
	f.put(doc("first", "first", "x"))
	r.settled()
	before := batches(t, r)
	const writes = 200
	for i := range writes {
		f.put(doc(fmt.Sprint(i), fmt.Sprintf("number %d", i), "x"))
		time.Sleep(time.Millisecond)
	}
	waiting, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if !r.WaitFor(waiting, f.Seq()) {
		t.Fatal("the index does not get there")
	}
	if n := batches(t, r) - before; n == 0 || n > writes/4 {
		t.Errorf("%d writes in %d batches", writes, n)
	}
	if got := r.find("number 199"); len(got) == 0 || got[0] != "199" {
		t.Errorf("the last write: %q", got)
	}
	if r.awaited() {
		t.Error("nobody waits any more")
	}
}

// TestHurries: it rests between batches until somebody waits.
func TestHurries(t *testing.T) {
	f := newFeed("a")
	x := New(Config{Dir: t.TempDir(), Feed: f})
	if !x.hurries() || x.batchSize() != batchChanges {
		t.Error("rests while it builds")
	}
	x.advance(0)
	if x.hurries() || x.batchSize() != pacedChanges {
		t.Error("hurries for nothing")
	}
	done := x.await()
	if !x.hurries() || x.batchSize() != batchChanges {
		t.Error("rests while somebody waits")
	}
	done()
	f.seq = fewBehind
	if x.hurries() || x.batchSize() != largeChanges {
		t.Error("takes small batches, and is a good deal behind")
	}
	if x.load = testBurst; x.hurries() || x.batchSize() != batchChanges {
		t.Error("takes small batches in a burst")
	}
}

// testBurst is one of 2,000 changes a second that take 200 us each.
var testBurst = load{incoming: meter{rate: 2000}, each: 200 * time.Microsecond}

// TestBurst: it is one if following it would take much of the time, by what a change takes now.
func TestBurst(t *testing.T) {
	var l load
	if l.incoming.rate = 2000; l.burst() {
		t.Error("before anything was indexed")
	}
	for _, c := range []struct {
		took    time.Duration
		changes int
		want    bool
	}{
		{100 * time.Millisecond, 1000, false}, // 100 us each
		{200 * time.Millisecond, 500, true},   // 400, on the average 175
		{10 * time.Millisecond, 100, true},    // 100, on the average 156
		{10 * time.Millisecond, 100, false},   // 100, on the average 142
	} {
		if l.took(c.took, c.changes); l.burst() != c.want {
			t.Errorf("after %s for %d: %s each, burst is %v", c.took, c.changes, l.each, l.burst())
		}
	}
}

// TestRests: the further behind, the shorter, and outside of a burst never for long.
func TestRests(t *testing.T) {
	const took = 10 * time.Millisecond
	quiet := load{incoming: meter{rate: 1000}, each: 100 * time.Microsecond}
	most := uint64(testBurst.incoming.rate * burstLag.Seconds())
	for _, c := range []struct {
		load   load
		took   time.Duration
		behind uint64
		want   time.Duration
	}{
		{quiet, took, 0, restTimes * took},
		{quiet, took, fewBehind / 2, restTimes * took / 2},
		{quiet, took, fewBehind, 0},
		{quiet, took, 100 * fewBehind, 0},
		{quiet, time.Second, 0, restAtMost},
		{quiet, 0, 10, 0},
		{testBurst, took, 0, burstTimes * took},
		{testBurst, took, most / 2, burstTimes * took / 2},
		{testBurst, took, most, 0},
		{testBurst, took, 2 * most, 0},
		{testBurst, time.Second, 0, burstTimes * time.Second},
	} {
		if got := c.load.restFor(c.took, c.behind); got != c.want {
			t.Errorf("after %s, %d behind, %.0f/s: %s, want %s", c.took, c.behind, c.load.incoming.rate, got, c.want)
		}
	}
}

// TestRestEnds: a rest that a burst has earned does not outlast it.
func TestRestEnds(t *testing.T) {
	f := newFeed("a")
	x := New(Config{Dir: t.TempDir(), Feed: f})
	x.advance(0)
	x.load = testBurst
	x.load.incoming.at = time.Now()
	began := time.Now()
	x.rest(t.Context(), time.Second)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it rested for %s after the last write", took)
	}
}

// TestMeter: how many come is told by what came in the last quarter of a second or more.
func TestMeter(t *testing.T) {
	var m meter
	now := testNow
	for _, c := range []struct {
		later time.Duration
		seq   uint64
		want  float64
	}{
		{0, 5000, 0}, // what there was before says nothing
		{meterFor / 2, 5250, 0},
		{meterFor / 2, 5500, 2000},
		{meterFor / 5, 9000, 2000},
		{2*time.Second - meterFor/5, 7500, 1000},
		{time.Minute, 7500, 0},
		{time.Second, 1, 0}, // another store
	} {
		now = now.Add(c.later)
		if got := m.tick(now, c.seq); got != c.want {
			t.Errorf("at %d: %.0f/s, want %.0f", c.seq, got, c.want)
		}
	}
}

// TestLongWords: what is no word is not indexed, nor are the parts of it.
func TestLongWords(t *testing.T) {
	f := newFeed("a")
	r := start(t, t.TempDir(), f)
	f.put(doc("blob", "blob", "before "+strings.Repeat("aB3", 40)+" zebra"))
	r.settled()
	if got := r.find("zebra"); len(got) != 1 {
		t.Errorf("beside it: %q", got)
	}
	for _, text := range []string{"aB3", strings.Repeat("aB3", 40)} {
		if got := r.search(text); len(got) != 0 {
			t.Errorf("%q finds %q", text, got)
		}
	}
}
