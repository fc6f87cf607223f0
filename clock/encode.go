package clock

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Limits of a decoded clock. A clock of a hundred nodes has a few hundred origins
// and intervals; these bounds only keep a hostile peer from filling memory. Append
// does not enforce them: storage refuses to grow that ragged long before.
const (
	MaxOrigins   = 16384
	MaxIntervals = 1 << 16 // over all origins
)

// MaxEncoded bounds the bytes of an encoding within the limits above.
const MaxEncoded = 3 + MaxOrigins*(8+9+3) + MaxIntervals*18

// MaxToken bounds the text of a token.
var MaxToken = base64.RawURLEncoding.EncodedLen(MaxEncoded)

// Append appends the canonical encoding of c to b: uvarint number of origins, then per
// origin, ascending, 8 bytes big-endian id, uvarint base, uvarint number of intervals,
// and per interval two uvarints: the distance from the run before it, less the 2 that
// a distance has at least, and its length less 1.
func (c Clock) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(c.entries)))
	for i := range c.entries {
		e := &c.entries[i]
		b = binary.BigEndian.AppendUint64(b, uint64(e.origin))
		b = binary.AppendUvarint(b, e.base)
		b = binary.AppendUvarint(b, uint64(len(e.above)))
		end := e.base
		for _, iv := range e.above {
			b = binary.AppendUvarint(b, iv.Lo-end-2)
			b = binary.AppendUvarint(b, iv.Hi-iv.Lo)
			end = iv.Hi
		}
	}
	return b
}

// Decode reads one encoded clock from the front of b and returns what follows it.
// It refuses whatever Append would not have written (a second spelling of one set
// would have a second hash) and everything beyond the limits. Errors wrap
// [ErrMalformed].
func Decode(b []byte) (c Clock, rest []byte, err error) {
	d := decoder{rest: b}
	origins := d.count("origins", MaxOrigins, 10)
	if origins > 0 {
		c.entries = make([]entry, 0, origins)
	}
	intervals := 0
	for range origins {
		e := entry{origin: d.origin()}
		if n := len(c.entries); n > 0 && e.origin <= c.entries[n-1].origin {
			d.fail("origins out of order")
		}
		if e.base = d.uvarint(); e.base > MaxCounter {
			d.fail("counter out of range")
		}
		n := d.count("intervals", MaxIntervals-intervals, 2)
		intervals += n
		if e.base == 0 && n == 0 {
			d.fail("empty entry")
		}
		if n > 0 {
			e.above = make([]Interval, 0, n)
		}
		end := e.base
		for range n {
			gap, size := d.uvarint(), d.uvarint()
			// Compared by what is left, because the sums could pass 2^64.
			if end > MaxCounter-2 || gap > MaxCounter-2-end || size > MaxCounter-2-end-gap {
				d.fail("counter out of range")
				break
			}
			lo := end + 2 + gap
			end = lo + size
			e.above = append(e.above, Interval{lo, end})
		}
		if d.err != nil {
			return Clock{}, nil, d.err
		}
		c.entries = append(c.entries, e)
	}
	if d.err != nil {
		return Clock{}, nil, d.err
	}
	return c, d.rest, nil
}

// decoder keeps the first error, so that Decode reads like the format.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(problem string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, problem)
		d.rest = nil
	}
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("truncated or oversized number")
		return 0
	}
	if n > 1 && d.rest[n-1] == 0 {
		d.fail("number not in its shortest form")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads a number of things of at least size bytes each; one that cannot fit
// into what is left is refused before memory is taken for it.
func (d *decoder) count(what string, limit, size int) int {
	v := d.uvarint()
	if v > uint64(limit) {
		d.fail("too many " + what)
		return 0
	}
	if v > uint64(len(d.rest)/size) {
		d.fail("truncated " + what)
		return 0
	}
	return int(v)
}

func (d *decoder) origin() Origin {
	if len(d.rest) < 8 {
		d.fail("truncated origin")
		return 0
	}
	o := Origin(binary.BigEndian.Uint64(d.rest))
	d.rest = d.rest[8:]
	return o
}

// Hash returns the first 8 bytes of the SHA-256 of the encoding: equal for equal
// sets on every node.
func (c Clock) Hash() uint64 {
	var buf [512]byte
	sum := sha256.Sum256(c.Append(buf[:0]))
	return binary.BigEndian.Uint64(sum[:8])
}

// Token returns the encoding as unpadded base64url: safe in a URL or a header, and
// opaque to clients.
func (c Clock) Token() string {
	var buf [512]byte
	return base64.RawURLEncoding.EncodeToString(c.Append(buf[:0]))
}

// ParseToken reads what Token writes, and only that.
func ParseToken(s string) (Clock, error) {
	if len(s) > MaxToken {
		return Clock{}, fmt.Errorf("%w: token of %d bytes is too long", ErrMalformed, len(s))
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return Clock{}, fmt.Errorf("%w: token is not base64url: %w", ErrMalformed, err)
	}
	// The decoder skips line breaks: they would be a second spelling.
	if base64.RawURLEncoding.EncodedLen(len(b)) != len(s) {
		return Clock{}, fmt.Errorf("%w: token holds foreign characters", ErrMalformed)
	}
	c, rest, err := Decode(b)
	if err != nil {
		return Clock{}, err
	}
	if len(rest) > 0 {
		return Clock{}, fmt.Errorf("%w: %d bytes behind the clock", ErrMalformed, len(rest))
	}
	return c, nil
}

// MarshalJSON writes the clock for human eyes: {"<origin>":"1-20,22,30-31"}. Programs
// exchange tokens, so there is no way back.
func (c Clock) MarshalJSON() ([]byte, error) { return c.appendJSON(nil), nil }

// String returns the form of MarshalJSON.
func (c Clock) String() string { return string(c.appendJSON(nil)) }

func (c Clock) appendJSON(b []byte) []byte {
	b = append(b, '{')
	for i := range c.entries {
		e := &c.entries[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(e.origin.appendHex(b), '"', ':', '"')
		for r := range e.runs() {
			if r > 0 {
				b = append(b, ',')
			}
			iv := e.run(r)
			b = strconv.AppendUint(b, iv.Lo, 10)
			if iv.Hi > iv.Lo {
				b = append(b, '-')
				b = strconv.AppendUint(b, iv.Hi, 10)
			}
		}
		b = append(b, '"')
	}
	return append(b, '}')
}
