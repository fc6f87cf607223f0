package recall

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch"
)

// sliceFeed hands out memories one after the other, as far as they have been shown.
type sliceFeed struct {
	*memFeed
	all []Change
}

func (f sliceFeed) Changes(after uint64, limit int) ([]Change, []byte, error) {
	until := min(f.Seq(), after+uint64(limit)) // #nosec G115 -- positive
	return f.all[after:until], nil, nil
}

// show lets so many be seen.
func (f sliceFeed) show(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq = uint64(n) // #nosec G115 -- positive
	close(f.changed)
	f.changed = make(chan struct{})
}

// costTexts are the kinds of memories that the cost is measured with.
var costTexts = map[string]func(*rand.Rand, *rand.Zipf) (title, content string){
	// Words as in a language, most of them rare.
	"words": func(rnd *rand.Rand, zipf *rand.Zipf) (string, string) {
		words := make([]string, 30+rnd.IntN(18))
		for i := range words {
			words[i] = spelled(zipf.Uint64())
		}
		return strings.Join(words[:2], " "), strings.Join(words[2:], " ")
	},
	// 300 bytes that mean nothing, the worst case: each change from letter to digit makes a part
	// of an identifier.
	"random": func(rnd *rand.Rand, _ *rand.Zipf) (string, string) {
		const abc = "abcdefghijklmnopqrstuvwxyz0123456789 .,-"
		own := rand.New(rand.NewPCG(7, rnd.Uint64N(64)))
		b := make([]byte, 300)
		for i := range b {
			b[i] = abc[own.IntN(len(abc))]
		}
		return "", string(b)
	},
}

func spelled(n uint64) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	var b []byte
	for n += 70; n > 0; n /= 70 {
		b = append(b, consonants[n%70/5], vowels[n%5])
	}
	return string(b)
}

func costFeed(kind string, n int) sliceFeed {
	rnd := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rnd, 1.07, 4, 40_000-1)
	all := make([]Change, n)
	for i := range all {
		title, content := costTexts[kind](rnd, zipf)
		id := fmt.Sprintf("%08x-%04x-4000-8000-%012x", rnd.Uint32(), rnd.Uint32N(1<<16), rnd.Uint64N(1<<48))
		m := doc(id, fmt.Sprintf("%s k%012d", title, i), content)
		m.Namespace = fmt.Sprintf("acme/team%d", i%7)
		all[i] = Change{Seq: uint64(i + 1), ID: id, Doc: &m} // #nosec G115 -- positive
	}
	return sliceFeed{newFeed("cost"), all}
}

// BenchmarkCost is what the index costs: processor time for each memory until it is on disk
// and merged, and the segments that are left. build takes what there is already, live what
// comes at so many a second, with what it is behind at most.
func BenchmarkCost(b *testing.B) {
	const memories = 20_000
	for _, kind := range []string{"words", "random"} {
		f := costFeed(kind, memories)
		for _, rate := range []int{0, 1000, 3000} {
			name := fmt.Sprintf("%s/live-%d", kind, rate)
			if rate == 0 {
				name = kind + "/build"
			}
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					f.seq = 0
					cost(b, f, rate)
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func cost(b *testing.B, f sliceFeed, rate int) {
	x := New(Config{Dir: filepath.Join(b.TempDir(), "index"), Feed: f})
	if rate == 0 {
		f.show(len(f.all))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	before, began := usedCPU(b), time.Now()
	go func() { done <- x.Run(ctx) }()
	var behind []uint64
	if rate > 0 {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for shown := 0; shown < len(f.all); {
			<-tick.C
			shown = min(int(time.Since(began).Seconds()*float64(rate)), len(f.all))
			f.show(shown)
			behind = append(behind, x.behind())
		}
	}
	for x.Status().Seq < f.Seq() || !x.Status().Open {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	if err := x.waitStored(ctx, f.Seq(), nil); err != nil {
		b.Fatal(err)
	}
	segments := x.merged(b)
	used := usedCPU(b) - before
	b.ReportMetric(float64(used.Microseconds())/float64(len(f.all)), "cpu-us/memory")
	b.ReportMetric(float64(segments), "segments")
	b.ReportMetric(float64(took.Microseconds())/float64(len(f.all)), "us/memory")
	if len(behind) > 0 {
		slices.Sort(behind)
		b.ReportMetric(float64(behind[len(behind)/2]), "behind-p50")
		b.ReportMetric(float64(behind[len(behind)-1]), "behind-max")
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// merged waits until the library has nothing more to merge, and counts the segments.
func (x *Index) merged(b *testing.B) int {
	advanced, err := x.index.Advanced()
	must(b, err)
	for {
		s := advanced.(*scorch.Scorch).Stats().(*scorch.Stats).ToMap()
		root, merged, stored := s["CurRootEpoch"], s["LastMergedEpoch"], s["LastPersistedEpoch"]
		if root == merged && root == stored {
			reader, err := advanced.Reader()
			must(b, err)
			defer reader.Close()
			v, err := newView(reader)
			must(b, err)
			return len(v.parts)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func usedCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
