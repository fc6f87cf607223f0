package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
)

func newRecall() *cobra.Command {
	v := newVerb("recall TEXT", "Find what is known about something, the best first", cobra.ExactArgs(1))
	v.about("What has more and rarer ones of the words stands first. A namespace such as acme/ops stands for those above it,\n" +
		"too. --after with the token of a write finds that write on any node.")
	budget := number()
	v.cmd.Flags().Var(&budget, "budget-tokens", "most tokens that the contents may cost, about")
	return v.finds(func(ctx context.Context, c *client.Client, q client.Query, opt client.ReadOptions) (*client.Recalled, error) {
		q.Budget = budget.value
		return c.Recall(ctx, q, opt)
	})
}

func newSearch() *cobra.Command {
	v := newVerb("search TEXT", "Find memories that have all the words", cobra.ExactArgs(1))
	return v.finds(func(ctx context.Context, c *client.Client, q client.Query, opt client.ReadOptions) (*client.Recalled, error) {
		return c.Search(ctx, q, opt)
	})
}

// hits is what was found, for --json.
type hits struct {
	Memories   []client.Hit `json:"memories"`
	Count      int          `json:"count"`
	Mode       string       `json:"mode,omitempty"`
	TokensUsed int          `json:"tokens_used,omitempty"`
	Dropped    int          `json:"memories_dropped,omitempty"`
	Behind     bool         `json:"index_behind,omitempty"`
	Stale      bool         `json:"stale,omitempty"`
}

func (v *verb) finds(find func(context.Context, *client.Client, client.Query, client.ReadOptions) (*client.Recalled, error)) *cobra.Command {
	var opt client.ReadOptions
	var o filterFlags
	var q client.Query
	var quiet bool
	o.register(v.cmd.Flags())
	v.cmd.Flags().StringVar(&q.AsAgent, "as-agent", "", "namespace whose view to take")
	v.quiet(&quiet)
	v.after(&opt)
	v.watchable()
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		q := q
		q.Text, q.Filter = args[0], o.filter()
		r, err := find(ctx, c, q, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{hits{
			append([]client.Hit{}, r.Hits...), len(r.Hits), r.Mode, r.TokensUsed, r.Dropped, r.Behind, r.Stale,
		}, func(w io.Writer) error { return showHits(w, r, quiet) }}, nil
	})
}

func showHits(w io.Writer, r *client.Recalled, quiet bool) error {
	rows := [][]string{{"SCORE", "ID", "NAMESPACE", "UPDATED", "BY", "TITLE", "CONTENT"}}
	for i := range r.Hits {
		m := &r.Hits[i].Memory
		if quiet {
			fmt.Fprintln(w, m.ID)
			continue
		}
		rows = append(rows, []string{
			fmt.Sprintf("%.2f", r.Hits[i].Score), m.ID, m.Namespace, stamp(&m.UpdatedAt), author(m), m.Title + conflictMark(m), clipped(m.Content),
		})
	}
	if quiet {
		return nil
	}
	if err := table(w, rows); err != nil {
		return err
	}
	for _, note := range []struct {
		is   bool
		text string
	}{
		{r.Dropped > 0, count(r.Dropped, "more hit") + " did not fit into the budget"},
		{r.Behind, "the index had not reached everything that was stored: the latest may be missing"},
		{r.Stale, "the node could not compare itself with another one in time"},
	} {
		if note.is {
			fmt.Fprintln(w, note.text)
		}
	}
	return nil
}
