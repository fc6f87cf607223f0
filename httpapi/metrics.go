package httpapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	inFlight   prometheus.Gauge
	panics     prometheus.Counter
	streams    prometheus.Gauge
	pushFrames prometheus.Counter
	pageBytes  prometheus.Counter
	refused    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "memd_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "memd_http_request_duration_seconds", Help: "Time from the header read to the answer written, streams left out.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "memd_http_requests_in_flight", Help: "Requests being served, streams included.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "memd_http_panics_total", Help: "Handlers that panicked; each is a bug.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "memd_http_push_streams", Help: "Push streams of peers that are open here.",
		}),
		pushFrames: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "memd_http_push_frames_total", Help: "Batches that arrived on push streams.",
		}),
		pageBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "memd_http_page_bytes_total", Help: "Bytes of pages served to pulling peers, as sent.",
		}),
	}
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "memd_http_refused_total", Help: "Requests and connections refused before their verb, by reason.",
	}, []string{"reason"})
	for _, reason := range []string{"key", "guessing", "forbidden", "agent", "rate_principal", "rate_address", "connections", "peer", "tls"} {
		m.refused.WithLabelValues(reason)
	}
	reg.MustRegister(m.refused, m.requests, m.duration, m.inFlight, m.panics, m.streams, m.pushFrames, m.pageBytes)
	return m
}

// observe counts one request. The labels are bounded: templates of routes, and statuses
// that this package sends.
func (m *metrics) observe(route string, status int, took time.Duration, stream bool) {
	m.requests.WithLabelValues(route, codeText(status)).Inc()
	if !stream {
		m.duration.WithLabelValues(route).Observe(took.Seconds())
	}
}

// codeText saves the hot statuses an allocation.
func codeText(status int) string {
	switch status {
	case 200:
		return "200"
	case 201:
		return "201"
	case 304:
		return "304"
	case 404:
		return "404"
	case 409:
		return "409"
	case 503:
		return "503"
	}
	return strconv.Itoa(status)
}
