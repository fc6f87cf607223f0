package storage

import (
	"errors"
	"fmt"
	"strconv"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/memory"
)

// upgraded is load, after a file of the format before has been converted.
//
// Format 2 had no indexes of links and of archive records; it could hold such records all
// the same, since kinds that a version does not know are kept and relayed. One transaction
// makes both buckets out of the rows, so a crash leaves the file as it was.
func upgraded(cfg Config, db *bolt.DB) (*Store, error) {
	old := false
	err := db.View(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		old = meta != nil && string(meta.Get(metaFormat)) == strconv.Itoa(Format-1)
		return nil
	})
	if err == nil && old {
		if err = db.Update(upgrade); err != nil {
			err = fmt.Errorf("convert from format %d: %w", Format-1, err)
		} else {
			cfg.Log.Info("converted the data file; older versions of memd cannot read it any more", "dir", cfg.Dir, "format", Format)
		}
	}
	if err != nil {
		return nil, err
	}
	return load(cfg, db)
}

func upgrade(tx *bolt.Tx) error {
	for _, name := range [][]byte{bucketLinks, bucketArchived} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	if err := tx.Bucket(bucketMeta).Put(metaFormat, []byte(strconv.Itoa(Format))); err != nil {
		return err
	}
	if err := checkFormat(tx); err != nil {
		return err
	}
	x := indexes{tx: tx, counts: make(map[counter]int64)}
	err := tx.Bucket(bucketRows).ForEach(func(k, v []byte) error {
		raw, err := unseal(v, k)
		if err != nil {
			return nil // not readable, so in no index; reading it says so
		}
		rec, err := memory.DecodeStored(raw)
		if err != nil || rec.Key.Kind() != memory.KindLink && rec.Key.Kind() != memory.KindArchive {
			return nil
		}
		f, err := factsOf(rec, memory.ClusterID{}, 0)
		if err != nil {
			return nil // in no index either: Verify says so
		}
		f.deleted, f.conflicts = false, 0 // counted already
		x.count(&f, 1)
		x.entries(rec.Key, &f, false)
		return nil
	})
	return errors.Join(err, x.flushAll(), x.writeCounts(tx))
}
