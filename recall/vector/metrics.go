package vector

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/embed"
)

// What the embedder is asked for, and why something has no vector beside the reasons of
// package embed.
const (
	useIndex = "index"
	useQuery = "query"

	reasonFull    = "full"    // MaxBytes
	reasonSkipped = "skipped" // the embedder refuses this memory
	reasonPaused  = "paused"
	reasonCrowded = "crowded"
)

type metrics struct {
	computed     prometheus.Counter
	failures     *prometheus.CounterVec // use, reason
	querySeconds prometheus.Histogram
	scanSeconds  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, x *Index) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	m := &metrics{
		computed: prometheus.NewCounter(prometheus.CounterOpts{Name: "memd_embeddings_computed_total", Help: "Vectors of memories that were computed."}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "memd_embeddings_failures_total",
			Help: "Vectors that did not come, by what for (index = of memories, query = of a recall, which then goes by words alone) and why."}, []string{"use", "reason"}),
		querySeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "memd_embeddings_query_seconds",
			Help: "Time that recalls wait for the vector of their text.", Buckets: []float64{0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35}}),
		scanSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "memd_embeddings_scan_seconds",
			Help: "Time to compare the vector of a recall with those that are held.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12)}),
	}
	for _, r := range embed.Reasons() {
		m.failures.WithLabelValues(useIndex, string(r))
		m.failures.WithLabelValues(useQuery, string(r))
	}
	m.failures.WithLabelValues(useIndex, reasonFull)
	m.failures.WithLabelValues(useIndex, reasonSkipped)
	m.failures.WithLabelValues(useQuery, reasonPaused)
	m.failures.WithLabelValues(useQuery, reasonCrowded)
	gauge := func(name, help string, f func(Status) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return f(x.Status()) })
	}
	reg.MustRegister(m.computed, m.failures, m.querySeconds, m.scanSeconds,
		gauge("memd_embeddings_ready", "1 while the endpoint for embeddings answers as it should.", func(s Status) float64 {
			if s.Ready {
				return 1
			}
			return 0
		}),
		gauge("memd_embeddings_behind", "Places in the order of arrival that vectors have not reached.", func(s Status) float64 { return float64(s.Behind) }),
		gauge("memd_embeddings_held", "Memories that have a vector here.", func(s Status) float64 { return float64(s.Held) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "memd_embeddings_bytes", Help: "RAM of the vectors, about."}, func() float64 {
			if s := x.current(); s != nil {
				return float64(s.bytes())
			}
			return 0
		}))
	return m
}
