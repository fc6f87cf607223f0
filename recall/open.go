package recall

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
)

// format of the index: what is kept and how words are cut. Another one is built anew.
const format = "3"

var (
	keyFormat = []byte("format")
	keySeq    = []byte("seq")
	keyMark   = []byte("mark")
)

// openOrMake opens what is there, or makes a new index in its place.
func (x *Index) openOrMake() (bleve.Index, uint64, error) {
	switch _, err := os.Stat(x.cfg.Dir); {
	case err == nil:
		index, seq, err := x.openOld()
		if err == nil {
			return index, seq, nil
		}
		x.log.Warn("the index for recall is built anew", "why", err)
		x.metrics.rebuilds.Inc()
		if err := os.RemoveAll(x.cfg.Dir); err != nil {
			return nil, 0, err
		}
	case !errors.Is(err, os.ErrNotExist):
		return nil, 0, err
	}
	if err := os.MkdirAll(filepath.Dir(x.cfg.Dir), 0o700); err != nil {
		return nil, 0, err
	}
	var index bleve.Index
	err := guarded(func() (err error) {
		if index, err = bleve.NewUsing(x.cfg.Dir, bleve.NewIndexMapping(), scorch.Name, scorch.Name, settings()); err != nil {
			return err
		}
		return index.SetInternal(keyFormat, []byte(format))
	})
	return index, 0, err
}

// openOld opens an index that this version made and that the feed continues.
func (x *Index) openOld() (index bleve.Index, seq uint64, err error) {
	if err := dropDamaged(x.cfg.Dir); err != nil {
		return nil, 0, err
	}
	err = guarded(func() (err error) {
		if index, err = bleve.OpenUsing(x.cfg.Dir, settings()); err != nil {
			return fmt.Errorf("open: %w", err)
		}
		seq, err = x.checkpoint(index)
		return err
	})
	if err != nil && index != nil {
		_ = guarded(index.Close)
	}
	return index, seq, err
}

// settings of the library. A batch is seen before it is on disk, and what a crash loses is
// read again from the feed: the checkpoint is in the same snapshot.
func settings() map[string]any {
	return map[string]any{"unsafe_batch": true, "numSnapshotsToKeep": 1, "asyncErrorCallbackName": failures,
		// Every search looks into each segment: half as many as the library's own plan leaves, for
		// hardly more work. The floor is above a batch, so that those merge at all.
		"scorchMergePlanOptions": map[string]any{"MaxSegmentsPerTier": 6, "SegmentsPerMergeTask": 6, "FloorSegmentSize": 2500}}
}

var errOther = errors.New("it is of another store, or of a later copy of this one")

// checkpoint is how far an index has come, if it is of this format and of this feed.
func (x *Index) checkpoint(index bleve.Index) (uint64, error) {
	have, err := index.GetInternal(keyFormat)
	if err != nil {
		return 0, err
	}
	if string(have) != format {
		return 0, fmt.Errorf("it is of format %.20q, not %q", have, format)
	}
	raw, err := index.GetInternal(keySeq)
	if err != nil || raw == nil { // nothing in it yet
		return 0, err
	}
	seq, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return 0, err
	}
	mark, err := index.GetInternal(keyMark)
	if err != nil {
		return 0, err
	}
	if !x.cfg.Feed.Continues(seq, mark) {
		return 0, errOther
	}
	return seq, nil
}

// dropDamaged removes every segment that does not match the checksum at its end. The library
// does not look: it would read a damaged one as it is, or panic. Mostly such a file was
// being written when the process died, and nothing names it yet; if something does, the
// library goes back to the state before, or has nothing, which has no format.
func dropDamaged(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "store", "*.zap"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := checkFile(f); errors.Is(err, errDamaged) {
			err = os.Remove(f)
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}

var errDamaged = errors.New("damaged")

func checkFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < 4 {
		return errDamaged
	}
	sum := crc32.NewIEEE()
	r := bufio.NewReaderSize(f, 1<<18)
	if _, err := io.CopyN(sum, r, info.Size()-4); err != nil {
		return err
	}
	var want uint32
	if err := binary.Read(r, binary.BigEndian, &want); err != nil {
		return err
	}
	if want != sum.Sum32() {
		return errDamaged
	}
	return nil
}

// What the library does in the background fails in the background: it tells a function
// that is registered for the whole program, with the path of the index.
const failures = "memd"

var failing struct {
	mu  sync.Mutex
	dir map[string]chan error
}

func init() {
	scorch.RegistryAsyncErrorCallbacks[failures] = func(err error, path string) {
		failing.mu.Lock()
		defer failing.mu.Unlock()
		select {
		case failing.dir[filepath.Dir(path)] <- err: // its files are in "store" below
		default: // one is enough
		}
	}
}

func watchFailures(dir string) <-chan error {
	failing.mu.Lock()
	defer failing.mu.Unlock()
	if failing.dir == nil {
		failing.dir = make(map[string]chan error)
	}
	c := make(chan error, 1)
	failing.dir[filepath.Clean(dir)] = c
	return c
}

func unwatchFailures(dir string) {
	failing.mu.Lock()
	defer failing.mu.Unlock()
	delete(failing.dir, filepath.Clean(dir))
}
