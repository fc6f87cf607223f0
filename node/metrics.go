package node

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	refused *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memd_writes_refused_total", Help: "Writes that were refused before a dot was allocated, by reason.",
		}, []string{"reason"}),
	}
	r.MustRegister(m.refused)
	return m
}
