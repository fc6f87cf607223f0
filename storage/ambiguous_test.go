package storage_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

// A title that two live memories show is counted when the second one takes it, and not
// again when it is written without being renamed.
func TestAmbiguousTitlesAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := storagetest.Open(t, func(c *storage.Config) { c.Registerer = reg })
	counted := func() float64 {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "memd_titles_ambiguous_total" {
				return f.GetMetric()[0].GetCounter().GetValue()
			}
		}
		t.Fatal("no such metric")
		return 0
	}
	put(t, s, derived("ns", "tea", 0), doc("ns", "tea", "v"))
	put(t, s, key("alone"), doc("ns", "alone", "v"))
	put(t, s, key("elsewhere"), doc("other", "tea", "v"))
	if n := counted(); n != 0 {
		t.Errorf("%v before there was one", n)
	}
	push(t, s, foreign(1, "imported", nil))
	put(t, s, key("imported"), doc("ns", "tea", "v"))
	put(t, s, key("imported"), doc("ns", "tea", "another text"))
	if n := counted(); n != 1 {
		t.Errorf("%v of one", n)
	}
	del(t, s, derived("ns", "tea", 0))
	put(t, s, key("alone"), doc("ns", "tea", "v")) // and two again
	if n := counted(); n != 2 {
		t.Errorf("%v of two", n)
	}
}
