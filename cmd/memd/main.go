// Command memd is a clustered, replicated memory service for AI agents: one static
// binary that is a node (serve), a mesh on one machine (dev), and the tools around them.
//
// This package turns flags, environment and files into configuration, handles signals
// and exit codes, and prints. What a node does is in package node; what a command asks a
// node it asks through package client.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"
)

// Exit codes, which scripts rely on.
const (
	exitFailed = 1 // the operation failed
	exitUsage  = 2 // wrong usage or configuration
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the process: the first signal ends the context, a second one ends
// the process at once.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root := newRoot()
	began := false // until then an error is about what was typed
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		began = true
		if err := settle(cmd.Flags()); err != nil {
			return &usageError{err}
		}
		return nil
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if quiet, ok := errors.AsType[*exitError](err); ok {
		return quiet.code
	}
	fmt.Fprintln(stderr, "memd:", printable(err.Error()))
	if _, usage := errors.AsType[*usageError](err); usage || !began {
		return exitUsage
	}
	return exitFailed
}

// printable takes away what a terminal would obey: an error may repeat an argument, which
// came from a pipe and from anybody.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, s)
}

// usageError is wrong usage or configuration: exit code 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// exitError ends the process with a code; what there was to say has been printed.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "memd",
		Short: "A clustered, replicated memory service for AI agents",
		Long: "A clustered, replicated memory service for AI agents.\n\n" +
			"Every flag can also be given as an environment variable: MEMD_ and the flag in capitals,\n" +
			"with _ for -. The flag goes before the environment.",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newServe(), newMCP(), newDev(), newStatus(), newMembers(), newVerify(), newCA(), newKeys(), newVersion())
	root.AddCommand(newStore(), newGet(), newList(), newUpdate(), newDelete(), newRecall(), newSearch(), newRevisions(), newStats(), newHealth(), newExport(), newImport(),
		newNamespaces(), newAgents(), newCapabilities(), newSession(),
		newLink(), newUnlink(), newLinks(), newPromote(), newForget(), newConsolidate(), newCollect(), newArchive())
	root.AddCommand(newKeyring())
	root.AddCommand(newBackup(), newRestore(), newCompact(), newDoctor(), newBench())
	return root
}
