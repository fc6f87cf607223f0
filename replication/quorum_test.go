package replication

import (
	"errors"
	"math/bits"
	"testing"

	"github.com/memd/memd/memory"
	"pgregory.net/rapid"
)

func TestNeeded(t *testing.T) {
	for _, c := range []struct {
		configured, n, override, want int
		field                         string
	}{
		{0, 1, 0, 1, ""}, {0, 2, 0, 2, ""}, {0, 3, 0, 2, ""}, {0, 4, 0, 3, ""}, {0, 5, 0, 3, ""},
		{1, 3, 0, 1, ""}, {3, 3, 0, 3, ""}, {4, 3, 0, 0, "quorum-writes"}, {-1, 3, 0, 0, "quorum-writes"},
		{0, 3, 1, 1, ""}, {0, 3, 3, 3, ""}, {0, 3, 4, 0, "w"}, {0, 3, -1, 0, "w"},
		{4, 3, 2, 2, ""}, // one request may ask for what can be had
	} {
		got, err := Needed(c.configured, c.n, c.override)
		var fe *memory.FieldError
		if errors.As(err, &fe) != (c.field != "") || fe != nil && fe.Field != c.field || got != c.want {
			t.Errorf("Needed(%d, %d, %d) = %d, %v; want %d, field %q", c.configured, c.n, c.override, got, err, c.want, c.field)
		}
	}
	if _, err := Needed(0, 0, 1); !errors.Is(err, memory.ErrUnavailable) {
		t.Errorf("without members: %v", err)
	}
}

// TestMajorityIsTheSmallestThatMeets tries all pairs of groups.
func TestMajorityIsTheSmallestThatMeets(t *testing.T) {
	meets := func(n, size int) bool {
		for x := range 1 << n {
			for y := range 1 << n {
				if bits.OnesCount(uint(x)) == size && bits.OnesCount(uint(y)) == size && x&y == 0 {
					return false
				}
			}
		}
		return true
	}
	for n := 1; n <= 6; n++ {
		want := 1
		for !meets(n, want) {
			want++
		}
		if got := Majority(n); got != want {
			t.Errorf("Majority(%d) = %d, want %d", n, got, want)
		}
	}
	if Majority(0) != 0 || Majority(-3) != 0 {
		t.Error("Majority of nothing")
	}
}

func TestNeededTwin(t *testing.T) {
	twin := func(configured, n, override int) (int, bool) {
		if n <= 0 {
			return 0, false
		}
		w := configured
		if override != 0 {
			w = override
		}
		if w == 0 {
			for w = 1; 2*w <= n; {
				w++
			}
		}
		for possible := 1; possible <= n; possible++ {
			if possible == w {
				return w, true
			}
		}
		return 0, false
	}
	rapid.Check(t, func(t *rapid.T) {
		configured, n, override := rapid.IntRange(-2, 12).Draw(t, "configured"), rapid.IntRange(-1, 10).Draw(t, "n"), rapid.IntRange(-2, 12).Draw(t, "override")
		got, err := Needed(configured, n, override)
		if want, ok := twin(configured, n, override); got != want || ok != (err == nil) {
			t.Fatalf("Needed(%d, %d, %d) = %d, %v; want %d, %v", configured, n, override, got, err, want, ok)
		}
	})
}
