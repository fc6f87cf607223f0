package memory

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

// TestTextAgainstDumbTwins compares the word-at-a-time loops with the obvious ones.
func TestTextAgainstDumbTwins(t *testing.T) {
	pieces := []string{
		"a", "plain text", "\n", "\t", "\"", "\\", "\x00", "\x1f", "\x7f", "\u0080", "\u009f", "\u00a0", "é", "😀", "\u2028", "\ufffd", "\ufffe", "\ufdd0",
		"\U0001ffff", "\xff", "\xc3", "\xed\xa0\x80", "        ", "!#[]~", "\b\f\r",
	}
	rapid.Check(t, func(t *rapid.T) {
		s := ""
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(pieces)-1), 0, 12).Draw(t, "pieces") {
			s += pieces[i]
		}
		want, _ := jsontext.AppendQuote([]byte("x"), s)
		if got := AppendString([]byte("x"), s); string(got) != string(want) {
			t.Fatalf("%q: %s, want %s", s, got, want)
		}
		clean := utf8.ValidString(s)
		for _, r := range s {
			non := r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef
			clean = clean && (!unicode.IsControl(r) || r == '\n' || r == '\t') && !non
		}
		if got := checkText("f", s); (got == nil) != clean {
			t.Fatalf("%q: %v, want clean=%t", s, got, clean)
		}
	})
}
