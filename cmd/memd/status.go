package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/memd/memd/client"
)

func newStatus() *cobra.Command {
	return newAsking("status", "Show how a node sees its cluster: clocks, lag, quorum, conflicts", showStatus,
		func(s *client.ClusterStatus) any { return s })
}

func newAsking(use, summary string, show func(io.Writer, *client.ClusterStatus) error, data func(*client.ClusterStatus) any) *cobra.Command {
	v := newVerb(use, summary, cobra.NoArgs)
	v.conn.timeout = askTimeout
	v.watchable()
	return v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		s, err := c.Cluster(ctx)
		if err != nil {
			return answer{}, err
		}
		return answer{data(s), func(w io.Writer) error { return show(w, s) }}, nil
	})
}

// watchEvery is the period of --watch.
const watchEvery = time.Second

// watch repeats show until it is told to stop, which is no failure. A terminal shows the
// last one only. A node that does not answer is said, and asked again.
func watch(ctx context.Context, out, stderr io.Writer, asJSON bool, show func(context.Context) error) error {
	file, ok := out.(*os.File)
	onTerminal := ok && !asJSON && term.IsTerminal(int(file.Fd()))
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		if onTerminal {
			fmt.Fprint(out, "\x1b[H\x1b[2J")
		} else if !first && !asJSON {
			fmt.Fprintln(out)
		}
		if err := show(ctx); err != nil && ctx.Err() == nil {
			fmt.Fprintln(stderr, "memd:", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func showStatus(w io.Writer, s *client.ClusterStatus) error {
	ready := "ready"
	if !s.Ready {
		ready = "NOT READY: " + strings.Join(s.Reasons, "; ")
	}
	clock := parseDots(s.Clock)
	rows := [][]string{
		{"node", s.Name + " (" + orDash(s.Version) + "), " + ready},
		{"cluster", orDash(s.ClusterID)},
		{"quorum", fmt.Sprintf("%d of %s, %d reachable%s", s.Quorum.W, count(s.Quorum.N, "member"), s.Quorum.Reachable, quorumWarning(s.Quorum))},
		{"clock", fmt.Sprintf("%s, hash %s", count(clock.count(), "write"), orDash(s.ClockHash))},
		{"digest", orDash(s.Digest)},
		{"conflicts", fmt.Sprint(s.Conflicts)},
	}
	if s.Quarantined > 0 {
		rows = append(rows, []string{"quarantined", fmt.Sprintf("%s that cannot be read", count(s.Quarantined, "row"))})
	}
	for _, m := range s.Members {
		if m.WithheldDots > 0 {
			rows = append(rows, []string{"withheld", fmt.Sprintf("%s of %s, by its --peer-allowlist", count(m.WithheldDots, "write"), m.Name)})
		}
	}
	if err := table(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return showMembers(w, s)
}

func quorumWarning(q client.Quorum) string {
	if q.Reachable < q.W {
		return ": WRITES FAIL"
	}
	return ""
}

func showMembers(w io.Writer, s *client.ClusterStatus) error {
	rows := [][]string{{"NAME", "STATE", "ADDRESS", "LAG", "SINCE", "LAST PULL", "PUSH", "ACKED", "CLOCK"}}
	for _, m := range s.Members {
		row := []string{m.Name, m.State, m.Addr, "-", "-", "-", "-", "-", short(m.ClockHash)}
		if m.State != "self" {
			row[3] = fmt.Sprint(m.LagDots)
			if m.LagDots > 0 {
				row[4] = fmt.Sprintf("%.1f s", m.LagSeconds)
			}
			if m.LastSuccess != nil {
				row[5] = ago(time.Since(*m.LastSuccess)) + " ago"
			}
			row[6] = breakerWord(m.Breaker)
			row[7] = fmt.Sprint(m.Acked)
		}
		rows = append(rows, row)
	}
	return table(w, rows)
}

// breakerWord says what the state of a breaker means for pushes.
func breakerWord(state string) string {
	switch state {
	case "closed":
		return "ok"
	case "open":
		return "given up"
	case "half-open":
		return "trying"
	}
	return orDash(state)
}
