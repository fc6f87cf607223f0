package vector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/recall"
)

func randomVector(rnd *rand.Rand, dims int) []float32 {
	v := make([]float32, dims)
	for i := range v {
		v[i] = float32(rnd.NormFloat64())
	}
	return v
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

// TestQuantise: rounding changes the cosine of two vectors by a hundredth at most, whatever
// their length and their size.
func TestQuantise(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, dims := range []int{1, 2, 7, 8, 9, 255, 256, 384, 1536, 8192} {
		for _, size := range []float32{1e-18, 1, 1e18} {
			a, b := randomVector(rnd, dims), randomVector(rnd, dims)
			for i := range a {
				a[i] *= size
				b[i] = b[i]*size*0.5 + a[i]
			}
			p, q := quantise(a), quantise(b)
			got := float64(float32(dot(p.numbers, q.numbers)) * p.scale * q.scale)
			if want := cosine(a, b); math.Abs(got-want) > 0.01 {
				t.Errorf("%d dimensions, size %g: %.4f, want %.4f", dims, size, got, want)
			}
			if self := float64(float32(dot(p.numbers, p.numbers)) * p.scale * p.scale); math.Abs(self-1) > 0.01 {
				t.Errorf("%d dimensions: the cosine of itself is %.4f", dims, self)
			}
		}
	}
	extreme := slices.Repeat([]int8{-127}, 8192)
	if got := dot(extreme, extreme); got != 127*127*8192 {
		t.Errorf("the sum overflows: %d", got)
	}
}

// TestSet: whatever is put, moved and removed, a search finds what a look at each finds.
func TestSet(t *testing.T) {
	const dims = 5
	rapid.Check(t, func(t *rapid.T) {
		s, model := newSet(dims), map[string]put{}
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		spaces := []string{"a", "a/b", "c"}
		for range rapid.IntRange(0, 60).Draw(t, "batches") {
			var ops []put
			for range rnd.IntN(60) {
				id := fmt.Sprint(rnd.IntN(1500))
				held, had := model[id]
				switch p := (put{id: id, place: place{spaces[rnd.IntN(3)], "private", "mid"}, sum: sum{byte(rnd.IntN(256))}}); {
				case had && rnd.IntN(3) == 0:
					ops = append(ops, put{id: id})
					delete(model, id)
				case had && rnd.IntN(2) == 0: // it moves
					p.Point = held.Point
					ops, model[id] = append(ops, p), p
				default:
					p.Point = quantise(randomVector(rnd, dims))
					ops, model[id] = append(ops, p), p
				}
			}
			s.apply(ops)
		}
		if s.len() != len(model) {
			t.Fatalf("%d rows, want %d", s.len(), len(model))
		}
		count := 0
		for _, p := range s.places {
			count += p.count
		}
		if count != len(model) || len(s.byPlace) > 3 || len(s.rows) != len(model)+len(s.free) {
			t.Fatalf("%d in places, %d places, %d rows of %d memories", count, len(s.byPlace), len(s.rows), len(model))
		}
		for id, want := range model {
			if got, ok := s.get(id); !ok || got.place != want.place || got.sum != want.sum || !slices.Equal(got.numbers, want.numbers) {
				t.Fatalf("%s: %v, want %v", id, got, want)
			}
		}
		q, k := quantise(randomVector(rnd, dims)), rnd.IntN(40)+1
		in := spaces[rnd.IntN(3)]
		var want []Near
		for id, p := range model {
			if p.place.namespace == in {
				want = append(want, Near{id, float32(dot(q.numbers, p.numbers)) * q.scale * p.scale})
			}
		}
		slices.SortFunc(want, func(a, b Near) int { return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.ID, b.ID)) })
		got, err := s.nearest(context.Background(), q, k, func(p place) bool { return p.namespace == in })
		if err != nil || !slices.Equal(got, want[:min(k, len(want))]) {
			t.Fatalf("%v, %v, want %v", got, err, want)
		}
	})
}

// TestAllows: the places say of a restriction what recall.Visible says of the memories.
func TestAllows(t *testing.T) {
	for _, scope := range []string{"", "private", "team", "unit", "org", "collective"} {
		for _, ns := range []string{"a", "a/b", "a/b/c", "a/x", "z"} {
			d := memory.Draft{Title: new("t"), Content: new("c"), Namespace: &ns}
			if scope != "" {
				d.Scope = &scope
			}
			m, err := d.Memory(testNow, "ai:test")
			if err != nil {
				t.Fatal(err)
			}
			for _, as := range []string{"", "a", "a/b", "a/b/c", "a/x/y", "z"} {
				if got, want := allows(&recall.Restriction{As: as})(placeOf(&m)), recall.Visible(&m, as); got != want {
					t.Errorf("scope %q in %s as %q: %t, want %t", scope, ns, as, got, want)
				}
			}
			if allows(&recall.Restriction{Namespaces: []string{"q"}})(placeOf(&m)) || allows(&recall.Restriction{Tier: "long"})(placeOf(&m)) ||
				!allows(&recall.Restriction{Namespaces: []string{"q", ns}, Tier: m.Tier})(placeOf(&m)) {
				t.Errorf("namespace and tier are not looked at: %s", ns)
			}
		}
	}
}

func TestNearestEnds(t *testing.T) {
	s := newSet(2)
	s.apply([]put{{id: "x", Point: quantise([]float32{1, 0})}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.nearest(ctx, quantise([]float32{1, 0}), 1, func(place) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// BenchmarkNearest compares one question with 100,000 vectors of 256 and of 1,536 numbers.
func BenchmarkNearest(b *testing.B) {
	for _, dims := range []int{256, 1536} {
		b.Run(fmt.Sprint(dims), func(b *testing.B) {
			rnd := rand.New(rand.NewPCG(1, 1))
			heap := heapBytes()
			s := newSet(dims)
			for i := range 100_000 {
				s.apply([]put{{id: fmt.Sprintf("0190f2a4-0000-7000-8000-%012d", i), place: place{fmt.Sprint("ns/", i%50), "private", "mid"}, Point: quantise(randomVector(rnd, dims))}})
			}
			heap = heapBytes() - heap
			q := quantise(randomVector(rnd, dims))
			for _, c := range []struct {
				name string
				in   string
			}{{"all", ""}, {"one namespace of 50", "ns/7"}} {
				b.Run(c.name, func(b *testing.B) {
					for b.Loop() {
						got, err := s.nearest(context.Background(), q, firstOfBench, func(p place) bool { return c.in == "" || p.namespace == c.in })
						if err != nil || len(got) != firstOfBench {
							b.Fatal(len(got), err)
						}
					}
					b.ReportMetric(float64(s.bytes())/1e6, "MB-told")
					b.ReportMetric(float64(heap)/1e6, "MB-heap")
				})
			}
		})
	}
}

const firstOfBench = 100

func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
