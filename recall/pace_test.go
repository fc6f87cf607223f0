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

// TestHurries: it rests between batches until somebody waits or it is too far behind.
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
	if !x.hurries() {
		t.Error("rests while somebody waits")
	}
	done()
	f.seq = fewBehind
	if x.hurries() || x.batchSize() != batchChanges {
		t.Error("takes small batches, and is a good deal behind")
	}
	if x.incoming.rate = burst; x.hurries() || x.batchSize() != pacedChanges {
		t.Error("takes large batches in a burst")
	}
	f.seq = maxBehind + 1
	if !x.hurries() {
		t.Error("rests far behind")
	}
}

// TestRests: the further behind, the shorter, and never for long.
func TestRests(t *testing.T) {
	const took = 10 * time.Millisecond
	for _, c := range []struct {
		took   time.Duration
		behind uint64
		rate   float64
		want   time.Duration
	}{
		{took, 0, 1000, restTimes * took},
		{took, fewBehind / 2, 1000, restTimes * took / 2},
		{took, fewBehind, 1000, 0},
		{took, maxBehind, 1000, 0},
		{took, maxBehind, burst, restTimes * took},
		{time.Second, 0, 0, restAtMost},
		{0, 10, 1000, 0},
	} {
		if got := restFor(c.took, c.behind, c.rate); got != c.want {
			t.Errorf("after %s, %d behind, %.0f/s: %s, want %s", c.took, c.behind, c.rate, got, c.want)
		}
	}
}

// TestMeter: how many come is told by what came in the last second or more.
func TestMeter(t *testing.T) {
	var m meter
	now := testNow
	for _, c := range []struct {
		later time.Duration
		seq   uint64
		want  float64
	}{
		{0, 5000, 0}, // what there was before says nothing
		{500 * time.Millisecond, 6000, 0},
		{500 * time.Millisecond, 7000, 2000},
		{100 * time.Millisecond, 9000, 2000},
		{1900 * time.Millisecond, 9000, 1000},
		{time.Minute, 9000, 0},
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
