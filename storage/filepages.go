package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// checkPages walks the B+trees of the data file by plain reads and reports the first page
// that bbolt would stumble over. bbolt walks them itself when it opens the file, to find
// the free pages, but panics in a goroutine of its own at a damaged one, which nobody can
// catch. Values are not judged here: rows carry their own checksums.
func checkPages(path string, meta boltMeta) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := pageWalker{r: f, size: meta.pageSize, high: meta.highWater, seen: make([]uint64, meta.highWater/64+1)}
	if err := w.walk(meta.root, 0); err != nil {
		return fmt.Errorf("%s: %w: %w; restore it from a backup, or move the data directory away to join as a new node", path, ErrDamaged, err)
	}
	return nil
}

type pageWalker struct {
	r    io.ReaderAt
	size int64
	high uint64
	seen []uint64 // one bit per page
	free [][]byte // buffers of single pages
}

// A B+tree of 2^64 pages with a fan-out of 2 is 64 deep; a loop is found by seen.
const maxDepth = 64

var errPageBounds = errors.New("element outside its page")

func (w *pageWalker) walk(id uint64, depth int) error {
	if err := w.visit(id); err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("page %d: tree too deep", id)
	}
	page, err := w.read(id)
	if err != nil {
		return err
	}
	defer w.release(page)
	flags, count := binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	if pageHeaderSize+16*count > len(page) {
		return fmt.Errorf("page %d: %w", id, errPageBounds)
	}
	switch flags {
	case flagBranch:
		if count == 0 {
			return fmt.Errorf("page %d: branch without children", id)
		}
		for i := range count {
			at := pageHeaderSize + 16*i
			e := page[at:]
			pos, ksize := binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:])
			if !within(len(page)-at, pos, ksize, 0) || ksize == 0 {
				return fmt.Errorf("page %d: %w", id, errPageBounds)
			}
			if err := w.walk(binary.NativeEndian.Uint64(e[8:]), depth+1); err != nil {
				return err
			}
		}
	case flagLeaf:
		for i := range count {
			at := pageHeaderSize + 16*i
			if err := w.leafElement(page[at:], depth); err != nil {
				return fmt.Errorf("page %d: %w", id, err)
			}
		}
	default:
		return fmt.Errorf("page %d: neither branch nor leaf (flags %#x)", id, flags)
	}
	return nil
}

// leafElement checks one element; e begins with it and ends with its page.
func (w *pageWalker) leafElement(e []byte, depth int) error {
	flags, pos := binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:])
	ksize, vsize := binary.NativeEndian.Uint32(e[8:]), binary.NativeEndian.Uint32(e[12:])
	if !within(len(e), pos, ksize, vsize) || ksize == 0 {
		return errPageBounds
	}
	if flags&1 == 0 { // not a bucket
		return nil
	}
	v := e[pos+ksize : pos+ksize+vsize]
	if len(v) < 16 {
		return errPageBounds
	}
	if root := binary.NativeEndian.Uint64(v); root != 0 {
		return w.walk(root, depth+1)
	}
	// An inline bucket: a small leaf page inside the value, without buckets of its own.
	if len(v) < 16+pageHeaderSize {
		return errPageBounds
	}
	inline := v[16:]
	if binary.NativeEndian.Uint16(inline[8:]) != flagLeaf {
		return errors.New("inline bucket is not a leaf")
	}
	count := int(binary.NativeEndian.Uint16(inline[10:]))
	if pageHeaderSize+16*count > len(inline) {
		return errPageBounds
	}
	for i := range count {
		e := inline[pageHeaderSize+16*i:]
		if !within(len(e), binary.NativeEndian.Uint32(e[4:]), binary.NativeEndian.Uint32(e[8:]), binary.NativeEndian.Uint32(e[12:])) {
			return errPageBounds
		}
	}
	return nil
}

func within(have int, pos, ksize, vsize uint32) bool {
	return uint64(pos)+uint64(ksize)+uint64(vsize) <= uint64(have)
}

// visit marks a page; a second visit is a damaged tree.
func (w *pageWalker) visit(id uint64) error {
	if id < 2 || id >= w.high {
		return fmt.Errorf("page %d is outside the file", id)
	}
	if w.seen[id/64]&(1<<(id%64)) != 0 {
		return fmt.Errorf("page %d is used twice", id)
	}
	w.seen[id/64] |= 1 << (id % 64)
	return nil
}

func (w *pageWalker) read(id uint64) ([]byte, error) {
	var page []byte
	if n := len(w.free); n > 0 {
		page, w.free = w.free[n-1], w.free[:n-1]
	} else {
		page = make([]byte, w.size)
	}
	if _, err := w.r.ReadAt(page, int64(id)*w.size); err != nil {
		return nil, err
	}
	if got := binary.NativeEndian.Uint64(page); got != id {
		return nil, fmt.Errorf("page %d calls itself %d", id, got)
	}
	overflow := uint64(binary.NativeEndian.Uint32(page[12:]))
	if overflow == 0 {
		return page, nil
	}
	if id+overflow >= w.high {
		return nil, fmt.Errorf("page %d ends outside the file", id)
	}
	for i := uint64(1); i <= overflow; i++ {
		if err := w.visit(id + i); err != nil {
			return nil, err
		}
	}
	long := make([]byte, w.size*int64(overflow+1))
	_, err := w.r.ReadAt(long, int64(id)*w.size)
	return long, err
}

func (w *pageWalker) release(page []byte) {
	if int64(len(page)) == w.size {
		w.free = append(w.free, page)
	}
}
