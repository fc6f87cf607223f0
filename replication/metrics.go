package replication

import (
	"github.com/memd/memd/wire"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the package. The label peer takes registered names only, and the series
// of a name end with its registration.
type metrics struct {
	frames  *prometheus.CounterVec // peer, result
	rows    *prometheus.CounterVec
	bytes   *prometheus.CounterVec
	dropped *prometheus.CounterVec
	nudges  *prometheus.CounterVec
	opens   *prometheus.CounterVec // peer, result
	latency *prometheus.HistogramVec
	acks    prometheus.Histogram
}

// What became of a frame beside the results of wire.AckResult.
const (
	resultTimeout = "timeout" // its deadline passed; it may still be answered
	resultLost    = "lost"    // the stream ended before the answer
)

func newMetrics(reg prometheus.Registerer, b *Broadcaster) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		frames:  counter("memd_push_frames_total", "Push frames by what became of them.", "peer", "result"),
		rows:    counter("memd_push_rows_total", "Rows pushed.", "peer"),
		bytes:   counter("memd_push_bytes_total", "Bytes of rows pushed.", "peer"),
		dropped: counter("memd_push_dropped_rows_total", "Rows left to the peer's pull because its queue was full.", "peer"),
		nudges:  counter("memd_push_nudges_total", "Nudges sent to a peer to make it pull.", "peer"),
		opens:   counter("memd_push_opens_total", "Attempts to open a push stream.", "peer", "result"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "memd_push_ack_seconds",
			Help:    "From sending a frame to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), // 0.5 ms to 4 s
		}, []string{"peer"}),
		acks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "memd_quorum_acks",
			Help:    "Distinct names, this node included, that had a write when its quorum was met or given up.",
			Buckets: []float64{0, 1, 2, 3, 4, 5, 7, 10, 15, 25, 50, 100},
		}),
	}
	reg.MustRegister(m.frames, m.rows, m.bytes, m.dropped, m.nudges, m.opens, m.latency, m.acks, gauges{b})
	return m
}

// ended is told how each wait ended. A failed local commit has no acks, nor has a write
// that was never staged.
func (m *metrics) ended(res Result) {
	if res.Err == nil {
		m.acks.Observe(float64(res.Acks))
	}
}

// forget removes the series of a peer.
func (m *metrics) forget(peer string) {
	labels := prometheus.Labels{"peer": peer}
	for _, vec := range []*prometheus.CounterVec{m.frames, m.rows, m.bytes, m.dropped, m.nudges, m.opens} {
		vec.DeletePartialMatch(labels)
	}
	m.latency.DeletePartialMatch(labels)
}

// peerMetrics are the series of one peer, looked up once.
type peerMetrics struct {
	vec                                 *metrics
	peer                                string
	ok, timeouts, lost                  prometheus.Counter
	rows, bytes, dropped, nudges, opens prometheus.Counter
	openErrors                          prometheus.Counter
	latency                             prometheus.Observer
}

func (m *metrics) of(peer string) peerMetrics {
	return peerMetrics{
		vec: m, peer: peer,
		ok:         m.frames.WithLabelValues(peer, "ok"),
		timeouts:   m.frames.WithLabelValues(peer, resultTimeout),
		lost:       m.frames.WithLabelValues(peer, resultLost),
		rows:       m.rows.WithLabelValues(peer),
		bytes:      m.bytes.WithLabelValues(peer),
		dropped:    m.dropped.WithLabelValues(peer),
		nudges:     m.nudges.WithLabelValues(peer),
		opens:      m.opens.WithLabelValues(peer, "ok"),
		openErrors: m.opens.WithLabelValues(peer, "error"),
		latency:    m.latency.WithLabelValues(peer),
	}
}

// answered counts frames by their answer; what a later version may answer is one label.
func (p *peerMetrics) answered(result wire.AckResult, n int) {
	switch {
	case n == 0:
	case result == wire.AckOK:
		p.ok.Add(float64(n))
	case result == wire.AckReconcile, result == wire.AckBusy, result == wire.AckRefused:
		p.vec.frames.WithLabelValues(p.peer, result.String()).Add(float64(n))
	default:
		p.vec.frames.WithLabelValues(p.peer, "other").Add(float64(n))
	}
}

// gauges reads what is true now, when it is asked; so nothing has to be kept up to
// date while rows flow, and removed peers are gone by themselves.
type gauges struct{ b *Broadcaster }

var (
	stateDesc = prometheus.NewDesc("memd_push_breaker_state", "0 closed, 1 half-open, 2 open.", []string{"peer"}, nil)
	queueDesc = prometheus.NewDesc("memd_push_queue_rows", "Rows that wait to be pushed.", []string{"peer"}, nil)
)

func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- stateDesc
	ch <- queueDesc
}

func (g gauges) Collect(ch chan<- prometheus.Metric) {
	for _, p := range g.b.Status() {
		ch <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, float64(p.State), p.Name)
		ch <- prometheus.MustNewConstMetric(queueDesc, prometheus.GaugeValue, float64(p.Queued), p.Name)
	}
}
