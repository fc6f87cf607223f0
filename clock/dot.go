package clock

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxCounter is the highest counter of a dot. It leaves the top bit free, so that
// counter+1 never overflows in interval arithmetic.
const MaxCounter = 1<<63 - 1

// ErrMalformed is wrapped by every error of this package's parsers and decoders.
var ErrMalformed = errors.New("malformed clock data")

// Origin names one process lifetime that stamps dots. It is random, minted at the
// first local write of a process and never resumed, so a restored backup cannot
// issue a dot twice.
type Origin uint64

// String returns the origin as 16 lower-case hex digits.
func (o Origin) String() string {
	return string(o.appendHex(make([]byte, 0, 16)))
}

func (o Origin) appendHex(b []byte) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[o>>shift&15])
	}
	return b
}

// ParseOrigin reads what String writes, and only that.
func ParseOrigin(s string) (Origin, error) {
	if len(s) != 16 {
		return 0, fmt.Errorf("%w: origin %.40q is not 16 hex digits", ErrMalformed, s)
	}
	var o Origin
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			o = o<<4 | Origin(c-'0')
		case c >= 'a' && c <= 'f':
			o = o<<4 | Origin(c-'a'+10)
		default:
			return 0, fmt.Errorf("%w: origin %q is not 16 lower-case hex digits", ErrMalformed, s)
		}
	}
	return o, nil
}

// MarshalText implements [encoding.TextMarshaler] with the form of String, so that
// JSON never shows an origin as a number that a reader would round.
func (o Origin) MarshalText() ([]byte, error) { return o.appendHex(nil), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (o *Origin) UnmarshalText(b []byte) (err error) {
	*o, err = ParseOrigin(string(b))
	return err
}

// Dot names one write event: the Counter-th of its Origin. A dot names one byte
// string for ever.
type Dot struct {
	Origin  Origin
	Counter uint64 // 1..MaxCounter; 0 is no dot
}

// Valid reports whether the counter is within 1..MaxCounter.
func (d Dot) Valid() bool { return d.Counter-1 < MaxCounter }

// IsZero reports whether d is the zero Dot, which names nothing.
func (d Dot) IsZero() bool { return d == Dot{} }

// Compare orders dots by origin, then by counter: a total order without meaning in
// time, the same on every node.
func (d Dot) Compare(o Dot) int {
	if c := cmp.Compare(d.Origin, o.Origin); c != 0 {
		return c
	}
	return cmp.Compare(d.Counter, o.Counter)
}

// String returns "<origin>:<counter>", for example "0123456789abcdef:42".
func (d Dot) String() string { return string(d.appendText(make([]byte, 0, 36))) }

func (d Dot) appendText(b []byte) []byte {
	b = append(d.Origin.appendHex(b), ':')
	return strconv.AppendUint(b, d.Counter, 10)
}

// ParseDot reads what String writes, and only that; the dot must be valid.
func ParseDot(s string) (Dot, error) {
	origin, counter, ok := strings.Cut(s, ":")
	if !ok {
		return Dot{}, fmt.Errorf("%w: dot %.60q lacks a colon", ErrMalformed, s)
	}
	o, err := ParseOrigin(origin)
	if err != nil {
		return Dot{}, err
	}
	// ParseUint takes leading zeros: two spellings of one dot would be two keys.
	n, err := strconv.ParseUint(counter, 10, 63)
	if err != nil || n == 0 || counter[0] == '0' {
		return Dot{}, fmt.Errorf("%w: dot counter %.40q is not a number within 1..2^63-1", ErrMalformed, counter)
	}
	return Dot{Origin: o, Counter: n}, nil
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (d Dot) MarshalText() ([]byte, error) { return d.appendText(nil), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Dot) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDot(string(b))
	return err
}
