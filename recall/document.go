package recall

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
	"github.com/blevesearch/bleve/v2/mapping"

	"github.com/memd/memd/memory"
)

// Fields of a document. Those from fieldTag on only restrict. All text is in one field, the
// title several times over instead of a field with a greater weight: a word is then one
// list to go through.
const (
	fieldStem     = "stem"
	fieldWord     = "word"
	fieldTag      = "tag" // whole, in lower case
	fieldNS       = "ns"
	fieldBelow    = "below" // its namespace and all above it
	fieldScope    = "scope"
	fieldTier     = "tier"
	fieldAgent    = "agent"
	fieldPriority = "priority"
	fieldDay      = "day" // it was created, in UTC: 2026-05-01
)

// entry is a memory as it is indexed.
type entry struct {
	Stem     []string `json:"stem"`
	Word     []string `json:"word"`
	Tag      []string `json:"tag"`
	NS       string   `json:"ns"`
	Below    []string `json:"below"`
	Scope    string   `json:"scope"`
	Tier     string   `json:"tier"`
	Agent    string   `json:"agent"`
	Priority string   `json:"priority"`
	Day      string   `json:"day"`
}

func newEntry(m *memory.Memory) entry {
	text := append([]string{m.Title, m.Content}, m.Tags...)
	return entry{
		Stem: append(slices.Repeat([]string{m.Title}, titleTimes-1), text...), Word: text, Tag: foldAll(m.Tags), NS: m.Namespace, Below: Chain(m.Namespace),
		Scope: m.Scope(), Tier: m.Tier, Agent: m.Agent(), Priority: strconv.Itoa(m.Priority), Day: day(m.CreatedAt),
	}
}

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

func newMapping() mapping.IndexMapping {
	text := func(analyzer string) *mapping.FieldMapping {
		f := bleve.NewTextFieldMapping()
		f.Analyzer = analyzer
		f.Store, f.DocValues, f.IncludeInAll, f.IncludeTermVectors = false, false, false, false
		return f
	}
	doc := bleve.NewDocumentStaticMapping()
	doc.AddFieldMappingsAt(fieldStem, text(stemAnalyzer))
	doc.AddFieldMappingsAt(fieldWord, text(wordAnalyzer))
	for _, f := range []string{fieldTag, fieldNS, fieldBelow, fieldScope, fieldTier, fieldAgent, fieldPriority, fieldDay} {
		exact := text(keyword.Name)
		exact.SkipFreqNorm = true
		doc.AddFieldMappingsAt(f, exact)
	}
	doc.AddSubDocumentMapping("_all", bleve.NewDocumentDisabledMapping()) // else a field of everything is made beside them
	m := bleve.NewIndexMapping()
	m.DefaultMapping = doc
	m.StoreDynamic, m.IndexDynamic, m.DocValuesDynamic = false, false, false
	return m
}

// take applies changes and how far they reach, at once.
func (x *Index) take(index bleve.Index, changes []Change, mark []byte) (uint64, error) {
	start := time.Now()
	batch := index.NewBatch()
	docs := 0
	for _, c := range changes {
		switch {
		case c.ID == "":
		case c.Doc == nil:
			batch.Delete(c.ID)
		default:
			docs++
			if err := batch.Index(c.ID, newEntry(c.Doc)); err != nil {
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
