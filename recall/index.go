package recall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// Config of an Index. Dir and Feed are required.
type Config struct {
	Dir        string // of the index alone: it may be deleted at any time while no node runs
	Feed       Feed
	Log        *slog.Logger // nil = discard
	Registerer prometheus.Registerer
}

// Index is the index of one node. Search and the rest are safe for concurrent use, also
// before Run and while it builds.
type Index struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics

	life  sync.RWMutex // held for reading by searches: nobody closes what they read
	index bleve.Index  // nil while there is none

	mu     sync.Mutex
	open   bool
	seq    uint64 // up to here it holds what the feed says
	target uint64 // what the feed said when the index was opened: until then it is building
	stored uint64 // up to here it is on disk, if the index has been there
	moved  chan struct{}

	load load    // of the goroutine that follows the feed
	cut  *cutter // of the same

	waiters int           // searches that wait for the index to get further
	urge    chan struct{} // told when one begins to
}

// New returns an index that holds nothing yet; Run opens it.
func New(c Config) *Index {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	x := &Index{cfg: c, log: c.Log, moved: make(chan struct{}), urge: make(chan struct{}, 1), cut: newCutter()}
	x.metrics = newMetrics(c.Registerer, x)
	return x
}

const (
	// batchChanges are taken by one batch at most.
	batchChanges = 1000
	// maxUnstored changes are in RAM alone at most: taking them is quicker than writing
	// them out.
	maxUnstored = 10 * batchChanges
	// storePatience is how long the end waits for the last ones to be on disk.
	storePatience = 3 * time.Second
)

// Run opens the index and follows the feed until ctx ends. Trouble with the index is not an
// error: it is thrown away and built anew.
func (x *Index) Run(ctx context.Context) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 30*time.Second) {
		began := time.Now()
		err := x.follow(ctx)
		x.drop()
		if ctx.Err() != nil {
			return nil
		}
		x.log.Error("the index for recall failed and is built anew", "err", err)
		x.metrics.rebuilds.Inc()
		if err := os.RemoveAll(x.cfg.Dir); err != nil {
			x.log.Error("cannot remove the index for recall", "err", err)
		}
		if time.Since(began) > time.Hour { // it had been well
			wait = 100 * time.Millisecond
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// drop closes the index.
func (x *Index) drop() {
	x.mu.Lock()
	x.open, x.seq = false, 0
	x.mu.Unlock()
	x.life.Lock()
	defer x.life.Unlock()
	if x.index == nil {
		return
	}
	if err := guarded(x.index.Close); err != nil {
		x.log.Warn("closing the index for recall", "err", err)
	}
	x.index = nil
}

// follow opens the index and takes what the feed brings. It returns when ctx ends, and with
// an error when the index is broken.
func (x *Index) follow(ctx context.Context) error {
	failed := watchFailures(x.cfg.Dir)
	defer unwatchFailures(x.cfg.Dir)
	index, seq, err := x.openOrMake()
	if err != nil {
		return err
	}
	last := x.cfg.Feed.Seq()
	x.life.Lock()
	x.index = index
	x.life.Unlock()
	x.mu.Lock()
	x.target, x.stored = last, seq
	x.mu.Unlock()
	x.advance(seq)
	defer func() {
		if ctx.Err() != nil { // spare the next start what it would read again
			patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience)
			defer cancel()
			_ = x.waitStored(patience, seq, failed)
		}
	}()
	if last > seq+batchChanges {
		x.log.Info("building the index for recall", "from", seq, "to", last)
	}
	for {
		changed := x.cfg.Feed.Changed()
		if seq, err = x.drain(ctx, index, seq, failed); err != nil {
			return err
		}
		select {
		case <-changed:
			x.gather(ctx, seq)
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// drain takes changes until there are none.
func (x *Index) drain(ctx context.Context, index bleve.Index, seq uint64, failed <-chan error) (uint64, error) {
	for pause := 10 * time.Millisecond; ; {
		select {
		case err := <-failed:
			return seq, err
		case <-ctx.Done():
			return seq, nil
		default:
		}
		changes, mark, err := x.cfg.Feed.Changes(seq, x.batchSize())
		if err != nil { // not the fault of the index
			x.log.Warn("reading what is to be indexed", "err", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return seq, nil
			}
			pause = min(2*pause, 5*time.Second)
			continue
		}
		if len(changes) == 0 {
			return seq, nil
		}
		began := time.Now()
		if seq, err = x.take(index, changes, mark); err != nil {
			return seq, err
		}
		took := time.Since(began)
		x.load.took(took, len(changes))
		if err := x.waitStored(ctx, seq-min(seq, maxUnstored), failed); err != nil {
			return seq, err
		}
		pause = 10 * time.Millisecond
		x.rest(ctx, took)
	}
}

// advance tells those who wait how far the index is.
func (x *Index) advance(seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.open, x.seq = true, seq
	close(x.moved)
	x.moved = make(chan struct{})
}

// persisted notes that the library has written everything up to a seq.
func (x *Index) persisted(seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stored = max(x.stored, seq)
	close(x.moved)
	x.moved = make(chan struct{})
}

// waitStored waits until everything up to a seq is on disk, ctx ends or the index fails.
func (x *Index) waitStored(ctx context.Context, seq uint64, failed <-chan error) error {
	for {
		x.mu.Lock()
		stored, moved := x.stored, x.moved
		x.mu.Unlock()
		if stored >= seq {
			return nil
		}
		select {
		case <-moved:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// WaitFor returns true when the index holds what the feed said up to seq, false when ctx
// ended first.
func (x *Index) WaitFor(ctx context.Context, seq uint64) bool {
	for waiting := false; ; {
		x.mu.Lock()
		have, open, moved := x.seq, x.open, x.moved
		x.mu.Unlock()
		if open && have >= seq {
			return true
		}
		if !waiting {
			waiting = true
			defer x.await()()
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// Status is how far the index is.
type Status struct {
	Seq, Last uint64 // of the index, of the feed
	Open      bool
	// Building is set until the index has what the feed had said when it was opened.
	Building bool
}

// Status tells how far the index is.
func (x *Index) Status() Status {
	last := x.cfg.Feed.Seq()
	x.mu.Lock()
	defer x.mu.Unlock()
	return Status{Seq: x.seq, Last: last, Open: x.open, Building: !x.open || x.seq < x.target}
}

// guarded makes an error of a panic: the library has some for files that it does not
// expect.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return f()
}

var errPanic = errors.New("the search library panicked")
