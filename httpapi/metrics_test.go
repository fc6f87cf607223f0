package httpapi

import (
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	gauge := func(name string, v float64) {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "with a \\ and\na line"})
		reg.MustRegister(g)
		g.Set(v)
	}
	gauge("memd_memory_rows", 5)  // a gauge with memory_ in it: not for scrapers of the original
	gauge("process_something", 5) // not the service's own
	gauge("memd_big", 1e21)
	gauge("memd_small", 1e-7)
	gauge("memd_inf", math.Inf(-1))
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "memd_memory_stored_total", Help: "h"}, []string{"tier"})
	reg.MustRegister(c)
	c.WithLabelValues("a\"\\\nb").Add(2.5e6)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "memd_h_seconds", Help: "h", Buckets: []float64{.000005, 1}})
	reg.MustRegister(h)
	h.Observe(.5)
	s := prometheus.NewSummary(prometheus.SummaryOpts{Name: "memd_s_seconds", Help: "h", Objectives: map[float64]float64{.5: .1}})
	reg.MustRegister(s)
	s.Observe(2)

	d := New(Config{Node: new(fake), Registerer: reg, Gatherer: reg})
	serve(d, request("GET", "/livez", ""))
	serve(d, request("GET", "/api/v1/memories/m1", ""))
	serve(d, request("GET", "/api/v1/memories/m2", ""))
	serve(d, request("GET", "/nowhere/at/all", ""))
	serve(d, request("BREW", "/livez", ""))

	own := serve(d, request("GET", "/api/v1/metrics", ""))
	if own.Code != 200 || !strings.HasPrefix(own.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %v", own.Code, own.Header())
	}
	text := own.Body.String()
	for _, want := range []string{
		"memd_memory_stored_total{tier=\"a\\\"\\\\\\nb\"} 2500000\n",
		"memd_big 1000000000000000000000\n",
		"memd_small 0.0000001\n",
		"memd_inf -Inf\n",
		"# HELP memd_big with a \\\\ and\\na line\n# TYPE memd_big gauge\n",
		"memd_h_seconds_bucket{le=\"0.000005\"} 0\nmemd_h_seconds_bucket{le=\"1\"} 1\nmemd_h_seconds_bucket{le=\"+Inf\"} 1\nmemd_h_seconds_sum 0.5\nmemd_h_seconds_count 1\n",
		"memd_s_seconds{quantile=\"0.5\"} 2\nmemd_s_seconds_sum 2\nmemd_s_seconds_count 1\n",
		"memd_http_requests_total{code=\"200\",route=\"GET /livez\"} 1\n",
		"memd_http_requests_total{code=\"200\",route=\"GET /api/v1/memories/{id}\"} 2\n",
		"memd_http_requests_total{code=\"404\",route=\"other\"} 1\n",
		"memd_http_requests_total{code=\"405\",route=\"/livez\"} 1\n",
		"memd_http_requests_in_flight 1\n",
		"memd_http_request_duration_seconds_count{route=\"GET /livez\"} 1\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		if !strings.HasPrefix(line, "memd_") || strings.Contains(line, "memd_memory_rows") || regexp.MustCompile(` [-+0-9.]+[eE]`).MatchString(line) {
			t.Errorf("line %q", line)
		}
	}

	all := serve(d, request("GET", "/metrics", ""))
	for _, want := range []string{"memd_memory_rows 5", "process_something 5", "memd_big 1e+21"} {
		if all.Code != 200 || !strings.Contains(all.Body.String(), want) {
			t.Errorf("no %q on /metrics (%d)", want, all.Code)
		}
	}
}
