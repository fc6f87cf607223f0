package recall

import (
	"github.com/RoaringBitmap/roaring/v2"
)

// clause tells which documents of a part are meant, of those within a bitmap (nil = all of
// them): what a namespace leaves is little, and joining the lists of common words is not.
// The bitmap that it returns is not to be changed.
type clause interface {
	docs(part int, within *roaring.Bitmap) (*roaring.Bitmap, error)
}

// anyOf are those that one of them means at least.
type anyOf []clause

func (a anyOf) docs(part int, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	if len(a) == 1 {
		return a[0].docs(part, within)
	}
	out := roaring.New()
	for _, c := range a {
		docs, err := c.docs(part, within)
		if err != nil {
			return nil, err
		}
		out.Or(docs)
	}
	return out, nil
}

// allOf are those that each of them means. There is one at least.
type allOf []clause

func (a allOf) docs(part int, within *roaring.Bitmap) (_ *roaring.Bitmap, err error) {
	for _, c := range a {
		if within, err = c.docs(part, within); err != nil || within.IsEmpty() {
			return within, err
		}
	}
	return within, nil
}
