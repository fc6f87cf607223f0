package clock

import (
	"encoding/json"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestDotText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Dot{Origin(rapid.Uint64().Draw(t, "origin")), rapid.Uint64Range(1, MaxCounter).Draw(t, "counter")}
		back, err := ParseDot(d.String())
		if err != nil || back != d {
			t.Fatalf("ParseDot(%q) = %v, %v", d, back, err)
		}
		o, err := ParseOrigin(d.Origin.String())
		if err != nil || o != d.Origin {
			t.Fatalf("ParseOrigin(%q) = %v, %v", d.Origin, o, err)
		}
		type body struct {
			Dot    Dot
			Origin Origin
		}
		b, err := json.Marshal(body{d, d.Origin})
		if err != nil {
			t.Fatal(err)
		}
		var again body
		if err := json.Unmarshal(b, &again); err != nil || again != (body{d, d.Origin}) {
			t.Fatalf("JSON %s came back as %v, %v", b, again, err)
		}
	})
}

func TestDotCompare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genDot.Draw(t, "a"), genDot.Draw(t, "b")
		want := 0
		switch {
		case a.Origin < b.Origin, a.Origin == b.Origin && a.Counter < b.Counter:
			want = -1
		case a != b:
			want = 1
		}
		if a.Compare(b) != want || b.Compare(a) != -want {
			t.Fatalf("Compare(%v, %v) = %d, want %d", a, b, a.Compare(b), want)
		}
	})
}

func TestParseDotRefuses(t *testing.T) {
	for _, s := range []string{
		"", ":", "0123456789abcdef", "0123456789abcdef:", "0123456789abcdef:0", "0123456789abcdef:01",
		"0123456789abcdef:+1", "0123456789abcdef:-1", "0123456789abcdef: 1", "0123456789abcdef:1 ", "0123456789abcdef:1_0",
		"0123456789abcdef:9223372036854775808", "0123456789ABCDEF:1", "123456789abcdef:1", "00123456789abcdef:1",
		"0x23456789abcdef:1", "0123456789abcdef:1:2", "0123456789abcdef:1a",
	} {
		var d Dot
		if err := d.UnmarshalText([]byte(s)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q parsed as %v, %v", s, d, err)
		}
	}
	if d, err := ParseDot("0123456789abcdef:9223372036854775807"); err != nil || d.Counter != MaxCounter {
		t.Errorf("highest dot: %v, %v", d, err)
	}
	if (Dot{}).Valid() || !(Dot{}).IsZero() || (Dot{0, 1}).IsZero() {
		t.Error("the zero dot is no dot")
	}
}
