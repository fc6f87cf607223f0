package recall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/collector"
	"github.com/blevesearch/bleve/v2/search/query"
	bleveindex "github.com/blevesearch/bleve_index_api"
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
// rare words. All is of one moment.
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
		plans, err := plan(reader, q)
		if err != nil {
			return err
		}
		w := walk{ctx: withBM25(ctx), reader: reader, mapping: x.index.Mapping(), all: q.All, seen: make(map[string]bool), more: more}
		for _, p := range plans {
			goOn, err := w.pages(p, size)
			if err != nil || !goOn {
				return err
			}
		}
		return nil
	})
}

// withBM25 is what the library's searchers look for when they score.
func withBM25(ctx context.Context) context.Context {
	return context.WithValue(ctx, search.GetScoringModelCallbackKey,
		search.GetScoringModelCallbackFn(func() string { return bleveindex.BM25Scoring }))
}

// walk goes through what is found.
type walk struct {
	ctx     context.Context
	reader  bleveindex.IndexReader
	mapping mapping.IndexMapping
	all     bool
	seen    map[string]bool
	more    func([]Hit, bool) (bool, error)
}

// pages walks through what one query finds. goOn tells that the caller wants more.
func (w *walk) pages(q query.Query, size int) (goOn bool, err error) {
	for from := 0; ; {
		found, err := w.page(q, from, size)
		if err != nil {
			return false, err
		}
		hits := make([]Hit, 0, len(found))
		for _, h := range found {
			if !w.seen[h.ID] {
				w.seen[h.ID] = true
				hits = append(hits, Hit{ID: h.ID, Score: h.Score})
			}
		}
		end := len(found) < size
		if goOn, err := w.more(hits, end); err != nil || !goOn {
			return false, err
		}
		if end {
			return true, nil
		}
		from += size
		size *= 2
	}
}

func (w *walk) page(q query.Query, from, size int) (search.DocumentMatchCollection, error) {
	s, err := q.Searcher(w.ctx, w.reader, w.mapping, search.SearcherOptions{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	order := search.SortOrder{&search.SortScore{Desc: true}}
	if w.all { // whoever pages comes back when segments may have been merged, and ties with them
		order = append(order, &search.SortDocID{})
	}
	top := collector.NewTopNCollector(size, from, order)
	if err := top.Collect(w.ctx, s, w.reader); err != nil {
		return nil, err
	}
	return top.Results(), nil
}

// plan makes queries of a text, the narrow one first: what the next one finds in addition
// fits less well. None = nothing can be found.
func plan(reader bleveindex.IndexReader, q Query) ([]query.Query, error) {
	docs, err := reader.DocCount()
	if err != nil || docs == 0 {
		return nil, err
	}
	d := dictionary{reader: reader, exact: q.All}
	ws, err := d.words(q.Text)
	if err != nil || len(ws) == 0 {
		return nil, err
	}
	restricted, err := d.restrict(&q.Restriction)
	if err != nil {
		return nil, err
	}
	must, err := d.quoted(q.Text)
	if err != nil {
		return nil, err
	}
	must = append(must, restricted...)
	known := ws[:0]
	for _, w := range ws {
		switch {
		case len(w.forms) > 0:
			known = append(known, w)
		case q.All:
			return nil, nil // nobody has it
		}
	}
	if len(known) == 0 {
		return nil, nil
	}
	if q.All {
		for _, w := range known {
			must = append(must, w.any())
		}
		return []query.Query{query.NewConjunctionQuery(must)}, nil
	}
	var out []query.Query
	for _, some := range choose(known, docs) {
		if len(must) > 0 {
			some = query.NewConjunctionQuery(append([]query.Query{some}, must...))
		}
		out = append(out, some)
	}
	return out, nil
}

// commonShare is in how many of all memories a word is common: it says little, and there
// are many to look at.
const (
	commonShare = 100 // one in so many
	commonLeast = 500
)

// choose asks first for those that have one of the rare words at least, for which the
// common ones only count: they cost little then. If all are common, for those that have
// most of them.
func choose(ws []word, docs uint64) []query.Query {
	all := func(ws []word) []query.Query {
		out := make([]query.Query, len(ws))
		for i, w := range ws {
			out[i] = w.any()
		}
		return out
	}
	flat := func(ws []word) query.Query { // a level of the query costs with every memory
		var forms []query.Query
		for _, w := range ws {
			forms = append(forms, w.forms...)
		}
		return query.NewDisjunctionQuery(forms)
	}
	limit := max(docs/commonShare, commonLeast)
	var rare, common []word
	for _, w := range ws {
		if w.count <= limit {
			rare = append(rare, w)
		} else {
			common = append(common, w)
		}
	}
	switch {
	case len(common) == 0 || len(ws) == 1:
		return []query.Query{flat(ws)}
	case len(rare) == 0:
		return []query.Query{query.NewConjunctionQuery(all(common)), flat(ws)}
	}
	var should []query.Query
	for _, w := range common {
		should = append(should, w.forms...)
	}
	return []query.Query{query.NewBooleanQuery([]query.Query{flat(rare)}, should, nil), flat(ws)}
}

// restrict makes clauses that restrict and count nothing.
func (d dictionary) restrict(r *Restriction) ([]query.Query, error) {
	var out []query.Query
	exact := func(field, text string) query.Query { return term(field, text, 0) }
	anyOf := func(field string, texts []string) query.Query {
		if len(texts) == 1 {
			return exact(field, texts[0])
		}
		qs := make([]query.Query, len(texts))
		for i, t := range texts {
			qs[i] = exact(field, t)
		}
		return query.NewDisjunctionQuery(qs)
	}
	if len(r.Namespaces) > 0 {
		out = append(out, anyOf(fieldNS, r.Namespaces))
	}
	if r.Tag != "" {
		out = append(out, exact(fieldTag, foldAll([]string{r.Tag})[0]))
	}
	if r.Tier != "" {
		out = append(out, exact(fieldTier, r.Tier))
	}
	if r.Agent != "" {
		out = append(out, exact(fieldAgent, r.Agent))
	}
	if r.MinPriority > 1 {
		var levels []string
		for p := r.MinPriority; p <= maxPriority; p++ {
			levels = append(levels, fmt.Sprint(p))
		}
		if len(levels) == 0 {
			return []query.Query{query.NewMatchNoneQuery()}, nil
		}
		out = append(out, anyOf(fieldPriority, levels))
	}
	if r.As != "" {
		out = append(out, visibleFor(r.As))
	}
	days, err := d.days(r.Since, r.Until)
	if err != nil {
		return nil, err
	}
	return append(out, days...), nil
}

const maxPriority = 10

// visibleFor is Visible as a clause.
func visibleFor(as string) query.Query {
	both := func(scope, field, ns string) query.Query {
		return query.NewConjunctionQuery([]query.Query{term(fieldScope, scope, 0), term(field, ns, 0)})
	}
	anyOf := []query.Query{term(fieldScope, "collective", 0), both("private", fieldNS, as)}
	for scope, levels := range scopeLevels {
		anyOf = append(anyOf, both(scope, fieldBelow, ancestor(as, levels)))
	}
	return query.NewDisjunctionQuery(anyOf)
}

// maxDays is how many days a period may have to be looked up by day; a longer one is left
// to whoever reads the memories.
const maxDays = 400

func (d dictionary) days(since, until time.Time) ([]query.Query, error) {
	if since.IsZero() && until.IsZero() {
		return nil, nil
	}
	from, to := "0000", "9999"
	if !since.IsZero() {
		from = day(since)
	}
	if !until.IsZero() {
		to = day(until)
	}
	list, err := d.between(fieldDay, from, to, maxDays+1)
	switch {
	case err != nil || len(list) > maxDays:
		return nil, err
	case len(list) == 0:
		return []query.Query{query.NewMatchNoneQuery()}, nil
	}
	qs := make([]query.Query, len(list))
	for i, day := range list {
		qs[i] = term(fieldDay, day, 0)
	}
	return []query.Query{query.NewDisjunctionQuery(qs)}, nil
}
