package vector

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/recall"
)

// Embedder computes vectors: one for each of at most embed.MaxInputs texts, in their order.
// Its errors are those of package embed.
type Embedder interface {
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// Config of an Index. File, Feed, Embedder and Model are required.
type Config struct {
	File     string // may be deleted at any time while no node runs
	Feed     recall.Feed
	Embedder Embedder
	Model    string // vectors of another one are thrown away
	// MaxBytes of RAM for vectors, about; 0 = 1 GiB. Memories beyond have none.
	MaxBytes int64
	// Retry is the first wait after a failure of the embedder, doubled up to a minute; 0 = 1 s.
	Retry      time.Duration
	Log        *slog.Logger // nil = discard
	Registerer prometheus.Registerer
}

// Index is the vectors of one node. Query and the rest are safe for concurrent use, also before
// Run.
type Index struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	asking  chan struct{} // a place for each question on its way
	breaker breaker

	// Of Run alone.
	file *file
	mark []byte

	mu    sync.Mutex
	set   *set   // nil while there is none
	seq   uint64 // up to here it holds what the feed says
	ready bool   // the last answer of the embedder was good
}

// New returns an index that holds nothing yet; Run opens it.
func New(c Config) *Index {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 1 << 30
	}
	if c.Retry == 0 {
		c.Retry = time.Second
	}
	x := &Index{cfg: c, log: c.Log, asking: make(chan struct{}, maxQuestions)}
	x.metrics = newMetrics(c.Registerer, x)
	return x
}

const (
	// batchChanges of the feed are taken at once.
	batchChanges = 128
	// gatherFor is how long a change waits for others to be computed with.
	gatherFor = 100 * time.Millisecond
	maxWait   = time.Minute
)

// Run opens the vectors and follows the feed until ctx ends. Trouble with the file is not an
// error: it is tried again.
func (x *Index) Run(ctx context.Context) error {
	for wait := x.cfg.Retry; ; wait = min(2*wait, maxWait) {
		began := time.Now()
		err := x.follow(ctx)
		x.drop()
		if ctx.Err() != nil {
			return nil
		}
		x.log.Error("the vectors for recall cannot be kept, for now", "err", err)
		if time.Since(began) > time.Hour { // it had been well
			wait = x.cfg.Retry
		}
		if !pause(ctx, wait) {
			return nil
		}
	}
}

// pause returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (x *Index) drop() {
	x.use(nil, nil, batch{})
}

// use replaces what is held.
func (x *Index) use(f *file, s *set, last batch) {
	if x.file != nil && x.file != f {
		x.file.close()
	}
	x.file, x.mark = f, last.mark
	x.mu.Lock()
	defer x.mu.Unlock()
	x.set, x.seq = s, last.seq
}

func (x *Index) current() *set {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.set
}

// follow returns when ctx ends, or with an error of the file.
func (x *Index) follow(ctx context.Context) error {
	if err := x.openOld(); err != nil {
		return err
	}
	// What the embedder makes now decides: it may have got another model under the old name.
	first, err := x.compute(ctx, []string{probe}, 0)
	if err != nil {
		return err
	}
	if dims := len(first[0]); x.file == nil || x.current().dims != dims {
		s := newSet(dims)
		f, err := makeFile(x.cfg.File, x.cfg.Model, s, batch{})
		if err != nil {
			return err
		}
		x.use(f, s, batch{})
		x.log.Info("computing vectors for recall", "model", x.cfg.Model, "dimensions", dims, "changes", x.cfg.Feed.Seq())
	}
	x.heard(useIndex, nil)
	for {
		changed := x.cfg.Feed.Changed()
		if err := x.drain(ctx); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
		if !pause(ctx, gatherFor) {
			return nil
		}
	}
}

// openOld takes what is there, if it is of this model and the feed continues it.
func (x *Index) openOld() error {
	f, s, last, err := openFile(x.cfg.File, x.cfg.Model)
	switch {
	case err == nil && (last.seq == 0 && s.len() == 0 || x.cfg.Feed.Continues(last.seq, last.mark)):
		x.use(f, s, last)
		return nil
	case err == nil:
		f.close()
		err = errOther
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, errOther):
		return err
	}
	x.log.Info("the vectors for recall are computed anew", "why", err)
	return os.Remove(x.cfg.File)
}

// drain takes changes until there are none.
func (x *Index) drain(ctx context.Context) error {
	for wait := 10 * time.Millisecond; ctx.Err() == nil; {
		changes, mark, err := x.cfg.Feed.Changes(x.seqNow(), batchChanges)
		if err != nil { // not the fault of the vectors
			x.log.Warn("reading what vectors are to be computed of", "err", err)
			pause(ctx, wait)
			wait = min(2*wait, 5*time.Second)
			continue
		}
		if len(changes) == 0 {
			return nil
		}
		if err := x.take(ctx, changes, mark); err != nil {
			return err
		}
		wait = 10 * time.Millisecond
	}
	return nil
}

func (x *Index) seqNow() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seq
}

// Status is how far the vectors are.
type Status struct {
	// Ready is set while the embedder answers and there is something to compare with.
	Ready      bool
	Dimensions int // 0 = not known yet
	Held       int
	Behind     uint64 // places in the order of arrival that are not reached
}

// Status tells how far the vectors are.
func (x *Index) Status() Status {
	last := x.cfg.Feed.Seq()
	x.mu.Lock()
	set, seq, ready := x.set, x.seq, x.ready
	x.mu.Unlock()
	out := Status{Behind: last - min(seq, last)}
	if set != nil {
		out.Ready, out.Dimensions, out.Held = ready, set.dims, set.len()
	}
	return out
}
