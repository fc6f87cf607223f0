package wire

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/memd/memd/clock"
	"pgregory.net/rapid"
)

func samePage(t testing.TB, want, got *Page) {
	t.Helper()
	if !bytes.Equal(want.Head.append(nil), got.Head.append(nil)) {
		t.Errorf("head: got %+v, want %+v", got.Head, want.Head)
	}
	sameRows(t, want.Rows, got.Rows)
	if !want.Withheld.Equal(got.Withheld) {
		t.Errorf("withheld: got %v, want %v", got.Withheld, want.Withheld)
	}
	if !want.Tail.Covers.Equal(got.Tail.Covers) || want.Tail.Complete != got.Tail.Complete {
		t.Errorf("tail: got %+v, want %+v", got.Tail, want.Tail)
	}
}

func sameRows(t testing.TB, want, got [][]byte) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(want[i], got[i]) {
			t.Errorf("row %d differs", i)
		}
	}
}

func TestPageRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := genPage(rt)
		b := pageBytes(t, p)
		l, err := p.layout()
		if err != nil || l.size != int64(len(b)) {
			rt.Fatalf("measured %d bytes (%v), wrote %d", l.size, err, len(b))
		}
		var r io.Reader = bytes.NewReader(b)
		if rapid.Bool().Draw(rt, "in pieces") {
			r = iotest.DataErrReader(iotest.HalfReader(r))
		}
		got, err := ReadPage(r, int64(len(b)))
		if err != nil {
			rt.Fatal(err)
		}
		samePage(t, p, got)
		if got.Tail.Rows != len(p.Rows) {
			rt.Fatalf("tail counts %d rows", got.Tail.Rows)
		}
	})
}

// Edge case 43: an end that came too soon must never look like one.
func TestPageTruncatedAnywhere(t *testing.T) {
	p := fixedPage()
	b := pageBytes(t, p)
	for cut := range len(b) {
		got, err := ReadPage(bytes.NewReader(b[:cut]), 0)
		if !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if got == nil || !got.Tail.Covers.Empty() || got.Tail.Complete || !got.Withheld.Empty() {
			t.Fatalf("cut at %d: a truncated page proves something: %+v", cut, got)
		}
		sameRows(t, p.Rows[:len(got.Rows)], got.Rows)
	}
	// Just before WITHHELD and TAIL all rows are usable.
	l, err := p.layout()
	if err != nil {
		t.Fatal(err)
	}
	end := len(l.head)
	for _, row := range p.Rows {
		end += frameLen(len(row))
	}
	got, _ := ReadPage(bytes.NewReader(b[:end]), 0)
	sameRows(t, p.Rows, got.Rows)
	if got.Head.Name != "n1" {
		t.Error("head of a truncated page is gone")
	}
}

func TestPageTransportError(t *testing.T) {
	b := pageBytes(t, fixedPage())
	reset := errors.New("connection reset")
	for _, cut := range []int{0, 10, len(b) - 1, len(b)} {
		r := io.MultiReader(bytes.NewReader(b[:cut]), iotest.ErrReader(reset))
		got, err := ReadPage(r, 0)
		if got == nil || !errors.Is(err, ErrTruncated) || !errors.Is(err, reset) || !got.Tail.Covers.Empty() {
			t.Errorf("cut at %d: %+v, %v", cut, got, err)
		}
	}
}

// Every flipped bit is seen: nothing damaged ever comes out as a whole page, and of a
// page that looks truncated (a damaged length) only undamaged rows come out.
func TestPageFlippedBits(t *testing.T) {
	p := fixedPage()
	b := pageBytes(t, p)
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			got, err := ReadPage(bytes.NewReader(c), 0)
			switch {
			case err == nil:
				t.Fatalf("byte %d bit %d: damage not seen", i, bit)
			case errors.Is(err, ErrTruncated):
				if !got.Tail.Covers.Empty() || len(got.Rows) > len(p.Rows) {
					t.Fatalf("byte %d bit %d: %+v", i, bit, got)
				}
				sameRows(t, p.Rows[:len(got.Rows)], got.Rows)
			case got != nil:
				t.Fatalf("byte %d bit %d: something usable beside %v", i, bit, err)
			}
		}
	}
}

// raw builds pages that WritePage would not.
type raw struct{ b []byte }

func (r *raw) frame(typ byte, payload []byte) *raw {
	r.b = appendFrame(r.b, typ, payload)
	return r
}

func (r *raw) tail(t Tail) []byte {
	t.CRC = crc32.Checksum(r.b, castagnoli)
	return appendFrame(r.b, frameTail, t.append(nil))
}

func newRaw() *raw {
	h := fixedPage().Head
	return new(raw).frame(frameHead, h.append(nil))
}

func TestPageUnknownFramesAndFields(t *testing.T) {
	h := fixedPage().Head
	head := appendBytes(appendUint(h.append(nil), 900, 5), 901, []byte("new"))
	b := new(raw).frame(frameHead, head).frame('Z', bytes.Repeat([]byte("z"), 100_000)).frame(frameRow, []byte("row")).frame('Y', nil)
	whole := b.tail(Tail{Rows: 1, Bytes: 3})
	got, err := ReadPage(bytes.NewReader(whole), 0)
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, [][]byte{[]byte("row")}, got.Rows)

	// They are part of the checksums: of their frame, and of the page.
	at := bytes.Index(whole, []byte("zzz"))
	damaged := bytes.Clone(whole)
	damaged[at]++
	if _, err := ReadPage(bytes.NewReader(damaged), 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("damaged unknown frame: %v", err)
	}
	other := new(raw).frame(frameHead, head).frame('Z', bytes.Repeat([]byte("y"), 100_000)).frame(frameRow, []byte("row")).frame('Y', nil)
	tail := whole[len(b.b):]
	if _, err := ReadPage(bytes.NewReader(append(other.b, tail...)), 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another frame of the same length: %v", err)
	}
}

func TestPageRefused(t *testing.T) {
	row := []byte("row")
	alien := clock.Of(clock.Dot{Origin: 77, Counter: 1})
	second := fixedPage().Head
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"no head":             {new(raw).frame(frameRow, row).tail(Tail{Rows: 1, Bytes: 3}), ErrMalformed},
		"two heads":           {newRaw().frame(frameHead, second.append(nil)).tail(Tail{}), ErrMalformed},
		"empty row":           {newRaw().frame(frameRow, nil).tail(Tail{Rows: 1}), ErrMalformed},
		"row count":           {newRaw().frame(frameRow, row).tail(Tail{Rows: 2, Bytes: 3}), ErrMalformed},
		"byte count":          {newRaw().frame(frameRow, row).tail(Tail{Rows: 1, Bytes: 4}), ErrMalformed},
		"row left out":        {append(newRaw().b, newRaw().frame(frameRow, row).tail(Tail{Rows: 1, Bytes: 3})[len(newRaw().frame(frameRow, row).b):]...), ErrCorrupt},
		"trailing byte":       {append(newRaw().tail(Tail{}), 0), ErrMalformed},
		"trailing page":       {append(newRaw().tail(Tail{}), newRaw().tail(Tail{})...), ErrMalformed},
		"covers too much":     {newRaw().tail(Tail{Covers: alien}), ErrMalformed},
		"tail without sum":    {appendFrame(newRaw().b, frameTail, nil), ErrMalformed},
		"head without proto":  {new(raw).frame(frameHead, nil).tail(Tail{}), ErrMalformed},
		"head: cut field":     {new(raw).frame(frameHead, []byte{0x08}).tail(Tail{}), ErrMalformed},
		"head: wrong type":    {new(raw).frame(frameHead, []byte{0x0d, 1, 2, 3, 4}).tail(Tail{}), ErrMalformed},
		"head: field zero":    {new(raw).frame(frameHead, []byte{0x00}).tail(Tail{}), ErrMalformed},
		"head: short cluster": {new(raw).frame(frameHead, appendBytes(nil, 2, []byte("short"))).tail(Tail{}), ErrMalformed},
		"head: bad name":      {new(raw).frame(frameHead, appendBytes(nil, 3, []byte("a b"))).tail(Tail{}), ErrMalformed},
		"head: bad clock":     {new(raw).frame(frameHead, appendBytes(nil, 6, []byte{1, 2})).tail(Tail{}), ErrMalformed},
		"head: behind clock":  {new(raw).frame(frameHead, appendBytes(nil, 6, []byte{0, 0})).tail(Tail{}), ErrMalformed},
		"withheld: bad clock": {newRaw().frame(frameWithheld, appendBytes(nil, 1, []byte{9})).tail(Tail{}), ErrMalformed},
		"long length form":    {[]byte{'H', 0x81, 0x00, 0, 0, 0, 0, 0}, ErrMalformed},
		"huge frame":          {append(newRaw().b, 'R', 0xff, 0xff, 0xff, 0x7f), ErrTooLarge},
		"endless length":      {append(newRaw().b, 'R', 0xff, 0xff, 0xff, 0xff, 0xff), ErrTooLarge},
		"huge head":           {[]byte{'H', 0x81, 0x80, 0x80, 0x01}, ErrTooLarge},
	} {
		p, err := ReadPage(bytes.NewReader(c.b), 0)
		if p != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: page %v, error %v, want %v", name, p != nil, err, c.want)
		}
	}
}

func TestPageLimit(t *testing.T) {
	b := pageBytes(t, fixedPage())
	if _, err := ReadPage(bytes.NewReader(b), int64(len(b))-1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte over the limit: %v", err)
	}
	if _, err := ReadPage(bytes.NewReader(b), int64(len(b))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

// A length by itself takes no memory: 16 MiB claimed, a few bytes sent.
func TestFrameLengthTakesNoMemory(t *testing.T) {
	b := append(newRaw().b, 'R', 0x80, 0x80, 0x80, 0x08, 'x', 'y')
	got := allocated(func() {
		if _, err := ReadPage(bytes.NewReader(b), 0); !errors.Is(err, ErrTruncated) {
			t.Error(err)
		}
	})
	if got > 1<<20 {
		t.Errorf("%d bytes allocated for a frame that never came", got)
	}
}

// allocated returns the bytes that f allocates, at the least of a few runs.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// A page costs about its size in memory, once.
func TestReadPageMemory(t *testing.T) {
	for _, size := range []int{100, 1000, 60_000, 300_000} {
		p := fixedPage()
		p.Rows = nil
		for total := 0; total < 4<<20; total += size {
			p.Rows = append(p.Rows, bytes.Repeat([]byte{1}, size))
		}
		b := pageBytes(t, p)
		got := allocated(func() {
			if _, err := ReadPage(bytes.NewReader(b), 0); err != nil {
				t.Error(err)
			}
		})
		t.Logf("rows of %d: page of %d bytes, %d allocated", size, len(b), got)
		if got > uint64(len(b))*5/2+1<<20 {
			t.Errorf("rows of %d: page of %d bytes took %d", size, len(b), got)
		}
	}
}

func TestWritePageRefuses(t *testing.T) {
	big := make([]byte, MaxFrame+1)
	for name, c := range map[string]struct {
		rows [][]byte
		want error
	}{
		"empty row": {[][]byte{{}}, ErrMalformed},
		"huge row":  {[][]byte{big}, ErrTooLarge},
		"huge page": {[][]byte{big[1:], big[1:], big[1:], big[1:]}, ErrTooLarge},
	} {
		p := fixedPage()
		p.Rows = c.rows
		var out bytes.Buffer
		if err := WritePage(&out, p); !errors.Is(err, c.want) || out.Len() > 0 {
			t.Errorf("%s: %v, %d bytes written", name, err, out.Len())
		}
	}
}

func TestWritePageError(t *testing.T) {
	if err := WritePage(iotestErrWriter{}, fixedPage()); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

type iotestErrWriter struct{}

func (iotestErrWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
