package storage

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"sync"

	"github.com/memd/memd/memory"
)

const sealSize = 16

// seal completes a value whose first sealSize bytes are free: a SHA-256 cut to 128 bits
// over the rest of the value and the key, so that a value under a wrong key fails too.
// The buffer may grow behind the value and is returned cut back.
func seal(buf, key []byte) []byte {
	n := len(buf)
	buf = append(buf, key...)
	sum := sha256.Sum256(buf[sealSize:])
	copy(buf, sum[:sealSize])
	return buf[:n:n]
}

var errSeal = errors.New("checksum mismatch")

var hashers = sync.Pool{New: func() any { return sha256.New() }}

// unseal returns what follows the checksum, aliasing v, if the checksum holds.
func unseal(v, key []byte) ([]byte, error) {
	if len(v) < sealSize {
		return nil, errSeal
	}
	h := hashers.Get().(hash.Hash)
	defer hashers.Put(h)
	h.Reset()
	h.Write(v[sealSize:])
	h.Write(key)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	if string(sum[:sealSize]) != string(v[:sealSize]) {
		return nil, errSeal
	}
	return v[sealSize:], nil
}

// sealRow encodes a row for its place. The record bytes are its tail, which callers may
// keep: a sealed row is never changed.
func sealRow(place []byte, rec memory.Record) (stored, raw []byte) {
	buf := make([]byte, sealSize, sealSize+rec.Size()+16*rec.Context.Intervals()+48+len(place))
	stored = seal(rec.Append(buf), place)
	return stored, stored[sealSize:]
}

// sealQuarantined encodes the kept bytes of a row that could not be read.
func sealQuarantined(dot []byte, reason string, raw []byte) []byte {
	b := make([]byte, sealSize, sealSize+binary.MaxVarintLen32+len(reason)+len(raw)+len(dot))
	b = binary.AppendUvarint(b, uint64(len(reason)))
	b = append(append(b, reason...), raw...)
	return seal(b, dot)
}

// openQuarantined reads what sealQuarantined wrote, aliasing v.
func openQuarantined(dot, v []byte) (reason string, raw []byte, err error) {
	b, err := unseal(v, dot)
	if err != nil {
		return "", nil, err
	}
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return "", nil, errSeal
	}
	return string(b[used : used+int(n)]), b[used+int(n):], nil
}
