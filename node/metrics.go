package node

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	refused *prometheus.CounterVec
	// Named as scrapers of the original expect: every name with memory_ in it is a counter
	// (contract 8.8).
	created, updated, deleted, read prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memd_writes_refused_total", Help: "Writes that were refused before a dot was allocated, by reason.",
		}, []string{"reason"}),
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	m.created = counter("memd_memory_created_total", "Creates that this node acknowledged.")
	m.updated = counter("memd_memory_updated_total", "Updates that this node acknowledged.")
	m.deleted = counter("memd_memory_deleted_total", "Deletes that this node acknowledged.")
	m.read = counter("memd_memory_read_total", "Memories that this node returned by id.")
	r.MustRegister(m.refused)
	return m
}
