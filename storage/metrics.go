package storage

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/memory"
)

// metrics of one store. Label sets are bounded: reasons are constants of this package.
type metrics struct {
	commitSeconds prometheus.Histogram
	batchOps      prometheus.Histogram
	batchBytes    prometheus.Histogram
	ops           prometheus.Counter
	appliedRows   *prometheus.CounterVec // kind
	rejected      *prometheus.CounterVec // reason
	fenced        prometheus.Counter
	collisions    prometheus.Counter
	futureRows    prometheus.Counter
	conflicts     *byNamespace
	ambiguous     prometheus.Counter
	corruptRows   prometheus.Counter
	refusedRows   prometheus.Counter
	queueDepth    prometheus.Gauge
	quarantined   prometheus.Gauge
	intervals     prometheus.Gauge
	fileBytes     prometheus.Gauge
	stopped       prometheus.Gauge
}

// silent are the metrics of all stores without a registry. Making and registering a set
// costs more than opening a small store does, and simulations open stores by the million.
var silent = sync.OnceValue(func() *metrics { return makeMetrics() })

func newMetrics(reg prometheus.Registerer) *metrics {
	if reg == nil {
		return silent()
	}
	m := makeMetrics()
	m.conflicts.vec.WithLabelValues(memory.DefaultNamespace) // else nothing shows that there were none
	reg.MustRegister(m.commitSeconds, m.batchOps, m.batchBytes, m.ops, m.appliedRows, m.rejected, m.fenced, m.collisions,
		m.futureRows, m.conflicts.vec, m.ambiguous, m.corruptRows, m.refusedRows, m.queueDepth, m.quarantined, m.intervals, m.fileBytes, m.stopped)
	return m
}

func makeMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	return &metrics{
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "memd_storage_commit_seconds",
			Help: "Time of one commit, fsync included.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)}),
		batchOps: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "memd_storage_commit_operations",
			Help: "Operations that shared one commit.", Buckets: prometheus.ExponentialBuckets(1, 2, 12)}),
		batchBytes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "memd_storage_commit_row_bytes",
			Help: "Row bytes written by one commit.", Buckets: prometheus.ExponentialBuckets(256, 4, 10)}),
		ops: counter("memd_storage_local_writes_total", "Dots given to local writes."),
		appliedRows: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "memd_storage_applied_rows_total",
			Help: "Rows from other nodes by what they were."}, []string{"kind"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "memd_storage_rejected_total",
			Help: "Work refused before anything was written."}, []string{"reason"}),
		fenced:     counter("memd_origin_fenced_total", "Times another process was seen writing under this one's origin."),
		collisions: counter("memd_dot_collision_total", "Dots received with other bytes than the ones held."),
		futureRows: counter("memd_hlc_future_rows_total", "Versions stamped too far ahead of the local clock to adopt their time."),
		conflicts: &byNamespace{seen: make(map[string]struct{}), vec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memd_conflicts_created_total", Help: "Records that got a concurrent version of other content, by namespace.",
		}, []string{"ns"})},
		ambiguous:   counter("memd_titles_ambiguous_total", "Memories that took a title which another live memory shows: a create that raced with a rename, or an import."),
		corruptRows: counter("memd_storage_corrupt_reads_total", "Reads of a row whose checksum did not match."),
		refusedRows: counter("memd_storage_refused_rows_total", "Pushed rows refused because the clock is too ragged."),
		queueDepth:  gauge("memd_storage_queue_depth", "Operations waiting for the writer."),
		quarantined: gauge("memd_quarantined_rows", "Dots held as bytes that could not be read."),
		intervals:   gauge("memd_clock_intervals", "Intervals above the bases of the clock."),
		fileBytes:   gauge("memd_storage_file_bytes", "Size of the data file."),
		stopped:     gauge("memd_storage_stopped", "1 after an error that stopped the store."),
	}
}

// byNamespace counts by namespace, as long as there are few of them: names are the
// clients' choice, and a series is for ever.
type byNamespace struct {
	vec  *prometheus.CounterVec
	mu   sync.Mutex // the silent metrics are shared
	seen map[string]struct{}
}

const (
	maxNamespaces   = 100
	otherNamespaces = "(other)" // no namespace has parentheses
)

func (c *byNamespace) inc(ns string) {
	c.mu.Lock()
	if _, known := c.seen[ns]; !known {
		if len(c.seen) < maxNamespaces {
			c.seen[ns] = struct{}{}
		} else {
			ns = otherNamespaces
		}
	}
	c.mu.Unlock()
	c.vec.WithLabelValues(ns).Inc()
}

func (m *metrics) countApplied(a *Applied) {
	add := func(kind string, n int) {
		if n > 0 {
			m.appliedRows.WithLabelValues(kind).Add(float64(n))
		}
	}
	add("new", a.New-a.Tombs)
	add("tomb", a.Tombs)
	add("redundant", a.Redundant)
	add("quar", a.Quarantined)
	add("failed", a.Failed)
}
