package clock

import (
	"testing"
)

// The seeds are under testdata/fuzz; "go test" runs them each time.

func FuzzDecodeClock(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		checkDecode(t, b)
		c, _, err := Decode(b)
		if err != nil {
			return
		}
		back, err := ParseToken(c.Token())
		if err != nil || !back.Equal(c) {
			t.Fatalf("token of %v comes back as %v, %v", c, back, err)
		}
		// What was decoded can be worked with.
		u := c.Clone()
		u.Union(back)
		if !u.Equal(c) || !c.Minus(back).Empty() || !c.Intersect(back).Equal(c) || !c.Covers(back) {
			t.Fatalf("operations on %v disagree", c)
		}
		for o, iv := range c.Ranges() {
			d := Dot{o, iv.Hi}
			if !u.Remove(d) || u.Covers(c) || !u.Add(d) {
				t.Fatalf("removing and adding %v", d)
			}
		}
		if err := invariant(u); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseToken(s)
		if err != nil {
			return
		}
		if err := invariant(c); err != nil {
			t.Fatal(err)
		}
		if c.Token() != s {
			t.Fatalf("token %q is a second spelling of %q", s, c.Token())
		}
	})
}

func FuzzParseDot(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDot(s)
		if err != nil {
			return
		}
		if !d.Valid() || d.String() != s {
			t.Fatalf("dot %q is a second spelling of %q", s, d)
		}
	})
}
