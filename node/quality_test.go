package node

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/embed/embedtest"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

// distractors are stored beside the memories that answer the questions.
const distractors = 3000

// committed are the figures that ranking must not fall below, in per cent: how often the
// answer is among the first five, and the mean of one over its place (0 below the tenth).
// Whoever changes ranking shows the table before and after, and raises them.
var committed = map[string]struct{ hit5, mrr float64 }{
	"words": {98, 98}, "paraphrase": {38, 31}, "identifier": {98, 98}, "typing errors": {98, 98}, "total": {84, 82},
}

var classes = []struct{ mark, name string }{{"w", "words"}, {"p", "paraphrase"}, {"i", "identifier"}, {"t", "typing errors"}, {"", "total"}}

// TestRecallQuality asks the questions of testdata of one node, and prints the table with
// -v. With MEMD_TEST_MISSES set it lists the questions whose answer is not the first.
func TestRecallQuality(t *testing.T) {
	memories, questions := readQuestions(t)
	if len(questions) < 200 {
		t.Fatalf("%d questions are too few", len(questions))
	}
	n := startOne(t, func(c *Config) { c.Recall = true })
	ids := storeQuestions(t, n, memories)
	table := askAll(t, n, questions, ids, modeKeyword)
	t.Logf("%d questions, %d memories\n%s", len(questions), len(memories)+distractors, table)
	table.check(t, committed)
}

// storeQuestions stores the memories that answer the questions, and the distractors.
func storeQuestions(t testing.TB, n *Node, memories []memory.Draft) (ids []string) {
	t.Helper()
	ids = storeAll(t, n, memories)
	g := newNoise()
	noise := make([]memory.Draft, distractors)
	for i := range noise {
		noise[i] = g.next(i)
	}
	storeAll(t, n, noise)
	return ids
}

// committedHybrid are those with vectors of the test's own model, which knows spelling and no
// meaning: they hold the fusion, and say nothing of a real model.
var committedHybrid = map[string]struct{ hit5, mrr float64 }{
	"words": {98, 94.5}, "paraphrase": {37, 29}, "identifier": {98, 98}, "typing errors": {98, 97}, "total": {82.5, 79.5},
}

// TestRecallQualityHybrid asks the same with an endpoint for embeddings.
func TestRecallQualityHybrid(t *testing.T) {
	memories, questions := readQuestions(t)
	s := embedtest.New(t)
	n := startOne(t, withEmbeddings(s))
	ids := storeQuestions(t, n, memories)
	embedded(t, n)
	table := askAll(t, n, questions, ids, modeHybrid)
	t.Logf("%d questions, %d memories, by words and by vectors that know no meaning\n%s", len(questions), len(memories)+distractors, table)
	table.check(t, committedHybrid)
}

func (t tallies) check(tb testing.TB, committed map[string]struct{ hit5, mrr float64 }) {
	tb.Helper()
	for _, c := range classes {
		got, want := t[c.name], committed[c.name]
		if got.hit5() < want.hit5 || got.mrr() < want.mrr {
			tb.Errorf("%s: hit@5 %.1f %%, MRR %.1f %%; committed are %.1f and %.1f", c.name, got.hit5(), got.mrr(), want.hit5, want.mrr)
		}
	}
}

// tally is what one class came to.
type tally struct {
	asked, first, five int
	sum                float64
}

func (t *tally) hit5() float64 { return 100 * float64(t.five) / float64(t.asked) }
func (t *tally) mrr() float64  { return 100 * t.sum / float64(t.asked) }

type tallies map[string]*tally

func (t tallies) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-14s %5s %7s %7s %7s\n", "class", "asked", "hit@1 %", "hit@5 %", "MRR %")
	for _, c := range classes {
		a := t[c.name]
		fmt.Fprintf(&b, "%-14s %5d %7.1f %7.1f %7.1f\n", c.name, a.asked, 100*float64(a.first)/float64(a.asked), a.hit5(), a.mrr())
	}
	return b.String()
}

func askAll(t testing.TB, n *Node, questions []question, ids []string, mode string) tallies {
	t.Helper()
	out := tallies{}
	for _, c := range classes {
		out[c.name] = &tally{}
	}
	for _, q := range questions {
		var found httpapi.Found
		// A machine that is busy for 300 ms answers by words alone, and thrice in a row for a
		// second: such an answer is not the one that is measured.
		waitFor(t, "an answer by "+mode, func() (ok bool) {
			var err error
			found, err = n.Recall(t.Context(), httpapi.Query{Text: q.text, Filter: memory.Filter{Limit: 10}}, httpapi.ReadOptions{})
			if err != nil || found.Behind {
				t.Fatalf("%q: %v, behind %t", q.text, err, found.Behind)
			}
			return found.Mode == mode
		})
		want := `{"id":"` + ids[q.answer] + `"`
		place := slices.IndexFunc(found.Hits, func(h httpapi.FoundMemory) bool { return strings.HasPrefix(string(h.Body), want) })
		if place != 0 && os.Getenv("MEMD_TEST_MISSES") != "" {
			t.Logf("%s: %q: place %d", q.class, q.text, place)
		}
		for _, c := range classes {
			if c.mark != "" && c.mark != q.class {
				continue
			}
			a := out[c.name]
			a.asked++
			if place == 0 {
				a.first++
			}
			if place >= 0 && place < 5 {
				a.five++
			}
			if place >= 0 {
				a.sum += 1 / float64(place+1)
			}
		}
	}
	return out
}

// storeAll stores drafts and returns their ids.
func storeAll(t testing.TB, n *Node, ds []memory.Draft) (ids []string) {
	t.Helper()
	for part := range slices.Chunk(ds, memory.MaxBulk) {
		out, err := n.CreateAll(t.Context(), part, httpapi.WriteOptions{Agent: "ai:test"})
		if err != nil || len(out.Errors) > 0 {
			t.Fatal(err, out.Errors)
		}
		ids = append(ids, out.IDs...)
	}
	// Waiting is what makes the index hurry.
	patience, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !n.index.WaitFor(patience, n.store.Seq()) {
		t.Fatalf("the index is at %+v", n.index.Status())
	}
	return ids
}
