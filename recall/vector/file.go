package vector

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
)

// file is the vectors on disk: a header, then batches in the order in which they came. It is
// read once, at the start, and only appended to; when most of it is of vectors that are held no
// more, it is written anew. It is not synced: what a crash of the machine takes away is read
// from the feed again.
type file struct {
	path string
	out  *os.File
	size int64
}

// header tells what the vectors are. Of anything else there is nothing to learn.
type header struct {
	Format     int    `json:"format"`
	Model      string `json:"model"`
	Dimensions int    `json:"dimensions"`
}

const (
	format      = 1
	maxFrame    = 64 << 20
	frameHeader = 8 // length, checksum
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// errOther is a file of another model, format or store.
var errOther = errors.New("the vectors are of another model, format or store")

// openFile reads what is there into a set. What follows the last whole batch is cut off. The
// batch that is returned has no changes: it says how far they reach.
func openFile(path, model string) (*file, *set, batch, error) {
	out, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the node names the file
	if err != nil {
		return nil, nil, batch{}, err
	}
	f := &file{path: path, out: out}
	s, last, err := f.load(model)
	if err != nil {
		_ = out.Close()
		return nil, nil, batch{}, err
	}
	return f, s, last, nil
}

func (f *file) load(model string) (*set, batch, error) {
	r := bufio.NewReaderSize(f.out, 1<<18)
	raw, err := readFrame(r)
	if err != nil {
		return nil, batch{}, fmt.Errorf("%w: no header", errOther)
	}
	var h header
	if err := json.Unmarshal(raw, &h); err != nil || h.Format != format || h.Model != model || h.Dimensions < 1 {
		return nil, batch{}, errOther
	}
	f.size = int64(frameHeader + len(raw))
	s := newSet(h.Dimensions)
	var last batch
	for {
		raw, err := readFrame(r)
		if errors.Is(err, io.EOF) {
			break
		}
		b, bad := batch{}, err
		if err == nil {
			b, bad = parseBatch(raw, h.Dimensions)
		}
		if bad != nil && !errors.Is(bad, errFrame) {
			return nil, batch{}, bad
		}
		if bad != nil {
			if err := f.out.Truncate(f.size); err != nil {
				return nil, batch{}, err
			}
			break
		}
		s.apply(b.puts)
		last = batch{seq: b.seq, mark: b.mark}
		f.size += int64(frameHeader + len(raw))
	}
	_, err = f.out.Seek(f.size, io.SeekStart)
	return s, last, err
}

// readFrame returns io.EOF at the end, and errFrame for what is damaged or broken off.
func readFrame(r io.Reader) ([]byte, error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
		return nil, err
	} else if err != nil {
		return nil, cutOff(err)
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size == 0 || size > maxFrame {
		return nil, errFrame
	}
	raw := make([]byte, size)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, cutOff(err)
	}
	if crc32.Checksum(raw, crcTable) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errFrame
	}
	return raw, nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errFrame
	}
	return err
}

func frame(payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, frameHeader+len(payload)), uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, crcTable))
	return append(b, payload...)
}

// makeFile writes a set into a new file, which takes the place of what is at the path.
func makeFile(path, model string, s *set, last batch) (_ *file, err error) {
	beside := path + newSuffix
	if err := remove(beside); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(beside, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the node names the file
	if err != nil {
		return nil, err
	}
	f := &file{path: path, out: out}
	defer func() {
		if err != nil {
			_ = out.Close()
			_ = os.Remove(beside)
		}
	}()
	h, err := json.Marshal(header{format, model, s.dims})
	if err != nil {
		return nil, err
	}
	if err := f.write(h); err != nil {
		return nil, err
	}
	if err := s.each(func(puts []put) error { return f.append(&batch{puts: puts}) }); err != nil {
		return nil, err
	}
	if err := f.append(&last); err != nil {
		return nil, err
	}
	if err := out.Sync(); err != nil { // the old one goes away
		return nil, err
	}
	return f, os.Rename(beside, path)
}

// newSuffix is that of a file which is being written in the place of another one.
const newSuffix = ".new"

// Remove removes what an Index left, of which no node runs.
func Remove(path string) error { return errors.Join(remove(path), remove(path+newSuffix)) }

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// append adds a batch, or nothing.
func (f *file) append(b *batch) error { return f.write(b.append(nil)) }

func (f *file) write(payload []byte) error {
	b := frame(payload)
	if _, err := f.out.Write(b); err != nil {
		_ = f.out.Truncate(f.size)
		_, _ = f.out.Seek(f.size, io.SeekStart)
		return err
	}
	f.size += int64(len(b))
	return nil
}

func (f *file) close() { _ = f.out.Close() }
