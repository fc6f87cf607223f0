package recall

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// cutText is a text in pieces that meet in all ways.
func cutText(t *rapid.T) string {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{" ", "the", "Straße", "ships", "pkg.NewServer_v2", "HTTPServer's", "ﬁne", "東京都", "カタカナ", "한국어", "k8s", "ＡＢ１", "é", "e\u0301", "'", "’s", "-", ".",
			"_", "Ⱥx", "ΣΑΣ", "\u200d", "\xff", strings.Repeat("long", 17), strings.Repeat("長い", 40)}),
		rapid.StringMatching(`[A-Za-z0-9_.' -]{1,12}`), rapid.StringN(1, 6, -1))
	return strings.Join(rapid.SliceOfN(piece, 0, 20).Draw(t, "pieces"), rapid.SampledFrom([]string{"", " "}).Draw(t, "between"))
}

// TestCutter: a cutter says what the analyzer says that a query is taken apart by, also of what
// it has seen before.
func TestCutter(t *testing.T) {
	c := newCutter()
	rapid.Check(t, func(t *rapid.T) {
		text := cutText(t)
		for range 2 {
			var gotWords, gotStems, wantWords, wantStems []string
			for _, ws := range c.cut(text) {
				for _, w := range ws {
					gotWords, gotStems = append(gotWords, w.text), append(gotStems, w.stem)
				}
			}
			for _, token := range words.Analyze([]byte(text)) {
				wantWords = append(wantWords, string(token.Term))
				wantStems = append(wantStems, stem(string(token.Term)))
			}
			if !slices.Equal(gotWords, wantWords) {
				t.Fatalf("words of %q: %q, want %q", text, gotWords, wantWords)
			}
			if !slices.Equal(gotStems, wantStems) {
				t.Fatalf("stems of %q: %q, want %q", text, gotStems, wantStems)
			}
		}
	})
}

// TestCutterForgets: it does not grow without end.
func TestCutterForgets(t *testing.T) {
	c := newCutter()
	for i := range 2 * maxKnown {
		c.cut(spelled(uint64(i))) // #nosec G115 -- positive
		if c.size > maxKnown || len(c.known) > c.size {
			t.Fatalf("%d words in %d entries after %d texts", c.size, len(c.known), i)
		}
	}
}
