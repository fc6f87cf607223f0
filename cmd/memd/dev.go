package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

type devConfig struct {
	nodes    int
	dir      string
	scenario string
	rounds   int
	away     time.Duration
	tls      bool
	json     bool
}

// maxDevNodes is what the digits of a keyboard can select.
const maxDevNodes = 9

func newDev() *cobra.Command {
	c := new(devConfig)
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a mesh on this machine and watch nodes fall behind and catch up",
		Long: "Run a mesh of real serve processes on free loopback ports, in a temporary folder that is removed at the end.\n\n" +
			"On a terminal it shows a live table; keys select a node and stop, continue, kill or restart it. Without one\n" +
			"it prints a line for every change until it gets SIGINT or SIGTERM.\n\n" +
			"--scenario sigstop stops the last node, writes 20 memories through the others, continues it, measures\n" +
			"when it has all of them, prints a report and ends with code 0 only if it got 20 of 20.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := c.check()
			if err == nil && c.scenario == "" && (cmd.Flags().Changed("rounds") || cmd.Flags().Changed("away")) {
				err = errors.New("--rounds and --away are for --scenario")
			}
			if err != nil {
				return &usageError{err}
			}
			return c.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.nodes, "nodes", 3, "number of nodes, 1 to 9")
	f.StringVar(&c.dir, "dir", "", "folder for data and logs, kept at the end (default: a temporary one)")
	f.StringVar(&c.scenario, "scenario", "", "play a scenario instead: sigstop")
	f.IntVar(&c.rounds, "rounds", 1, "how often the scenario is played")
	f.DurationVar(&c.away, "away", 3*time.Second, "least time that the scenario keeps the node stopped; over 1s it must notice that itself, and pulls; after less, pushes that wait in its socket may bring all")
	f.BoolVar(&c.tls, "tls", false, "keep strangers out: an authority and certificates of its own, with which nodes know each other, a key for gossip and one for requests")
	f.BoolVar(&c.json, "json", false, "print JSON: the report, or a line for every change")
	return cmd
}

const scenarioSigstop = "sigstop"

func (c *devConfig) check() error {
	switch {
	case c.nodes < 1 || c.nodes > maxDevNodes:
		return fmt.Errorf("--nodes %d: want 1 to %d", c.nodes, maxDevNodes)
	case c.scenario != "" && c.scenario != scenarioSigstop:
		return fmt.Errorf("--scenario %q: want %s", c.scenario, scenarioSigstop)
	case c.scenario != "" && c.nodes < 3:
		return fmt.Errorf("--scenario %s: with fewer than 3 nodes there is no quorum while one is stopped", c.scenario)
	case c.rounds < 1:
		return fmt.Errorf("--rounds %d: want 1 or more", c.rounds)
	case c.away < 0:
		return fmt.Errorf("--away %s: want 0 or more", c.away)
	}
	return nil
}

func (c *devConfig) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if !signal.Ignored(syscall.SIGHUP) { // the terminal is closed: the nodes end too
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
	}
	m, err := newMesh(c.dir, c.tls)
	if err != nil {
		return err
	}
	defer func() { // also after a panic
		if closeErr := m.close(); err == nil {
			err = closeErr
		}
	}()
	if err := m.start(ctx, c.nodes); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted before the nodes were ready")
		}
		return err
	}
	switch {
	case c.scenario == scenarioSigstop:
		return c.sigstop(ctx, m, stdout, stderr)
	case !c.json && isTerminal(stdout):
		return liveScreen(ctx, m, stdout)
	}
	if !c.json {
		for _, line := range m.greeting() {
			fmt.Fprintln(stdout, line)
		}
	}
	return livePlain(ctx, m, stdout, c.json)
}

// isTerminal reports whether there is a person who sees stdout and has a keyboard.
func isTerminal(stdout io.Writer) bool {
	f, ok := stdout.(*os.File)
	return ok && keyboard && term.IsTerminal(int(f.Fd())) && term.IsTerminal(int(os.Stdin.Fd()))
}

// greeting says what runs where, and what to type to see it replicate.
func (m *mesh) greeting() []string {
	lines := []string{fmt.Sprintf("%s in %s", count(len(m.nodes), "node"), m.dir)}
	for _, n := range m.nodes {
		lines = append(lines, fmt.Sprintf("%s  %s  pid %d  log %s", n.name, n.url, n.current().pid(), n.log))
	}
	store, read := m.nodes[0], m.nodes[min(1, len(m.nodes)-1)]
	return append(lines,
		fmt.Sprintf("store on %s, read on %s:", store.name, read.name),
		fmt.Sprintf(`  curl -sS%s %s/api/v1/memories -H 'Content-Type: application/json' -d '{"title":"Hello","content":"from %s"}'; echo; \`, m.curl(), store.url, store.name),
		fmt.Sprintf(`  curl -sS%s '%s/api/v1/memories?limit=5'; echo`, m.curl(), read.url),
	)
}
