package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
)

// verb is a command that asks a running node for one thing and prints the answer.
type verb struct {
	cmd   *cobra.Command
	conn  connFlags
	json  bool
	watch bool
	agent *string // set if the verb writes
}

// answer is what a node said: as data for programs, and as text for people.
type answer struct {
	data any
	show func(io.Writer) error
}

// Timeouts of one try at one server: a person is waiting, and a node may take some seconds
// to miss a quorum or to wait for a token.
const (
	askTimeout  = 3 * time.Second
	verbTimeout = 10 * time.Second
)

func newVerb(use, summary string, args cobra.PositionalArgs) *verb {
	v := &verb{cmd: &cobra.Command{Use: use, Short: summary, Args: args}}
	v.conn.register(v.cmd.Flags(), defaultServers, verbTimeout)
	v.cmd.Flags().BoolVar(&v.json, "json", false, "print JSON")
	return v
}

// about is the longer text of --help.
func (v *verb) about(text string) { v.cmd.Long = v.cmd.Short + ".\n\n" + text }

// watchable adds --watch, for what changes by itself.
func (v *verb) watchable() {
	v.cmd.Flags().BoolVar(&v.watch, "watch", false, "go on, once per second")
}

// do makes the command of it.
func (v *verb) do(ask func(ctx context.Context, c *client.Client, args []string) (answer, error)) *cobra.Command {
	v.cmd.RunE = func(cmd *cobra.Command, args []string) error {
		agent := ""
		if v.agent != nil {
			agent = v.conn.writer(*v.agent)
		}
		c, err := v.conn.open(agent)
		if err != nil {
			return err
		}
		defer c.Close()
		out := cmd.OutOrStdout()
		once := func(ctx context.Context) error {
			a, err := ask(ctx, c, args)
			if a.show == nil { // else it is what was done before the error
				return asUsage(err)
			}
			if v.json {
				return errors.Join(asUsage(err), printJSON(out, a.data))
			}
			return errors.Join(asUsage(err), a.show(out))
		}
		if v.watch {
			return watch(cmd.Context(), out, cmd.ErrOrStderr(), v.json, once)
		}
		return once(cmd.Context())
	}
	return v.cmd
}

// asUsage makes a value that the node refused for its form what it is: wrong usage. A
// script that gets 1 may try again, one that gets 2 need not.
func asUsage(err error) error {
	if errors.Is(err, client.ErrInvalid) && !errors.Is(err, client.ErrUnavailable) {
		return &usageError{err}
	}
	return err
}
