package recall

import (
	"errors"

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
	in    []segment.PostingsList // nil where it does not
	count uint64                 // of memories that have it
}

func (v *view) list(field, text string) (*list, error) {
	l := &list{in: make([]segment.PostingsList, len(v.parts))}
	for i, p := range v.parts {
		d, err := p.dictionary(field)
		if err != nil {
			return nil, err
		}
		postings, err := d.PostingsList([]byte(text), p.Deleted(), nil)
		if err != nil {
			return nil, err
		}
		if n := postings.Count(); n > 0 {
			l.in[i] = postings
			l.count += n
		}
	}
	return l, nil
}

// docs are the documents of a part that have the term. The bitmap is not to be changed.
func (l *list) docs(part int) (*roaring.Bitmap, error) {
	if l.in[part] == nil {
		return roaring.New(), nil
	}
	it, ok := l.in[part].Iterator(false, false, false, nil).(segment.OptimizablePostingsIterator)
	if !ok {
		return nil, errReader
	}
	return docsOf(it), nil
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
