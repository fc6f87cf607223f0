package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// The kinds of operations of a bench.
const (
	benchPut    = "put"
	benchGet    = "get"
	benchRecall = "recall"
)

var benchKinds = []string{benchPut, benchGet, benchRecall}

// benchConfig is what `memd bench` does.
type benchConfig struct {
	conn      connFlags
	agent     string
	clients   int
	duration  time.Duration
	size      int // bytes of a content
	rate      float64
	mix       string
	weights   map[string]int // by kind
	namespace string
	w         int
	keep      bool
	json      bool
}

func newBench() *cobra.Command {
	c := new(benchConfig)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put a load on a running mesh and print its latencies",
		Long: "Put a load on a running mesh and print its latencies.\n\nClients put, get and recall memories, spread over the servers, each as fast as it is answered or all together\n" +
			"at --rate. A get asks with the token of the put, so that it is right on every node. Nothing but a namespace\n" +
			"of its own is written to: it has to be empty before, and is emptied afterwards, also after Ctrl-C, unless\n" +
			"--keep says otherwise. Deletions stay in the store as such; what a bench leaves behind expires in six hours.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.check(); err != nil {
				return &usageError{err}
			}
			r, err := c.run(cmd.Context(), cmd.ErrOrStderr())
			if r != nil {
				if c.json {
					return errors.Join(err, printJSON(cmd.OutOrStdout(), r))
				}
				return errors.Join(err, r.show(cmd.OutOrStdout()))
			}
			return asUsage(err)
		},
	}
	f := cmd.Flags()
	c.conn.register(f, defaultServers, verbTimeout)
	f.StringVar(&c.agent, "agent-id", "", "who writes (default: host:HOST:USER, or whom the key is for)")
	f.IntVar(&c.clients, "clients", 16, "clients at once, 1 to 1000")
	f.DurationVar(&c.duration, "duration", 10*time.Second, "how long, up to 1h")
	f.IntVar(&c.size, "size", 300, "bytes of a memory's content, 16 to 65536")
	f.Float64Var(&c.rate, "rate", 0, "operations a second of all clients; 0 = as many as are answered")
	f.StringVar(&c.mix, "mix", "put=2,get=7,recall=1", "how often each is done")
	f.StringVarP(&c.namespace, "namespace", "n", "", "where it writes; it has to be empty (default: one made up, bench/…)")
	f.IntVarP(&c.w, "w", "w", 0, "members that must have each write; 0 = the cluster's default")
	f.BoolVar(&c.keep, "keep", false, "leave what was written")
	f.BoolVar(&c.json, "json", false, "print JSON")
	return cmd
}

func (c *benchConfig) check() (err error) {
	if c.weights, err = parseMix(c.mix); err != nil {
		return fmt.Errorf("--mix: %w", err)
	}
	switch {
	case c.clients < 1 || c.clients > 1000:
		return errors.New("--clients: want 1 to 1000")
	case c.duration <= 0 || c.duration > time.Hour:
		return errors.New("--duration: want more than 0 and at most 1h")
	case c.size < 16 || c.size > 65536:
		return errors.New("--size: want 16 to 65536")
	case c.rate < 0:
		return errors.New("--rate cannot be negative")
	case c.w < 0:
		return errors.New("--w cannot be negative")
	}
	if c.namespace == "" {
		c.namespace = "bench/" + strings.ToLower(rand.Text()[:10])
	}
	return nil
}

// parseMix reads "put=2,get=7".
func parseMix(text string) (map[string]int, error) {
	weights, sum := map[string]int{}, 0
	for _, part := range compact(strings.Split(text, ",")) {
		kind, number, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(number)
		_, twice := weights[kind]
		switch {
		case !slices.Contains(benchKinds, kind):
			return nil, fmt.Errorf("%q: want some of put, get and recall", kind)
		case err != nil || n < 0 || n > 1000:
			return nil, fmt.Errorf("%s: want a number from 0 to 1000", kind)
		case twice:
			return nil, fmt.Errorf("%s is there twice", kind)
		}
		weights[kind], sum = n, sum+n
	}
	if sum == 0 {
		return nil, errors.New("want at least one of put, get and recall")
	}
	return weights, nil
}

// benchReport is what came of it. Times are milliseconds from the call to the whole answer,
// the quantiles by the nearest rank, of what succeeded.
type benchReport struct {
	Servers   []string    `json:"servers"`
	Clients   int         `json:"clients"`
	Seconds   float64     `json:"seconds"`
	Size      int         `json:"size"`
	Namespace string      `json:"namespace"`
	Ops       []benchOp   `json:"ops"`
	Failures  []benchFail `json:"failures,omitempty"`
	Written   int         `json:"written"` // memories that are there, or may be
	Removed   int         `json:"removed"` // of them
}

type benchOp struct {
	Op        string  `json:"op"`
	Done      int     `json:"done"`
	Failed    int     `json:"failed"`
	PerSecond float64 `json:"per_second"`
	MeanMS    float64 `json:"mean_ms"`
	P50MS     float64 `json:"p50_ms"`
	P90MS     float64 `json:"p90_ms"`
	P99MS     float64 `json:"p99_ms"`
	P999MS    float64 `json:"p99_9_ms"`
	MaxMS     float64 `json:"max_ms"`
}

// benchFail is one way in which operations failed.
type benchFail struct {
	Op    string `json:"op"`
	Error string `json:"error"`
	Count int    `json:"count"`
}

func (r *benchReport) show(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d bytes, %.1f s, %s, in %s\n\n", count(r.Clients, "client"), r.Size, r.Seconds, count(len(r.Servers), "server"), r.Namespace)
	rows := [][]string{{"OP", "DONE", "FAILED", "PER SECOND", "MEAN", "P50", "P90", "P99", "P99.9", "MAX"}}
	ms := func(v float64) string { return fmt.Sprintf("%.2f ms", v) }
	for _, o := range r.Ops {
		rows = append(rows, []string{o.Op, strconv.Itoa(o.Done), strconv.Itoa(o.Failed), fmt.Sprintf("%.1f", o.PerSecond),
			ms(o.MeanMS), ms(o.P50MS), ms(o.P90MS), ms(o.P99MS), ms(o.P999MS), ms(o.MaxMS)})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, f := range r.Failures {
		fmt.Fprintf(w, "%d times %s: %s\n", f.Count, f.Op, f.Error)
	}
	_, err := fmt.Fprintf(w, "%s written, %d removed\n", countMemories(r.Written), r.Removed)
	return err
}

func countMemories(n int) string { return count(n, "memory") }

// report sums up what the clients measured.
func (c *benchConfig) report(l *benchLoad, took time.Duration) *benchReport {
	r := &benchReport{Servers: compact(c.conn.servers), Clients: c.clients, Seconds: took.Seconds(), Size: c.size, Namespace: c.namespace}
	for _, kind := range benchKinds {
		if c.weights[kind] == 0 {
			continue
		}
		var all []float64
		sum, failed := 0.0, 0
		for _, m := range l.clients {
			for _, took := range m.took[kind] {
				v := float64(took) / 1000
				all, sum = append(all, v), sum+v
			}
			for f, n := range m.failed {
				if f.Op == kind {
					failed += n
				}
			}
		}
		slices.Sort(all)
		o := benchOp{Op: kind, Done: len(all), Failed: failed, PerSecond: float64(len(all)) / took.Seconds()}
		if len(all) > 0 {
			o.MeanMS, o.MaxMS = sum/float64(len(all)), all[len(all)-1]
			o.P50MS, o.P90MS, o.P99MS, o.P999MS = quantile(all, .5), quantile(all, .9), quantile(all, .99), quantile(all, .999)
		}
		r.Ops = append(r.Ops, o)
	}
	fails := map[benchFail]int{}
	for _, m := range l.clients {
		for f, n := range m.failed {
			fails[f] += n
		}
	}
	for f, n := range fails {
		r.Failures = append(r.Failures, benchFail{f.Op, f.Error, n})
	}
	slices.SortFunc(r.Failures, func(a, b benchFail) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Op, b.Op), strings.Compare(a.Error, b.Error))
	})
	return r
}

// run does it. A report comes with an error if something failed after the load.
func (c *benchConfig) run(ctx context.Context, stderr io.Writer) (*benchReport, error) {
	l, err := c.load()
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.claim(ctx); err != nil {
		return nil, err
	}
	// From here on there may be something to remove, whatever happens.
	took, err := l.play(ctx, stderr)
	var r *benchReport
	if err == nil {
		r = c.report(l, took)
		r.Written = int(l.written.Load())
	}
	if !c.keep {
		removed, gone := l.remove(context.WithoutCancel(ctx))
		if r != nil {
			r.Removed = removed
		}
		if gone != nil {
			err = errors.Join(err, fmt.Errorf("not all of %s could be removed: %w", c.namespace, gone))
		}
	}
	if r != nil && err == nil && !slices.ContainsFunc(r.Ops, func(o benchOp) bool { return o.Done > 0 }) {
		err = errors.New("nothing succeeded")
	}
	return r, err
}
