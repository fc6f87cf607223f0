package storage

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// Store is an open data directory. All methods are safe for concurrent use; Step calls
// exclude one another.
type Store struct {
	cfg     Config
	db      *bolt.DB
	log     *slog.Logger
	mutants mutant.Set
	metrics *metrics
	queue   *queue
	hlc     *clock.HLC
	access  *accessLog
	waiters waiters
	ident   identity

	// Invariant: what a committed transaction left, never something newer. Stored by the
	// writer after the commit, immutable. Guarded by TestNothingIsVisibleBeforeCommit.
	snap atomic.Pointer[snapshot]

	recent atomic.Pointer[recent] // stored by the writer

	stepMu sync.Mutex // one transaction at a time; held by Step, SetCluster and Close

	mu      sync.Mutex
	cluster memory.ClusterID
	failure error         // why the store is stopped; nil while it serves
	stopped chan struct{} // closed when failure is set
	closed  bool
	changed chan struct{} // closed and replaced when feed or clock grew
}

// snapshot is the committed state as readers in RAM see it.
type snapshot struct {
	txid        int // of the transaction that made it
	clock       clock.Clock
	floor       clock.Clock
	quarantined clock.Clock // dots that are covered by kept bytes only
	state       state
	hash        func() uint64 // of clock, computed once
}

func newSnapshot(txid int, c, floor, quar clock.Clock, st state) *snapshot {
	return &snapshot{txid: txid, clock: c, floor: floor, quarantined: quar, state: st, hash: sync.OnceValue(c.Hash)}
}

func readSnapshot(tx *bolt.Tx) (*snapshot, error) {
	c, err := readClock(tx)
	if err != nil {
		return nil, err
	}
	floor, err := readFloor(tx)
	if err != nil {
		return nil, err
	}
	st, err := decodeState(tx.Bucket(bucketMeta).Get(metaState))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	var quar clock.Clock
	err = tx.Bucket(bucketQuar).ForEach(func(k, _ []byte) error {
		d, ok := parseDot(k)
		if !ok {
			return fmt.Errorf("quarantine entry %x: %w", k, ErrCorrupt)
		}
		quar.Add(d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return newSnapshot(tx.ID(), c, floor, quar, st), nil
}

func newStore(cfg Config, db *bolt.DB) *Store {
	return &Store{
		cfg:     cfg,
		db:      db,
		log:     cfg.Log,
		mutants: cfg.Mutants,
		metrics: newMetrics(cfg.Registerer),
		queue:   newQueue(cfg.Queue, cfg.QueueBytes),
		access:  newAccessLog(),
		stopped: make(chan struct{}),
		changed: make(chan struct{}),
	}
}

// Clock is what this store durably covers. It is shared: not to be changed.
func (s *Store) Clock() clock.Clock { return s.snap.Load().clock }

// ClockHash is the hash of Clock.
func (s *Store) ClockHash() uint64 { return s.snap.Load().hash() }

// Floor is the knowledge that every member has; a peer below it must reconcile.
func (s *Store) Floor() clock.Clock { return s.snap.Load().floor }

// Quarantined are the dots that are covered by kept bytes only: held and relayed, not
// shown. They are no ground to call an absent row deleted.
func (s *Store) Quarantined() clock.Clock { return s.snap.Load().quarantined }

// HLC is the highest stamp issued or adopted.
func (s *Store) HLC() clock.Stamp { return s.hlc.Last() }

// MissingFrom is what of c this store lacks.
func (s *Store) MissingFrom(c clock.Clock) clock.Clock { return c.Minus(s.Clock()) }

// Digest is a hash over clock and canonical view: equal on nodes that hold the same. Local
// fields are not in it.
func (s *Store) Digest() string { return s.snap.Load().digest() }

// State is ClockHash and Digest of one moment.
func (s *Store) State() (clockHash uint64, digest string) {
	snap := s.snap.Load()
	return snap.hash(), snap.digest()
}

func (snap *snapshot) digest() string {
	b := snap.clock.Append(make([]byte, 0, 256))
	b = binary.BigEndian.AppendUint64(b, snap.state.sum.hi)
	b = binary.BigEndian.AppendUint64(b, snap.state.sum.lo)
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:16])
}

// Free is how many bytes this process may still write on the disk of the store. An error
// also where that cannot be known.
func (s *Store) Free() (uint64, error) { return FreeBytes(s.cfg.Dir) }

// FreeBytes is Free of any directory.
func FreeBytes(dir string) (uint64, error) {
	free, err := freeBytes(dir)
	if err == nil && free == math.MaxUint64 {
		err = errors.ErrUnsupported
	}
	return free, err
}

// Cluster is the id of the cluster, zero as long as it is not known.
func (s *Store) Cluster() memory.ClusterID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cluster
}

// SetCluster makes the store a member of a cluster, for good: another id is an
// ErrCluster, the same one nothing.
func (s *Store) SetCluster(id memory.ClusterID) error {
	if id.IsZero() {
		return fmt.Errorf("%w: the zero id is none", ErrCluster)
	}
	s.stepMu.Lock()
	defer s.stepMu.Unlock()
	switch have := s.Cluster(); {
	case have == id:
		return nil
	case !have.IsZero():
		return fmt.Errorf("%w: it is %s, not %s", ErrCluster, have, id)
	}
	if err := s.Err(); err != nil {
		return err
	}
	// Derived ids depend on the cluster, and with them which titles need an index entry.
	snap := *s.snap.Load()
	err := s.db.Update(func(tx *bolt.Tx) error {
		snap.txid = tx.ID()
		if err := tx.Bucket(bucketMeta).Put(metaCluster, id[:]); err != nil {
			return err
		}
		return rebuildTitles(tx, id)
	})
	if err != nil {
		return s.stop(fmt.Errorf("set cluster: %w", err))
	}
	s.snap.Store(&snap)
	s.mu.Lock()
	s.cluster = id
	s.mu.Unlock()
	return nil
}

// View runs fn in a read transaction: a consistent snapshot of committed state. fn must be
// quick, since pages freed meanwhile cannot be reused, and must not keep tx.
func (s *Store) View(fn func(*Tx) error) error {
	if err := s.Err(); err != nil {
		return err
	}
	r := s.recent.Load()
	for {
		again := false
		err := s.db.View(func(btx *bolt.Tx) error {
			// What moved into the file or out of RAM in between might be seen in neither.
			began := r
			if r = s.recent.Load(); r != began {
				again = true
				return nil
			}
			return fn(&Tx{s: s, btx: btx, recent: r})
		})
		switch {
		case errors.Is(err, berrors.ErrDatabaseNotOpen):
			return fmt.Errorf("%w: store is closed", memory.ErrStopped)
		case err != nil || !again:
			return err
		}
	}
}

// Snapshot writes a copy of the data file as of one transaction. Opening a copy anywhere
// is safe: a start mints its own origin.
func (s *Store) Snapshot(w io.Writer) error {
	if err := s.Err(); err != nil {
		return err
	}
	return s.db.View(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(w)
		return err
	})
}

// Size is how much of the data file was ever in use, in bytes: it never shrinks.
func (s *Store) Size() (bytes int64) {
	_ = s.db.View(func(tx *bolt.Tx) error {
		bytes = tx.Size()
		return nil
	})
	return bytes
}

// Stopped is closed when the store has failed or is closed; Err says why.
func (s *Store) Stopped() <-chan struct{} { return s.stopped }

// Err is the failure that stopped the store, nil while it serves.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// stop ends service for good and returns the reason that counts: the first.
func (s *Store) stop(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return s.failure
	}
	s.failure = stopped(err)
	close(s.stopped)
	return s.failure
}

func stopped(err error) error { return fmt.Errorf("%w: %w", memory.ErrStopped, err) }

var errClosed = errors.New("store is closed")

// Close refuses what still waits, writes down the access statistics and closes the file.
// End Run first. What was committed stays, what was not is gone; so it also plays a crash
// in tests, together with Config.Fail.
func (s *Store) Close() error {
	s.stepMu.Lock()
	defer s.stepMu.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	healthy := s.failure == nil
	s.mu.Unlock()

	var err error
	if healthy && s.access.pending() > 0 {
		err = s.flushAccess()
	}
	reason := s.stop(errClosed)
	s.refuse(s.queue.close(), reason)
	s.waiters.wake(s.snap.Load().clock)
	return errors.Join(err, s.db.Close())
}

// WaitFor returns when the durable clock covers c. When ctx ends first it is a
// *memory.BehindError that names what is missing.
func (s *Store) WaitFor(ctx context.Context, c clock.Clock) error {
	for {
		wake := s.waiters.add(c)
		missing := s.MissingFrom(c) // after add: a commit in between wakes
		if missing.Empty() {
			s.waiters.remove(wake)
			return nil
		}
		select {
		case <-wake.ch:
		case <-s.stopped:
			s.waiters.remove(wake)
			return s.Err()
		case <-ctx.Done():
			s.waiters.remove(wake)
			return &memory.BehindError{Missing: s.MissingFrom(c)}
		}
	}
}
