package wire

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/memd/memd/clock"
)

// Page is one answer to a pull: HEAD, ROW frames, at most one WITHHELD, TAIL.
type Page struct {
	Head Head
	Rows [][]byte // encoded records
	// Withheld are dots that a policy hides from this caller: neither seen nor to be
	// asked for again here.
	Withheld clock.Clock
	Tail     Tail // of a page to be written only Covers and Complete are looked at

	// Filled in by Client.Since, for metrics.
	WireBytes int64 // body of the answer as received, that is compressed
	SentBytes int64 // query and body of the request
}

// layout is a page ready to be written: what must be known before the first byte.
type layout struct {
	head, withheld []byte // frames; withheld may be empty
	rows           [][]byte
	tail           Tail // but for the CRC, which has a fixed size
	size           int64
}

// layout checks p and measures it.
func (p *Page) layout() (*layout, error) {
	l := &layout{
		head: appendFrame(nil, frameHead, p.Head.append(nil)),
		rows: p.Rows,
		tail: Tail{Covers: p.Tail.Covers, Complete: p.Tail.Complete, Rows: len(p.Rows)},
	}
	if !p.Withheld.Empty() {
		l.withheld = appendFrame(nil, frameWithheld, appendClock(nil, 1, p.Withheld))
	}
	for _, row := range p.Rows {
		if len(row) == 0 {
			return nil, malformed("empty row")
		}
		if len(row) > MaxFrame {
			return nil, fmt.Errorf("%w: row of %d bytes", ErrTooLarge, len(row))
		}
		l.tail.Bytes += int64(len(row))
		l.size += int64(frameLen(len(row)))
	}
	tail := frameLen(len(l.tail.append(nil)))
	if max(len(l.head), len(l.withheld), tail) > MaxMeta {
		return nil, fmt.Errorf("%w: clocks of the page", ErrTooLarge)
	}
	if l.size += int64(len(l.head) + len(l.withheld) + tail); l.size > MaxPage {
		return nil, fmt.Errorf("%w: page of %d bytes", ErrTooLarge, l.size)
	}
	return l, nil
}

func (l *layout) write(w io.Writer) error {
	pw := pageWriter{w: bufio.NewWriterSize(w, 32<<10)}
	pw.write(l.head)
	for _, row := range l.rows {
		pw.writeRow(row)
	}
	pw.write(l.withheld)
	tail := l.tail
	tail.CRC = pw.sum
	pw.write(appendFrame(nil, frameTail, tail.append(nil)))
	return pw.w.Flush() // bufio keeps the first error
}

// WritePage writes p as frames. It refuses with ErrTooLarge or ErrMalformed, before
// the first byte, what ReadPage would not read. It takes no more memory than a small
// buffer; rows are not copied.
func WritePage(w io.Writer, p *Page) error {
	l, err := p.layout()
	if err != nil {
		return err
	}
	return l.write(w)
}

type pageWriter struct {
	w       *bufio.Writer
	sum     uint32
	scratch [1 + maxLengthBytes + sumSize]byte
}

func (pw *pageWriter) write(b []byte) {
	pw.sum = crc32.Update(pw.sum, castagnoli, b)
	_, _ = pw.w.Write(b)
}

func (pw *pageWriter) writeRow(row []byte) {
	head := openFrame(pw.scratch[:0], frameRow, len(row))
	crc := crc32.Update(crc32.Update(0, castagnoli, head), castagnoli, row)
	pw.write(head)
	pw.write(row)
	pw.write(appendSum(pw.scratch[:0], crc))
}

// ReadPage reads one page and the end of r behind it. At most limit bytes are read
// (MaxPage if limit is 0 or beyond it).
//
//   - nil: the page is whole and its checksum right.
//   - ErrTruncated (wrapping the cause): the page holds the rows that arrived whole, each
//     checked by the sum of its frame. Tail and Withheld are zero: it proves nothing.
//     If not even HEAD arrived, Head is zero and there are no rows.
//   - ErrCorrupt, ErrMalformed, ErrTooLarge: the page is nil.
//
// Frames of an unknown type are skipped. The rows share a few large buffers, which
// belong to the page.
func ReadPage(r io.Reader, limit int64) (*Page, error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	pr := pageReader{frames: newFrameReader(bufio.NewReaderSize(r, 32<<10), limit)}
	err := pr.run()
	switch {
	case err == nil:
		return &pr.page, nil
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrMalformed), errors.Is(err, ErrTooLarge):
		return nil, fmt.Errorf("read page: %w", err)
	}
	// Whatever else happened, happened to the transport.
	pr.page.Tail, pr.page.Withheld = Tail{}, clock.Clock{}
	return &pr.page, fmt.Errorf("read page: %w: %w", ErrTruncated, noEOF(err))
}

type pageReader struct {
	frames *frameReader
	page   Page
	bytes  int64
	arena  []byte // free rest of the current buffer for rows
}

func (pr *pageReader) run() error {
	f := pr.frames
	if err := f.next(); err != nil {
		return err
	}
	if f.typ != frameHead {
		return malformed("page begins with frame %q", f.typ)
	}
	b, err := f.read(nil)
	if err != nil {
		return err
	}
	if err := pr.page.Head.decode(b); err != nil {
		return err
	}
	for {
		if err := f.next(); err != nil {
			return err
		}
		switch f.typ {
		case frameHead:
			return malformed("second HEAD in a page")
		case frameRow:
			err = pr.row()
		case frameWithheld:
			err = pr.withheld()
		case frameTail:
			return pr.tail()
		default:
			err = f.skip()
		}
		if err != nil {
			return err
		}
	}
}

func (pr *pageReader) row() error {
	f := pr.frames
	if f.size == 0 {
		return malformed("empty row")
	}
	row, err := f.read(pr.space(f.size))
	if err != nil {
		return err
	}
	pr.page.Rows = append(pr.page.Rows, row)
	pr.bytes += int64(len(row))
	return nil
}

// space cuts n bytes off a shared buffer, or returns nil if the row is so large that
// it shall grow its own, with the data. The buffers grow with what has arrived, so a
// page costs about its size and a small one little.
func (pr *pageReader) space(n int) []byte {
	if n > len(pr.arena) {
		if n > 64<<10 {
			return nil
		}
		pr.arena = make([]byte, max(64<<10, min(int(pr.bytes), 1<<20)))
	}
	b := pr.arena[:n:n]
	pr.arena = pr.arena[n:]
	return b
}

func (pr *pageReader) withheld() error {
	b, err := pr.frames.read(nil)
	if err != nil {
		return err
	}
	return eachField("WITHHELD", b, func(f *field) error {
		if f.num != 1 {
			return nil
		}
		var c clock.Clock
		if err := f.clock(&c); err != nil {
			return err
		}
		pr.page.Withheld.Union(c)
		return nil
	})
}

func (pr *pageReader) tail() error {
	b, err := pr.frames.read(nil)
	if err != nil {
		return err
	}
	var t Tail
	if err := t.decode(b); err != nil {
		return err
	}
	if t.CRC != pr.frames.prior {
		return fmt.Errorf("%w: checksum of the page", ErrCorrupt)
	}
	if t.Rows != len(pr.page.Rows) || t.Bytes != pr.bytes {
		return malformed("TAIL counts %d rows and %d bytes, there were %d and %d", t.Rows, t.Bytes, len(pr.page.Rows), pr.bytes)
	}
	if !pr.page.Head.Clock.Covers(t.Covers) {
		return malformed("page covers dots that its sender does not have")
	}
	// The end of the body must follow. Until it does, a compressed body has not been
	// checked to its end.
	switch _, err := pr.frames.r.ReadByte(); {
	case err == nil:
		return malformed("bytes behind TAIL")
	case !errors.Is(err, io.EOF):
		return err
	}
	pr.page.Tail = t
	return nil
}
