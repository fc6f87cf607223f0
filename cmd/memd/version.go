package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/memd/memd/node"
)

// release is set by the release build (-ldflags "-X main.release=1.2.3").
var release = "dev"

func version() string { return release }

// revision is the commit that the binary was built from, if the build knew it.
func revision() string {
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

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and protocol",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if asJSON {
				return printJSON(out, map[string]any{
					"version": version(), "commit": revision(), "protocol": node.Protocol, "go": runtime.Version(),
				})
			}
			_, err := fmt.Fprintf(out, "memd %s commit %s protocol %d %s %s/%s\n", version(), orDash(revision()), node.Protocol, runtime.Version(), runtime.GOOS, runtime.GOARCH)
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
