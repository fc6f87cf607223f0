package recall

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// osa is the distance of two words by the whole table.
func osa(a, b []rune) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0:
				d[i][j] = j
			case j == 0:
				d[i][j] = i
			default:
				other := d[i-1][j-1]
				if a[i-1] != b[j-1] {
					other++
				}
				d[i][j] = min(other, d[i-1][j]+1, d[i][j-1]+1)
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					d[i][j] = min(d[i][j], d[i-2][j-2]+1)
				}
			}
		}
	}
	return d[len(a)][len(b)]
}

// walkTo is where a word leads an automaton to.
func walkTo(n *nearby, word string) int {
	state := n.Start()
	for i := range len(word) {
		if state = n.Accept(state, word[i]); !n.CanMatch(state) {
			break
		}
	}
	return state
}

// TestNearby: the automaton takes just those that the table of distances says are near, for
// letters of one to four bytes.
func TestNearby(t *testing.T) {
	letters := []rune("abé中😀")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom(letters), 0, 9).Draw(t, "text")
		word := rapid.SliceOfN(rapid.SampledFrom(letters), 0, 9).Draw(t, "word")
		if rapid.Bool().Draw(t, "alike") { // two of their own are seldom near
			word = append([]rune(nil), text...)
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				at := rapid.IntRange(0, len(word)).Draw(t, "at")
				switch what := rapid.IntRange(0, 3).Draw(t, "what"); {
				case what == 0:
					word = append(word[:at:at], append([]rune{rapid.SampledFrom(letters).Draw(t, "more")}, word[at:]...)...)
				case at == len(word):
				case what == 1:
					word = append(word[:at:at], word[at+1:]...)
				case what == 2:
					word[at] = rapid.SampledFrom(letters).Draw(t, "other")
				case at > 0:
					word[at], word[at-1] = word[at-1], word[at]
				}
			}
		}
		distance := osa(text, word)
		same := rapid.IntRange(0, min(2, len(text))).Draw(t, "same")
		begins := len(word) >= same && slices.Equal(word[:same], text[:same])
		for most := 1; most <= maxDistance; most++ {
			n := newNearby(string(text), same, most)
			walkTo(n, string(text)) // the walk before
			got := n.IsMatch(walkTo(n, string(word)))
			if len(n.states) > len(string(word))+1 {
				t.Fatalf("%d states after %q", len(n.states), string(word))
			}
			if got != (begins && distance <= most) {
				t.Fatalf("%q and %q are %d apart, within %d and with %d the same: %t", string(text), string(word), distance, most, same, got)
			}
		}
	})
}

// TestNearbyBytes: what is not UTF-8 is a word like others, and no trouble.
func TestNearbyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNearby(rapid.String().Draw(t, "text"), 0, rapid.IntRange(1, maxDistance).Draw(t, "most"))
		n.IsMatch(walkTo(n, string(rapid.SliceOf(rapid.Byte()).Draw(t, "word"))))
	})
}
