package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
)

func newImport() *cobra.Command {
	var conn connFlags
	var opt client.WriteOptions
	var skip int64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Store the records of an export, under their own ids and with their own times",
		Long: "Store the records of an export, under their own ids and with their own times, from FILE or standard input.\n\n" +
			"It takes JSON lines, one record a line, and the document that the export of the original service is. What is\n" +
			"held already and not older stays as it is, so an import that was broken off is run again; --skip leaves out\n" +
			"the records that it said were done.",
		Args: cobra.MaximumNArgs(1),
	}
	f := cmd.Flags()
	conn.register(f, defaultServers, verbTimeout)
	f.StringVar(&opt.Agent, "agent-id", "", "who imports (default: this host and user; with a key, whom it is for); each record keeps the agent that wrote it")
	f.IntVarP(&opt.W, "w", "w", 0, "members that must have each record; 0 = what the cluster does by itself")
	f.Int64Var(&skip, "skip", 0, "leave out so many records at the beginning")
	f.BoolVar(&asJSON, "json", false, "print the summary as JSON")
	patience := patienceFlag(f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if skip < 0 {
			return usagef("--skip must not be negative")
		}
		opt.Agent = conn.writer(opt.Agent)
		c, err := conn.open(opt.Agent)
		if err != nil {
			return err
		}
		defer c.Close()
		in := cmd.InOrStdin()
		if len(args) > 0 && args[0] != "-" {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			in = file
		}
		i := &importing{client: c, opt: opt, say: newProgress(cmd.ErrOrStderr(), "imported"), patience: *patience}
		err = i.run(cmd.Context(), newRecords(in), skip)
		i.say.end()
		if asJSON {
			return errors.Join(err, printJSON(cmd.OutOrStdout(), &i.sum))
		}
		_, said := fmt.Fprintf(cmd.OutOrStdout(), "%s: %d stored, %d unchanged, %d refused\n", count(i.sum.Records, "record"), i.sum.Imported, i.sum.Unchanged, i.sum.Refused)
		return errors.Join(err, said)
	}
	return cmd
}

// importSum is what an import came to.
type importSum struct {
	Records   int64 `json:"records"` // that an answer was received for, from the beginning on
	Imported  int64 `json:"imported"`
	Unchanged int64 `json:"unchanged"`
	Refused   int64 `json:"refused"`
}

type importing struct {
	client *client.Client
	opt    client.WriteOptions
	say    *progress
	sum    importSum

	patience time.Duration
}

// A batch has to fit into the body that a node takes, 2 MiB, and one record may be larger
// than what is left of it.
// A node waits for the quorum of a request as long as for that of one write, so it is
// given no more than it can do in that time on a slow disk.
const (
	batchRecords = 250
	batchBytes   = 1 << 20
	importAhead  = 4 // batches on their way
)

// load are records of one list on their way, and what came of them.
type load struct {
	list string
	in   client.Import
	n    int
	size int64
	done chan struct{}
	out  *client.Imported
	err  error
}

// run sends batches side by side and counts them in their order, so that it can say from
// where to go on.
func (i *importing) run(ctx context.Context, in *records, skip int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	order := make(chan *load, importAhead) // bounds what is in memory
	work := make(chan *load)
	var readErr error
	wg.Go(func() {
		defer close(order)
		defer close(work)
		readErr = i.read(ctx, in, skip, order, work)
	})
	for range importAhead {
		wg.Go(func() {
			for b := range work {
				b.err = i.send(ctx, b)
				close(b.done)
			}
		})
	}
	var failed error
	i.sum.Records = skip
	for b := range order {
		if failed != nil {
			continue
		}
		select {
		case <-b.done:
			failed = i.count(b)
		case <-ctx.Done():
			failed = ctx.Err()
		}
		if failed != nil {
			cancel()
		}
	}
	wg.Wait()
	if failed == nil {
		failed = readErr
	}
	switch {
	case failed != nil && i.sum.Records > 0:
		return fmt.Errorf("%w; to go on: --skip %d", asUsage(failed), i.sum.Records)
	case failed != nil:
		return asUsage(failed)
	case i.sum.Refused > 0:
		return fmt.Errorf("%s refused", count(i.sum.Refused, "record"))
	}
	return nil
}

// send hands a load over, again if some of it missed its quorum: it may stand, and asked
// again a node waits for what it has.
func (i *importing) send(ctx context.Context, b *load) error {
	stored := 0
	err := retry(ctx, &progress{w: io.Discard}, i.patience, func() error {
		out, err := i.client.Import(ctx, b.in, i.opt)
		if err != nil {
			return err
		}
		stored += out.Imported
		b.out = out
		if slices.ContainsFunc(out.Errors, passing) {
			return errSome
		}
		return nil
	})
	if b.out == nil || err != nil && !errors.Is(err, errSome) {
		return err
	}
	// What a later try found there an earlier one may have stored.
	b.out.Imported = min(stored, b.n-len(b.out.Errors))
	b.out.Unchanged = b.n - len(b.out.Errors) - b.out.Imported
	return nil
}

var errSome = fmt.Errorf("%w: some records missed their quorum", client.ErrUnavailable)

// passing reports whether the error of a record is one that time heals.
func passing(text string) bool {
	_, problem, _ := strings.Cut(text, ": ")
	return strings.HasPrefix(problem, "quorum_not_met") || strings.Contains(problem, client.ErrUnavailable.Error())
}

func (i *importing) count(b *load) error {
	if b.err != nil {
		return b.err
	}
	i.sum.Records += int64(b.n)
	i.sum.Imported += int64(b.out.Imported)
	i.sum.Unchanged += int64(b.out.Unchanged)
	i.sum.Refused += int64(len(b.out.Errors))
	first := i.sum.Records - int64(b.n) + 1
	for _, text := range b.out.Errors {
		// One without an id is named by its place in the request.
		var at int64
		if _, err := fmt.Sscanf(text, b.list+"[%d]:", &at); err == nil {
			_, problem, _ := strings.Cut(text, ": ")
			text = fmt.Sprintf("%d: %s", first+at, problem)
		}
		i.say.note("refused: record %s", text)
	}
	i.say.add(int64(b.n), b.size)
	return nil
}

// read makes loads of the records. One of links waits for all memories before it, since a
// link needs both ends.
func (i *importing) read(ctx context.Context, in *records, skip int64, order, work chan<- *load) error {
	b := &load{done: make(chan struct{})}
	var open []*load // that may be on their way
	send := func() error {
		if b.n == 0 {
			return nil
		}
		if b.list == "links" {
			for _, earlier := range open {
				select {
				case <-earlier.done:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		open = slices.DeleteFunc(open, func(l *load) bool { return closed(l.done) })
		for _, to := range []chan<- *load{order, work} {
			select {
			case to <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		open = append(open, b)
		b = &load{done: make(chan struct{})}
		return nil
	}
	for at := int64(0); ; at++ {
		r, list, err := in.next()
		if errors.Is(err, io.EOF) {
			return send()
		}
		if err != nil {
			return errors.Join(send(), usagef("record %d: %w", at+1, err))
		}
		if at < skip {
			continue
		}
		if b.n > 0 && (b.n == batchRecords || b.size+int64(len(r)) > batchBytes || list != b.list) {
			if err := send(); err != nil {
				return err
			}
		}
		b.list = list
		to := &b.in.Memories
		switch list {
		case "links":
			to = &b.in.Links
		case "agents":
			to = &b.in.Agents
		case "standards":
			to = &b.in.Standards
		}
		*to = append(*to, r)
		b.n++
		b.size += int64(len(r)) + 1
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
