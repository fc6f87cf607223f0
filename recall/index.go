package recall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/mapping"
	bleveindex "github.com/blevesearch/bleve_index_api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/memory"
)

// Change is one entry of a feed.
type Change struct {
	Seq uint64
	ID  string         // of the memory; "" = nothing that is searched
	Doc *memory.Memory // what it says now; nil = it is gone
}

// Feed is where the index learns what there is.
type Feed interface {
	// Changes returns up to limit changes behind a seq, the oldest first. A memory that
	// changed again comes once, with its last change.
	Changes(after uint64, limit int) ([]Change, error)
	// Changed is closed at the next change. Take it before Changes.
	Changed() <-chan struct{}
	// State is the last seq and a mark of all that the feed has seen by then.
	State() (seq uint64, mark []byte)
	// Continues tells whether this feed has seen all that one with the mark had: if not, it
	// is an older copy, and what an index learned from the other one is not true here.
	Continues(mark []byte) bool
}

// Config of an Index. Dir and Feed are required.
type Config struct {
	Dir        string // of the index alone: it may be deleted at any time while no node runs
	Feed       Feed
	Log        *slog.Logger // nil = discard
	Registerer prometheus.Registerer
}

// format of the index: what is kept and how words are cut. Another one is built anew.
const format = "1"

// batchChanges are taken by one batch at most.
const batchChanges = 500

var (
	keyFormat = []byte("format")
	keySeq    = []byte("seq")
	keyMark   = []byte("mark")
)

// Fields of a document.
const (
	fieldTitle = "title" // stems
	fieldBody  = "body"  // stems
	fieldWord  = "word"  // words of both
	fieldTag   = "tag"
	fieldNS    = "ns"
	fieldTier  = "tier"
)

// Index is the index of one node. Search and the rest are safe for concurrent use, also
// before Run and while it builds.
type Index struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics

	life  sync.RWMutex // held for reading by searches: nobody closes what they read
	index bleve.Index  // nil while there is none

	mu    sync.Mutex
	open  bool
	seq   uint64 // up to here it holds what the feed says
	moved chan struct{}
}

// New returns an index that holds nothing yet; Run opens it.
func New(c Config) *Index {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	x := &Index{cfg: c, log: c.Log, moved: make(chan struct{})}
	x.metrics = newMetrics(c.Registerer, x)
	return x
}

// Run opens the index and follows the feed until ctx ends. Trouble with the index is not an
// error: it is thrown away and built anew.
func (x *Index) Run(ctx context.Context) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 30*time.Second) {
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
	if err := x.index.Close(); err != nil {
		x.log.Warn("closing the index for recall", "err", err)
	}
	x.index = nil
}

func (x *Index) follow(ctx context.Context) error {
	index, seq, err := x.openOrMake()
	if err != nil {
		return err
	}
	x.life.Lock()
	x.index = index
	x.life.Unlock()
	x.advance(seq)
	if last, _ := x.cfg.Feed.State(); last > seq+batchChanges {
		x.log.Info("building the index for recall", "from", seq, "to", last)
	}
	for {
		changed := x.cfg.Feed.Changed()
		for {
			last, mark := x.cfg.Feed.State()
			changes, err := x.cfg.Feed.Changes(seq, batchChanges)
			if err != nil {
				return err
			}
			if len(changes) == 0 {
				break
			}
			if seq, err = x.take(index, changes, mark); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return nil
			}
			if seq >= last && len(changes) < batchChanges {
				break
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// openOrMake opens what is there, or makes a new index in its place.
func (x *Index) openOrMake() (bleve.Index, uint64, error) {
	if _, err := os.Stat(x.cfg.Dir); err == nil {
		index, err := bleve.OpenUsing(x.cfg.Dir, settings())
		if err == nil {
			seq, err := x.checkpoint(index)
			if err == nil {
				return index, seq, nil
			}
			_ = index.Close()
			x.log.Info("the index for recall is built anew", "why", err)
		} else {
			x.log.Warn("the index for recall cannot be opened and is built anew", "err", err)
		}
		x.metrics.rebuilds.Inc()
		if err := os.RemoveAll(x.cfg.Dir); err != nil {
			return nil, 0, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(x.cfg.Dir), 0o700); err != nil {
		return nil, 0, err
	}
	index, err := bleve.NewUsing(x.cfg.Dir, newMapping(), scorch.Name, scorch.Name, settings())
	if err == nil {
		err = index.SetInternal(keyFormat, []byte(format))
	}
	return index, 0, err
}

func settings() map[string]any {
	return map[string]any{
		// A batch is seen before it is on disk, and what a crash loses is read again from
		// the feed: the checkpoint is in the same snapshot.
		"unsafe_batch":       true,
		"numSnapshotsToKeep": 1,
	}
}

var errOther = errors.New("it is of another store")

// checkpoint is how far an index has come, if it is of this format and of this feed.
func (x *Index) checkpoint(index bleve.Index) (uint64, error) {
	have, err := index.GetInternal(keyFormat)
	if err != nil {
		return 0, err
	}
	if string(have) != format {
		return 0, fmt.Errorf("it is of format %.20q, not %s", have, format)
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
	if last, _ := x.cfg.Feed.State(); seq > last || !x.cfg.Feed.Continues(mark) {
		return 0, errOther
	}
	return seq, nil
}

// entry is a memory as it is indexed.
type entry struct {
	Title string   `json:"title"`
	Body  string   `json:"body"`
	Word  []string `json:"word"`
	Tag   []string `json:"tag"`
	NS    string   `json:"ns"`
	Tier  string   `json:"tier"`
}

// take applies changes and how far they reach, at once.
func (x *Index) take(index bleve.Index, changes []Change, mark []byte) (uint64, error) {
	start := time.Now()
	batch := index.NewBatch()
	docs := 0
	for _, c := range changes {
		switch {
		case c.ID == "":
		case c.Doc == nil:
			batch.Delete(c.ID)
		default:
			docs++
			err := batch.Index(c.ID, entry{
				Title: c.Doc.Title, Body: c.Doc.Content, Word: []string{c.Doc.Title, c.Doc.Content},
				Tag: foldAll(c.Doc.Tags), NS: c.Doc.Namespace, Tier: c.Doc.Tier,
			})
			if err != nil {
				return 0, fmt.Errorf("index %s: %w", c.ID, err)
			}
		}
	}
	seq := changes[len(changes)-1].Seq
	batch.SetInternal(keySeq, strconv.AppendUint(nil, seq, 10))
	batch.SetInternal(keyMark, mark)
	if err := index.Batch(batch); err != nil {
		return 0, fmt.Errorf("batch of %d: %w", len(changes), err)
	}
	x.metrics.documents.Add(float64(docs))
	x.metrics.batchSeconds.Observe(time.Since(start).Seconds())
	x.advance(seq)
	return seq, nil
}

func foldAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}

// advance tells those who wait how far the index is.
func (x *Index) advance(seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.open, x.seq = true, seq
	close(x.moved)
	x.moved = make(chan struct{})
}

// WaitFor returns true when the index holds what the feed said up to seq, false when ctx
// ended first.
func (x *Index) WaitFor(ctx context.Context, seq uint64) bool {
	for {
		x.mu.Lock()
		have, open, moved := x.seq, x.open, x.moved
		x.mu.Unlock()
		if open && have >= seq {
			return true
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
}

// Status tells how far the index is.
func (x *Index) Status() Status {
	last, _ := x.cfg.Feed.State()
	x.mu.Lock()
	defer x.mu.Unlock()
	return Status{Seq: x.seq, Last: last, Open: x.open}
}

func newMapping() mapping.IndexMapping {
	text := func(analyzer string) *mapping.FieldMapping {
		f := bleve.NewTextFieldMapping()
		f.Analyzer = analyzer
		f.Store, f.DocValues, f.IncludeInAll, f.IncludeTermVectors = false, false, false, false
		return f
	}
	doc := bleve.NewDocumentStaticMapping()
	doc.AddFieldMappingsAt(fieldTitle, text(stemAnalyzer))
	doc.AddFieldMappingsAt(fieldBody, text(stemAnalyzer))
	doc.AddFieldMappingsAt(fieldWord, text(wordAnalyzer))
	for _, f := range []string{fieldTag, fieldNS, fieldTier} {
		exact := text(keyword.Name)
		exact.SkipFreqNorm = true
		doc.AddFieldMappingsAt(f, exact)
	}
	m := bleve.NewIndexMapping()
	m.DefaultMapping = doc
	m.ScoringModel = bleveindex.BM25Scoring
	m.StoreDynamic, m.IndexDynamic, m.DocValuesDynamic = false, false, false
	return m
}
