package memory

import (
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Masks of eight bytes at once.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func load8(s string, i int) uint64 {
	_ = s[i+7]
	return uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
		uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
}

// zeroes has a high bit set if some byte of w is zero. It may also set it above such a byte, never where there is none.
func zeroes(w uint64) uint64 { return (w - ones) &^ w & highs }

// ValidateText accepts what a memory may say: valid UTF-8, no control character but newline and tab.
func ValidateText(field, s string) error { return checkText(field, s) }

// ValidateQuery is ValidateText for what to look for, with its own bound.
func ValidateQuery(field, s string) error {
	if len(s) > MaxQuery {
		return fieldErrorf(field, "must have at most %d bytes", MaxQuery)
	}
	return checkText(field, s)
}

// checkText is the "clean" rule: valid UTF-8, no control character but newline and tab, no noncharacter.
func checkText(field, s string) error {
	for i := 0; i < len(s); {
		for i+8 <= len(s) { // printable ASCII, eight at a time
			w := load8(s, i)
			if (w|(w-ones*0x20)|zeroes(w^ones*0x7f))&highs != 0 {
				break
			}
			i += 8
		}
		if i == len(s) {
			break
		}
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
				return fieldErrorf(field, "must not contain control characters")
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return fieldErrorf(field, "must be valid UTF-8")
		case r < 0xa0:
			return fieldErrorf(field, "must not contain control characters")
		case r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef:
			return fieldErrorf(field, "must not contain Unicode noncharacters")
		}
		i += n
	}
	return nil
}

// AppendString appends s as a JSON string with as few escapes as possible and none for HTML. Invalid UTF-8 becomes U+FFFD, so it is
// for text that has been checked.
func AppendString(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		dst, _ = jsontext.AppendQuote(dst, s)
		return dst
	}
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		if i+8 <= len(s) {
			w := load8(s, i)
			// A byte from 0x80 up belongs to a valid rune and needs no escape.
			if ((w-ones*0x20)&^w|zeroes(w^ones*'"')|zeroes(w^ones*'\\'))&highs == 0 {
				i += 8
				continue
			}
		}
		for end := min(i+8, len(s)); i < end; i++ {
			if c := s[i]; c < ' ' || c == '"' || c == '\\' {
				dst = append(dst, s[from:i]...)
				dst = appendEscape(dst, c)
				from = i + 1
			}
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		const digits = "0123456789abcdef"
		return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
	}
}
