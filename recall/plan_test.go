package recall

import (
	"fmt"
	"path/filepath"
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
		steps, err := v.plan(Query{Text: "common rareword", Restriction: restriction})
		must(t, err)
		if len(steps) != 2 {
			t.Fatalf("%+v: %d steps", restriction, len(steps))
		}
		if few, all := count(steps[0]), count(steps[1]); few == 0 || few >= all {
			t.Errorf("%+v: first %d, then %d of %d", restriction, few, all, v.docs)
		}
	}
}
