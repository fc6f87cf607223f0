package storage

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// Config says how a store is kept. Only Dir is required.
type Config struct {
	Dir  string // data directory, made with mode 0700 if it is not there
	Node string // operator's label of this node: a directory made under another one is worth a warning

	Now    func() time.Time // wall clock; nil = time.Now
	Random func() uint64    // origins; nil = crypto/rand
	Log    *slog.Logger     // nil = discard
	// Registerer takes the metrics; nil = they are counted and shown nowhere.
	Registerer prometheus.Registerer

	// Staged is called on the writer when all rows of local writes of one transaction are
	// in it and before it is synced, so that they travel while the disk works. It must
	// neither block nor read from the store by View, and may keep the row bytes. Rows of one
	// call have one origin; a transaction in which the origin changed makes two calls.
	Staged func(Staged)

	// Members is called on the writer once a transaction that changed the registry is
	// durable, before anybody sees that it is: what Tx.Members says from then on. It must
	// neither block nor read from the store, and may keep the lists.
	Members func(members []memory.Member, removed []string)

	// Queue bounds the operations that wait; 0 = 4096. QueueBytes bounds the bytes of
	// pushed and pulled rows that wait; 0 = 64 MiB.
	Queue      int
	QueueBytes int64

	// MinFree is kept free on the disk: a transaction that would leave less is refused with
	// memory.ErrNoSpace before it begins. 0 = 64 MiB. Free tells what is free; nil asks the
	// file system, and does not look at all if NoSync is set.
	MinFree uint64
	Free    func(dir string) (uint64, error)

	// RecentRows is about how many rows are found through RAM before their keys are written
	// to the file, and how many rows a start reads again, twice at most; 0 = 16384.
	RecentRows int

	// For tests and simulations only.

	// NoSync leaves out every fsync and maps little memory: fast, and not durable.
	NoSync bool
	// Fail is asked at "before-commit" and "after-commit"; an error there is a crash at
	// that point: the store stops, and only what was committed is there when it is opened
	// again. "between" is asked between two transactions that a mutant makes of one.
	Fail    func(point string) error
	Mutants mutant.Set
}

const (
	defaultQueue      = 4096
	defaultQueueBytes = 64 << 20
	defaultMinFree    = 64 << 20
)

func (c *Config) defaults() error {
	if c.Dir == "" {
		return errors.New("storage: no data directory")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = randomOrigin
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Queue <= 0 {
		c.Queue = defaultQueue
	}
	if c.QueueBytes <= 0 {
		c.QueueBytes = defaultQueueBytes
	}
	if c.RecentRows <= 0 {
		c.RecentRows = defaultRecentRows
	}
	if c.MinFree == 0 {
		c.MinFree = defaultMinFree
	}
	if c.Free == nil && !c.NoSync {
		c.Free = freeBytes
	}
	return nil
}

func randomOrigin() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails: it crashes the program instead
	return binary.BigEndian.Uint64(b[:])
}

// Staged is what Config.Staged is told.
type Staged struct {
	Origin clock.Origin
	// Base is the counter before the first row's: everything of Origin up to it was staged
	// by earlier calls.
	Base  uint64
	Floor clock.Clock
	Rows  []StagedRow // ascending by dot
}

// StagedRow is one local write: its dot and the whole record as of this transaction.
type StagedRow struct {
	Dot clock.Dot
	Raw []byte // not to be changed
}
