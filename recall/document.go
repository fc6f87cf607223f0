package recall

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/document"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"github.com/memd/memd/memory"
)

// Fields of a document. Those from fieldTag on only restrict. All text is in one field, the
// title several times over instead of a field with a greater weight: a word is then one
// list to go through.
const (
	fieldWord     = "word" // as they are
	fieldStem     = "stem" // of the words that are not their own stem: see view.list
	fieldTag      = "tag"  // whole, in lower case
	fieldNS       = "ns"
	fieldBelow    = "below" // its namespace and all above it
	fieldScope    = "scope"
	fieldTier     = "tier"
	fieldAgent    = "agent"
	fieldPriority = "priority"
	fieldDay      = "day" // it was created, in UTC: 2026-05-01
)

// titleTimes is how often a word of the title counts as one of the content.
const titleTimes = 2

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func foldAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}

// documents makes those of one batch. The library's own way to them goes by reflection, takes
// each text apart twice, and makes a field of each text and each value.
type documents struct {
	cut   *cutter
	exact map[[2]string]*field // by name and value: most memories of a batch share them
}

func newDocuments(cut *cutter) documents { return documents{cut, make(map[[2]string]*field)} }

func (d documents) document(id string, m *memory.Memory) *document.Document {
	out := document.NewDocument(id)
	words, stems := d.text(m)
	out.Fields = append(make([]document.Field, 0, 11), words, stems, // the library adds one for the id
		d.one(fieldNS, m.Namespace), d.shared(fieldBelow, m.Namespace, Chain), d.one(fieldScope, m.Scope()), d.one(fieldTier, m.Tier),
		d.one(fieldAgent, m.Agent()), d.one(fieldPriority, strconv.Itoa(m.Priority)), d.one(fieldDay, day(m.CreatedAt)))
	if len(m.Tags) > 0 {
		out.AddField(newField(fieldTag, foldAll(m.Tags)))
	}
	return out
}

// text takes all text of a memory apart.
func (d documents) text(m *memory.Memory) (words, stems *field) {
	cut := append(make([][]cutWord, 0, 64), d.cut.cut(m.Title)...)
	title := len(cut)
	cut = append(cut, d.cut.cut(m.Content)...)
	for _, tag := range m.Tags {
		cut = append(cut, d.cut.cut(tag)...)
	}
	length, n := 0, 0
	for i, ws := range cut {
		n += len(ws)
		length += len(ws) * times(i < title)
	}
	all := counts{make(bleveindex.TokenFrequencies, n), make([]bleveindex.TokenFreq, 0, n)}
	others := counts{make(bleveindex.TokenFrequencies), nil}
	for i, ws := range cut {
		for _, w := range ws {
			all.add(w.text, times(i < title))
			if w.stem != w.text {
				others.add(w.stem, times(i < title))
			}
		}
	}
	if len(others.of) > 0 { // whoever has a stem as a word, too, has it as often as both
		for i, ws := range cut {
			for _, w := range ws {
				if w.stem == w.text && others.of[w.stem] != nil {
					others.add(w.stem, times(i < title))
				}
			}
		}
	}
	return &field{name: fieldWord, words: all.of, length: length}, &field{name: fieldStem, words: others.of, length: length}
}

func times(title bool) int {
	if title {
		return titleTimes
	}
	return 1
}

// counts is how often there are words.
type counts struct {
	of   bleveindex.TokenFrequencies
	room []bleveindex.TokenFreq
}

func (c *counts) add(word string, times int) {
	f := c.of[word]
	if f == nil {
		if len(c.room) == cap(c.room) {
			c.room = make([]bleveindex.TokenFreq, 0, 8)
		}
		c.room = c.room[:len(c.room)+1]
		f = &c.room[len(c.room)-1]
		c.of[word] = f
	}
	f.SetFrequency(f.Frequency() + times)
}

// one is a field with one value.
func (d documents) one(name, value string) *field {
	return d.shared(name, value, func(s string) []string { return []string{s} })
}

// shared is the field that a value leads to.
func (d documents) shared(name, value string, values func(string) []string) *field {
	key := [2]string{name, value}
	f := d.exact[key]
	if f == nil {
		f = newField(name, values(value))
		d.exact[key] = f
	}
	return f
}

// field is one of a document, taken apart: its value cannot be read back. Many documents may
// have the same.
type field struct {
	name   string
	words  bleveindex.TokenFrequencies
	length int // in words; 0 = they only restrict
}

func newField(name string, values []string) *field {
	f := &field{name: name, words: make(bleveindex.TokenFrequencies, len(values))}
	for _, v := range values {
		f.words[v] = &bleveindex.TokenFreq{}
	}
	return f
}

func (f *field) Options() bleveindex.FieldIndexingOptions {
	if f.name == fieldWord || f.name == fieldStem {
		return bleveindex.IndexField
	}
	return bleveindex.IndexField | bleveindex.SkipFreqNorm
}

func (f *field) Name() string                                          { return f.name }
func (f *field) AnalyzedLength() int                                   { return f.length }
func (f *field) AnalyzedTokenFrequencies() bleveindex.TokenFrequencies { return f.words }
func (*field) Analyze()                                                {}
func (*field) Value() []byte                                           { return nil }
func (*field) ArrayPositions() []uint64                                { return nil }
func (*field) EncodedFieldType() byte                                  { return 't' }
func (*field) NumPlainTextBytes() uint64                               { return 0 }
func (*field) Size() int                                               { return 0 }

// take applies changes and how far they reach, at once.
func (x *Index) take(index bleve.Index, changes []Change, mark []byte) (uint64, error) {
	start := time.Now()
	batch := index.NewBatch()
	made := newDocuments(x.cut)
	docs := 0
	for _, c := range changes {
		switch {
		case c.ID == "":
		case c.Doc == nil:
			batch.Delete(c.ID)
		default:
			docs++
			if err := batch.IndexAdvanced(made.document(c.ID, c.Doc)); err != nil {
				// It would fail again in a new index: the others are not to wait for it.
				x.log.Error("a memory cannot be indexed", "id", c.ID, "err", err)
				batch.Delete(c.ID)
			}
		}
	}
	seq := changes[len(changes)-1].Seq
	batch.SetInternal(keySeq, strconv.AppendUint(nil, seq, 10))
	batch.SetInternal(keyMark, mark)
	batch.SetPersistedCallback(func(err error) {
		if err == nil {
			x.persisted(seq)
		}
	})
	if err := guarded(func() error { return index.Batch(batch) }); err != nil {
		return 0, fmt.Errorf("batch of %d: %w", len(changes), err)
	}
	x.metrics.documents.Add(float64(docs))
	x.metrics.batchSeconds.Observe(time.Since(start).Seconds())
	x.advance(seq)
	return seq, nil
}
