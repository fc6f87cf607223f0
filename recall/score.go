package recall

import (
	"container/heap"
	"context"
	"math"
	"math/bits"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"
)

// BM25 with the root of how often a word comes. How long a memory is counts against a length
// that is the same always, and not against the average of the index: scores then depend on
// the memories that there are, and not on how the library has merged its segments. (What it
// takes for the average itself is the number of words in the dictionaries of all segments,
// divided by that of memories.)
const (
	bm25K     = 1.2
	bm25B     = 0.75
	usualSize = 3 // words: far shorter than most, so that short memories fit better
)

// form is a term that a word stands for.
type form struct {
	*list
	weight float64
}

// rarity is how much a term says: more, the fewer memories have it.
func (v *view) rarity(l *list) float64 {
	n := float64(l.count)
	return math.Log1p((float64(v.docs) - n + 0.5) / (n + 0.5))
}

// scored is a document and how well it fits.
type scored struct {
	number uint64 // in the whole
	score  float64
}

// ranking hands out the best first; of equals, those first that came first.
type ranking []scored

func (r ranking) Len() int { return len(r) }
func (r ranking) Less(i, j int) bool {
	return r[i].score > r[j].score || r[i].score == r[j].score && r[i].number < r[j].number
}
func (r ranking) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r *ranking) Push(s any)   { *r = append(*r, s.(scored)) }
func (r *ranking) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// fit is how well a document fits one group of words.
type fit struct {
	sum  float64
	have uint16 // which of the words it has, a bit each
}

// rank scores the documents of each part by groups of words, of maxTerms at most: in each, the
// share counts that a document has of them.
func (v *view) rank(ctx context.Context, docs []*roaring.Bitmap, groups [][]word) (*ranking, error) {
	out := &ranking{}
	for i, p := range v.parts {
		if docs[i].IsEmpty() {
			continue
		}
		from := len(*out)
		*out = slices.Grow(*out, int(docs[i].GetCardinality())) // #nosec G115 -- of one segment
		for it := docs[i].Iterator(); it.HasNext(); {
			*out = append(*out, scored{number: uint64(it.Next())})
		}
		all := (*out)[from:]
		fits := make([]fit, len(all))
		for _, group := range groups {
			clear(fits)
			for k, w := range group {
				for _, f := range w.forms {
					if err := ctx.Err(); err != nil {
						return nil, err
					}
					if err := f.add(i, docs[i], all, fits, 1<<k); err != nil {
						return nil, err
					}
				}
			}
			for k := range all {
				all[k].score += fits[k].sum * float64(bits.OnesCount16(fits[k].have)) / float64(len(group))
			}
		}
		for k := range all {
			all[k].number += p.first
		}
	}
	heap.Init(out)
	return out, nil
}

// add adds what a form gives to those documents of a part that have it. all and fits are of
// the same documents as docs, in their order.
func (f form) add(part int, docs *roaring.Bitmap, all []scored, fits []fit, bit uint16) error {
	for _, postings := range f.in[part] {
		if err := f.addFrom(postings, docs, all, fits, bit); err != nil {
			return err
		}
	}
	return nil
}

func (f form) addFrom(postings segment.PostingsList, docs *roaring.Bitmap, all []scored, fits []fit, bit uint16) error {
	it := postings.Iterator(true, true, false, nil)
	quick, ok := it.(segment.OptimizablePostingsIterator)
	if !ok {
		return errReader
	}
	if own := quick.ActualBitmap(); own != nil {
		both := roaring.And(own, docs)
		switch both.GetCardinality() {
		case 0:
			return nil
		case own.GetCardinality():
		default:
			quick.ReplaceActual(both)
		}
	}
	k := 0
	for {
		posting, err := it.Next()
		if err != nil || posting == nil {
			return err
		}
		number := posting.Number()
		for k < len(all) && all[k].number < number {
			k++
		}
		if k == len(all) {
			return nil
		}
		if all[k].number > number { // the only one, and not wanted
			continue
		}
		norm := posting.Norm()
		tf := math.Sqrt(float64(posting.Frequency()))
		fits[k].sum += f.weight * tf * bm25K / (tf + bm25K*(1-bm25B+bm25B/(norm*norm*usualSize)))
		fits[k].have |= bit
	}
}
