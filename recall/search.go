package recall

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
)

// Query is what to look for. Zero fields do not restrict.
type Query struct {
	Text string
	// All wants every word; otherwise the more and the rarer of them, the better. What is
	// in double quotes is wanted in any case; that it stands there word for word, the
	// caller checks with HasPhrases.
	All bool
	Restriction
}

// Restriction is what a memory has to be.
type Restriction struct {
	Namespaces  []string // any of them
	Tag         string   // in any case of letters
	Tier        string
	Agent       string // who wrote it
	MinPriority int
	Since       time.Time // created that day or later
	Until       time.Time // created that day or earlier
	As          string    // Visible for this namespace
}

// Hit is one memory that was found.
type Hit struct {
	ID    string
	Score float64 // BM25: to be compared within one answer
}

// ErrClosed is a search while there is no index: before it was opened, or between a failure
// and the new one.
var ErrClosed = errors.New("recall: the index is not open")

// Search hands over hits, the best first, size at a time and then twice as many, until more
// says no or there are none. weaker tells that those to come fit less well: they lack the
// rare words. All is of one moment. With q.All the order is the same as long as the memories
// are, however the library keeps them; of those that fit equally well a page may bring a few
// more than size.
func (x *Index) Search(ctx context.Context, q Query, size int, more func(hits []Hit, weaker bool) (bool, error)) error {
	start := time.Now()
	defer func() { x.metrics.searchSeconds.Observe(time.Since(start).Seconds()) }()
	x.life.RLock()
	defer x.life.RUnlock()
	if x.index == nil {
		return ErrClosed
	}
	return guarded(func() error {
		advanced, err := x.index.Advanced()
		if err != nil {
			return err
		}
		reader, err := advanced.Reader() // one for all pages: their order must not change between them
		if err != nil {
			return err
		}
		defer reader.Close()
		v, err := newView(reader)
		if err != nil {
			return err
		}
		steps, err := v.plan(ctx, q)
		if err != nil {
			return err
		}
		w := walk{ctx: ctx, view: v, all: q.All, done: make([]*roaring.Bitmap, len(v.parts)), size: size, more: more}
		for _, s := range steps {
			goOn, err := w.step(s)
			if err != nil || !goOn {
				return err
			}
		}
		return nil
	})
}

// step is which memories to look for, and the words that they are ranked by, in groups.
type step struct {
	which clause
	words [][]word
}

// walk goes through what is found.
type walk struct {
	ctx  context.Context
	view *view
	all  bool
	done []*roaring.Bitmap // what was found already, in each part; nil = nothing
	size int
	more func([]Hit, bool) (bool, error)
}

// step hands over what is found and was not before. goOn tells that the caller wants more.
func (w *walk) step(s step) (goOn bool, err error) {
	which := make([]*roaring.Bitmap, len(w.view.parts))
	for i := range which {
		if err := w.ctx.Err(); err != nil {
			return false, err
		}
		if which[i], err = s.which.docs(i, nil); err != nil {
			return false, err
		}
		if w.done[i] == nil {
			w.done[i] = which[i]
			continue
		}
		which[i] = roaring.AndNot(which[i], w.done[i])
		w.done[i] = roaring.Or(w.done[i], which[i])
	}
	ranking, err := w.view.rank(w.ctx, which, s.words)
	if err != nil {
		return false, err
	}
	for size := w.size; ; size *= 2 {
		hits, err := w.page(ranking, size)
		if err != nil {
			return false, err
		}
		end := ranking.Len() == 0
		if goOn, err := w.more(hits, end); err != nil || !goOn || end {
			return goOn, err
		}
	}
}

// page takes so many hits from a ranking, or a few more if their ids decide over ties:
// whoever pages comes back when segments may have been merged.
func (w *walk) page(r *ranking, size int) ([]Hit, error) {
	hits := make([]Hit, 0, min(size, r.Len()))
	for r.Len() > 0 && (len(hits) < size || w.all && (*r)[0].score == hits[len(hits)-1].Score) {
		s := heap.Pop(r).(scored)
		id, err := w.view.id(s.number)
		if err != nil {
			return nil, err
		}
		hits = append(hits, Hit{ID: id, Score: s.score})
	}
	if w.all {
		slices.SortFunc(hits, func(a, b Hit) int { return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.ID, b.ID)) })
	}
	return hits, nil
}
