package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
)

func newArchive() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "Put memories aside, list, restore and purge them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newArchiveAdd(), newArchiveList(), newArchiveRestore(), newArchiveDiscard(), newArchivePurge(), newArchiveStats())
	return cmd
}

func newArchiveAdd() *cobra.Command {
	v := newVerb("add ID...", "Put memories aside: whole, and found by nobody who does not ask for them", cobra.MinimumNArgs(1))
	v.about("Ids are in full; - reads them from standard input, one a line. The exit code is 1 if some are not there.")
	var opt client.WriteOptions
	var reason string
	v.writes(&opt)
	v.cmd.Flags().StringVar(&reason, "reason", "", "why")
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		ids, err := idsOf(args, v.cmd.InOrStdin())
		if err != nil {
			return answer{}, err
		}
		r, err := c.Archive(ctx, ids, reason, opt)
		if err != nil {
			return answer{}, err
		}
		if len(r.Missing) > 0 {
			err = fmt.Errorf("not found: %s", strings.Join(r.Missing, ", "))
		}
		return answer{r, func(w io.Writer) error {
			return fields(w, written("archived "+count(len(r.IDs), "memory"), r.Written))
		}}, err
	})
}

func newArchiveList() *cobra.Command {
	v := newVerb("list", "List what was put aside, the latest first", cobra.NoArgs)
	var opt client.ReadOptions
	var p client.ArchivePage
	var quiet bool
	v.quiet(&quiet)
	v.after(&opt)
	v.watchable()
	f := v.cmd.Flags()
	f.StringVarP(&p.Namespace, "namespace", "n", "", "only of this namespace")
	f.IntVar(&p.Limit, "limit", 0, "at most so many; 0 = what the node does by itself")
	f.IntVar(&p.Offset, "offset", 0, "leave out so many")
	return v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		rows, err := c.Archived(ctx, p, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{append([]client.ArchivedMemory{}, rows...), func(w io.Writer) error {
			cells := [][]string{{"ID", "NAMESPACE", "ARCHIVED", "REASON", "TITLE"}}
			for i := range rows {
				m := &rows[i]
				if quiet {
					fmt.Fprintln(w, m.ID)
				}
				cells = append(cells, []string{m.ID, m.Namespace, stamp(&m.ArchivedAt), m.ArchiveReason, m.Title})
			}
			if quiet {
				return nil
			}
			return table(w, cells)
		}}, nil
	})
}

func newArchiveRestore() *cobra.Command {
	v := newVerb("restore ID", "Bring a memory back", cobra.ExactArgs(1))
	var opt client.WriteOptions
	v.writes(&opt)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		r, err := c.Restore(ctx, args[0], opt)
		if err != nil {
			return answer{}, err
		}
		return answer{r, func(w io.Writer) error {
			return fields(w, append([][2]string{{"id", r.ID}}, written("restored", r.Written)...))
		}}, nil
	})
}

func newArchiveDiscard() *cobra.Command {
	v := newVerb("discard ID", "Remove one from the archive, for good", cobra.ExactArgs(1))
	var opt client.WriteOptions
	v.writes(&opt)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		r, err := c.Discard(ctx, args[0], opt)
		if err != nil {
			return answer{}, err
		}
		return answer{r, func(w io.Writer) error {
			return fields(w, append([][2]string{{"id", r.ID}}, written("discarded", r.Written)...))
		}}, nil
	})
}

func newArchivePurge() *cobra.Command {
	v := newVerb("purge", "Remove what was put aside long ago, for good", cobra.NoArgs)
	var opt client.WriteOptions
	days := number()
	v.writes(&opt)
	v.cmd.Flags().Var(&days, "older-than-days", "only what is older; 0 = all. It must be given")
	return v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		if days.value == nil {
			return answer{}, usagef("--older-than-days must be given: 0 removes all")
		}
		r, err := c.Purge(ctx, *days.value, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{r, func(w io.Writer) error { return fields(w, written("purged "+count(r.Purged, "memory"), r.Written)) }}, nil
	})
}

func newArchiveStats() *cobra.Command {
	v := newVerb("stats", "Count what was put aside", cobra.NoArgs)
	var opt client.ReadOptions
	v.after(&opt)
	v.watchable()
	return v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		s, err := c.ArchiveStats(ctx, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{s, func(w io.Writer) error {
			rows := [][2]string{{"archived", fmt.Sprint(s.Total)}}
			for _, n := range s.ByNamespace {
				rows = append(rows, [2]string{"namespace " + n.Namespace, fmt.Sprint(n.Count)})
			}
			return fields(w, rows)
		}}, nil
	})
}
