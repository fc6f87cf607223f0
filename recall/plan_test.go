package recall

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestStepsAreTheirOwn: the second step of a plan is wider than the first, however many
// restrictions they share.
func TestStepsAreTheirOwn(t *testing.T) {
	f := newFeed("a")
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	for i := range commonLeast + 10 {
		text := "common"
		if i%100 == 0 {
			text += " rareword"
		}
		f.put(doc(fmt.Sprint(i), "t", text))
	}
	r.settled()
	v, done := r.view()
	defer done()
	count := func(s step) (n uint64) {
		for i := range v.parts {
			docs, err := s.which.docs(i, nil)
			must(t, err)
			n += docs.GetCardinality()
		}
		return n
	}
	one := doc("0", "t", "")
	for _, restriction := range []Restriction{
		{},
		{Namespaces: []string{one.Namespace}},
		{Namespaces: []string{one.Namespace}, Tier: one.Tier},
		{Namespaces: []string{one.Namespace}, Tier: one.Tier, MinPriority: 2},
		{Namespaces: []string{one.Namespace}, Tier: one.Tier, MinPriority: 2, As: one.Namespace},
	} {
		steps, err := v.plan(t.Context(), Query{Text: "common rareword", Restriction: restriction})
		must(t, err)
		if len(steps) != 2 {
			t.Fatalf("%+v: %d steps", restriction, len(steps))
		}
		if few, all := count(steps[0]), count(steps[1]); few == 0 || few >= all {
			t.Errorf("%+v: first %d, then %d of %d", restriction, few, all, v.docs)
		}
	}
}

// TestPlanIsGivenUp: nobody's words are looked for when nobody waits any more.
func TestPlanIsGivenUp(t *testing.T) {
	f := newFeed("a")
	f.put(doc("one", "t", "word"))
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	r.settled()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v, done := r.view()
	defer done()
	if _, err := v.plan(ctx, Query{Text: "nothing like it"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a plan for nobody: %v", err)
	}
}

// TestStrangers: for so many words that nobody has similar ones are looked for, and for no more.
func TestStrangers(t *testing.T) {
	f := newFeed("a")
	f.put(doc("one", "t", "configuration"))
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	r.settled()
	v, done := r.view()
	defer done()
	for _, before := range []int{0, maxTerms - 1, maxTerms, 4*maxTerms - 1} {
		var text strings.Builder
		for i := range before {
			fmt.Fprintf(&text, "nobody%c%c ", 'a'+i/26, 'a'+i%26)
		}
		text.WriteString("cnfiguration.")
		steps, err := v.plan(t.Context(), Query{Text: text.String()})
		must(t, err)
		if got, want := len(steps) > 0, before < maxTerms; got != want {
			t.Errorf("after %d strangers: found %t", before, got)
		}
	}
}
