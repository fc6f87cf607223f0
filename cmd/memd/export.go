package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/memd/memd/client"
)

// exportPage is how many records are asked for at once: what is lost if a node goes away
// in the middle. Those for a pipe are held until they are whole, so there are fewer.
const (
	exportPage = 2000
	pipePage   = 250
)

func newExport() *cobra.Command {
	var conn connFlags
	var namespace, from string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write all records as JSON lines",
		Long: "Write all records as JSON lines, to FILE or to standard output.\n\n" +
			"With FILE an export that was broken off goes on when it is run again: what there is of it is in FILE.part,\n" +
			"and where it stopped in FILE.part.next. Without FILE it says on standard error how to go on (--from). Each\n" +
			"record is as of the moment in which it was read; what is written meanwhile may or may not be in it.",
		Args: cobra.MaximumNArgs(1),
	}
	f := cmd.Flags()
	conn.register(f, defaultServers, verbTimeout)
	f.StringVarP(&namespace, "namespace", "n", "", "only of this namespace")
	f.StringVar(&from, "from", "", "go on where an export to standard output stopped")
	f.BoolVar(&asJSON, "json", false, "print the summary as JSON (with FILE)")
	patience := patienceFlag(f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := conn.open("")
		if err != nil {
			return err
		}
		defer c.Close()
		e := &export{
			client: c, o: client.ExportOptions{From: from, Limit: exportPage, Namespace: namespace},
			say: newProgress(cmd.ErrOrStderr(), "exported"), patience: *patience,
		}
		if len(args) == 0 {
			e.o.Limit = pipePage
			return e.toPipe(cmd.Context(), cmd.OutOrStdout())
		}
		if from != "" {
			return usagef("--from goes with standard output: an export to a file knows where it stopped")
		}
		if err := e.toFile(cmd.Context(), args[0]); err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"file": args[0], "records": e.all})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", args[0], count(e.all, "record"))
		return err
	}
	return cmd
}

// export is one export on its way.
type export struct {
	client *client.Client
	o      client.ExportOptions // From is where the next page begins
	say    *progress
	all    int64 // records in the file, those of earlier runs included

	patience time.Duration
}

// page writes the page at o.From to w and moves on. done is set behind the last one. If it
// fails, what w has of the page is to be thrown away.
func (e *export) page(ctx context.Context, w *bufio.Writer) (done bool, err error) {
	var n, size int64
	next, err := e.client.Export(ctx, e.o, func(record client.Raw) error {
		n, size = n+1, size+int64(len(record))+1
		if _, err := w.Write(record); err != nil {
			return err
		}
		return w.WriteByte('\n')
	})
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return false, err
	}
	e.o.From = next
	e.all += n
	e.say.add(n, size)
	return next == "", nil
}

// toPipe holds each page until it is whole, so that what goes out can be gone on from.
func (e *export) toPipe(ctx context.Context, out io.Writer) error {
	var held bytes.Buffer
	for done := false; !done; {
		err := retry(ctx, e.say, e.patience, func() (err error) {
			held.Reset()
			done, err = e.page(ctx, bufio.NewWriter(&held))
			return err
		})
		if err == nil {
			_, err = out.Write(held.Bytes())
		} else if e.o.From != "" {
			err = fmt.Errorf("%w; to go on: memd export --from %s", asUsage(err), e.o.From)
		}
		if err != nil {
			return asUsage(err)
		}
	}
	e.say.end()
	return nil
}

// exportMark is where an export to a file stands: what a later run goes on from.
type exportMark struct {
	Next      string `json:"next"`
	Bytes     int64  `json:"bytes"` // of the file that are whole pages
	Records   int64  `json:"records"`
	Namespace string `json:"namespace,omitempty"`
}

func (e *export) toFile(ctx context.Context, path string) (err error) {
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("%s exists: remove it, or choose another name", path)
	}
	part, markPath := path+".part", path+".part.next"
	file, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	mark, err := e.resume(file, markPath)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 256<<10)
	for done := false; !done; {
		if err := retry(ctx, e.say, e.patience, func() error {
			// What is there of a page that failed is written over.
			if err := file.Truncate(mark.Bytes); err != nil {
				return err
			}
			if _, err := file.Seek(mark.Bytes, io.SeekStart); err != nil {
				return err
			}
			w.Reset(file)
			done, err = e.page(ctx, w)
			return err
		}); err != nil {
			return asUsage(err)
		}
		if mark.Bytes, err = file.Seek(0, io.SeekCurrent); err != nil {
			return err
		}
		if done {
			break
		}
		mark.Next, mark.Records = e.o.From, e.all
		if err := mark.write(file, markPath); err != nil {
			return err
		}
	}
	e.say.end()
	if err := file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	if err := os.Remove(markPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// resume takes up what an earlier run has left.
func (e *export) resume(file *os.File, path string) (exportMark, error) {
	mark := exportMark{Namespace: e.o.Namespace}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return mark, nil
	}
	if err != nil {
		return mark, err
	}
	info, err := file.Stat()
	if err != nil {
		return mark, err
	}
	var old exportMark
	if json.Unmarshal(b, &old) != nil || old.Next == "" || old.Bytes < 0 || info.Size() < old.Bytes {
		return mark, fmt.Errorf("%s does not fit to what is there of the export: remove both to begin again", path)
	}
	if old.Namespace != e.o.Namespace {
		return mark, usagef("the export that was broken off was of --namespace %q", old.Namespace)
	}
	e.o.From, e.all = old.Next, old.Records
	e.say.note("going on behind %s", count(old.Records, "record"))
	return old, nil
}

// write makes the mark last once what it speaks of does.
func (m *exportMark) write(file *os.File, path string) error {
	if err := file.Sync(); err != nil {
		return err
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// patienceFlag: a node that is restarted is back in less than the default.
func patienceFlag(f *pflag.FlagSet) *time.Duration {
	return f.Duration("patience", 30*time.Second, "how long to go on trying while no node answers")
}

// retry does it again while no node answers, until patience is at its end.
func retry(ctx context.Context, say *progress, patience time.Duration, do func() error) error {
	limit := time.Now().Add(patience)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := do()
		if err == nil || !errors.Is(err, client.ErrUnavailable) && !errors.Is(err, client.ErrStopped) || time.Now().After(limit) {
			return err
		}
		say.note("%v; trying again", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}
