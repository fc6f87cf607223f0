package storage

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/memd/memd/memory"
)

// viewSum is a sum mod 2^128 over the rows that are live: two stores with equal sums hold
// equal live siblings. A sum and not an XOR, so that equal terms do not cancel. Deletions,
// contexts and local fields stay out, because healthy nodes may differ in them.
type viewSum struct{ hi, lo uint64 }

func (s *viewSum) add(o viewSum) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, o.lo, 0)
	s.hi, _ = bits.Add64(s.hi, o.hi, carry)
}

func (s *viewSum) sub(o viewSum) {
	var borrow uint64
	s.lo, borrow = bits.Sub64(s.lo, o.lo, 0)
	s.hi, _ = bits.Sub64(s.hi, o.hi, borrow)
}

// sumOf is the term of one record: a hash of its key and of dot and sum of every live
// sibling, in dot order. The version sums say which bytes are meant, so that a value that
// rotted on one disk shows.
func sumOf(rec memory.Record) viewSum {
	var stack [256]byte
	b := append(stack[:0], "memd/view/1"...)
	b = binary.AppendUvarint(b, uint64(len(rec.Key)))
	b = append(b, rec.Key...)
	live := false
	for i := range rec.Versions {
		v := &rec.Versions[i]
		if v.Deleted {
			continue
		}
		live = true
		sum := v.Sum(rec.Key)
		b = appendDot(b, v.Dot)
		b = append(b, sum[:]...)
	}
	if !live {
		return viewSum{}
	}
	h := sha256.Sum256(b)
	return viewSum{hi: binary.BigEndian.Uint64(h[:]), lo: binary.BigEndian.Uint64(h[8:])}
}
