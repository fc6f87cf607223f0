package catchup

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
)

// scrape returns all samples as lines "name{label="value",…} value".
func scrape(t *testing.T, reg prometheus.Gatherer) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range families {
		for _, m := range f.GetMetric() {
			fmt.Fprint(&out, f.GetName(), "{")
			for i, l := range m.GetLabel() {
				if i > 0 {
					out.WriteByte(',')
				}
				fmt.Fprintf(&out, "%s=%q", l.GetName(), l.GetValue())
			}
			v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			fmt.Fprintf(&out, "} %v\n", v)
		}
	}
	return out.String()
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(1, 20)
		l := start(t, me, peers, func(c *Config) { c.Random = func(n int64) int64 { return n - 1 } })
		l.until(100*joinJitter, l.has(peers[0]))
		l.settle()
		l.Trigger("n1", "made up")
		l.settle()
		text := scrape(t, l.reg)
		for _, want := range []string{
			`memd_pull_total{peer="n1",result="ok",trigger="start"} 1`,
			`memd_pull_total{peer="n1",result="not_modified",trigger="join"} 1`,
			`memd_pull_total{peer="n1",result="not_modified",trigger="other"} 1`,
			`memd_pull_seconds{peer="n1"} 3`,
			`memd_pull_rows_total{kind="new",peer="n1"} 20`,
			`memd_pull_rows_total{kind="redundant",peer="n1"} 0`,
			`memd_pull_rows_total{kind="tomb",peer="n1"} 0`,
			`memd_pull_rows_total{kind="quar",peer="n1"} 0`,
			`memd_pull_pages_total{peer="n1"} 1`,
			`memd_pull_bytes{dir="in",peer="n1"}`,
			`memd_pull_bytes{dir="out",peer="n1"}`,
			`memd_peer_lag_dots{peer="n1"} 0`,
			`memd_peer_lag_seconds{peer="n1"} 0`,
			`memd_peer_last_success_timestamp_seconds{peer="n1"} 9.`,
			`memd_missing_dots{} 0`,
			`memd_sync_withheld_dots{peer="n1"} 0`,
			`memd_reserved_conflicts_total{} 0`,
			`memd_pauses_total{} 0`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
	})
}
