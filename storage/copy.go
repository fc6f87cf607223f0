package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/memory"
)

// SnapshotFile writes Snapshot into a new file beside the store, open for reading from its
// start. The read transaction, which holds back the pages that writers free, lasts as long as
// this disk takes to copy itself; whoever reads the file may take their time. seen gets every
// byte on the way. close frees the file, which has no name any more where the system allows
// that, so that a crash leaves nothing behind. memory.ErrNoSpace if the copy has no room
// beside what Config.MinFree keeps.
func (s *Store) SnapshotFile(seen io.Writer) (f *os.File, size int64, closeFile func() error, err error) {
	if s.cfg.Free != nil {
		free, err := s.cfg.Free(s.cfg.Dir)
		if err != nil {
			return nil, 0, nil, err
		}
		if need := uint64(s.Size()) + s.cfg.MinFree; free < need {
			return nil, 0, nil, fmt.Errorf("%w: a copy of the store needs %d bytes, %d are free", memory.ErrNoSpace, need, free)
		}
	}
	if f, err = os.CreateTemp(s.cfg.Dir, TempPrefix+"*"); err != nil {
		return nil, 0, nil, err
	}
	path := f.Name()
	removed := os.Remove(path) == nil
	closeFile = func() error {
		err := f.Close()
		if !removed {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}
	err = s.Snapshot(io.MultiWriter(f, seen))
	if err == nil {
		size, err = f.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, nil, errors.Join(err, closeFile())
	}
	return f, size, closeFile, nil
}

// TempPrefix begins the names of what is under construction in a data directory: a start
// removes what is left of it.
const TempPrefix = "unfinished-"

// Install makes a store in dir, which must be empty or not there, of a data file that fill
// writes. It is installed only if it can be opened and Verify finds nothing, and completely or
// not at all: after an error dir is as it was. The findings say why it was not.
func Install(ctx context.Context, dir string, fill func(io.Writer) error) (found []Finding, err error) {
	made, err := emptyDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if made && (err != nil || len(found) > 0) {
			err = errors.Join(err, os.Remove(dir))
		}
	}()
	unlock, err := lock(dir, lockPatience)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return build(ctx, dir, func(path string) error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		return errors.Join(fill(f), f.Sync(), f.Close())
	})
}

// emptyDir makes dir, or makes sure that nothing is in it.
func emptyDir(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return true, os.MkdirAll(dir, 0o700)
	case err != nil:
		return false, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), TempPrefix) {
			return false, fmt.Errorf("%s is not empty: %w", dir, os.ErrExist)
		}
	}
	return false, sweep(dir)
}

// sweep removes what a process that was killed left under construction.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, TempPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// Compact copies the store in dir, which no process may have open, without its free pages,
// and puts the copy in its place if Verify finds nothing in it. The disk needs room for both.
func Compact(ctx context.Context, dir string) (before, after int64, found []Finding, err error) {
	unlockDir, err := lock(dir, lockPatience) // no other process begins here meanwhile
	if err != nil {
		return 0, 0, nil, err
	}
	defer unlockDir()
	if err := sweep(dir); err != nil {
		return 0, 0, nil, err
	}
	path := filepath.Join(dir, DataFile)
	src, err := openForCopy(path)
	if err != nil {
		return 0, 0, nil, err
	}
	defer src.Close() // and keeps it locked until the copy stands in its place
	if before, err = fileSize(path); err != nil {
		return 0, 0, nil, err
	}
	found, err = build(ctx, dir, func(temp string) error {
		dst, err := bolt.Open(temp, 0o600, &bolt.Options{Timeout: lockPatience, FreelistType: bolt.FreelistMapType, NoFreelistSync: true, NoStatistics: true, NoSync: true})
		if err != nil {
			return err
		}
		return errors.Join(bolt.Compact(dst, src, compactTx), dst.Sync(), dst.Close())
	})
	if err != nil || len(found) > 0 {
		return before, before, found, err
	}
	after, err = fileSize(path)
	return before, after, nil, err
}

// compactTx bounds one transaction of a compaction, in bytes.
const compactTx = 16 << 20

// openForCopy opens a data file that is sound and that nobody has open.
func openForCopy(path string) (*bolt.DB, error) {
	unlock, err := lock(path, lockPatience)
	if err != nil {
		return nil, err
	}
	check, err := checkFile(path)
	if err == nil {
		err = checkPages(path, check.meta)
	}
	unlock()
	if err != nil {
		return nil, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: lockPatience, NoStatistics: true})
	if err != nil {
		return nil, err
	}
	if err := db.View(checkFormat); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// build has a data file made in a directory of its own, judges it, and renames it to where
// the store of dir is.
func build(ctx context.Context, dir string, makeFile func(path string) error) (found []Finding, err error) {
	temp, err := os.MkdirTemp(dir, TempPrefix+"*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	path := filepath.Join(temp, DataFile)
	if err := makeFile(path); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if found, err = VerifyFile(ctx, temp); err != nil || len(found) > 0 {
		return found, err
	}
	cfg := Config{Dir: dir}
	if err := os.Rename(path, filepath.Join(dir, DataFile)); err != nil {
		return nil, err
	}
	return nil, errors.Join(writeMarker(&cfg, filepath.Join(dir, MarkerFile)), syncDir(&cfg))
}
