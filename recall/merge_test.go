package recall

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/blevesearch/bleve/v2/index/scorch"
)

// segments counts those of the index.
func (r *running) segments() (n int) {
	r.t.Helper()
	v, done := r.view()
	defer done()
	return len(v.parts)
}

func (r *running) view() (v *view, done func()) {
	r.t.Helper()
	advanced, err := r.index.Advanced()
	must(r.t, err)
	reader, err := advanced.Reader()
	must(r.t, err)
	v, err = newView(reader)
	must(r.t, err)
	return v, func() { must(r.t, reader.Close()) }
}

// merge makes one segment of those that are on disk.
func (r *running) merge() {
	r.t.Helper()
	advanced, err := r.index.Advanced()
	must(r.t, err)
	must(r.t, advanced.(*scorch.Scorch).ForceMerge(r.t.Context(), nil))
}

// TestOrderOutlivesMerges: the order of a search and its scores are of the memories, not of
// how many segments they are in and how many old versions lie among them.
func TestOrderOutlivesMerges(t *testing.T) {
	f := newFeed("a")
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	rnd := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range 3 + rnd.IntN(40) {
			fmt.Fprintf(&b, "w%d ", rnd.IntN(200))
		}
		return b.String()
	}
	for range 20 {
		for range 30 { // some again and again
			f.put(doc(fmt.Sprint(rnd.IntN(300)), "okapi", text()))
		}
		r.settled()
	}
	queries := []Query{{Text: "okapi", All: true}, {Text: "w1", All: true}, {Text: "okapi w2 w3", All: true}, {Text: "w1 w5 w9"}}
	var before [][]Hit
	for _, q := range queries {
		before = append(before, r.all(q))
	}
	must(t, r.waitStored(t.Context(), f.Seq(), nil)) // the library merges what is on disk
	many := r.segments()
	r.merge()
	if n := r.segments(); n >= many {
		t.Fatalf("%d segments after a merge of %d", n, many)
	}
	for i, q := range queries {
		after := r.all(q)
		if !q.All { // the order of equals is the library's
			byID := func(a, b Hit) int { return strings.Compare(a.ID, b.ID) }
			slices.SortFunc(before[i], byID)
			slices.SortFunc(after, byID)
		}
		if len(after) == 0 || !slices.Equal(before[i], after) {
			t.Errorf("%q: before %v, after %v", q.Text, before[i], after)
		}
	}
}

// TestCompletionsOutliveMerges: the commonest words that begin so are meant, also where a word of
// one memory comes before them in a merged segment, and words that nobody has any more do not count.
func TestCompletionsOutliveMerges(t *testing.T) {
	f := newFeed("a")
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	for i := range 2 * maxCompletions {
		f.put(doc(fmt.Sprint("rare", i), "note", fmt.Sprintf("conf%02d", i)))
		f.put(doc(fmt.Sprint("was", i), "note", strings.Repeat(fmt.Sprintf("confirmation%d ", i), 2)))
		f.put(doc(fmt.Sprint("common", i%3), "note", "configuration"))
		r.settled()
	}
	must(t, r.waitStored(t.Context(), f.Seq(), nil))
	r.merge()
	for i := range 2 * maxCompletions {
		f.remove(fmt.Sprint("was", i))
	}
	r.settled()
	v, done := r.view()
	defer done()
	got, err := dictionary{view: v}.completions("conf")
	must(t, err)
	if want := (found{"configuration", 3}); len(got) != maxCompletions || got[0] != want || got[1] != (found{"conf00", 1}) {
		t.Errorf("completions of conf: %v, want %v first", got, want)
	}
}
