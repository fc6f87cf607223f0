package recall

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/search/query"
	bleveindex "github.com/blevesearch/bleve_index_api"
)

// Query is what to look for. Zero fields do not restrict.
type Query struct {
	Text string
	// All wants every word; otherwise the more and the rarer of them, the better.
	All        bool
	Namespaces []string // any of them
	Tag        string
	Tier       string
	From, Size int // which of the hits, the best first
}

// Hit is one memory that was found.
type Hit struct {
	ID    string
	Score float64 // BM25: to be compared within one answer
}

// ErrClosed is a search while there is no index: before it was opened, or between a failure
// and the new one.
var ErrClosed = errors.New("recall: the index is not open")

// maxTerms of a query count: of more, the rarest.
const maxTerms = 12

// Weights of where a word was found.
const (
	boostTitle  = 2.0
	boostBody   = 1.0
	boostWord   = 0.5 // the very word, beside its stem
	boostTag    = 1.5
	boostPrefix = 0.4 // it only begins so, and is the last one: somebody is still typing
	boostFuzzy  = 0.5 // no memory has the word, and this one is a letter off
)

// Search returns hits, the best first.
func (x *Index) Search(ctx context.Context, q Query) ([]Hit, error) {
	start := time.Now()
	defer func() { x.metrics.searchSeconds.Observe(time.Since(start).Seconds()) }()
	x.life.RLock()
	defer x.life.RUnlock()
	if x.index == nil {
		return nil, ErrClosed
	}
	s := searcher{ctx: ctx, index: x.index, q: q}
	return s.run()
}

type searcher struct {
	ctx   context.Context
	index bleve.Index
	q     Query
}

func (s *searcher) run() ([]Hit, error) {
	advanced, err := s.index.Advanced()
	if err != nil {
		return nil, err
	}
	reader, err := advanced.Reader()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	words, err := s.words(reader)
	if err != nil || len(words) == 0 {
		return nil, err
	}
	least := 1
	switch {
	case s.q.All:
		least = len(words)
	case len(words) > 2 && s.q.From == 0: // a later page is of those that have any
		least = (len(words) + 1) / 2
	}
	hits, err := s.find(words, least)
	if err == nil && len(hits) < s.q.Size && least > 1 && !s.q.All {
		hits, err = s.find(words, 1) // better something than nothing
	}
	return hits, err
}

// word is one word of a query, in all the forms that it may have been stored in.
type word struct {
	forms []query.Query
	count uint64 // of memories that have it
}

func term(field, text string, boost float64) query.Query {
	q := query.NewTermQuery(text)
	q.SetField(field)
	q.SetBoost(boost)
	return q
}

// words takes the text apart as the memories were.
func (s *searcher) words(reader bleveindex.IndexReader) ([]word, error) {
	all := terms(words, s.q.Text)
	if len(all) > 4*maxTerms {
		all = all[:4*maxTerms]
	}
	typing := len(all) - 1
	if last, _ := utf8.DecodeLastRuneInString(s.q.Text); last == ' ' || last == '.' || last == '?' || last == '!' {
		typing = -1
	}
	var out []word
	for i, text := range all {
		w := word{forms: []query.Query{term(fieldWord, text, boostWord), term(fieldTag, text, boostTag)}}
		for _, stem := range terms(stems, text) {
			w.forms = append(w.forms, term(fieldTitle, stem, boostTitle), term(fieldBody, stem, boostBody))
			if stem != text { // its documents are those of the word and more
				n, err := count(reader, fieldBody, stem)
				if err != nil {
					return nil, err
				}
				w.count = max(w.count, n)
			}
		}
		n, err := count(reader, fieldWord, text)
		if err != nil {
			return nil, err
		}
		w.count = max(w.count, n)
		if i == typing && len(text) >= 2 {
			longer, err := completions(reader, text)
			if err != nil {
				return nil, err
			}
			for _, l := range longer {
				w.forms = append(w.forms, term(fieldWord, l, boostPrefix))
			}
			if w.count == 0 && len(longer) > 0 {
				w.count = 1
			}
		}
		if w.count == 0 && len(text) >= 4 {
			near := query.NewFuzzyQuery(text)
			near.SetField(fieldWord)
			near.SetBoost(boostFuzzy)
			near.SetPrefix(1)
			near.SetFuzziness(1 + len(text)/9)
			w.forms = append(w.forms, near)
		}
		out = append(out, w)
	}
	if len(out) > maxTerms {
		order := slices.Clone(out)
		slices.SortStableFunc(order, func(a, b word) int {
			// What nobody has helps nobody.
			if (a.count == 0) != (b.count == 0) {
				return cmp.Compare(b.count, a.count)
			}
			return cmp.Compare(a.count, b.count)
		})
		out = order[:maxTerms]
	}
	return out, nil
}

// count tells how many memories have a term.
func count(reader bleveindex.IndexReader, field, text string) (uint64, error) {
	dict, err := reader.FieldDictRange(field, []byte(text), []byte(text))
	if err != nil {
		return 0, err
	}
	defer dict.Close()
	e, err := dict.Next()
	if err != nil || e == nil {
		return 0, err
	}
	return e.Count, nil
}

const (
	maxCompletions = 6
	maxDictionary  = 200 // entries looked at for them
)

// completions are the commonest words that begin with a text and are longer.
func completions(reader bleveindex.IndexReader, text string) ([]string, error) {
	dict, err := reader.FieldDictPrefix(fieldWord, []byte(text))
	if err != nil {
		return nil, err
	}
	defer dict.Close()
	type entry struct {
		term  string
		count uint64
	}
	var found []entry
	for range maxDictionary {
		e, err := dict.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			break
		}
		if e.Term != text {
			found = append(found, entry{e.Term, e.Count})
		}
	}
	slices.SortFunc(found, func(a, b entry) int { return cmp.Or(cmp.Compare(b.count, a.count), strings.Compare(a.term, b.term)) })
	var out []string
	for _, e := range found[:min(len(found), maxCompletions)] {
		out = append(out, e.term)
	}
	return out, nil
}

// find asks for memories that have at least so many of the words.
func (s *searcher) find(words []word, least int) ([]Hit, error) {
	of := make([]query.Query, len(words))
	for i, w := range words {
		of[i] = query.NewDisjunctionQuery(w.forms)
	}
	var q query.Query
	if least == len(of) {
		q = query.NewConjunctionQuery(of)
	} else {
		some := query.NewDisjunctionQuery(of)
		some.SetMin(float64(least))
		q = some
	}
	if filters := s.filters(); len(filters) > 0 {
		q = query.NewConjunctionQuery(append([]query.Query{q}, filters...))
	}
	req := bleve.NewSearchRequestOptions(q, s.q.Size, s.q.From, false)
	res, err := s.index.SearchInContext(s.ctx, req)
	if err != nil {
		return nil, err
	}
	hits := make([]Hit, len(res.Hits))
	for i, h := range res.Hits {
		hits[i] = Hit{ID: h.ID, Score: h.Score}
	}
	return hits, nil
}

// filters restrict and count nothing.
func (s *searcher) filters() []query.Query {
	var out []query.Query
	if len(s.q.Namespaces) > 0 {
		anyOf := make([]query.Query, len(s.q.Namespaces))
		for i, ns := range s.q.Namespaces {
			anyOf[i] = term(fieldNS, ns, 0)
		}
		out = append(out, query.NewDisjunctionQuery(anyOf))
	}
	if s.q.Tag != "" {
		out = append(out, term(fieldTag, strings.ToLower(s.q.Tag), 0))
	}
	if s.q.Tier != "" {
		out = append(out, term(fieldTier, s.q.Tier, 0))
	}
	return out
}
