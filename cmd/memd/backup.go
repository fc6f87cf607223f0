package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
	"github.com/memd/memd/node"
)

// backupSilence ends a backup whose node says nothing for so long.
const backupSilence = 30 * time.Second

func newBackup() *cobra.Command {
	var conn connFlags
	var asJSON, force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a consistent copy of a running node to FILE",
		Long: "Write a consistent copy of a running node to FILE.\n\n" +
			"The node copies its store on its own disk, which needs room for it, and sends the copy, while it goes on\n" +
			"serving. FILE is there only when it is whole and its checksum has been compared; memd restore takes it.\n" +
			"Every node holds everything, so one is enough.",
		Args: cobra.ExactArgs(1),
	}
	conn.register(cmd.Flags(), defaultServers, backupSilence)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&force, "force", false, "replace FILE if it is there")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := conn.open("")
		if err != nil {
			return err
		}
		defer c.Close()
		info, err := backupTo(cmd.Context(), c, args[0], force, newProgress(cmd.ErrOrStderr(), "parts"))
		if err != nil {
			return asUsage(err)
		}
		return printBackup(cmd.OutOrStdout(), args[0], info, asJSON)
	}
	return cmd
}

func backupTo(ctx context.Context, c *client.Client, path string, force bool, say *progress) (info node.BackupInfo, err error) {
	if _, err := os.Lstat(path); err == nil && !force {
		return info, fmt.Errorf("%s exists: remove it, choose another name, or --force", path)
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return info, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	_, err = c.Backup(ctx, counting{f, say})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return info, err
	}
	say.leave()
	if info, err = node.CheckBackup(part); err != nil { // what is on this disk, not what was sent
		return info, err
	}
	return info, os.Rename(part, path)
}

// counting tells of every part that is written.
type counting struct {
	w   io.Writer
	say *progress
}

func (c counting) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.say.add(1, int64(n))
	return n, err
}

func printBackup(w io.Writer, path string, info node.BackupInfo, asJSON bool) error {
	if asJSON {
		return printJSON(w, struct {
			File string `json:"file"`
			node.BackupInfo
		}{path, info})
	}
	_, err := fmt.Fprintf(w, "%s: %s of %s, taken at %s, sha256 %s\n", path, count(info.Bytes, "byte"), info.Node, info.TakenAt.Format("2006-01-02 15:04:05 UTC"), info.SHA256)
	return err
}

func newRestore() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a store of a backup, in an empty data directory",
		Long: "Make a store of a backup, in an empty data directory.\n\n" +
			"The checksum is compared and every invariant checked before the store stands there. Then start the node,\n" +
			"under its old name or a new one: it gets from the others what was written since, and what was deleted\n" +
			"since stays deleted. If all nodes are lost, restore the same backup for each, and start them as before.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, found, err := node.Restore(cmd.Context(), args[0], dir)
			if err != nil {
				return fmt.Errorf("restore %s into %s: %w", args[0], dir, err)
			}
			if len(found) > 0 {
				return printFindings(cmd.OutOrStdout(), args[0], found, asJSON)
			}
			return printBackup(cmd.OutOrStdout(), dir, info, asJSON)
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", defaultDataDir(), "where the store is made: an empty directory, or none")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newCompact() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Give free pages of a store back, while its node is not running",
		Long: "Copy the store of a node that is not running without its free pages, check the copy, and put it in its\n" +
			"place. A data file never shrinks by itself: this is for after many deletes. The disk needs room for both.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			before, after, found, err := node.Compact(cmd.Context(), dir)
			switch {
			case err != nil:
				return fmt.Errorf("compact %s: %w", dir, err)
			case len(found) > 0:
				return printFindings(cmd.OutOrStdout(), dir, found, asJSON)
			case asJSON:
				return printJSON(cmd.OutOrStdout(), map[string]any{"data_dir": dir, "before": before, "after": after})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %.1f MiB, before %.1f MiB\n", dir, mib(after), mib(before))
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", defaultDataDir(), "the store")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
