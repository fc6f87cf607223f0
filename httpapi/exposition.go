package httpapi

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

func scrapeHandler(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// metricsAll shows everything that is registered.
func (c *call) metricsAll() error {
	if err := c.scrapes(); err != nil {
		return err
	}
	c.door.scrape.ServeHTTP(c, c.r)
	return nil
}

var headerText = []string{"text/plain; version=0.0.4; charset=utf-8"}

// metricsOwn shows the service's own series in the form that scrapers of the original can
// read (contract 8.8): names begin with memd_, a name with memory_ in it is a counter, no
// number has an exponent.
func (c *call) metricsOwn() error {
	if err := c.scrapes(); err != nil {
		return err
	}
	families, err := c.door.Gatherer.Gather()
	if err != nil {
		// What could be gathered is here all the same; the rest is for a human.
		c.door.Log.Warn("metrics are incomplete", "err", err)
	}
	b := c.output()
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "memd_") || strings.Contains(name, "memory_") && f.GetType() != dto.MetricType_COUNTER {
			continue
		}
		b = appendFamily(b, f)
	}
	if c.out != nil {
		c.out.b = b
	}
	c.Header()["Content-Type"] = headerText
	_, _ = c.Write(b)
	return nil
}

func appendFamily(b []byte, f *dto.MetricFamily) []byte {
	name := f.GetName()
	if f.GetHelp() != "" {
		b = append(b, "# HELP "+name+" "...)
		b = append(b, helpEscaper.Replace(f.GetHelp())...)
		b = append(b, '\n')
	}
	b = append(b, "# TYPE "+name+" "...)
	b = append(b, strings.ToLower(f.GetType().String())...)
	b = append(b, '\n')
	for _, m := range f.GetMetric() {
		b = appendMetric(b, name, f.GetType(), m)
	}
	return b
}

func appendMetric(b []byte, name string, t dto.MetricType, m *dto.Metric) []byte {
	labels := m.GetLabel()
	switch t {
	case dto.MetricType_COUNTER:
		return appendSample(b, name, labels, "", 0, m.GetCounter().GetValue())
	case dto.MetricType_GAUGE:
		return appendSample(b, name, labels, "", 0, m.GetGauge().GetValue())
	case dto.MetricType_HISTOGRAM:
		h := m.GetHistogram()
		for _, k := range h.GetBucket() {
			if !math.IsInf(k.GetUpperBound(), 1) {
				b = appendSample(b, name+"_bucket", labels, "le", k.GetUpperBound(), float64(k.GetCumulativeCount()))
			}
		}
		b = appendSample(b, name+"_bucket", labels, "le", math.Inf(1), float64(h.GetSampleCount()))
		b = appendSample(b, name+"_sum", labels, "", 0, h.GetSampleSum())
		return appendSample(b, name+"_count", labels, "", 0, float64(h.GetSampleCount()))
	case dto.MetricType_SUMMARY:
		s := m.GetSummary()
		for _, q := range s.GetQuantile() {
			b = appendSample(b, name, labels, "quantile", q.GetQuantile(), q.GetValue())
		}
		b = appendSample(b, name+"_sum", labels, "", 0, s.GetSampleSum())
		return appendSample(b, name+"_count", labels, "", 0, float64(s.GetSampleCount()))
	}
	return appendSample(b, name, labels, "", 0, m.GetUntyped().GetValue())
}

var (
	helpEscaper  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// appendSample writes one line; bound names a further label with a number as its value.
func appendSample(b []byte, name string, labels []*dto.LabelPair, bound string, at, v float64) []byte {
	b = append(b, name...)
	sep := byte('{')
	for _, l := range labels {
		b = append(append(b, sep), l.GetName()...)
		b = append(b, `="`...)
		b = append(b, labelEscaper.Replace(l.GetValue())...)
		b = append(b, '"')
		sep = ','
	}
	if bound != "" {
		b = append(append(b, sep), bound...)
		b = append(b, `="`...)
		b = append(appendPlain(b, at), '"')
		sep = ','
	}
	if sep == ',' {
		b = append(b, '}')
	}
	b = append(b, ' ')
	return append(appendPlain(b, v), '\n')
}

// appendPlain never writes an exponent.
func appendPlain(b []byte, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsInf(v, -1):
		return append(b, "-Inf"...)
	}
	return strconv.AppendFloat(b, v, 'f', -1, 64)
}
