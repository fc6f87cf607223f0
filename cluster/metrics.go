package cluster

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	joins     *prometheus.CounterVec // result
	refused   *prometheus.CounterVec // reason
	digests   *prometheus.CounterVec // direction
	conflicts prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, t *table, g *guard, d *drops) (*metrics, error) {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		joins:   vec("memd_cluster_joins_total", "Attempts to exchange the member list with an address.", "result"),
		refused: vec("memd_cluster_refused_total", "Members that gossip showed and that were not let in.", "reason"),
		digests: vec("memd_cluster_digests_total", "Clock digests announced and heard of.", "direction"),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{Name: "memd_cluster_name_conflicts_total",
			Help: "Reports of two processes that use one name."}),
	}
	for _, r := range []string{"ok", "failed"} {
		m.joins.WithLabelValues(r)
	}
	for _, r := range []string{refusedCluster, refusedMeta, refusedName, refusedNetwork} {
		m.refused.WithLabelValues(r)
	}
	for _, d := range []string{"sent", "received"} {
		m.digests.WithLabelValues(d)
	}
	all := append(d.collectors(), m.joins, m.refused, m.digests, m.conflicts)
	for s := StateAlive; s <= StateLeft; s++ {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "memd_cluster_members", Help: "Members that gossip knows, this node included.",
			ConstLabels: prometheus.Labels{"state": s.String()},
		}, func() float64 { return float64(t.count()[s]) }))
	}
	bytes := func(direction string, f func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "memd_cluster_gossip_bytes_total", Help: "Payload of gossip packets and streams.",
			ConstLabels: prometheus.Labels{"direction": direction},
		}, func() float64 { return float64(f()) })
	}
	all = append(all, bytes("in", g.in.Load), bytes("out", g.out.Load))
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
