package storage

import (
	"encoding/binary"
	"math"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/memory"
)

// accessLog counts reads in RAM until the next commit carries them. They are local: not
// replicated, in no hash and no digest, and a crash may lose the last of them.
type accessLog struct {
	mu    sync.Mutex
	reads map[memory.Key]accessCount
}

type accessCount struct {
	n    int64
	last time.Time
}

// maxPendingReads is when reads alone are worth a transaction.
const maxPendingReads = 4096

func newAccessLog() *accessLog { return &accessLog{reads: make(map[memory.Key]accessCount)} }

// Touch counts one read of a record.
func (s *Store) Touch(key memory.Key) {
	s.access.mu.Lock()
	c, known := s.access.reads[key]
	if !known && len(s.access.reads) >= 16*maxPendingReads {
		s.access.mu.Unlock() // nothing is being written: statistics are not worth the memory
		return
	}
	s.access.reads[key] = accessCount{n: c.n + 1, last: s.cfg.Now()}
	due := len(s.access.reads) == maxPendingReads
	s.access.mu.Unlock()
	if due {
		s.queue.poke()
	}
}

func (a *accessLog) pending() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.reads)
}

func (a *accessLog) get(key memory.Key) accessCount {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reads[key]
}

// take hands over what is pending; giveBack returns it when it was not written. The map is
// the caller's own: reads go on while it is gone through.
func (a *accessLog) take() map[memory.Key]accessCount {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.reads) == 0 {
		return nil
	}
	taken := a.reads
	a.reads = make(map[memory.Key]accessCount)
	return taken
}

func (a *accessLog) giveBack(taken map[memory.Key]accessCount) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, c := range taken {
		a.reads[k] = a.reads[k].plus(c)
	}
}

func (c accessCount) plus(o accessCount) accessCount {
	c.n = min(c.n+o.n, memory.MaxAccessCount)
	if o.last.After(c.last) {
		c.last = o.last
	}
	return c
}

func decodeAccess(v []byte) (c accessCount, ok bool) {
	if len(v) == 0 {
		return accessCount{}, true
	}
	n, used := binary.Uvarint(v)
	if used <= 0 || n > memory.MaxAccessCount {
		return c, false
	}
	at, more := binary.Uvarint(v[used:])
	if more <= 0 || used+more != len(v) || at > 1<<62 {
		return c, false
	}
	return accessCount{n: int64(n), last: time.Unix(0, int64(at)).UTC()}, true
}

// writeAccess adds counts to the access bucket; records that do not exist are left out.
func writeAccess(tx *bolt.Tx, t *table, taken map[memory.Key]accessCount) error {
	access := tx.Bucket(bucketAccess)
	for key, c := range taken {
		k := []byte(key)
		if _, found := t.find(k); !found {
			continue
		}
		old, _ := decodeAccess(access.Get(k))
		c = old.plus(c)
		v := binary.AppendUvarint(make([]byte, 0, 16), uint64(c.n))
		v = binary.AppendUvarint(v, uint64(max(c.last.UnixNano(), 0)))
		if err := access.Put(k, v); err != nil {
			return err
		}
	}
	return nil
}

// flushAccess writes the pending counts in a transaction of their own, if there is room.
func (s *Store) flushAccess() error {
	if s.checkRoom(nil) != nil {
		return nil
	}
	taken := s.access.take()
	return s.db.Update(func(tx *bolt.Tx) error {
		t := openTable(tx, s.recent.Load(), math.MaxUint64)
		return writeAccess(tx, &t, taken)
	})
}
