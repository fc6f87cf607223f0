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

func newStore() *cobra.Command {
	v := newVerb("store [TITLE]", "Store a memory", cobra.MaximumNArgs(1))
	v.about("The content is that of --content; without it, or if it is -, it is read from standard input:\n\n" +
		"    echo 'We ship on Tuesdays' | memd store 'Deploy day' --namespace acme/ops")
	var d client.Draft
	var opt client.WriteOptions
	var metadata string
	content, confidence, expires := text(), fraction(), moment(true)
	v.writes(&opt)
	f := v.cmd.Flags()
	f.StringVar(&d.Title, "title", "", "the title, unique in its namespace; or given as the argument")
	f.Var(&content, "content", "the text; - = standard input")
	f.StringVarP(&d.Namespace, "namespace", "n", "", "where it belongs, such as acme/ops (default global)")
	f.StringVar(&d.Tier, "tier", "", "short (6 h), mid (7 d, the default) or long (for ever)")
	f.StringSliceVar(&d.Tags, "tags", nil, "tags, separated by commas")
	f.IntVar(&d.Priority, "priority", 0, "1 to 10 (default 5)")
	f.Var(&confidence, "confidence", "0 to 1 (default 1)")
	f.StringVar(&d.Source, "source", "cli", "where it comes from: user, claude, hook, api, cli, import, consolidation, system, chaos or notify")
	f.Int64Var(&d.TTLSecs, "ttl-secs", 0, "seconds until it expires, up to a year (default: by tier)")
	f.Var(&expires, "expires-at", "when it expires: RFC 3339, or a duration such as 36h from now")
	f.StringVar(&d.Scope, "scope", "", "who may see it: private, team, unit, org or collective")
	f.StringVar(&d.OnConflict, "on-conflict", "", "if the title is taken: error (the default), merge or version")
	f.StringVar(&metadata, "metadata", "", "a JSON object")
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		d := d
		if len(args) > 0 {
			if d.Title != "" && d.Title != args[0] {
				return answer{}, usagef("--title and the argument name two titles")
			}
			d.Title = args[0]
		}
		var err error
		if d.Content, err = contentOf(&content, v.cmd.InOrStdin()); err != nil {
			return answer{}, err
		}
		d.Confidence, d.ExpiresAt = confidence.value, expires.value
		if metadata != "" {
			d.Metadata = client.Raw(metadata)
		}
		s, err := c.Store(ctx, d, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{s, func(w io.Writer) error {
			what := "stored"
			if s.Existing {
				what = "was there, or merged into what was there"
			}
			return fields(w, [][2]string{
				{"id", s.ID}, {"title", s.Title}, {"namespace", s.Namespace}, {"tier", s.Tier}, {"by", s.AgentID},
				{"result", what + ", durable on " + count(s.Acks, "node")}, {"token", s.Token},
			})
		}}, nil
	})
}

// maxStdin bounds what is read as the content of one memory; the node takes less.
const maxStdin = 2 << 20

// contentOf is the content flag, or what standard input has.
func contentOf(flag *optional[string], in io.Reader) (string, error) {
	if flag.value != nil && *flag.value != "-" {
		return *flag.value, nil
	}
	if file, ok := in.(*os.File); ok && flag.value == nil && term.IsTerminal(int(file.Fd())) {
		return "", usagef("no content: give --content, or the text on standard input")
	}
	b, err := io.ReadAll(io.LimitReader(in, maxStdin+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read standard input: %w", err)
	case len(b) > maxStdin:
		return "", usagef("standard input is too long for one memory")
	}
	return strings.TrimSuffix(string(b), "\n"), nil
}

func newUpdate() *cobra.Command {
	v := newVerb("update ID", "Change a memory", cobra.ExactArgs(1))
	v.about("What is not given stays as it is; tags and metadata are replaced whole. With --content - the text is read\n" +
		"from standard input. ID may be the beginning of an id that no other memory has.")
	var opt client.WriteOptions
	var tags []string
	title, content, namespace, tier, expires, metadata := text(), text(), text(), text(), text(), text()
	priority, confidence := number(), fraction()
	v.writes(&opt)
	v.matches(&opt)
	f := v.cmd.Flags()
	f.Var(&title, "title", "another title")
	f.Var(&content, "content", "another text; - = standard input")
	f.VarP(&namespace, "namespace", "n", "another namespace")
	f.Var(&tier, "tier", "a longer tier: mid or long")
	f.StringSliceVar(&tags, "tags", nil, "other tags, separated by commas; empty = none")
	f.Var(&priority, "priority", "1 to 10")
	f.Var(&confidence, "confidence", "0 to 1")
	f.Var(&expires, "expires-at", "when it expires: RFC 3339, a duration such as 36h from now, or never")
	f.Var(&metadata, "metadata", "another JSON object")
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		p := client.Patch{
			Title: title.value, Content: content.value, Namespace: namespace.value, Tier: tier.value, Tags: tags,
			Priority: priority.value, Confidence: confidence.value, Metadata: client.Raw(metadata.or()),
		}
		if content.or() == "-" {
			text, err := contentOf(&content, v.cmd.InOrStdin())
			if err != nil {
				return answer{}, err
			}
			p.Content = &text
		}
		switch expires.or() {
		case "":
		case "never":
			p.ClearExpiry = true
		default:
			at := moment(true)
			if err := at.Set(expires.or()); err != nil {
				return answer{}, usagef("--expires-at %q: %w, or never", expires.or(), err)
			}
			p.ExpiresAt = at.value
		}
		if p.Title == nil && p.Content == nil && p.Namespace == nil && p.Tier == nil && p.Tags == nil && p.Priority == nil &&
			p.Confidence == nil && len(p.Metadata) == 0 && p.ExpiresAt == nil && !p.ClearExpiry {
			return answer{}, usagef("nothing to change: see memd update --help")
		}
		u, err := c.Update(ctx, args[0], p, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{u, func(w io.Writer) error {
			return fields(w, [][2]string{
				{"id", u.ID}, {"title", u.Title}, {"namespace", u.Namespace}, {"tier", u.Tier}, {"expires", stamp(u.ExpiresAt)},
				{"result", "updated, durable on " + count(u.Acks, "node")}, {"token", u.Token},
			})
		}}, nil
	})
}

func newDelete() *cobra.Command {
	v := newVerb("delete ID...", "Delete memories, on all nodes, for good", cobra.MinimumNArgs(1))
	v.about("ID may be the beginning of an id that no other memory has; - reads ids from standard input, one a line:\n\n" +
		"    memd list --namespace scratch --quiet | memd delete -")
	var opt client.WriteOptions
	v.writes(&opt)
	v.matches(&opt)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		ids, err := idsOf(args, v.cmd.InOrStdin())
		if err != nil {
			return answer{}, err
		}
		if len(ids) > 1 && (opt.IdempotencyKey != "" || opt.Match != "") {
			return answer{}, usagef("--idempotency-key and --if-match are about one memory, not %d", len(ids))
		}
		done := []*client.Deleted{}
		var failed error
		for _, id := range ids {
			d, err := c.Delete(ctx, id, opt)
			if err != nil {
				failed = fmt.Errorf("%s: %w", id, err)
				break
			}
			done = append(done, d)
		}
		if failed != nil && len(done) > 0 {
			failed = fmt.Errorf("%w (%d of %d deleted)", failed, len(done), len(ids))
		}
		if len(done) == 0 {
			return answer{}, failed
		}
		return answer{done, func(w io.Writer) error {
			for _, d := range done {
				if err := fields(w, [][2]string{{"id", d.ID}, {"result", "deleted, durable on " + count(d.Acks, "node")}, {"token", d.Token}}); err != nil {
					return err
				}
			}
			return nil
		}}, failed
	})
}

// idsOf replaces an argument - by the lines of standard input.
func idsOf(args []string, in io.Reader) ([]string, error) {
	var ids []string
	for _, a := range args {
		if a != "-" {
			ids = append(ids, a)
			continue
		}
		b, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		ids = append(ids, strings.Fields(string(b))...)
	}
	return ids, nil
}

// stamp is a time to the second; nil is "never".
func stamp(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
