package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
)

func newGet() *cobra.Command {
	v := newVerb("get ID", "Show one memory in full", cobra.ExactArgs(1))
	v.about("ID may be the beginning of an id that no other memory has. --content prints the text alone, for pipes.")
	var opt client.ReadOptions
	var bare bool
	v.after(&opt)
	v.cmd.Flags().BoolVar(&opt.Conflicts, "conflicts", false, "also contents that were written at the same time and lost")
	v.cmd.Flags().BoolVar(&bare, "content", false, "print the text and nothing else")
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		m, err := c.Get(ctx, args[0], opt)
		if err != nil {
			return answer{}, err
		}
		return answer{m, func(w io.Writer) error {
			if bare {
				_, err := fmt.Fprintln(w, m.Content)
				return err
			}
			return showFull(w, m)
		}}, nil
	})
}

func showFull(w io.Writer, m *client.Full) error {
	if err := showMemory(w, &m.Memory); err != nil {
		return err
	}
	for i := range m.Links {
		l := &m.Links[i]
		fmt.Fprintf(w, "\nlink: %s %s %s\n", l.SourceID, l.Relation, l.TargetID)
	}
	for _, id := range m.Ambiguous {
		fmt.Fprintf(w, "\nanother memory has the same title: %s\n", id)
	}
	for i := range m.Siblings {
		fmt.Fprintf(w, "\n--- written at the same time, and lost ---\n")
		if err := showMemory(w, &m.Siblings[i]); err != nil {
			return err
		}
	}
	return nil
}

func showMemory(w io.Writer, m *client.Memory) error {
	rows := [][2]string{
		{"id", m.ID}, {"title", m.Title}, {"namespace", m.Namespace}, {"tier", m.Tier + ", expires " + stamp(m.ExpiresAt)},
		{"tags", strings.Join(m.Tags, ", ")}, {"priority", fmt.Sprintf("%d, confidence %g", m.Priority, m.Confidence)},
		{"by", author(m) + " (" + m.Source + ")"}, {"created", stamp(&m.CreatedAt)}, {"updated", stamp(&m.UpdatedAt)},
		{"accessed", count(m.AccessCount, "time")},
	}
	if string(m.Metadata) != "{}" && len(m.Metadata) > 0 {
		rows = append(rows, [2]string{"metadata", string(m.Metadata)})
	}
	if m.Conflicts > 0 {
		rows = append(rows, [2]string{"conflicts", fmt.Sprintf("%s (--conflicts shows them; an update settles them)", count(m.Conflicts, "other content"))})
	}
	if m.Token != "" {
		rows = append(rows, [2]string{"token", m.Token})
	}
	if m.Stale {
		rows = append(rows, [2]string{"stale", "the node could not compare itself with another one in time"})
	}
	if err := fields(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", m.Content)
	return err
}

func newList() *cobra.Command {
	v := newVerb("list", "List memories, the highest priority and the latest change first", cobra.NoArgs)
	var opt client.ReadOptions
	var o filterFlags
	var quiet bool
	o.register(v.cmd.Flags())
	v.cmd.Flags().IntVar(&o.f.Offset, "offset", 0, "leave out so many")
	v.cmd.Flags().IntVar(&o.f.MinPriority, "min-priority", 0, "only of this priority and above")
	v.quiet(&quiet)
	v.after(&opt)
	v.watchable()
	return v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		rows, err := c.List(ctx, o.filter(), opt)
		if err != nil {
			return answer{}, err
		}
		return answer{append([]client.Memory{}, rows...), func(w io.Writer) error { return showRows(w, rows, quiet) }}, nil
	})
}

func (v *verb) quiet(q *bool) {
	v.cmd.Flags().BoolVarP(q, "quiet", "q", false, "print ids only, one a line")
}

func showRows(w io.Writer, rows []client.Memory, quiet bool) error {
	if quiet {
		return showIDs(w, rows)
	}
	cells := [][]string{{"ID", "NAMESPACE", "TIER", "PRIO", "UPDATED", "BY", "TITLE"}}
	for i := range rows {
		m := &rows[i]
		cells = append(cells, []string{
			m.ID, m.Namespace, m.Tier, fmt.Sprint(m.Priority), stamp(&m.UpdatedAt), author(m), m.Title + conflictMark(m),
		})
	}
	return table(w, cells)
}

func showIDs(w io.Writer, rows []client.Memory) error {
	for i := range rows {
		if _, err := fmt.Fprintln(w, rows[i].ID); err != nil {
			return err
		}
	}
	return nil
}

func conflictMark(m *client.Memory) string {
	if m.Conflicts == 0 {
		return ""
	}
	return " [" + count(m.Conflicts, "conflict") + "]"
}

func newRevisions() *cobra.Command {
	v := newVerb("revisions ID", "List versions of a memory that lost a conflict and were superseded since", cobra.ExactArgs(1))
	v.about("The contents that lost and were not superseded yet are those of memd get --conflicts.")
	var opt client.ReadOptions
	v.after(&opt)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		r, err := c.Revisions(ctx, args[0], opt)
		if err != nil {
			return answer{}, err
		}
		return answer{r, func(w io.Writer) error {
			rows := [][]string{{"WRITE", "WRITTEN", "BY", "CONTENT"}}
			for _, l := range r.Lost {
				text := "(not held by this node)"
				if l.Memory != nil {
					text = clipped(l.Memory.Content)
				}
				rows = append(rows, []string{l.Dot, l.WrittenAt, l.Agent, text})
			}
			return table(w, rows)
		}}, nil
	})
}
