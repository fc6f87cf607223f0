package main

import "testing"

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "a\nb\tc": "a b c", "a\u2028b\u2029c": "a b c", "pay \u202e001\u202c $": "pay \ufffd001\ufffd $",
		"\u2066x\u2069\u200f": "\ufffdx\ufffd\ufffd", "👩\u200d💻 é": "👩\u200d💻 é", "\u05e9\u05dc\u05d5\u05dd": "\u05e9\u05dc\u05d5\u05dd",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}
