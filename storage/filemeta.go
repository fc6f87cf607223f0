package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// What bbolt writes, as far as a file must be judged before it is mapped: a read behind
// the end of a mapped file kills the process, and a damaged page panics in bbolt.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeaderSize = 16 // id 8, flags 2, count 2, overflow 4
	boltMetaSize   = 64 // magic, version, page size, flags 4 each; root 8, sequence 8, freelist 8, high-water page 8, txid 8, sum 8

	flagBranch = 0x01
	flagLeaf   = 0x02
	flagMeta   = 0x04
)

// boltMeta is one meta page.
type boltMeta struct {
	pageSize  int64
	root      uint64 // page of the root bucket
	highWater uint64 // first page id never used
	txid      uint64
}

// parseBoltMeta reads the first bytes of a page. foreign tells that it never was one of
// bbolt's meta pages.
func parseBoltMeta(page []byte) (m boltMeta, foreign bool, err error) {
	if len(page) < pageHeaderSize+boltMetaSize {
		return m, true, errors.New("too short")
	}
	e, b := binary.NativeEndian, page[pageHeaderSize:]
	switch {
	case e.Uint32(b) != boltMagic:
		return m, true, errors.New("no magic number")
	case e.Uint32(b[4:]) != boltVersion:
		return m, true, fmt.Errorf("file version %d", e.Uint32(b[4:]))
	}
	h := fnv.New64a()
	h.Write(b[:boltMetaSize-8])
	if h.Sum64() != e.Uint64(b[boltMetaSize-8:]) {
		return m, false, errors.New("meta page checksum mismatch")
	}
	m = boltMeta{pageSize: int64(e.Uint32(b[8:])), root: e.Uint64(b[16:]), highWater: e.Uint64(b[40:]), txid: e.Uint64(b[48:])}
	if m.pageSize < 1024 || m.pageSize > 1<<26 || m.pageSize&(m.pageSize-1) != 0 {
		return m, false, fmt.Errorf("page size %d", m.pageSize)
	}
	return m, false, nil
}

// fileCheck is what was found of a data file before it was mapped.
type fileCheck struct {
	meta boltMeta
	// fellBack: one of the two meta pages is not valid. After a crash in the middle of a
	// commit that is normal; otherwise the last transaction is lost.
	fellBack bool
}

// checkFile judges the data file by its meta pages and its size.
func checkFile(path string) (fileCheck, error) {
	f, err := os.Open(path)
	if err != nil {
		return fileCheck{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return fileCheck{}, err
	case !info.Mode().IsRegular():
		return fileCheck{}, fmt.Errorf("%s: %w: not a regular file", path, ErrForeign)
	case info.Size() == 0:
		return fileCheck{}, fmt.Errorf("%s: %w: the file is empty, although it is never created so; restore it from a backup, or move the data directory away to join as a new node", path, ErrDamaged)
	}
	c, err := readMetas(f, info.Size())
	if err != nil {
		return fileCheck{}, fmt.Errorf("%s: %w", path, err)
	}
	if need := c.meta.pageSize * int64(c.meta.highWater); info.Size() < need {
		return fileCheck{}, fmt.Errorf("%s: %w: truncated, %d bytes of at least %d are there; restore it from a backup, or move the data directory away to join as a new node", path, ErrDamaged, info.Size(), need)
	}
	return c, nil
}

// readMetas finds the newest valid meta page, as bbolt does.
func readMetas(r io.ReaderAt, size int64) (fileCheck, error) {
	first, foreign, err0 := metaAt(r, 0)
	if err0 == nil {
		second, _, err1 := metaAt(r, first.pageSize)
		switch {
		case err1 != nil || second.pageSize != first.pageSize:
			return fileCheck{meta: first, fellBack: true}, nil
		case second.txid > first.txid:
			return fileCheck{meta: second}, nil
		default:
			return fileCheck{meta: first}, nil
		}
	}
	// The first page is gone and with it the page size: the second names its own.
	for at := int64(1024); at <= 1<<24 && at < size; at *= 2 {
		if second, _, err := metaAt(r, at); err == nil && second.pageSize == at {
			return fileCheck{meta: second, fellBack: true}, nil
		}
	}
	if foreign {
		return fileCheck{}, fmt.Errorf("%w: %w", ErrForeign, err0)
	}
	return fileCheck{}, fmt.Errorf("%w: both meta pages are invalid; restore it from a backup, or move the data directory away to join as a new node", ErrDamaged)
}

func metaAt(r io.ReaderAt, at int64) (boltMeta, bool, error) {
	var buf [pageHeaderSize + boltMetaSize]byte
	n, err := r.ReadAt(buf[:], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return boltMeta{}, false, err
	}
	return parseBoltMeta(buf[:n])
}
