package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
)

// A frame is: type byte, uvarint length of the payload, payload, 4 bytes checksum
// (little endian). The checksum is the masked CRC-32C of everything before it in the
// frame. So every complete frame is known to be good before the page or the stream
// that it is part of has ended.
const (
	frameHead     = 'H'
	frameRow      = 'R'
	frameWithheld = 'W'
	frameTail     = 'T'
	framePush     = 'P'
	frameAck      = 'A'
	frameNudge    = 'N'
)

const (
	sumSize = 4
	// maxLengthBytes is what a uvarint up to MaxFrame needs.
	maxLengthBytes = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mask changes a CRC before it is stored. The CRC of a string that ends with its own
// CRC does not depend on the string; unmasked, the sum over a page would see nothing
// but the lengths of its frames. The formula is the one of LevelDB and of framed
// Snappy.
func mask(crc uint32) uint32 { return bits.RotateLeft32(crc, -15) + 0xa282ead8 }

// uvarintLen is the number of bytes of a uvarint.
func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// frameLen is the size of a whole frame.
func frameLen(payload int) int { return 1 + uvarintLen(uint64(payload)) + payload + sumSize }

// maxPayload is the limit of a payload by type. Unknown types are only skipped, and
// may be as large as the largest.
func maxPayload(typ byte) int {
	switch typ {
	case frameHead, frameWithheld, frameTail, frameAck, frameNudge:
		return MaxMeta
	}
	return MaxFrame
}

// appendFrame appends a whole frame.
func appendFrame(b []byte, typ byte, payload []byte) []byte {
	start := len(b)
	b = append(openFrame(b, typ, len(payload)), payload...)
	return closeFrame(b, start)
}

// openFrame appends the header of a frame whose payload of exactly size bytes follows.
func openFrame(b []byte, typ byte, size int) []byte {
	return binary.AppendUvarint(append(b, typ), uint64(size))
}

// closeFrame appends the checksum of the frame that began at start.
func closeFrame(b []byte, start int) []byte {
	return appendSum(b, crc32.Checksum(b[start:], castagnoli))
}

// frameReader takes frames off a stream. Per frame: next, then exactly one of read
// and skip.
type frameReader struct {
	r     *bufio.Reader
	limit int64  // bytes that may still be read; next and read keep it
	sum   uint32 // CRC-32C of all whole frames so far, their checksums included
	typ   byte
	size  int
	crc   uint32 // of the current frame so far
	head  [1 + maxLengthBytes]byte
	tail  [sumSize]byte
	prior uint32 // sum before the current frame
}

func newFrameReader(r *bufio.Reader, limit int64) *frameReader {
	return &frameReader{r: r, limit: limit}
}

// next reads the header of a frame. io.EOF means that the stream ended between two
// frames.
func (f *frameReader) next() error {
	typ, err := f.r.ReadByte()
	if err != nil {
		return err
	}
	f.head[0] = typ
	n, size := 1, uint64(0)
	for {
		c, err := f.r.ReadByte()
		if err != nil {
			return noEOF(err)
		}
		f.head[n] = c
		size |= uint64(c&0x7f) << (7 * (n - 1))
		n++
		if c < 0x80 {
			if c == 0 && n > 2 {
				return malformed("frame length not in its shortest form")
			}
			break
		}
		if n == len(f.head) {
			return fmt.Errorf("%w: frame %q", ErrTooLarge, typ)
		}
	}
	if size > uint64(maxPayload(typ)) {
		return fmt.Errorf("%w: frame %q of %d bytes", ErrTooLarge, typ, size)
	}
	if f.limit -= int64(n) + int64(size) + sumSize; f.limit < 0 {
		return fmt.Errorf("%w: more than the agreed limit", ErrTooLarge)
	}
	f.typ, f.size = typ, int(size)
	f.crc = crc32.Update(0, castagnoli, f.head[:n])
	f.prior = f.sum
	f.sum = crc32.Update(f.sum, castagnoli, f.head[:n])
	return nil
}

// read fills dst, which has the size of the payload, or allocates it when nil: then in
// steps, so that a length alone takes no memory.
func (f *frameReader) read(dst []byte) ([]byte, error) {
	if dst == nil {
		dst = make([]byte, 0, min(f.size, 512<<10))
		for len(dst) < f.size {
			if len(dst) == cap(dst) {
				grown := make([]byte, len(dst), min(f.size, 2*cap(dst)))
				copy(grown, dst)
				dst = grown
			}
			n, err := io.ReadFull(f.r, dst[len(dst):cap(dst)])
			dst = dst[:len(dst)+n]
			if err != nil {
				return nil, noEOF(err)
			}
		}
	} else if _, err := io.ReadFull(f.r, dst); err != nil {
		return nil, noEOF(err)
	}
	f.crc = crc32.Update(f.crc, castagnoli, dst)
	f.sum = crc32.Update(f.sum, castagnoli, dst)
	return dst, f.check()
}

// skip reads over the payload without keeping it.
func (f *frameReader) skip() error {
	for left := f.size; left > 0; {
		b, err := f.r.Peek(min(left, f.r.Size()))
		if len(b) == 0 {
			return noEOF(err)
		}
		f.crc = crc32.Update(f.crc, castagnoli, b)
		f.sum = crc32.Update(f.sum, castagnoli, b)
		left -= len(b)
		if _, err := f.r.Discard(len(b)); err != nil {
			return noEOF(err)
		}
	}
	return f.check()
}

func (f *frameReader) check() error {
	if _, err := io.ReadFull(f.r, f.tail[:]); err != nil {
		return noEOF(err)
	}
	f.sum = crc32.Update(f.sum, castagnoli, f.tail[:])
	if binary.LittleEndian.Uint32(f.tail[:]) != mask(f.crc) {
		return fmt.Errorf("%w: checksum of frame %q", ErrCorrupt, f.typ)
	}
	return nil
}

// noEOF is for places where the end of the stream is not allowed.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendSum appends crc as it is stored.
func appendSum(b []byte, crc uint32) []byte {
	return binary.LittleEndian.AppendUint32(b, mask(crc))
}
