package node

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	quorumFailures *prometheus.CounterVec
	refused        *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		quorumFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memd_writes_failed_total", Help: "Writes that were not acknowledged by W members, by reason.",
		}, []string{"reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memd_writes_refused_total", Help: "Writes that were refused before a dot was allocated, by reason.",
		}, []string{"reason"}),
	}
	r.MustRegister(m.quorumFailures, m.refused)
	return m
}
