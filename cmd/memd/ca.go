package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/memd/memd/trust"
)

func newCA() *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "A small certificate authority for the nodes of a cluster and their clients",
		Long: "A small certificate authority for the nodes of a cluster and their clients.\n\n" +
			"    memd ca init\n" +
			"    memd ca issue n1 --host n1.example.org --host 10.0.0.1\n\n" +
			"Give each node its own <name>.crt and <name>.key as --tls-cert and --tls-key, and ca.crt as --tls-ca;\n" +
			"give clients ca.crt. ca.key stays where it is.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", "memd-ca", "folder of the authority and of what it issues")
	cmd.AddCommand(newCAInit(&dir), newCARetire(&dir), newCAIssue(&dir))
	return cmd
}

func newCAInit(dir *string) *cobra.Command {
	renew := false
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make an authority: ca.crt and ca.key, for ten years",
		Long: "Make an authority: ca.crt and ca.key, for ten years.\n\n" +
			"To change it: `memd ca init --renew`, give every node the new ca.crt (it holds the old certificate\n" +
			"too), issue all certificates anew, then `memd ca retire` and give every node ca.crt again. Nodes read\n" +
			"their files again when they change.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			act, done := trust.InitAuthority, "an authority"
			if renew {
				act, done = trust.RenewAuthority, "a new key of the authority"
			}
			if err := act(*dir); err != nil {
				if errors.Is(err, trust.ErrExists) {
					return fmt.Errorf("%w: --renew gives it a new key", err)
				}
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, which nodes and clients trust; %s stays here\n",
				done, filepath.Join(*dir, trust.AuthorityCert), filepath.Join(*dir, trust.AuthorityKey))
			return nil
		},
	}
	cmd.Flags().BoolVar(&renew, "renew", false, "give the authority that is there a new key, and trust the old one until `memd ca retire`")
	return cmd
}

func newCARetire(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "retire",
		Short: "Trust only the newest key of the authority from now on",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dropped, err := trust.RetireAuthority(*dir)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s no longer holds %s of before\n", filepath.Join(*dir, trust.AuthorityCert), count(dropped, "certificate"))
			return nil
		},
	}
}

func newCAIssue(dir *string) *cobra.Command {
	var o trust.Order
	days := 0
	cmd := &cobra.Command{
		Use:   "issue NAME",
		Short: "Issue a certificate for the node NAME, or for a client; again to renew it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if days < 1 || days > 825 {
				return usagef("--days %d: want 1 to 825", days)
			}
			if o.Client && len(o.Hosts) > 0 {
				return usagef("--host is for nodes: a client is called by nobody")
			}
			o.Name, o.Life, o.Hosts = args[0], time.Duration(days)*24*time.Hour, compact(o.Hosts)
			cert, err := trust.Issue(*dir, o)
			if err != nil {
				return err
			}
			base := filepath.Join(*dir, o.Name)
			fmt.Fprintf(cmd.OutOrStdout(), "%s.crt and %s.key, until %s\n", base, base, cert.NotAfter.Format(time.DateOnly))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Hosts, "host", nil, "names and addresses under which clients call the node, beside localhost; peers look at NAME only")
	f.BoolVar(&o.Client, "client", false, "for somebody who calls nodes and is none")
	f.IntVar(&days, "days", int(trust.DefaultLife/(24*time.Hour)), "how long it is good, 1 to 825 days")
	return cmd
}
