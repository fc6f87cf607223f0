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
	f.seq = maxBehind + 1
	if !x.hurries() {
		t.Error("rests far behind")
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
