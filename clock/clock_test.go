package clock

import (
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestClockAgainstModel drives one clock and its model through random changes.
func TestClockAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Clock
		m := model{}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { check(t, c, m) },
			"add": func(t *rapid.T) {
				d := genDot.Draw(t, "dot")
				if got := c.Add(d); got == m.has(d) {
					t.Fatalf("Add(%v) = %v", d, got)
				}
				m[d] = struct{}{}
			},
			"addNext": func(t *rapid.T) {
				o := universeDot(rapid.IntRange(0, universeOrigins-1).Draw(t, "origin"), 0).Origin
				base, _ := c.Entry(o)
				if base >= universeLow {
					t.Skip("universe exhausted")
				}
				d := Dot{o, base + 1}
				if !c.Add(d) {
					t.Fatalf("Add(%v) behind base %d is not new", d, base)
				}
				m[d] = struct{}{}
			},
			"addRange": func(t *rapid.T) {
				o := rapid.IntRange(0, universeOrigins-1).Draw(t, "origin")
				i := rapid.IntRange(0, universeLow-1).Draw(t, "from")
				j := rapid.IntRange(i, universeLow-1).Draw(t, "to")
				lo, hi := universeDot(o, i), universeDot(o, j)
				c.AddRange(lo.Origin, lo.Counter, hi.Counter)
				for ; i <= j; i++ {
					m[universeDot(o, i)] = struct{}{}
				}
			},
			"remove": func(t *rapid.T) {
				d := genDot.Draw(t, "dot")
				if got := c.Remove(d); got != m.has(d) {
					t.Fatalf("Remove(%v) = %v", d, got)
				}
				delete(m, d)
			},
			"union": func(t *rapid.T) {
				other := genModel.Draw(t, "other")
				oc := other.clock()
				c.Union(oc)
				check(t, oc, other) // the argument is left alone
				maps.Copy(m, other)
				// and shares nothing with the result
				for d := range universe {
					oc.Add(d)
				}
			},
			"minus": func(t *rapid.T) {
				other := genModel.Draw(t, "other")
				c = c.Minus(other.clock())
				m = m.filter(func(d Dot) bool { return !other.has(d) })
			},
		})
	})
}

// TestBinaryOperations compares each operation on two sets with the model.
func TestBinaryOperations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ma, mb := genModel.Draw(t, "a"), genModel.Draw(t, "b")
		if rapid.Bool().Draw(t, "subset") { // else Covers is hardly ever true
			mb = ma.filter(func(d Dot) bool { return mb.has(d) || d.Counter%3 == 0 })
		}
		a, b := ma.clock(), mb.clock()

		union := ma.clone()
		maps.Copy(union, mb)
		got := a.Clone()
		got.Union(b)
		check(t, got, union)
		check(t, a.Minus(b), ma.filter(func(d Dot) bool { return !mb.has(d) }))
		check(t, a.Intersect(b), ma.filter(mb.has))

		subset := len(mb.filter(ma.has)) == len(mb)
		if a.Covers(b) != subset {
			t.Fatalf("%v Covers %v = %v", a, b, !subset)
		}
		same := maps.Equal(ma, mb)
		if a.Equal(b) != same || (string(a.Append(nil)) == string(b.Append(nil))) != same {
			t.Fatalf("equality of %v and %v should be %v, for sets and bytes alike", a, b, same)
		}
		if same != (a.Hash() == b.Hash()) || same != (a.Token() == b.Token()) || same != (a.String() == b.String()) {
			t.Fatalf("hash, token and text of %v and %v should agree: %v", a, b, same)
		}
		check(t, a, ma)
		check(t, b, mb)
	})
}

// TestLattice checks the laws that let clocks be merged in any order, any number of
// times.
func TestLattice(t *testing.T) {
	join := func(a, b Clock) Clock {
		out := a.Clone()
		out.Union(b)
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		a := genModel.Draw(t, "a").clock()
		b := genModel.Draw(t, "b").clock()
		c := genModel.Draw(t, "c").clock()
		equal := func(law string, x, y Clock) {
			t.Helper()
			if !x.Equal(y) {
				t.Fatalf("%s: %v != %v (a %v, b %v, c %v)", law, x, y, a, b, c)
			}
		}
		equal("join idempotent", join(a, a), a)
		equal("join commutative", join(a, b), join(b, a))
		equal("join associative", join(join(a, b), c), join(a, join(b, c)))
		equal("meet idempotent", a.Intersect(a), a)
		equal("meet commutative", a.Intersect(b), b.Intersect(a))
		equal("meet associative", a.Intersect(b).Intersect(c), a.Intersect(b.Intersect(c)))
		equal("absorption", join(a, a.Intersect(b)), a)
		equal("absorption, dual", a.Intersect(join(a, b)), a)
		equal("distributive", a.Intersect(join(b, c)), join(a.Intersect(b), a.Intersect(c)))
		equal("minus", join(a.Minus(b), a.Intersect(b)), a)
		equal("minus of a union", a.Minus(join(b, c)), a.Minus(b).Minus(c))
		if !a.Minus(b).Intersect(b).Empty() {
			t.Fatalf("%v minus %v still meets it", a, b)
		}
		if j := join(a, b); !j.Covers(a) || !j.Covers(b) {
			t.Fatalf("join is not inflationary: %v, %v", a, b)
		}
		if a.Covers(b) != b.Minus(a).Empty() || a.Covers(b) != join(a, b).Equal(a) {
			t.Fatalf("Covers disagrees with Minus or Union: %v, %v", a, b)
		}
	})
}

// TestResultsShareNothing changes every result in every way and looks whether the
// operands noticed.
func TestResultsShareNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ma, mb := genModel.Draw(t, "a"), genModel.Draw(t, "b")
		a, b := ma.clock(), mb.clock()
		joined := a.Clone()
		joined.Union(b)
		results := []Clock{a.Clone(), a.Minus(b), a.Intersect(b), joined}
		for o := range universeOrigins {
			results = append(results, a.Only(Origin(o)<<60))
		}
		for _, r := range results {
			for d := range universe {
				if d.Counter%2 == 0 {
					r.Remove(d)
				} else {
					r.Add(d)
				}
			}
		}
		check(t, a, ma)
		check(t, b, mb)
	})
}

func TestInvalidDotsStayOut(t *testing.T) {
	var c Clock
	for _, n := range []uint64{0, MaxCounter + 1, math.MaxUint64} {
		d := Dot{7, n}
		if d.Valid() || c.Add(d) || c.Contains(d) || c.Remove(d) {
			t.Errorf("counter %d was taken for a dot", n)
		}
	}
	c.AddRange(7, 9, 3)
	c.AddRange(7, MaxCounter+1, math.MaxUint64)
	c.AddRange(7, 0, 0)
	if !c.Empty() {
		t.Errorf("clock of invalid ranges is %v", c)
	}
	c.AddRange(7, 0, math.MaxUint64)
	if base, above := c.Entry(7); base != MaxCounter || above != nil {
		t.Errorf("full range became %v", c)
	}
	if c.Contains(Dot{7, 0}) || c.Contains(Dot{7, math.MaxUint64}) {
		t.Error("a full clock contains invalid dots")
	}
	for o := range Origin(3) {
		c.AddRange(o, 1, MaxCounter)
	}
	if c.Count() != math.MaxUint64 {
		t.Errorf("Count = %d, should stop at the maximum", c.Count())
	}
}

func TestIteratorsStop(t *testing.T) {
	c := Of(Dot{1, 1}, Dot{1, 5}, Dot{2, 1})
	for range c.Origins() {
		break
	}
	n := 0
	for range c.Ranges() {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Fatalf("Ranges went on: %d", n)
	}
}

// TestAddNextDoesNotAllocate guards the hot path of local writes and live pushes.
func TestAddNextDoesNotAllocate(t *testing.T) {
	var c Clock
	for o := range Origin(5) {
		c.Add(Dot{o, 1})
		c.Add(Dot{o, 1000})
	}
	n := uint64(1)
	if allocs := testing.AllocsPerRun(500, func() {
		n++
		for o := range Origin(5) {
			if !c.Add(Dot{o, n}) || c.Add(Dot{o, n}) {
				t.Fatal("Add is wrong")
			}
		}
	}); allocs != 0 {
		t.Errorf("adding the next dot takes %v allocations", allocs)
	}
}

func TestUnionOfKnownDoesNotAllocate(t *testing.T) {
	var c Clock
	c.AddRange(1, 1, 100)
	c.AddRange(1, 200, 300)
	c.AddRange(2, 1, 50)
	known := c.Clone()
	if allocs := testing.AllocsPerRun(100, func() { c.Union(known) }); allocs != 0 {
		t.Errorf("union with what is known takes %v allocations", allocs)
	}
}

func TestOf(t *testing.T) {
	dots := []Dot{{2, 1}, {1, 3}, {1, 1}, {1, 2}, {2, 1}, {9, 0}}
	c := Of(dots...)
	if got, want := c.String(), `{"0000000000000001":"1-3","0000000000000002":"1"}`; got != want {
		t.Errorf("Of = %s, want %s", got, want)
	}
	slices.Reverse(dots)
	if !c.Equal(Of(dots...)) {
		t.Error("order of dots matters")
	}
}
