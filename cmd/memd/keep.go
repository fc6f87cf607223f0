package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
)

// written are the last rows of what a changing verb shows.
func written(what string, w client.Written) [][2]string {
	if w.Acks > 0 {
		what += ", durable on " + count(w.Acks, "node")
	}
	return [][2]string{{"result", what}, {"token", w.Token}}
}

func newLink() *cobra.Command {
	v := newVerb("link SOURCE TARGET", "Relate one memory to another", cobra.ExactArgs(2))
	var opt client.WriteOptions
	var relation string
	v.writes(&opt)
	v.cmd.Flags().StringVar(&relation, "relation", "related_to", "related_to, supersedes, contradicts or derived_from")
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		l, err := c.Link(ctx, client.Link{SourceID: args[0], TargetID: args[1], Relation: relation}, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{l, func(w io.Writer) error {
			what := "linked"
			if l.Existing {
				what = "was there"
			}
			return fields(w, append([][2]string{{"source", l.SourceID}, {"relation", l.Relation}, {"target", l.TargetID}}, written(what, l.Written)...))
		}}, nil
	})
}

func newUnlink() *cobra.Command {
	v := newVerb("unlink SOURCE TARGET", "Take away all relations of one memory to another", cobra.ExactArgs(2))
	var opt client.WriteOptions
	v.writes(&opt)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		u, err := c.Unlink(ctx, args[0], args[1], opt)
		if err != nil {
			return answer{}, err
		}
		return answer{u, func(w io.Writer) error {
			what := "there was none"
			if u.Deleted {
				what = "unlinked"
			}
			return fields(w, written(what, u.Written))
		}}, nil
	})
}

func newLinks() *cobra.Command {
	v := newVerb("links ID", "List the links of a memory, in both directions", cobra.ExactArgs(1))
	var opt client.ReadOptions
	v.after(&opt)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		links, err := c.Links(ctx, args[0], opt)
		if err != nil {
			return answer{}, err
		}
		return answer{append([]client.Link{}, links...), func(w io.Writer) error {
			rows := [][]string{{"SOURCE", "RELATION", "TARGET", "CREATED"}}
			for i := range links {
				l := &links[i]
				rows = append(rows, []string{l.SourceID, l.Relation, l.TargetID, stamp(&l.CreatedAt)})
			}
			return table(w, rows)
		}}, nil
	})
}

func newPromote() *cobra.Command {
	v := newVerb("promote ID", "Keep a memory for ever, or copy it into a namespace above", cobra.ExactArgs(1))
	v.about("With --to-namespace it is copied into a namespace above its own instead, with a link to where it came from.")
	var opt client.WriteOptions
	var to string
	v.writes(&opt)
	v.matches(&opt)
	v.cmd.Flags().StringVar(&to, "to-namespace", "", "copy it into this namespace, which is above its own")
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		if to != "" {
			p, err := c.PromoteTo(ctx, args[0], to, opt)
			if err != nil {
				return answer{}, err
			}
			return answer{p, func(w io.Writer) error {
				return fields(w, append([][2]string{{"id", p.CloneID}, {"namespace", p.ToNamespace}, {"copy of", p.SourceID}}, written("promoted", p.Written)...))
			}}, nil
		}
		p, err := c.Promote(ctx, args[0], opt)
		if err != nil {
			return answer{}, err
		}
		return answer{p, func(w io.Writer) error {
			return fields(w, append([][2]string{{"id", p.ID}, {"tier", p.Tier}}, written("promoted", p.Written)...))
		}}, nil
	})
}

func newForget() *cobra.Command {
	v := newVerb("forget", "Delete every memory that passes all the filters given", cobra.NoArgs)
	v.about("At least one filter is needed. --dry-run counts what would be deleted. One memory is deleted by memd delete.")
	var opt client.WriteOptions
	var s client.Selection
	var dry bool
	v.writes(&opt)
	f := v.cmd.Flags()
	f.StringVarP(&s.Namespace, "namespace", "n", "", "of exactly this namespace")
	f.StringVar(&s.Pattern, "pattern", "", "that have all these words")
	f.StringVar(&s.Tier, "tier", "", "of this tier: short, mid or long")
	f.BoolVar(&dry, "dry-run", false, "count them and leave them")
	return v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		if dry {
			n, err := c.WouldForget(ctx, s, opt)
			if err != nil {
				return answer{}, err
			}
			return answer{map[string]any{"would_delete": n, "dry_run": true}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "would delete %s\n", count(n, "memory"))
				return err
			}}, nil
		}
		r, err := c.Forget(ctx, s, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{r, func(w io.Writer) error {
			return fields(w, written(fmt.Sprintf("deleted %s, %d of them archived", count(r.Deleted, "memory"), r.Archived), r.Written))
		}}, nil
	})
}

func newConsolidate() *cobra.Command {
	v := newVerb("consolidate ID ID...", "Put one memory in the place of several, which are deleted", cobra.MinimumNArgs(1))
	v.about("Ids are in full; - reads them from standard input, one a line. The summary is that of --summary.")
	var opt client.WriteOptions
	var s client.Consolidation
	v.writes(&opt)
	f := v.cmd.Flags()
	f.StringVar(&s.Title, "title", "", "title of the one")
	f.StringVar(&s.Summary, "summary", "", "its content: what the others said")
	f.StringVarP(&s.Namespace, "namespace", "n", "", "its namespace (default global)")
	f.StringVar(&s.Tier, "tier", "", "its tier (default long)")
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		s := s
		var err error
		if s.IDs, err = idsOf(args, v.cmd.InOrStdin()); err != nil {
			return answer{}, err
		}
		r, err := c.Consolidate(ctx, s, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{r, func(w io.Writer) error {
			return fields(w, append([][2]string{{"id", r.ID}}, written("consolidated "+count(r.Consolidated, "memory"), r.Written)...))
		}}, nil
	})
}

func newCollect() *cobra.Command {
	v := newVerb("gc", "Sweep what has expired, as nodes do by themselves", cobra.NoArgs)
	var opt client.WriteOptions
	v.writes(&opt)
	return v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		r, err := c.Collect(ctx, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{r, func(w io.Writer) error {
			return fields(w, written("deleted "+count(r.ExpiredDeleted, "memory"), r.Written))
		}}, nil
	})
}
