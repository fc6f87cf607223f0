//go:build chaos && linux

package chaos

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memd/memd/test/history"
)

// state is what the scenarios look at in GET /api/v1/cluster.
type state struct {
	Name        string
	Origin      string
	Ready       bool
	Reasons     []string
	Digest      string
	ClockHash   string `json:"clock_hash"`
	Conflicts   int
	Quarantined int
	Quorum      struct{ N, W, Reachable int }
	Members     []struct {
		Name, State, Breaker string
		LagDots              uint64 `json:"lag_dots"`
	}
}

func (n *node) state() (state, error) {
	var s state
	return s, n.get("/api/v1/cluster", &s)
}

// seenAs is how this node sees another one: its state in gossip, and the breaker of
// pushes to it.
func (n *node) seenAs(other *node) (state, breaker string, err error) {
	s, err := n.state()
	for _, m := range s.Members {
		if m.Name == other.name {
			return m.State, m.Breaker, err
		}
	}
	return "", "", err
}

// quiet waits until all nodes say that they hold the same, and returns how long it took.
func (m *mesh) quiet(limit time.Duration) time.Duration {
	m.t.Helper()
	return m.eventually(limit, func() error {
		var digests []string
		for _, n := range m.nodes {
			s, err := n.state()
			if err != nil {
				return err
			}
			if !s.Ready {
				return fmt.Errorf("%s is not ready: %s", n.name, strings.Join(s.Reasons, ", "))
			}
			if s.Quarantined > 0 {
				m.t.Fatalf("%s has %d rows in quarantine", n.name, s.Quarantined)
			}
			digests = append(digests, s.Digest)
		}
		if slices.Max(digests) != slices.Min(digests) {
			return fmt.Errorf("digests %s", strings.Join(digests, ", "))
		}
		return nil
	})
}

// reached waits until each node's pushes reach all others, and returns how long it took: after a
// cut this may be a backoff later than that they hold the same.
func (m *mesh) reached(limit time.Duration) time.Duration {
	m.t.Helper()
	return m.eventually(limit, func() error {
		for _, n := range m.nodes {
			s, err := n.state()
			if err != nil {
				return err
			}
			if s.Quorum.Reachable < len(m.nodes) {
				return fmt.Errorf("%s reaches %d", n.name, s.Quorum.Reachable)
			}
		}
		return nil
	})
}

// backoffLimit is above the longest backoff of pushes, 30 s.
const backoffLimit = 40 * time.Second

// quietLimit is generous: times are reported, not asserted.
const quietLimit = 20 * time.Second

// judge waits until all is quiet, exports every node and has the history judged.
func (m *mesh) judge() *history.Report {
	m.t.Helper()
	m.quiet(quietLimit)
	for _, n := range m.nodes {
		m.must(n.export())
	}
	rep := history.Check(m.rec.Ops(), m.names)
	if err := rep.Err(); err != nil {
		m.must(m.rec.Flush())
		m.t.Fatalf("%v\nhistory: %s", err, m.rec.Path())
	}
	m.t.Log(rep)
	return rep
}

// export records everything that the node shows.
func (n *node) export() error {
	e := history.Op{Node: n.name, Kind: history.Export, Start: n.m.rec.Now()}
	s, err := n.state()
	if err != nil {
		return err
	}
	raws, err := n.rows("")
	if err != nil {
		return err
	}
	e.Digest = s.Digest
	for _, raw := range raws {
		row, err := rowOf(raw)
		if err != nil {
			return err
		}
		e.Rows = append(e.Rows, row)
	}
	e.End = n.m.rec.Now()
	n.m.rec.Add(e)
	return nil
}

// local are the members of a record that each node has its own of.
var local = []string{"access_count", "last_accessed_at", "token"}

// rowOf hashes a record in canonical form: members sorted, numbers as they came.
func rowOf(raw json.RawMessage) (history.Row, error) {
	var s shown
	if err := json.Unmarshal(raw, &s); err != nil {
		return history.Row{}, err
	}
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		return history.Row{}, err
	}
	for _, name := range local {
		delete(members, name)
	}
	canonical, err := json.Marshal(members)
	if err != nil {
		return history.Row{}, err
	}
	h := sha256.Sum256(canonical)
	return history.Row{ID: s.ID, Key: s.Namespace + "/" + s.Title, Value: s.value(), Token: s.Token, Body: hex.EncodeToString(h[:8])}, nil
}

// metrics are samples by "name{labels}", as they are printed.
type metrics map[string]float64

func (n *node) metrics() (metrics, error) {
	a := n.call(patience, "GET", "/metrics", nil)
	if a.status != 200 {
		return nil, fmt.Errorf("metrics of %s: %s", n.name, a)
	}
	out := metrics{}
	for line := range strings.Lines(string(a.body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && !strings.HasPrefix(line, "#") {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				out[name+"}"] = v
			}
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				out[name] = v
			}
		}
	}
	return out, nil
}

// sum adds all samples of a name whose labels hold each of the given texts.
func (m metrics) sum(name string, labels ...string) float64 {
	total := 0.0
	for sample, v := range m {
		base, rest, _ := strings.Cut(sample, "{")
		if base != name {
			continue
		}
		all := true
		for _, l := range labels {
			all = all && strings.Contains(rest, l)
		}
		if all {
			total += v
		}
	}
	return total
}

// pulled is what a node got by pulls, out of its metrics.
type pulled struct {
	fresh, redundant, tombs, quarantined float64

	causes map[string]float64 // pulls by peer, trigger and result
}

func (n *node) pulled() (pulled, error) {
	m, err := n.metrics()
	kind := func(k string) float64 { return m.sum("memd_pull_rows_total", `kind="`+k+`"`) }
	p := pulled{kind("new"), kind("redundant"), kind("tomb"), kind("quar"), map[string]float64{}}
	for sample, v := range m {
		if labels, ok := strings.CutPrefix(sample, "memd_pull_total"); ok {
			p.causes[labels] = v
		}
	}
	return p, err
}

func (p pulled) minus(o pulled) pulled {
	d := pulled{p.fresh - o.fresh, p.redundant - o.redundant, p.tombs - o.tombs, p.quarantined - o.quarantined, map[string]float64{}}
	for labels, v := range p.causes {
		if v > o.causes[labels] {
			d.causes[labels] = v - o.causes[labels]
		}
	}
	return d
}

func (p pulled) String() string {
	var why []string
	for _, labels := range slices.Sorted(maps.Keys(p.causes)) {
		why = append(why, fmt.Sprintf("%v%s", p.causes[labels], labels))
	}
	return fmt.Sprintf("%v new, %v redundant, %v tombs by %s", p.fresh, p.redundant, p.tombs, strings.Join(why, " "))
}

// writeStatus is the body of GET /api/v1/writes.
type writeStatus struct {
	AckedBy []string `json:"acked_by"`
}

// ackedBy asks a node who holds a write durably, as far as it knows.
func (n *node) ackedBy(dot string) ([]string, error) {
	origin, counter, _ := strings.Cut(dot, ":")
	var s writeStatus
	err := n.get("/api/v1/writes/"+origin+"/"+counter, &s)
	return s.AckedBy, err
}

// quantile of durations, nearest rank.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(d))
	i := int(float64(len(s))*q+0.9999999) - 1
	return s[min(max(i, 0), len(s)-1)]
}

func figures(d []time.Duration) string {
	return fmt.Sprintf("p50 %s p99 %s max %s (n=%d)", ms(quantile(d, .5)), ms(quantile(d, .99)), ms(quantile(d, 1)), len(d))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

// copyDir copies a closed store.
func copyDir(from, to string) error { return os.CopyFS(to, os.DirFS(from)) }
