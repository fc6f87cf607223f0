package storagetest

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// PlainBolt writes rows into one bucket of a new bbolt file in dir, a transaction for each
// page, under random keys of 16 bytes, and returns how long that took: what a store of
// these rows costs that does nothing else. For benchmarks that report a ratio.
func PlainBolt(dir string, pages [][][]byte) (took time.Duration, err error) {
	db, err := bolt.Open(filepath.Join(dir, "plain.db"), 0o600, &bolt.Options{
		NoFreelistSync: true, FreelistType: bolt.FreelistMapType, NoStatistics: true, InitialMmapSize: 1 << 30,
	})
	if err != nil {
		return 0, fmt.Errorf("plain bbolt: %w", err)
	}
	defer func() {
		if closeErr := db.Close(); err == nil {
			err = closeErr
		}
	}()
	begin := time.Now()
	for _, rows := range pages {
		err := db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("rows"))
			if err != nil {
				return err
			}
			for _, row := range rows {
				key := sha256.Sum256(row)
				if err := b.Put(key[:16], row); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("plain bbolt: %w", err)
		}
	}
	return time.Since(begin), nil
}
