package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
)

func newHealth() *cobra.Command {
	v := newVerb("health", "Exit with 0 if a node is ready, for containers and scripts", cobra.NoArgs)
	v.about("Ready means: reads are served from a caught-up state and writes are taken. Of several servers one that is\n" +
		"ready is enough. Otherwise the exit code is 1 and the reasons are said.")
	v.conn.timeout = askTimeout
	mesh := v.cmd.Flags().Bool("mesh", false, "also that it reaches every registered member, so that another one may go")
	return v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		if err := c.Ready(ctx); err != nil {
			return answer{}, err
		}
		if *mesh {
			s, err := c.Cluster(ctx)
			if err != nil {
				return answer{}, err
			}
			if s.Quorum.Reachable < s.Quorum.N {
				return answer{}, fmt.Errorf("%s reaches %d of %s", s.Name, s.Quorum.Reachable, count(s.Quorum.N, "member"))
			}
		}
		return answer{map[string]bool{"ready": true}, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, "ready")
			return err
		}}, nil
	})
}

func newStats() *cobra.Command {
	v := newVerb("stats", "Count what a node holds, by tier and namespace", cobra.NoArgs)
	var opt client.ReadOptions
	v.after(&opt)
	v.watchable()
	return v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		s, err := c.Stats(ctx, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{s, func(w io.Writer) error { return showStats(w, s) }}, nil
	})
}

func showStats(w io.Writer, s *client.Stats) error {
	rows := [][2]string{
		{"memories", fmt.Sprint(s.Total)}, {"expiring soon", fmt.Sprint(s.ExpiringSoon)}, {"links", fmt.Sprint(s.LinksCount)},
		{"store", fmt.Sprintf("%d bytes", s.DBSizeBytes)},
	}
	for _, t := range s.ByTier {
		rows = append(rows, [2]string{"tier " + t.Tier, fmt.Sprint(t.Count)})
	}
	for _, n := range s.ByNamespace {
		rows = append(rows, [2]string{"namespace " + n.Namespace, fmt.Sprint(n.Count)})
	}
	return fields(w, rows)
}
