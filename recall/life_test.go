package recall

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blevesearch/bleve/v2"

	"github.com/memd/memd/memory"
)

// TestFollow: what changes is found by what it says now.
func TestFollow(t *testing.T) {
	f := newFeed("a")
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	f.put(doc("one", "Deploy day", "Tuesday"), doc("two", "Deploy night", "Friday"))
	r.settled()
	same(t, "stored", r.find("deploy"), "one", "two")
	f.put(doc("one", "Lunch", "Wednesday"))
	f.remove("two")
	f.remove("never there")
	r.settled()
	same(t, "changed and removed", r.find("deploy tuesday friday"))
	same(t, "as it is now", r.find("lunch"), "one")
	if s := r.Status(); s.Seq != 5 || s.Last != 5 || s.Building || !s.Open {
		t.Errorf("status %+v", s)
	}
}

// TestGoesOn: a second start reads on from the checkpoint, and no more.
func TestGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	f := newFeed("a")
	for i := range 1200 { // three batches
		f.put(doc(fmt.Sprint("m", i), fmt.Sprint("Memory ", i), "of the first run"))
	}
	r := start(t, dir, f)
	r.settled()
	r.stop()
	if err := r.Search(t.Context(), Query{Text: "memory"}, 1, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	f.put(doc("late", "Memory", "of the second run"))
	f.remove("m7")
	again := start(t, dir, f)
	again.settled()
	same(t, "late", again.find(`"second run"`), "late")
	if n, _ := again.index.DocCount(); n != 1200 {
		t.Errorf("%d documents", n)
	}
	if got := len(again.find("memory")); got != 1200 {
		t.Errorf("%d memories are found, want 1200", got)
	}
	if n := counter(t, again.metrics.documents); n != 1 {
		t.Errorf("%v memories were indexed by the second start, want 1", n)
	}
	if again.rebuilds() != 0 {
		t.Errorf("the index was built anew")
	}
}

// TestBuiltAnew: an index that is not whole, not of this version or not of this store is
// thrown away, while changes go on.
func TestBuiltAnew(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string, f *memFeed)
		fresh bool // there is nothing to be thrown away
	}{
		{"missing", func(t *testing.T, dir string, _ *memFeed) { must(t, os.RemoveAll(dir)) }, true},
		{"a file in its place", func(t *testing.T, dir string, _ *memFeed) {
			must(t, os.RemoveAll(dir))
			must(t, os.WriteFile(dir, []byte("x"), 0o600))
		}, false},
		{"empty directory", func(t *testing.T, dir string, _ *memFeed) {
			must(t, os.RemoveAll(dir))
			must(t, os.Mkdir(dir, 0o700))
		}, false},
		{"a segment is gone", func(t *testing.T, dir string, _ *memFeed) { must(t, os.Remove(largest(t, dir))) }, false},
		{"a segment is cut", func(t *testing.T, dir string, _ *memFeed) {
			name := largest(t, dir)
			info, err := os.Stat(name)
			must(t, err)
			must(t, os.Truncate(name, info.Size()/2))
		}, false},
		{"a segment is empty", func(t *testing.T, dir string, _ *memFeed) { must(t, os.Truncate(largest(t, dir), 0)) }, false},
		{"a bit of a segment", func(t *testing.T, dir string, _ *memFeed) { flip(t, largest(t, dir), 1.0/3) }, false},
		{"the list of segments is cut", func(t *testing.T, dir string, _ *memFeed) {
			must(t, os.Truncate(filepath.Join(dir, "store", "root.bolt"), 5000))
		}, false},
		{"the list of segments is noise", func(t *testing.T, dir string, _ *memFeed) {
			must(t, os.WriteFile(filepath.Join(dir, "store", "root.bolt"), []byte(strings.Repeat("noise", 5000)), 0o600))
		}, false},
		{"the description is noise", func(t *testing.T, dir string, _ *memFeed) {
			must(t, os.WriteFile(filepath.Join(dir, "index_meta.json"), []byte("{"), 0o600))
		}, false},
		{"another format", func(t *testing.T, dir string, _ *memFeed) { setInternal(t, dir, keyFormat, "0") }, false},
		{"no format", func(t *testing.T, dir string, _ *memFeed) { setInternal(t, dir, keyFormat, "") }, false},
		{"a checkpoint that is no number", func(t *testing.T, dir string, _ *memFeed) { setInternal(t, dir, keySeq, "x") }, false},
		{"another store", func(_ *testing.T, _ string, f *memFeed) { f.id = "b" }, false},
		{"an older copy of the store", func(_ *testing.T, _ string, f *memFeed) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.seq -= 10
			for id, at := range f.at {
				if at > f.seq {
					delete(f.at, id)
					delete(f.docs, id)
				}
			}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "index")
			f := newFeed("a")
			for i := range 900 {
				f.put(doc(fmt.Sprintf("m%03d", i), fmt.Sprint("Memory ", i), "an old thing"))
			}
			r := start(t, dir, f)
			r.settled()
			r.stop()
			c.spoil(t, dir, f)

			var wg sync.WaitGroup
			again := start(t, dir, f)
			wg.Go(func() {
				for i := range 50 {
					f.put(doc(fmt.Sprint("new", i), "Memory", "a new thing"))
				}
			})
			wg.Wait()
			again.settled()
			if want, got := len(f.docs), len(again.find("memory")); got != want {
				t.Errorf("%d memories are found, want %d", got, want)
			}
			if got := len(again.find(`"new thing"`)); got != 50 {
				t.Errorf("%d new ones are found", got)
			}
			// With a segment the library may still have the state before.
			if got := again.rebuilds(); c.fresh && got > 0 || got > 1 || got == 0 && !c.fresh && !strings.Contains(c.name, "segment") {
				t.Errorf("built anew %v times", got)
			}
		})
	}
}

// TestBuiltAnewWhileRunning: the library reports an error of its background work.
func TestBuiltAnewWhileRunning(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	f := newFeed("a")
	f.put(doc("one", "Deploy day", "Tuesday"))
	r := start(t, dir, f)
	r.settled()
	failing.mu.Lock()
	failing.dir[dir] <- os.ErrPermission
	failing.mu.Unlock()
	deadline := time.Now().Add(20 * time.Second)
	for r.rebuilds() == 0 || r.Status().Building {
		if time.Now().After(deadline) {
			t.Fatal("the index is not built anew")
		}
		time.Sleep(time.Millisecond)
	}
	f.put(doc("two", "Deploy night", "Friday"))
	r.settled()
	same(t, "after that", r.find("deploy"), "one", "two")
}

// TestFeedFails: trouble with the store is no reason to throw the index away.
func TestFeedFails(t *testing.T) {
	f := newFeed("a")
	f.put(doc("one", "Deploy day", "Tuesday"))
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	r.settled()
	set := func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.fail, f.reads = err, 0
	}
	set(errFeed)
	f.put(doc("two", "Deploy night", "Friday"))
	for reads := 0; reads < 2; {
		f.mu.Lock()
		reads = f.reads
		f.mu.Unlock()
	}
	same(t, "while it fails", r.find("deploy"), "one")
	set(nil)
	r.settled()
	same(t, "after that", r.find("deploy"), "one", "two")
	if r.rebuilds() != 0 {
		t.Error("the index was thrown away")
	}
}

// TestChecksums: every segment that the library writes ends in the checksum that
// checkFile looks for, the merged ones too.
func TestChecksums(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	f := newFeed("a")
	r := start(t, dir, f)
	for i := range 40 {
		for j := range 30 {
			f.put(doc(fmt.Sprint("m", (7*i+j)%300), "Memory", fmt.Sprint("round ", i)))
		}
		r.settled()
	}
	r.stop()
	files, _ := filepath.Glob(filepath.Join(dir, "store", "*.zap"))
	if len(files) == 0 {
		t.Fatal("no segments")
	}
	for _, f := range files {
		if err := checkFile(f); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// TestAgainstNaive holds the index against a loop over all memories: after random changes
// and restarts the same ones are found.
func TestAgainstNaive(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	vocabulary := strings.Fields("deploy release gateway tuesday friday ledger backup index query token cache parseBody max_size")
	namespaces := []string{"acme", "acme/ops", "acme/ops/eu", "home"}
	dir := filepath.Join(t.TempDir(), "index")
	f := newFeed("a")
	r := start(t, dir, f)
	for round := range 60 {
		for range rnd.IntN(40) {
			id := fmt.Sprint("m", rnd.IntN(120))
			if rnd.IntN(4) == 0 {
				f.remove(id)
				continue
			}
			var words []string
			for range 1 + rnd.IntN(5) {
				words = append(words, vocabulary[rnd.IntN(len(vocabulary))])
			}
			m := doc(id, words[0], strings.Join(words, " "))
			m.Namespace, m.Priority = namespaces[rnd.IntN(len(namespaces))], 1+rnd.IntN(10)
			f.put(m)
		}
		if rnd.IntN(6) == 0 {
			r.stop()
			r = start(t, dir, f)
		}
		r.settled()
		for range 10 {
			q := Query{All: rnd.IntN(2) == 0}
			var words []string
			for range 1 + rnd.IntN(3) {
				words = append(words, vocabulary[rnd.IntN(len(vocabulary))])
			}
			q.Text = strings.Join(words, " ") + " " // nobody is typing
			if rnd.IntN(2) == 0 {
				q.Namespaces = Chain(namespaces[rnd.IntN(len(namespaces))])
			}
			q.MinPriority = rnd.IntN(8)
			var want []string
			for id, m := range f.docs {
				if m != nil && naive(m, words, &q) {
					want = append(want, id)
				}
			}
			same(t, fmt.Sprintf("round %d, %+v", round, q), ids(r.all(q)), want...)
		}
	}
	if r.rebuilds() != 0 {
		t.Error("the index was built anew")
	}
}

// naive tells whether a memory is to be found. The vocabulary has no word that is a part
// or has the stem of another one.
func naive(m *memory.Memory, words []string, q *Query) bool {
	if q.Namespaces != nil && !slices.Contains(q.Namespaces, m.Namespace) || m.Priority < q.MinPriority {
		return false
	}
	has := strings.Fields(m.Content)
	in := func(w string) bool { return slices.Contains(has, w) }
	if q.All {
		return !slices.ContainsFunc(words, func(w string) bool { return !in(w) })
	}
	return slices.ContainsFunc(words, in)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// largest is the largest segment.
func largest(t *testing.T, dir string) (name string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "store", "*.zap"))
	must(t, err)
	var most int64
	for _, f := range files {
		info, err := os.Stat(f)
		must(t, err)
		if info.Size() > most {
			name, most = f, info.Size()
		}
	}
	if name == "" {
		t.Fatal("no segment on disk")
	}
	return name
}

func flip(t *testing.T, name string, where float64) {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	b[int(where*float64(len(b)))] ^= 0x10
	must(t, os.WriteFile(name, b, 0o600))
}

func setInternal(t *testing.T, dir string, key []byte, value string) {
	t.Helper()
	index, err := bleve.OpenUsing(dir, map[string]any{"unsafe_batch": false})
	must(t, err)
	must(t, index.SetInternal(key, []byte(value)))
	must(t, index.Close())
}
