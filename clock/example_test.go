package clock_test

import (
	"fmt"
	"time"

	"github.com/memd/memd/clock"
)

// A node that received dots 1, 2 and 5 knows exactly what it lacks of a peer.
func Example() {
	const origin clock.Origin = 0xa1
	var mine clock.Clock
	mine.Add(clock.Dot{Origin: origin, Counter: 1})
	mine.Add(clock.Dot{Origin: origin, Counter: 2})
	mine.Add(clock.Dot{Origin: origin, Counter: 5})

	var theirs clock.Clock
	theirs.AddRange(origin, 1, 6)

	fmt.Println("mine:   ", mine)
	fmt.Println("missing:", theirs.Minus(mine))
	// Output:
	// mine:    {"00000000000000a1":"1-2,5"}
	// missing: {"00000000000000a1":"3-4,6"}
}

// The order in which dots arrive leaves no trace: equal sets have equal hashes.
func ExampleClock_Union() {
	a := clock.Of(clock.Dot{Origin: 1, Counter: 1}, clock.Dot{Origin: 2, Counter: 9})
	b := clock.Of(clock.Dot{Origin: 1, Counter: 2})
	ab, ba := a.Clone(), b.Clone()
	ab.Union(b)
	ba.Union(a)
	fmt.Println(ab)
	fmt.Println(ab.Equal(ba), ab.Hash() == ba.Hash())
	// Output:
	// {"0000000000000001":"1-2","0000000000000002":"9"}
	// true true
}

func ExampleParseToken() {
	c := clock.Of(clock.Dot{Origin: 0xa1, Counter: 1}, clock.Dot{Origin: 0xa1, Counter: 3})
	token := c.Token()
	back, err := clock.ParseToken(token)
	fmt.Println(token, back.Equal(c), err)
	// Output: AQAAAAAAAAChAQEAAA true <nil>
}

func ExampleParseDot() {
	d, err := clock.ParseDot("0123456789abcdef:42")
	fmt.Println(d.Counter, d, err)
	// Output: 42 0123456789abcdef:42 <nil>
}

// A clock an hour fast poisons the keys it wrote, not the cluster.
func ExampleHLC() {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h := clock.NewHLC(0)
	foreign := clock.NewStamp(now.Add(time.Hour).UnixMilli(), 0)

	fmt.Println("future:", h.Observe(foreign, now))
	fmt.Println("successor sorts above:", h.Next(now, foreign) > foreign)
	fmt.Println("another key:", h.Next(now, 0).Time().Format(time.TimeOnly))
	// Output:
	// future: true
	// successor sorts above: true
	// another key: 03:04:05
}
