package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/memd/memd/node"
)

// Set by the release build (-ldflags "-X main.release=1.2.3 …"). Of the commit go build knows
// too, but not everywhere: not in a linked worktree.
var (
	release = "dev"
	commit  = ""
	date    = "" // of the commit, RFC 3339
)

func version() string { return release }

// revision is the commit that the binary was built from, if the build knew it.
func revision() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	rev, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return rev + dirty
}

// committed is the date of that commit, RFC 3339.
func committed() string {
	if date != "" {
		return date
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				return s.Value
			}
		}
	}
	return ""
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and its date, protocol and data format",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if asJSON {
				return printJSON(out, map[string]any{
					"version": version(), "commit": revision(), "date": committed(), "protocol": node.Protocol, "data_format": node.DataFormat,
					"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(out, "memd %s commit %s of %s protocol %d data format %d %s %s/%s\n", version(), orDash(revision()), orDash(committed()),
				node.Protocol, node.DataFormat, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// buildInfo shows in metrics which build runs.
func buildInfo() prometheus.Collector {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "memd_build_info", Help: "Always 1; the labels say which build this is."},
		[]string{"version", "commit", "goversion"})
	g.WithLabelValues(version(), revision(), runtime.Version()).Set(1)
	return g
}
