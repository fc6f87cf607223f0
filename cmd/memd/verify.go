package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/memd/memd/node"
)

// verifyStore checks every invariant of the store in dir that can be checked without its
// node, and returns what is wrong in words for people. An error means that it could not be
// looked at, above all because a running node has it locked.
func verifyStore(dir string) ([]string, error) { return node.Verify(dir) }

func newVerify() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check a store whose node is not running",
		Long:  "Check every invariant of a store that can be checked while its node is not running.\nThe exit code is 1 if something is wrong, or if the store cannot be checked.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := verifyStore(dir)
			if err != nil {
				return fmt.Errorf("verify %s: %w", dir, err)
			}
			return printFindings(cmd.OutOrStdout(), dir, found, asJSON)
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", defaultDataDir(), "the store")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printFindings fails if there are any: a script looks at the exit code.
func printFindings(out io.Writer, dir string, found []string, asJSON bool) error {
	var err error
	if asJSON {
		err = printJSON(out, map[string]any{"data_dir": dir, "findings": append([]string{}, found...)})
	} else {
		for _, f := range found {
			fmt.Fprintln(out, f)
		}
		_, err = fmt.Fprintf(out, "%s: %s\n", dir, count(len(found), "finding"))
	}
	if err == nil && len(found) > 0 {
		err = &exitError{exitFailed}
	}
	return err
}
