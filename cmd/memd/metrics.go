package main

import (
	"context"
	"strconv"
	"strings"
)

// pulls are the counters of a node's catch-up, summed over its peers.
type pulls struct {
	Total     float64            `json:"total"`
	ByTrigger map[string]float64 `json:"by_trigger"` // "pause/ok", …
	New       float64            `json:"rows_new"`
	Redundant float64            `json:"rows_redundant"`
}

func (n *devNode) pulls(ctx context.Context) (pulls, error) {
	text, err := n.api.Metrics(ctx)
	return parsePulls(string(text)), err
}

// parsePulls reads the text form of Prometheus as far as it concerns pulls.
func parsePulls(text string) pulls {
	p := pulls{ByTrigger: map[string]float64{}}
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, "{")
		labels, number, ok2 := strings.Cut(rest, "} ")
		if !ok || !ok2 || strings.HasPrefix(line, "#") {
			continue
		}
		number, _, _ = strings.Cut(strings.TrimSpace(number), " ")
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			continue
		}
		switch name {
		case "memd_pull_total":
			p.Total += value
			p.ByTrigger[label(labels, "trigger")+"/"+label(labels, "result")] += value
		case "memd_pull_rows_total":
			switch label(labels, "kind") {
			case "new":
				p.New += value
			case "redundant":
				p.Redundant += value
			}
		}
	}
	return p
}

// label is the value of one label in `a="x",b="y"`. The values that are asked for come
// from closed sets and have no quotes in them.
func label(labels, name string) string {
	_, rest, ok := strings.Cut(","+labels, ","+name+`="`)
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// since is what has been counted since an earlier reading.
func (p pulls) since(old pulls) pulls {
	d := pulls{Total: p.Total - old.Total, New: p.New - old.New, Redundant: p.Redundant - old.Redundant, ByTrigger: map[string]float64{}}
	for k, v := range p.ByTrigger {
		if v > old.ByTrigger[k] {
			d.ByTrigger[k] = v - old.ByTrigger[k]
		}
	}
	return d
}
