package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/memd/memd/clock"
)

const (
	lockPatience = 2 * time.Second
	mmapSize     = 1 << 30 // address space, not memory: readers never wait for a remap
)

// Open opens the store in cfg.Dir, or makes a new one in a directory that never had one.
// It starts nothing and mints no origin. Errors wrap ErrLocked, ErrMissing, ErrForeign,
// ErrDamaged, ErrFormat, ErrCorrupt or what the operating system says.
func Open(cfg Config) (*Store, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	db, err := openFile(&cfg)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s, err := upgraded(cfg, db)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("open store %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func openFile(cfg *Config) (*bolt.DB, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lock(cfg.Dir, lockPatience)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := sweep(cfg.Dir); err != nil {
		return nil, err
	}
	path, marker := filepath.Join(cfg.Dir, DataFile), filepath.Join(cfg.Dir, MarkerFile)
	switch _, err := os.Lstat(path); {
	case err == nil:
		return openExisting(cfg, path, marker)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if _, err := os.Lstat(marker); err == nil {
		return nil, fmt.Errorf("%s: %w, and %s says that a store has been here: restore %s from a backup, or remove %s to join as a new, empty node",
			path, ErrMissing, MarkerFile, DataFile, MarkerFile)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return create(cfg, path, marker)
}

func openExisting(cfg *Config, path, marker string) (*bolt.DB, error) {
	check, err := examine(cfg, path)
	if err != nil {
		return nil, err
	}
	if check.fellBack {
		cfg.Log.Warn("one of two meta pages is not valid: if this is not the first start after a crash, the last transaction is lost and will be pulled again", "file", path)
	}
	db, err := openBolt(cfg, path)
	if err != nil {
		return nil, err
	}
	// A crash between creation and marker leaves a good store without one.
	if err := writeMarker(cfg, marker); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// examine judges the file while nobody can be changing it.
func examine(cfg *Config, path string) (fileCheck, error) {
	unlock, err := lock(path, lockPatience)
	if err != nil {
		return fileCheck{}, err
	}
	defer unlock()
	check, err := checkFile(path)
	if err == nil && !cfg.NoSync {
		err = checkPages(path, check.meta)
	}
	return check, err
}

// create makes the store under a temporary name and renames it when it is complete and
// synced: a crash leaves no half store behind.
func create(cfg *Config, path, marker string) (*bolt.DB, error) {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	db, err := openBolt(cfg, temp)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		err := errors.Join(meta.Put(metaFormat, []byte(strconv.Itoa(Format))), meta.Put(metaState, state{}.encode()), meta.Put(metaIndexed, seqKey(0)))
		if cfg.Node != "" {
			err = errors.Join(err, meta.Put(metaNode, []byte(cfg.Node)))
		}
		return err
	})
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = syncDir(cfg)
	}
	if err == nil {
		err = writeMarker(cfg, marker)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	cfg.Log.Info("created a new store", "dir", cfg.Dir)
	return db, nil
}

func openBolt(cfg *Config, path string) (*bolt.DB, error) {
	opt := &bolt.Options{
		Timeout:        lockPatience,
		FreelistType:   bolt.FreelistMapType,
		NoFreelistSync: true,
		NoStatistics:   true,
		NoSync:         cfg.NoSync,
		NoGrowSync:     cfg.NoSync,
	}
	if !cfg.NoSync {
		opt.InitialMmapSize = mmapSize
	}
	db, err := bolt.Open(path, 0o600, opt)
	if errors.Is(err, berrors.ErrTimeout) {
		err = fmt.Errorf("%s: %w", path, ErrLocked)
	}
	return db, err
}

func writeMarker(cfg *Config, marker string) error {
	if _, err := os.Lstat(marker); err == nil {
		return nil
	}
	f, err := os.OpenFile(marker, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("This directory holds a memd store. If " + DataFile + " is gone, memd refuses to start with an empty one.\n")
	if err == nil && !cfg.NoSync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return syncDir(cfg)
}

func syncDir(cfg *Config) error {
	if cfg.NoSync {
		return nil
	}
	d, err := os.Open(cfg.Dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// load reads into memory what the writer needs.
func load(cfg Config, db *bolt.DB) (*Store, error) {
	s := newStore(cfg, db)
	err := db.View(func(tx *bolt.Tx) error {
		if err := checkFormat(tx); err != nil {
			return err
		}
		snap, err := readSnapshot(tx)
		if err != nil {
			return err
		}
		s.snap.Store(snap)
		r, err := loadRecent(tx)
		if err != nil {
			return err
		}
		s.recent.Store(r)
		s.hlc = clock.NewHLC(snap.state.bound)
		if id := tx.Bucket(bucketMeta).Get(metaCluster); id != nil {
			if len(id) != len(s.cluster) {
				return fmt.Errorf("cluster id: %w", ErrCorrupt)
			}
			copy(s.cluster[:], id)
		}
		if maker := tx.Bucket(bucketMeta).Get(metaNode); maker != nil && cfg.Node != "" && string(maker) != cfg.Node {
			cfg.Log.Warn("this data directory was made by a node of another name", "node", cfg.Node, "made_by", string(maker))
		}
		return s.loadMutants(tx)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func checkFormat(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil || meta.Get(metaFormat) == nil {
		return fmt.Errorf("%w: no format key", ErrForeign)
	}
	switch f := string(meta.Get(metaFormat)); f {
	case strconv.Itoa(Format):
	case strconv.Itoa(Format - 1):
		return fmt.Errorf("%w: %s, which is converted when a node opens it: start it once", ErrFormat, f)
	default:
		return fmt.Errorf("%w: %.20q, this version reads format %d: use the version of memd that wrote it", ErrFormat, f, Format)
	}
	for _, name := range buckets {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%w: bucket %s is missing", ErrDamaged, name)
		}
	}
	return nil
}
