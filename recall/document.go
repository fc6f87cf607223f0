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
	exact map[[2]string]*field // by name and value: most memories of a batch share them
}

func newDocuments() documents { return documents{make(map[[2]string]*field)} }

func (d documents) document(id string, m *memory.Memory) *document.Document {
	out := document.NewDocument(id)
	t := &text{m: m}
	out.Fields = append(make([]document.Field, 0, 11), &wordField{t}, &stemField{t}, // the library adds one for the id
		d.one(fieldNS, m.Namespace), d.shared(fieldBelow, m.Namespace, Chain), d.one(fieldScope, m.Scope()), d.one(fieldTier, m.Tier),
		d.one(fieldAgent, m.Agent()), d.one(fieldPriority, strconv.Itoa(m.Priority)), d.one(fieldDay, day(m.CreatedAt)))
	if len(m.Tags) > 0 {
		out.AddField(newField(fieldTag, foldAll(m.Tags)))
	}
	return out
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

// field is a field of words that only restrict. Many documents may have the same.
type field struct {
	unstored
	name  string
	words bleveindex.TokenFrequencies
}

func newField(name string, values []string) *field {
	f := &field{name: name, words: make(bleveindex.TokenFrequencies, len(values))}
	for _, v := range values {
		f.words[v] = &bleveindex.TokenFreq{}
	}
	return f
}

func (f *field) Name() string { return f.name }
func (f *field) Analyze()     {}
func (f *field) Options() bleveindex.FieldIndexingOptions {
	return bleveindex.IndexField | bleveindex.SkipFreqNorm
}
func (f *field) AnalyzedLength() int                                   { return len(f.words) }
func (f *field) AnalyzedTokenFrequencies() bleveindex.TokenFrequencies { return f.words }

// wordField and stemField are what a text is made of. The library analyzes the fields of one
// document one after the other, the words first, and those of several at the same time.
type (
	wordField struct{ *text }
	stemField struct{ *text }
)

func (f *wordField) Name() string                                          { return fieldWord }
func (f *wordField) Analyze()                                              { f.analyze() }
func (f *wordField) AnalyzedTokenFrequencies() bleveindex.TokenFrequencies { return f.words }
func (f *stemField) Name() string                                          { return fieldStem }
func (f *stemField) Analyze()                                              {}
func (f *stemField) AnalyzedTokenFrequencies() bleveindex.TokenFrequencies { return f.stems }

// text is all text of a memory, taken apart.
type text struct {
	unstored
	m            *memory.Memory
	length       int // in words
	words, stems bleveindex.TokenFrequencies
}

func (t *text) Options() bleveindex.FieldIndexingOptions { return bleveindex.IndexField }
func (t *text) AnalyzedLength() int                      { return t.length }

func (t *text) analyze() {
	t.words = make(bleveindex.TokenFrequencies, 64)
	t.add(t.m.Title, titleTimes)
	t.add(t.m.Content, 1)
	for _, tag := range t.m.Tags {
		t.add(tag, 1)
	}
	t.stems = make(bleveindex.TokenFrequencies)
	for word, w := range t.words {
		if s := stem(word); s != word {
			count(t.stems, s, w.Frequency())
		}
	}
	for s, all := range t.stems { // whoever has it as a word, too, has it as often as both
		if w := t.words[s]; w != nil && stem(s) == s {
			all.SetFrequency(all.Frequency() + w.Frequency())
		}
	}
}

func (t *text) add(text string, times int) {
	stream := words.Analyze([]byte(text))
	for _, token := range stream {
		if w := t.words[string(token.Term)]; w != nil {
			w.SetFrequency(w.Frequency() + times)
		} else {
			count(t.words, string(token.Term), times)
		}
	}
	t.length += times * len(stream)
}

func count(all bleveindex.TokenFrequencies, term string, times int) {
	f := all[term]
	if f == nil {
		f = &bleveindex.TokenFreq{}
		all[term] = f
	}
	f.SetFrequency(f.Frequency() + times)
}

// unstored is a field whose value cannot be read back.
type unstored struct{}

func (unstored) Value() []byte             { return nil }
func (unstored) ArrayPositions() []uint64  { return nil }
func (unstored) EncodedFieldType() byte    { return 't' }
func (unstored) NumPlainTextBytes() uint64 { return 0 }
func (unstored) Size() int                 { return 0 }

// take applies changes and how far they reach, at once.
func (x *Index) take(index bleve.Index, changes []Change, mark []byte) (uint64, error) {
	start := time.Now()
	batch := index.NewBatch()
	made := newDocuments()
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
