package recall

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
)

// Weights of the forms of a word.
const (
	boostStem   = 1.0
	boostWord   = 0.8 // the very word, beside its stem
	boostPrefix = 0.4 // it only begins so, and is the last one: somebody is still typing
	boostNear   = 0.6 // no memory has the word, and this one is a letter off
	boostWhole  = 2.0 // an identifier as it is
	boostPart   = 0.5 // one part of it
)

// maxTerms of a query count: of more, the rarest. For as many at most similar ones are looked for.
const maxTerms = 12

// word is one word of a query, in all the forms that memories have it in.
type word struct {
	forms []form
	count uint64 // of memories that have it, at least
}

func (w word) docs(part int, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	out := make(anyOf, len(w.forms))
	for i, f := range w.forms {
		out[i] = f
	}
	return out.docs(part, within)
}

// dictionary tells what words there are.
type dictionary struct {
	*view
	exact bool // a word stands for itself and its stem, not for similar ones
}

// words takes a text apart as the memories were.
func (d dictionary) words(ctx context.Context, text string) ([]word, error) {
	all := tokens(text)
	if len(all) > 4*maxTerms {
		all = all[:4*maxTerms]
	}
	typing := len(all) - 1
	if last, _ := utf8.DecodeLastRuneInString(text); strings.ContainsRune(" .?!\"\n", last) {
		typing = -1
	}
	out := make([]word, 0, len(all))
	strangers := 0 // a walk for each costs more than all else of it
	for i, t := range all {
		if err := ctx.Err(); err != nil { // many words that nobody has are many walks
			return nil, err
		}
		w, err := d.word(t.text, t.weight, i == typing)
		if err == nil && w.count == 0 && !d.exact && strangers < maxTerms {
			strangers++
			err = d.similar(&w, t.text, t.weight)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	if len(out) > maxTerms {
		slices.SortStableFunc(out, func(a, b word) int {
			// What nobody has helps nobody.
			if (a.count == 0) != (b.count == 0) {
				return cmp.Compare(b.count, a.count)
			}
			return cmp.Compare(a.count, b.count)
		})
		out = out[:maxTerms]
	}
	return out, nil
}

func (d dictionary) word(text string, weight float64, typing bool) (w word, err error) {
	if err := d.forms(&w, text, weight); err != nil || d.exact {
		return w, err
	}
	if typing && utf8.RuneCountInString(text) >= 2 {
		longer, err := d.completions(text)
		if err != nil {
			return w, err
		}
		for _, l := range longer {
			if err := d.add(&w, fieldWord, l.text, weight*boostPrefix); err != nil {
				return w, err
			}
		}
	}
	return w, nil
}

// similar adds the forms of words that are nearly the same.
func (d dictionary) similar(w *word, text string, weight float64) error {
	if utf8.RuneCountInString(text) < 4 {
		return nil
	}
	near, err := d.near(text)
	if err != nil {
		return err
	}
	for _, n := range near {
		if err := d.forms(w, n.text, weight*boostNear); err != nil {
			return err
		}
	}
	return nil
}

// forms adds the stem of a word, and the word itself where it is another one.
func (d dictionary) forms(w *word, text string, weight float64) error {
	root := stem(text)
	if err := d.add(w, fieldStem, root, weight*boostStem); err != nil || root == text {
		return err
	}
	return d.add(w, fieldWord, text, weight*boostWord)
}

// add adds a form to a word if there is a memory that has it.
func (d dictionary) add(w *word, field, text string, weight float64) error {
	l, err := d.list(field, text)
	if err == nil && l.count > 0 {
		w.forms = append(w.forms, form{l, weight * d.rarity(l)})
		w.count = max(w.count, l.count)
	}
	return err
}

// quoted wants every word of what is in double quotes.
func (d dictionary) quoted(text string) ([]clause, error) {
	var out []clause
	for _, p := range Phrases(text) {
		for _, t := range terms(words, p) {
			l, err := d.list(fieldWord, t)
			if err != nil {
				return nil, err
			}
			out = append(out, l)
		}
	}
	return out, nil
}

// between lists the terms of a field in a range, both ends included, limit at most.
func (d dictionary) between(field, from, to string, limit int) ([]string, error) {
	return d.terms(field, from, to+"\x00", nil, limit)
}

// found is a word of the dictionary.
type found struct {
	text  string
	count uint64
}

const (
	maxCompletions = 6
	maxDictionary  = 200 // entries looked at for them
	maxNear        = 3
	lastByte       = "\xff" // above all of UTF-8
)

// completions are the commonest words that begin with a text and are longer.
func (d dictionary) completions(text string) ([]found, error) {
	longer, err := d.terms(fieldWord, text+"\x00", text+lastByte, nil, maxDictionary)
	if err != nil {
		return nil, err
	}
	out, err := d.counted(longer)
	return best(out, maxCompletions), err
}

// near are the words that differ from a text by a letter, or else from a longer one by two,
// the first letter aside, and of the longer one the second.
func (d dictionary) near(text string) ([]found, error) {
	most := 1
	if utf8.RuneCountInString(text) >= 5 {
		most = maxDistance
	}
	var same int                                      // bytes
	for distance := 1; distance <= most; distance++ { // two are much more to look through
		_, letter := utf8.DecodeRuneInString(text[same:])
		same += letter
		list, err := d.terms(fieldWord, text[:same], text[:same]+lastByte, newNearby(text, distance, distance), maxDictionary)
		if err != nil {
			return nil, err
		}
		if out, err := d.counted(list); err != nil || len(out) > 0 {
			return best(out, maxNear), err
		}
	}
	return nil, nil
}

// counted are those words that memories have now, with how many do.
func (d dictionary) counted(list []string) ([]found, error) {
	out := make([]found, 0, len(list))
	for _, text := range list {
		l, err := d.list(fieldWord, text)
		if err != nil {
			return nil, err
		}
		if l.count > 0 {
			out = append(out, found{text, l.count})
		}
	}
	return out, nil
}

// best are the commonest.
func best(list []found, n int) []found {
	slices.SortFunc(list, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.count, a.count), strings.Compare(a.text, b.text))
	})
	return list[:min(len(list), n)]
}
