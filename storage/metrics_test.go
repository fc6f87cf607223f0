package storage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

// gathered returns name{label values} → value; of a histogram how often and how much.
func gathered(t *testing.T, reg prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			name := f.GetName() + "{" + strings.Join(labels, ",") + "}"
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			if h := m.GetHistogram(); h != nil {
				out[name], out[name+" sum"] = float64(h.GetSampleCount()), h.GetSampleSum()
			}
		}
	}
	return out
}

func TestMetricsSayWhatHappened(t *testing.T) {
	reg := prometheus.NewRegistry()
	var rb []storage.StagedRow
	a := storagetest.Open(t, func(c *storage.Config) { c.Registerer = reg })
	b := storagetest.Open(t, recorded(&rb))
	put(t, b, key("x"), doc("acme", "x", "from b"))
	put(t, b, key("y"), doc("acme", "y", "from b"))
	put(t, b, key("z"), doc("acme", "z", "from b"))
	before := gathered(t, reg)
	put(t, a, key("x"), doc("acme", "x", "from a"))
	push(t, a, rb[0])
	push(t, a, rb[2]) // the second one is a hole now
	push(t, a, rb[2])
	after := gathered(t, reg)
	for name, want := range map[string]float64{
		"memd_storage_local_writes_total{}":          1,
		"memd_storage_applied_rows_total{new}":       2,
		"memd_storage_applied_rows_total{redundant}": 1,
		"memd_conflicts_created_total{acme}":         1,
		"memd_clock_intervals{}":                     1,
		"memd_storage_rejected_total{}":              0,
		"memd_storage_commit_operations{}":           3, // nothing is committed for what is here
		"memd_storage_commit_operations{} sum":       3,
		"memd_storage_commit_seconds{}":              3,
		"memd_storage_commit_row_bytes{}":            3,
		"memd_dot_collision_total{}":                 0,
		"memd_origin_fenced_total{}":                 0,
		"memd_quarantined_rows{}":                    0,
		"memd_storage_stopped{}":                     0,
	} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%s went up by %v, not %v", name, got, want)
		}
	}
	if got := after["memd_storage_commit_row_bytes{} sum"] - before["memd_storage_commit_row_bytes{} sum"]; got < 300 || got > 3000 {
		t.Errorf("%v bytes of rows were committed", got)
	}
}

// Namespaces are what clients make up; the series of a metric are not.
func TestConflictsByNamespaceAreBounded(t *testing.T) {
	reg := prometheus.NewRegistry()
	var rb []storage.StagedRow
	a := storagetest.Open(t, func(c *storage.Config) { c.Registerer = reg })
	b := storagetest.Open(t, recorded(&rb))
	const n = 130
	for i := range n {
		id, ns := key(fmt.Sprint(i)), fmt.Sprint("ns", i)
		put(t, a, id, doc(ns, "t", "from a"))
		put(t, b, id, doc(ns, "t", "from b"))
	}
	push(t, a, rb...)
	series, total := 0, 0.0
	got := gathered(t, reg)
	for name, v := range got {
		if strings.HasPrefix(name, "memd_conflicts_created_total{") {
			series++
			total += v
		}
	}
	if other := got["memd_conflicts_created_total{(other)}"]; series > 102 || total != n || other != n-100 {
		t.Errorf("%d series for %v conflicts, %v of them under (other)", series, total, other)
	}
}
