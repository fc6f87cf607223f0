package vector

import (
	"encoding/binary"
	"errors"
	"math"
)

// put is one change of what is held: of a memory that is there, or without numbers of one that
// is not.
type put struct {
	id    string
	place place
	sum   sum
	Point
}

// batch is what is written at once: changes, and how far in the feed they reach.
type batch struct {
	seq  uint64
	mark []byte
	puts []put
}

// A frame of the file is a length, a checksum and so many bytes: a batch is its seq, its mark
// and then its changes.
func (b *batch) append(to []byte) []byte {
	to = binary.AppendUvarint(to, b.seq)
	to = appendText(to, string(b.mark))
	for i := range b.puts {
		p := &b.puts[i]
		to = appendText(to, p.id)
		to = appendText(to, string(bytesOf(p.numbers)))
		if len(p.numbers) == 0 {
			continue
		}
		for _, s := range []string{p.place.namespace, p.place.scope, p.place.tier} {
			to = appendText(to, s)
		}
		to = append(to, p.sum[:]...)
		to = binary.LittleEndian.AppendUint32(to, math.Float32bits(p.scale))
	}
	return to
}

func appendText(to []byte, s string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(s))), s...)
}

func bytesOf(numbers []int8) []byte {
	out := make([]byte, len(numbers))
	for i, n := range numbers {
		out[i] = byte(n)
	}
	return out
}

var errFrame = errors.New("a frame that is not one")

func parseBatch(from []byte, dims int) (b batch, err error) {
	r := reader{from, true}
	b.seq = r.number()
	b.mark = []byte(r.text())
	for r.ok && len(r.rest) > 0 {
		p := put{id: r.text()}
		if raw := r.text(); raw != "" {
			p.numbers = make([]int8, len(raw))
			for i := range len(raw) {
				p.numbers[i] = int8(raw[i])
			}
			p.place = place{r.text(), r.text(), r.text()}
			copy(p.sum[:], r.bytes(len(p.sum)))
			if word := r.bytes(4); r.ok {
				p.scale = math.Float32frombits(binary.LittleEndian.Uint32(word))
			}
			r.ok = r.ok && len(raw) == dims
		}
		r.ok = r.ok && p.id != ""
		b.puts = append(b.puts, p)
	}
	if !r.ok {
		return batch{}, errFrame
	}
	return b, nil
}

// reader takes values off the front of bytes until one is not there.
type reader struct {
	rest []byte
	ok   bool
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if !r.ok || n <= 0 {
		r.ok = false
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes(n int) []byte {
	if !r.ok || n > len(r.rest) {
		r.ok = false
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.ok = false
		return ""
	}
	return string(r.bytes(int(n)))
}
