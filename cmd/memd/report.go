package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// sigstopReport is the result of --scenario sigstop.
type sigstopReport struct {
	Scenario string          `json:"scenario"`
	Version  string          `json:"version"`
	Nodes    int             `json:"nodes"`
	Sleeper  string          `json:"sleeper"`
	Rounds   []*sigstopRound `json:"rounds"`
	OK       bool            `json:"ok"` // every round got all of its rows
	FirstRow quantiles       `json:"first_row"`
	LastRow  quantiles       `json:"last_row"`
	Level    quantiles       `json:"level"`
}

// quantiles over the rounds, by the nearest rank.
type quantiles struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

func newSigstopReport(m *mesh) *sigstopReport {
	return &sigstopReport{Scenario: scenarioSigstop, Version: version(), Nodes: len(m.nodes), Sleeper: m.nodes[len(m.nodes)-1].name}
}

func (r *sigstopReport) add(round *sigstopRound) { r.Rounds = append(r.Rounds, round) }

func (r *sigstopReport) finish() {
	r.OK = len(r.Rounds) > 0 && !slices.ContainsFunc(r.Rounds, func(x *sigstopRound) bool { return !x.ok() })
	of := func(get func(*sigstopRound) float64) quantiles {
		var values []float64
		for _, x := range r.Rounds {
			if x.ok() {
				values = append(values, get(x))
			}
		}
		return quantiles{quantile(values, .5), quantile(values, .99)}
	}
	r.FirstRow = of(func(x *sigstopRound) float64 { return x.FirstRowMS })
	r.LastRow = of(func(x *sigstopRound) float64 { return x.LastRowMS })
	r.Level = of(func(x *sigstopRound) float64 { return x.LevelMS })
}

// quantile is the smallest value that at least the part q of the values does not exceed.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

const reportRow = "%5s  %5s  %7s  %14s  %13s  %9s  %8s  %8s  %5s  %10s  %14s\n"

func (r *sigstopReport) head(w io.Writer) {
	fmt.Fprintf(w, "sigstop: %d nodes; %s is stopped, %d memories are written through the others, it is continued\n\n", r.Nodes, r.Sleeper, batch)
	fmt.Fprintf(w, reportRow, "round", "state", "written", "missing before", "present after", "first row", "last row", "level", "pulls", "new by pull", "redundant rows")
}

func (r *sigstopReport) row(w io.Writer, x *sigstopRound) {
	fmt.Fprintf(w, reportRow, fmt.Sprint(x.Round), orDash(x.State), fmt.Sprint(x.Rows), fmt.Sprint(x.MissingBefore),
		fmt.Sprintf("%d of %d", x.PresentAfter, batch), inMS(x.FirstRowMS), inMS(x.LastRowMS), inMS(x.LevelMS),
		fmt.Sprint(x.Pulls.Total), fmt.Sprint(x.Pulls.New), fmt.Sprint(x.Pulls.Redundant))
	if x.Error != "" {
		fmt.Fprintf(w, "round %d failed: %s\n", x.Round, x.Error)
	}
}

func inMS(v float64) string { return fmt.Sprintf("%.1f ms", v) }

func (r *sigstopReport) foot(w io.Writer) {
	fmt.Fprintln(w)
	if len(r.Rounds) > 1 {
		for _, q := range []struct {
			name string
			q    quantiles
		}{{"first row", r.FirstRow}, {"last row", r.LastRow}, {"level", r.Level}} {
			fmt.Fprintf(w, "%-9s  p50 %s, p99 %s\n", q.name, inMS(q.q.P50), inMS(q.q.P99))
		}
	}
	triggers := map[string]float64{}
	var byPull, rows float64
	for _, x := range r.Rounds {
		byPull += x.Pulls.New
		rows += float64(x.PresentAfter)
		for k, v := range x.Pulls.ByTrigger {
			triggers[k] += v
		}
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(triggers)) {
		parts = append(parts, fmt.Sprintf("%s %g", k, triggers[k]))
	}
	fmt.Fprintf(w, "pulls by trigger and result: %s\n", orDash(strings.Join(parts, ", ")))
	fmt.Fprintf(w, "\nState T is what the system showed of %s's process when the last row had been written. It could not be asked\n"+
		"what it has; \"missing before\" are the rows that their writers did not know it to have. Times are from SIGCONT\n"+
		"until a GET at %s answered with the row; level is when all nodes showed the same digest.\n", r.Sleeper, r.Sleeper)
	if byPull < rows {
		fmt.Fprintf(w, "%g of %g rows came by pushes that had waited for it, not by a pull.\n", rows-byPull, rows)
	}
	verdict := "FAILED"
	if r.OK {
		verdict = fmt.Sprintf("%d of %d rows, in every round", batch, batch)
	}
	fmt.Fprintf(w, "\nresult: %s\n", verdict)
}
