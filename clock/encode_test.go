package clock

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEncodingRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genModel.Draw(t, "m")
		c := m.clock()
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "prefix")
		tail := rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "tail")
		b := append(c.Append(bytes.Clone(prefix)), tail...)
		if !bytes.HasPrefix(b, prefix) {
			t.Fatal("Append overwrote what was there")
		}
		back, rest, err := Decode(b[len(prefix):])
		if err != nil || !bytes.Equal(rest, tail) {
			t.Fatalf("Decode: %v, rest %x, want %x", err, rest, tail)
		}
		check(t, back, m)
		back, err = ParseToken(c.Token())
		if err != nil || !back.Equal(c) {
			t.Fatalf("ParseToken: %v, %v != %v", err, back, c)
		}
	})
}

// TestDecodeAcceptsOnlyCanonical feeds bytes near valid encodings: what decodes must
// encode to the same bytes.
func TestDecodeAcceptsOnlyCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := genModel.Draw(t, "m").clock().Append(nil)
		for range rapid.IntRange(1, 3).Draw(t, "edits") {
			i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "edit") {
			case 0:
				b[i] = rapid.Byte().Draw(t, "byte")
			case 1:
				b = append(b[:i:i], append([]byte{rapid.Byte().Draw(t, "byte")}, b[i:]...)...)
			default:
				if len(b) > 1 {
					b = append(b[:i:i], b[i+1:]...)
				}
			}
		}
		checkDecode(t, b)
	})
}

func checkDecode(t interface {
	Helper()
	Fatalf(string, ...any)
}, b []byte) {
	t.Helper()
	c, rest, err := Decode(b)
	if err != nil {
		if !errors.Is(err, ErrMalformed) || rest != nil || !c.Empty() {
			t.Fatalf("error %v with clock %v and rest %x", err, c, rest)
		}
		return
	}
	if err := invariant(c); err != nil {
		t.Fatalf("decoded %x: %v", b, err)
	}
	if got := c.Append(nil); !bytes.Equal(got, b[:len(b)-len(rest)]) {
		t.Fatalf("decoded %x, encodes as %x", b[:len(b)-len(rest)], got)
	}
}

func TestDecodeRefuses(t *testing.T) {
	uv := func(vs ...uint64) (b []byte) {
		for _, v := range vs {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	id := func(o uint64) []byte { return binary.BigEndian.AppendUint64(nil, o) }
	for name, b := range map[string][]byte{
		"nothing":                 {},
		"count, nothing behind":   uv(1),
		"short origin":            cat(uv(1), id(1)[:7], uv(1, 0)),
		"empty entry":             cat(uv(1), id(1), uv(0, 0)),
		"equal origins":           cat(uv(2), id(1), uv(1, 0), id(1), uv(2, 0)),
		"origins descending":      cat(uv(2), id(2), uv(1, 0), id(1), uv(2, 0)),
		"long count":              cat([]byte{0x81, 0x00}, id(1), uv(1, 0)),
		"long base":               cat(uv(1), id(1), []byte{0x81, 0x00}, uv(0)),
		"base over limit":         cat(uv(1), id(1), uv(MaxCounter+1, 0)),
		"base of 65 bits":         cat(uv(1), id(1), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, uv(0)),
		"interval missing":        cat(uv(1), id(1), uv(1, 1)),
		"half interval":           cat(uv(1), id(1), uv(1, 1, 5)),
		"interval over limit":     cat(uv(1), id(1), uv(1, 1, 0, MaxCounter-2)),
		"gap over limit":          cat(uv(1), id(1), uv(1, 1, MaxCounter-2, 0)),
		"gap wraps":               cat(uv(1), id(1), uv(1, 1, math.MaxUint64, 0)),
		"sum of gap and end wrap": cat(uv(1), id(1), uv(MaxCounter, 1, MaxCounter, 0)),
		"size wraps":              cat(uv(1), id(1), uv(1, 1, 0, math.MaxUint64)),
		"above a full base":       cat(uv(1), id(1), uv(MaxCounter-1, 1, 0, 0)),
		"origins over limit":      cat(uv(MaxOrigins+1), make([]byte, 10*(MaxOrigins+1))),
		"intervals over limit":    cat(uv(1), id(1), uv(1, MaxIntervals+1), make([]byte, 2*(MaxIntervals+1))),
		"intervals over two":      cat(uv(2), id(1), uv(1, MaxIntervals), make([]byte, 2*MaxIntervals), id(2), uv(1, 1, 0, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			if c, _, err := Decode(b); !errors.Is(err, ErrMalformed) {
				t.Errorf("Decode = %v, %v", c, err)
			}
		})
	}
}

func TestDecodeAtTheLimits(t *testing.T) {
	var c Clock
	for o := range Origin(MaxOrigins) {
		c.AddRange(o<<50, 1, MaxCounter-10)
		for i := range uint64(MaxIntervals / MaxOrigins) {
			c.Add(Dot{o << 50, MaxCounter - 2*i})
		}
	}
	if c.Intervals() != MaxIntervals {
		t.Fatalf("%d intervals", c.Intervals())
	}
	token := c.Token()
	if back, err := ParseToken(token); err != nil || !back.Equal(c) {
		t.Fatalf("clock at the limits: %v", err)
	}
	if len(token) > MaxToken {
		t.Fatalf("token of %d bytes, MaxToken is %d", len(token), MaxToken)
	}
}

func TestParseTokenRefuses(t *testing.T) {
	good := Of(Dot{1, 1}, Dot{1, 2}, Dot{3, 7}).Token()
	for name, s := range map[string]string{
		"empty":          "",
		"padding":        good + "=",
		"newline":        good[:4] + "\n" + good[4:],
		"trailing":       good + "AAAA",
		"truncated":      good[:len(good)-2],
		"foreign":        "+" + good[1:],
		"oversized":      strings.Repeat("A", MaxToken+1),
		"trailing bits":  "AB", // decodes to the empty clock if the low bits are ignored
		"standard chars": "/w",
	} {
		if c, err := ParseToken(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if c, err := ParseToken("AA"); err != nil || !c.Empty() {
		t.Errorf("the empty clock: %v, %v", c, err)
	}
}

// TestGoldenEncoding pins the bytes: they are compared across versions of memd.
func TestGoldenEncoding(t *testing.T) {
	var c Clock
	c.AddRange(0x0123456789abcdef, 1, 300)
	c.AddRange(0x0123456789abcdef, 302, 302)
	c.AddRange(0x0123456789abcdef, 400, 500)
	c.AddRange(0xfedcba9876543210, 7, 9)
	const want = "02" + "0123456789abcdef" + "ac02" + "02" + "0000" + "6064" + "fedcba9876543210" + "00" + "01" + "0502"
	if got := hex.EncodeToString(c.Append(nil)); got != want {
		t.Errorf("encoding\n got %s\nwant %s", got, want)
	}
	if got, want := c.Token(), "AgEjRWeJq83vrAICAABgZP7cuph2VDIQAAEFAg"; got != want {
		t.Errorf("token %q, want %q", got, want)
	}
	if got, want := c.Hash(), uint64(0x805838201134c0fa); got != want {
		t.Errorf("hash %#x, want %#x", got, want)
	}
	b, err := json.Marshal(map[string]Clock{"clock": c})
	if want := `{"clock":{"0123456789abcdef":"1-300,302,400-500","fedcba9876543210":"7-9"}}`; err != nil || string(b) != want {
		t.Errorf("JSON %s, %v, want %s", b, err, want)
	}
	if got := (Clock{}).String(); got != "{}" {
		t.Errorf("empty clock prints %s", got)
	}
}

// TestSizes holds the encoding to the cost model: 12 bytes per dense origin.
func TestSizes(t *testing.T) {
	for _, n := range []int{3, 10, 32, 100} {
		var c Clock
		for o := range n {
			c.AddRange(Origin(o)<<32, 1, 10_000)
		}
		if got := len(c.Append(nil)); got > 1+12*n {
			t.Errorf("%d dense origins take %d bytes", n, got)
		}
	}
}
