package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/memory"
)

type metrics struct {
	quorum *prometheus.CounterVec // reason, committed
	// Named as scrapers of the original expect: every name with memory_ in it is a counter
	// (contract 8.8).
	created, updated, deleted, expired, read, kept prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		quorum: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memd_quorum_failures_total",
			Help: "Writes answered with quorum_not_met, by the reason and the fate that the answer told: false = nothing was written, local = durable on this node and on its way, unknown = one or the other.",
		}, []string{"reason", "committed"}),
	}
	m.quorum.WithLabelValues("unreachable", string(memory.CommittedFalse))
	m.quorum.WithLabelValues("removed", string(memory.CommittedFalse))
	for _, reason := range []string{"unreachable", "timeout"} {
		m.quorum.WithLabelValues(reason, string(memory.CommittedLocal))
		m.quorum.WithLabelValues(reason, string(memory.CommittedUnknown))
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	m.created = counter("memd_memory_created_total", "Creates that this node acknowledged.")
	m.updated = counter("memd_memory_updated_total", "Updates that this node acknowledged.")
	m.deleted = counter("memd_memory_deleted_total", "Deletes that this node acknowledged.")
	m.expired = counter("memd_memory_expired_total", "Memories that this node swept because their time was over.")
	m.read = counter("memd_memory_read_total", "Memories that this node returned by id.")
	m.kept = counter("memd_recall_kept_longer_total", "Memories whose end of life recalls on this node have moved away.")
	r.MustRegister(m.quorum)
	return m
}
