package clock

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is the dumb twin of a Clock: a map of dots.
type model map[Dot]struct{}

func (m model) clock() Clock {
	return Of(slices.SortedFunc(maps.Keys(m), Dot.Compare)...)
}

func (m model) has(d Dot) bool { _, ok := m[d]; return ok }

func (m model) clone() model {
	return maps.Clone(m)
}

func (m model) filter(keep func(Dot) bool) model {
	out := model{}
	for d := range m {
		if keep(d) {
			out[d] = struct{}{}
		}
	}
	return out
}

// The universe is small, so that runs meet, nest and split all the time; its upper
// part sits at the end of the counter range, where sums would overflow.
const (
	universeOrigins = 4
	universeLow     = 20
	universeHigh    = 6
)

func universe(yield func(Dot) bool) {
	for o := range universeOrigins {
		for i := range universeLow + universeHigh {
			if !yield(universeDot(o, i)) {
				return
			}
		}
	}
}

func universeDot(o, i int) Dot {
	counter := uint64(i) + 1
	if i >= universeLow {
		counter = MaxCounter - uint64(i-universeLow)
	}
	return Dot{Origin(o) << 60, counter}
}

var genDot = rapid.Custom(func(t *rapid.T) Dot {
	return universeDot(
		rapid.IntRange(0, universeOrigins-1).Draw(t, "origin"),
		rapid.IntRange(0, universeLow+universeHigh-1).Draw(t, "counter"))
})

var genModel = rapid.Custom(func(t *rapid.T) model {
	m := model{}
	for _, d := range rapid.SliceOfN(genDot, 0, 40).Draw(t, "dots") {
		m[d] = struct{}{}
	}
	// Dense stretches, else bases hardly ever form.
	for o := range universeOrigins {
		for i := range rapid.IntRange(0, universeLow).Draw(t, "base") {
			m[universeDot(o, i)] = struct{}{}
		}
	}
	return m
})

// invariant returns what is wrong with the representation of c, if anything.
func invariant(c Clock) error {
	for i := range c.entries {
		e := &c.entries[i]
		if i > 0 && c.entries[i-1].origin >= e.origin {
			return fmt.Errorf("origins out of order in %v", c)
		}
		if e.empty() || e.base > MaxCounter {
			return fmt.Errorf("bad base in %v", c)
		}
		end := e.base
		for _, iv := range e.above {
			if iv.Lo < end+2 || iv.Hi < iv.Lo || iv.Hi > MaxCounter {
				return fmt.Errorf("bad interval %v in %v", iv, c)
			}
			end = iv.Hi
		}
	}
	return nil
}

// check holds c against its model through every read-only method.
func check(t interface {
	Helper()
	Fatalf(string, ...any)
}, c Clock, m model) {
	t.Helper()
	if err := invariant(c); err != nil {
		t.Fatalf("%v", err)
	}
	for d := range universe {
		if c.Contains(d) != m.has(d) {
			t.Fatalf("Contains(%v) = %v, model says %v; clock %v", d, c.Contains(d), m.has(d), c)
		}
	}
	if c.Count() != uint64(len(m)) {
		t.Fatalf("Count = %d, model has %d; clock %v", c.Count(), len(m), c)
	}
	if c.Empty() != (len(m) == 0) {
		t.Fatalf("Empty = %v with %d dots", c.Empty(), len(m))
	}
	intervals, ranges := 0, 0
	var prev Origin
	var prevHi uint64
	total := uint64(0)
	for o, iv := range c.Ranges() {
		if ranges > 0 && (o < prev || o == prev && iv.Lo < prevHi+2) {
			t.Fatalf("Ranges not ascending and apart in %v", c)
		}
		prev, prevHi = o, iv.Hi
		ranges++
		if iv.Lo > 1 {
			intervals++
		}
		for n := iv.Lo; ; n++ {
			if !m.has(Dot{o, n}) {
				t.Fatalf("Ranges yields %v, not in the model", Dot{o, n})
			}
			total++
			if n == iv.Hi {
				break
			}
		}
	}
	if total != uint64(len(m)) || intervals != c.Intervals() {
		t.Fatalf("Ranges yields %d dots in %d intervals, want %d in %d", total, intervals, len(m), c.Intervals())
	}
	origins := map[Origin]uint64{}
	for d := range m {
		origins[d.Origin] = max(origins[d.Origin], d.Counter)
	}
	if got, want := slices.Collect(c.Origins()), slices.Sorted(maps.Keys(origins)); !slices.Equal(got, want) {
		t.Fatalf("Origins = %v, want %v", got, want)
	}
	for o := range universeOrigins {
		origin := Origin(o) << 60
		if c.Max(origin) != origins[origin] {
			t.Fatalf("Max(%v) = %d, want %d", origin, c.Max(origin), origins[origin])
		}
		only := c.Only(origin)
		want := m.filter(func(d Dot) bool { return d.Origin == origin }).clock()
		if !only.Equal(want) {
			t.Fatalf("Only(%v) = %v, want %v", origin, only, want)
		}
		base, above := c.Entry(origin)
		var again Clock
		again.AddRange(origin, 1, base)
		for _, iv := range above {
			again.AddRange(origin, iv.Lo, iv.Hi)
		}
		if !again.Equal(want) {
			t.Fatalf("Entry(%v) = %d %v, want %v", origin, base, above, want)
		}
	}
}

func TestModelSelf(t *testing.T) {
	n := 0
	for range universe {
		n++
	}
	if n != universeOrigins*(universeLow+universeHigh) {
		t.Fatalf("universe has %d dots", n)
	}
}
