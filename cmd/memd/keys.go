package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memd/memd/auth"
)

// newKeys is about the file of --keys-file, not about a running node: that one reads the
// file again by itself.
func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, list and revoke the API keys of a --keys-file",
		Long: "Make, list and revoke the API keys of a --keys-file.\n\nA node that serves with the file takes a change within a second, or at once on SIGHUP. Every node of a\n" +
			"mesh needs the same file.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysAdd(), newKeysList(), newKeysRevoke())
	return cmd
}

// keysFile are the flags that all of them take.
type keysFile struct {
	path string
	json bool
}

func (k *keysFile) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.path, "keys-file", "", "the file, as memd serve is given it")
	cmd.Flags().BoolVar(&k.json, "json", false, "print JSON")
}

func (k *keysFile) check() error {
	if k.path == "" {
		return usagef("--keys-file: want the file that memd serve is given")
	}
	return nil
}

func newKeysAdd() *cobra.Command {
	var k keysFile
	var g auth.Grant
	var expires time.Duration
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a key and print it, once: the file holds only its hash",
		Long: "Make a key and print it, once: the file holds only its hash.\n\nWhat is not named is not allowed. A namespace stands for all below it; an agent id that ends in * for all\n" +
			"that begin so; * alone for everything. Several keys may have one name: revoking the name revokes them all,\n" +
			"revoking an id only that one, which is how a key is changed: add the new one, hand it out, revoke the old id.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := k.check(); err != nil {
				return err
			}
			g.Name, g.Scopes, g.Namespaces, g.Agents = args[0], compact(g.Scopes), compact(g.Namespaces), compact(g.Agents)
			if expires < 0 {
				return usagef("--expires: want a time to come")
			}
			if expires > 0 {
				g.Expires = time.Now().Add(expires).UTC().Truncate(time.Second)
			}
			key, made, err := auth.Add(k.path, g)
			if err != nil {
				return fileError(err)
			}
			if k.json {
				return printJSON(cmd.OutOrStdout(), struct {
					Key string `json:"key"`
					auth.Listed
				}{key, made})
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "key "+made.ID+" of "+made.Name+"; it is shown this once:")
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key)
			return err
		},
	}
	k.register(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&g.Scopes, "scopes", nil, "some of read, write, peer (a node of the mesh), admin (everything)")
	f.StringSliceVar(&g.Namespaces, "namespaces", nil, "namespaces that it may read and write, each with all below it; * = all")
	f.StringSliceVar(&g.Agents, "agents", nil, "agent ids under which it may write; the first is used where a request names none (default: key:NAME)")
	f.DurationVar(&expires, "expires", 0, "how long it is good for; 0 = until it is revoked")
	return cmd
}

// fileError tells a file that is in order, or could be, from an argument that is wrong.
func fileError(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok || errors.Is(err, auth.ErrUnknownKey) || errors.Is(err, auth.ErrFile) {
		return err
	}
	return &usageError{err}
}

func newKeysList() *cobra.Command {
	var k keysFile
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show what keys there are and what each may do",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := k.check(); err != nil {
				return err
			}
			keys, err := auth.List(k.path)
			if err != nil {
				return err
			}
			return k.show(cmd.OutOrStdout(), keys)
		},
	}
	k.register(cmd)
	return cmd
}

func newKeysRevoke() *cobra.Command {
	var k keysFile
	cmd := &cobra.Command{
		Use:   "revoke NAME|ID",
		Short: "Take a key, or all keys of a name, out of the file",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := k.check(); err != nil {
				return err
			}
			gone, err := auth.Revoke(k.path, args[0])
			if err != nil {
				return fileError(err)
			}
			return k.show(cmd.OutOrStdout(), gone)
		},
	}
	k.register(cmd)
	return cmd
}

func (k *keysFile) show(out io.Writer, keys []auth.Listed) error {
	if k.json {
		return printJSON(out, keys)
	}
	rows := [][]string{{"ID", "NAME", "SCOPES", "NAMESPACES", "AGENTS", "CREATED", "EXPIRES"}}
	for _, l := range keys {
		expires := "-"
		if l.Expires != nil {
			expires = l.Expires.Format(time.RFC3339)
		}
		rows = append(rows, []string{
			l.ID, l.Name, orDash(strings.Join(l.Scopes, ",")), orDash(strings.Join(l.Namespaces, ",")), orDash(strings.Join(l.Agents, ",")),
			l.Created.Format(time.RFC3339), expires,
		})
	}
	return table(out, rows)
}
