package recall

import (
	"github.com/blevesearch/bleve/v2"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	documents     prometheus.Counter
	rebuilds      prometheus.Counter
	batchSeconds  prometheus.Histogram
	searchSeconds prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, x *Index) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	m := &metrics{
		documents: prometheus.NewCounter(prometheus.CounterOpts{Name: "memd_recall_indexed_total", Help: "Memories that were put into the index."}),
		rebuilds:  prometheus.NewCounter(prometheus.CounterOpts{Name: "memd_recall_rebuilds_total", Help: "Times the index was thrown away and built anew."}),
		batchSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "memd_recall_batch_seconds",
			Help: "Time to index one batch of changes.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
		searchSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "memd_recall_search_seconds",
			Help: "Time of one search in the index.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14)}),
	}
	behind := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "memd_recall_behind",
		Help: "Places in the order of arrival that the index has not reached."}, func() float64 { return float64(x.behind()) })
	held := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "memd_recall_documents", Help: "Memories in the index."}, func() float64 {
		return x.measure(func(i bleve.Index) float64 {
			n, _ := i.DocCount()
			return float64(n)
		})
	})
	size := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "memd_recall_bytes", Help: "Size of the index on disk."}, func() float64 {
		return x.measure(func(i bleve.Index) float64 {
			all, _ := i.StatsMap()["index"].(map[string]any)
			n, _ := all["CurOnDiskBytes"].(uint64)
			return float64(n)
		})
	})
	reg.MustRegister(m.documents, m.rebuilds, m.batchSeconds, m.searchSeconds, behind, held, size)
	return m
}

// measure looks at the index, if there is one.
func (x *Index) measure(f func(bleve.Index) float64) float64 {
	x.life.RLock()
	defer x.life.RUnlock()
	if x.index == nil {
		return 0
	}
	return f(x.index)
}
