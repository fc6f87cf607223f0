package catchup

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the pulls. Peers come from the registry, triggers and results from closed
// sets, so the label sets are bounded. Gauges are computed when they are scraped.
type metrics struct {
	pulls     *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	bytes     *prometheus.CounterVec
	rows      *prometheus.CounterVec
	pages     *prometheus.CounterVec
	conflicts prometheus.Counter
	pauses    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, m *Manager) *metrics {
	x := &metrics{
		pulls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memd_pull_total", Help: "Pulls from a peer by what caused them and how they ended.",
		}, []string{"peer", "trigger", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "memd_pull_seconds", Help: "Duration of a pull, from its turn to its last commit.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 30},
		}, []string{"peer"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memd_pull_bytes", Help: "Bytes of pulls: of answers as received (in), of clocks sent (out).",
		}, []string{"peer", "dir"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memd_pull_rows_total",
			Help: "Rows pulled: new, redundant (already here), tomb (deletions), quar (kept but not readable).",
		}, []string{"peer", "kind"}),
		pages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memd_pull_pages_total", Help: "Pages pulled.",
		}, []string{"peer"}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "memd_reserved_conflicts_total",
			Help: "Pulls repeated because what another pull had reserved did not come with it.",
		}),
		pauses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "memd_pauses_total", Help: "Times this process was found to have stood still.",
		}),
	}
	reg.MustRegister(x.pulls, x.seconds, x.bytes, x.rows, x.pages, x.conflicts, x.pauses, gauges{m})
	return x
}

func (x *metrics) pull(peer string, t Trigger, s Summary, seconds float64) {
	x.pulls.WithLabelValues(peer, string(t), result(s)).Inc()
	x.seconds.WithLabelValues(peer).Observe(seconds)
	x.pages.WithLabelValues(peer).Add(float64(s.Pages))
	for dir, n := range map[string]int64{"in": s.In, "out": s.Out} {
		x.bytes.WithLabelValues(peer, dir).Add(float64(n))
	}
	for kind, n := range map[string]int{
		"new": s.Applied.New, "redundant": s.Applied.Redundant, "tomb": s.Applied.Tombs, "quar": s.Applied.Quarantined,
	} {
		x.rows.WithLabelValues(peer, kind).Add(float64(n))
	}
}

// forget deletes the series of a peer that left.
func (x *metrics) forget(peer string) {
	l := prometheus.Labels{"peer": peer}
	x.pulls.DeletePartialMatch(l)
	x.seconds.DeletePartialMatch(l)
	x.bytes.DeletePartialMatch(l)
	x.rows.DeletePartialMatch(l)
	x.pages.DeletePartialMatch(l)
}

// gauges are read from the manager's status at every scrape.
type gauges struct{ m *Manager }

var (
	descLagDots = prometheus.NewDesc("memd_peer_lag_dots",
		"Writes that the peer was last seen to have and that are missing here.", []string{"peer"}, nil)
	descLagSeconds = prometheus.NewDesc("memd_peer_lag_seconds",
		"Since when something that the peer has is missing here.", []string{"peer"}, nil)
	descLastOK = prometheus.NewDesc("memd_peer_last_success_timestamp_seconds",
		"When the last pull from the peer was complete, 0 = never.", []string{"peer"}, nil)
	descWithheld = prometheus.NewDesc("memd_sync_withheld_dots",
		"Writes that the peer has and a policy hides from this node.", []string{"peer"}, nil)
	descMissing = prometheus.NewDesc("memd_missing_dots",
		"Writes that some peer was last seen to have and that are missing here.", nil, nil)
)

func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descLagDots, descLagSeconds, descLastOK, descWithheld, descMissing} {
		ch <- d
	}
}

func (g gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, p := range g.m.Status() {
		gauge(descLagDots, float64(p.MissingDots), p.Name)
		gauge(descLagSeconds, p.LagSeconds, p.Name)
		gauge(descWithheld, float64(p.WithheldDots), p.Name)
		ok := 0.0
		if !p.LastOK.IsZero() {
			ok = float64(p.LastOK.UnixMilli()) / 1000
		}
		gauge(descLastOK, ok, p.Name)
	}
	gauge(descMissing, float64(g.m.Lag()))
}
