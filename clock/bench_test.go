package clock

import (
	"testing"
	"time"
)

// live is the shape of a healthy cluster's clock: five origins, a little reordering.
func live() Clock {
	var c Clock
	for o := range Origin(5) {
		id := (o + 1) * 0x1234567890ab
		c.AddRange(id, 1, 100_000)
		c.AddRange(id, 100_002, 100_010)
		c.AddRange(id, 100_013, 100_013)
	}
	return c
}

// ragged is one origin with many holes, at the soft cap of intervals.
func ragged(from uint64) Clock {
	var c Clock
	for i := range uint64(1024) {
		c.AddRange(1, from+10*i, from+10*i+4)
	}
	return c
}

func BenchmarkAddNext(b *testing.B) {
	var c Clock
	for o := range Origin(5) {
		c.AddRange(o, 1, 1000)
	}
	b.ReportAllocs()
	n := uint64(1000)
	for b.Loop() {
		n++
		c.Add(Dot{3, n})
	}
}

func BenchmarkAddOutOfOrder(b *testing.B) {
	c := live()
	id := Origin(3 * 0x1234567890ab)
	b.ReportAllocs()
	n := uint64(200_000)
	for b.Loop() {
		n += 2
		c.Add(Dot{id, n})
		c.Add(Dot{id, n - 1})
	}
}

func BenchmarkContains(b *testing.B) {
	c := live()
	id := Origin(3 * 0x1234567890ab)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		c.Contains(Dot{id, 100_000 + n&15})
		n++
	}
}

func BenchmarkUnion(b *testing.B) {
	b.Run("live", func(b *testing.B) { benchUnion(b, live(), Of(Dot{5 * 0x1234567890ab, 100_011})) })
	b.Run("ragged", func(b *testing.B) { benchUnion(b, ragged(2), ragged(7)) })
}

func benchUnion(b *testing.B, x, y Clock) {
	b.ReportAllocs()
	for b.Loop() {
		c := x.Clone()
		c.Union(y)
	}
}

func BenchmarkMinus(b *testing.B) {
	b.Run("live", func(b *testing.B) { benchMinus(b, live(), live()) })
	b.Run("ragged", func(b *testing.B) { benchMinus(b, ragged(2), ragged(5)) })
}

func benchMinus(b *testing.B, x, y Clock) {
	b.ReportAllocs()
	for b.Loop() {
		x.Minus(y)
	}
}

func BenchmarkCovers(b *testing.B) {
	x, y := ragged(2), ragged(2)
	b.ReportAllocs()
	for b.Loop() {
		x.Covers(y)
	}
}

func BenchmarkAppend(b *testing.B) {
	c := live()
	buf := c.Append(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = c.Append(buf[:0])
	}
}

func BenchmarkDecode(b *testing.B) {
	buf := live().Append(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, _, err := Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	c := live()
	b.ReportAllocs()
	for b.Loop() {
		c.Hash()
	}
}

func BenchmarkHLCNext(b *testing.B) {
	h := NewHLC(0)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		h.Next(now, 0)
	}
}
