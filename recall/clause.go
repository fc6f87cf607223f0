package recall

import (
	"github.com/RoaringBitmap/roaring/v2"
)

// clause tells which documents of a part are meant. The bitmap is not to be changed.
type clause interface {
	docs(part int) (*roaring.Bitmap, error)
}

// anyOf are those that one of them means at least.
type anyOf []clause

func (a anyOf) docs(part int) (*roaring.Bitmap, error) {
	if len(a) == 1 {
		return a[0].docs(part)
	}
	out := roaring.New()
	for _, c := range a {
		docs, err := c.docs(part)
		if err != nil {
			return nil, err
		}
		out.Or(docs)
	}
	return out, nil
}

// allOf are those that each of them means. There is one at least.
type allOf []clause

func (a allOf) docs(part int) (*roaring.Bitmap, error) {
	out, err := a[0].docs(part)
	for _, c := range a[1:] {
		if err != nil || out.IsEmpty() {
			return out, err
		}
		var docs *roaring.Bitmap
		if docs, err = c.docs(part); err == nil {
			out = roaring.And(out, docs)
		}
	}
	return out, err
}
