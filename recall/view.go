package recall

import (
	"errors"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	bleveindex "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"
)

// view is the index at one moment. It is read segment by segment, below the searchers of the
// library: those go from memory to memory through every clause, and what this costs grows
// with how common the words are and not with how many memories are left by a restriction.
type view struct {
	*scorch.IndexSnapshot
	docs  uint64 // memories in it
	parts []*part
}

// part is one segment. Its documents are counted from 0.
type part struct {
	*scorch.SegmentSnapshot
	first uint64 // number of its first document in the whole
	dicts map[string]segment.TermDictionary
}

var errReader = errors.New("the search library has another kind of reader")

func newView(reader bleveindex.IndexReader) (*view, error) {
	snapshot, ok := reader.(*scorch.IndexSnapshot)
	if !ok {
		return nil, errReader
	}
	docs, err := snapshot.DocCount()
	if err != nil {
		return nil, err
	}
	v := &view{IndexSnapshot: snapshot, docs: docs}
	var first uint64
	for _, s := range snapshot.Segments() {
		v.parts = append(v.parts, &part{SegmentSnapshot: s, first: first, dicts: make(map[string]segment.TermDictionary)})
		first += s.Segment().Count()
	}
	return v, nil
}

func (p *part) dictionary(field string) (segment.TermDictionary, error) {
	if d, ok := p.dicts[field]; ok {
		return d, nil
	}
	d, err := p.Segment().Dictionary(field)
	if err == nil {
		p.dicts[field] = d
	}
	return d, err
}

// list is where a term stands, in each part of a view.
type list struct {
	in    [][]segment.PostingsList // each without the documents of the others
	count uint64                   // of memories that have it
}

// list looks a term up. The stems of words that are their own stem stand among the words alone:
// most are, and each list costs the same. A document that has a stem in both fields has it among
// the stems as often as in all. A stem that is not its own stem stands among the stems alone:
// that of tense is tens, and that of the word tens is ten.
func (v *view) list(field, text string) (*list, error) {
	l := &list{in: make([][]segment.PostingsList, len(v.parts))}
	alsoWord := field == fieldStem && stem(text) == text
	for i, p := range v.parts {
		postings, err := p.postings(field, text, p.Deleted())
		if err != nil {
			return nil, err
		}
		l.add(i, postings)
		if !alsoWord {
			continue
		}
		except := p.Deleted()
		if len(l.in[i]) > 0 {
			stems, err := l.docs(i, nil)
			if err != nil {
				return nil, err
			}
			if except == nil {
				except = stems
			} else {
				except = roaring.Or(except, stems)
			}
		}
		if postings, err = p.postings(fieldWord, text, except); err != nil {
			return nil, err
		}
		l.add(i, postings)
	}
	return l, nil
}

func (p *part) postings(field, text string, except *roaring.Bitmap) (segment.PostingsList, error) {
	d, err := p.dictionary(field)
	if err != nil {
		return nil, err
	}
	return d.PostingsList([]byte(text), except, nil)
}

func (l *list) add(part int, postings segment.PostingsList) {
	if n := postings.Count(); n > 0 {
		l.in[part] = append(l.in[part], postings)
		l.count += n
	}
}

// terms are the first terms of a field from one on and below another, limit at most, which an
// automaton takes (nil = it takes all), in their order. Those of memories that are gone and not
// cleared away yet are among them. How many have a term is not to be learned on the way: behind
// a term of one memory the library says one of all.
func (v *view) terms(field, from, below string, takes segment.Automaton, limit int) ([]string, error) {
	seen := make(map[string]bool)
	for _, p := range v.parts {
		d, err := p.dictionary(field)
		if err != nil {
			return nil, err
		}
		it := walkTerms(d, takes, []byte(from), []byte(below))
		for range limit { // those of the answer are among the first of each part
			e, err := it.Next()
			if err != nil {
				return nil, err
			}
			if e == nil {
				break
			}
			seen[e.Term] = true
		}
	}
	out := slices.Sorted(maps.Keys(seen))
	return out[:min(len(out), limit)], nil
}

// walkTerms goes through a dictionary, where it can without the lists of the terms.
func walkTerms(d segment.TermDictionary, takes segment.Automaton, from, below []byte) segment.DictionaryIterator {
	quick, ok := d.(interface {
		AutomatonIteratorOmitCount(a segment.Automaton, from, below []byte) segment.DictionaryIterator
	})
	if ok {
		return quick.AutomatonIteratorOmitCount(takes, from, below)
	}
	return d.AutomatonIterator(takes, from, below)
}

// docs are the documents of a part that have the term. The bitmap is not to be changed.
func (l *list) docs(part int, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	var out *roaring.Bitmap
	for _, postings := range l.in[part] {
		it, ok := postings.Iterator(false, false, false, nil).(segment.OptimizablePostingsIterator)
		if !ok {
			return nil, errReader
		}
		docs := docsOf(it)
		if within != nil {
			docs = roaring.And(docs, within)
		}
		if out == nil {
			out = docs
		} else {
			out = roaring.Or(out, docs)
		}
	}
	if out == nil {
		out = roaring.New()
	}
	return out, nil
}

func docsOf(it segment.OptimizablePostingsIterator) *roaring.Bitmap {
	if docs := it.ActualBitmap(); docs != nil {
		return docs
	}
	if doc, one := it.DocNum1Hit(); one {
		return roaring.BitmapOf(uint32(doc)) // #nosec G115 -- a segment numbers its documents by 32 bits
	}
	return roaring.New()
}

// id is that of the memory behind a number in the whole.
func (v *view) id(number uint64) (string, error) {
	return v.ExternalID(bleveindex.NewIndexInternalID(nil, number))
}
