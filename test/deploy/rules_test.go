package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// promtool is the one of the system or, where there is apt, the one of its package, which is
// unpacked into the cache of the user and installed nowhere.
func promtool(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip("no promtool, and no place to keep one: ", err)
	}
	dir := filepath.Join(cache, "memd-tools", "prometheus")
	path := filepath.Join(dir, "usr", "bin", "promtool")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-ec", `cd "$1"
apt-get download prometheus || { apt-get update && apt-get download prometheus; }
dpkg -x prometheus_*.deb . && rm -f prometheus_*.deb`, "sh", dir).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED, the alerts were not tested: no promtool, and its package cannot be had: %v\n%s", err, out)
	}
	return path
}

// TestAlerts: the rules are well formed, fire when they should and are quiet otherwise.
func TestAlerts(t *testing.T) {
	tool, dir := promtool(t), filepath.Join(root(t), "deploy/prometheus")
	run(t, dir, nil, tool, "check", "rules", "alerts.yaml")
	run(t, dir, nil, tool, "test", "rules", "alerts_test.yaml")
	run(t, dir, nil, tool, "check", "config", "--syntax-only", "prometheus.yml")
}

var heading = regexp.MustCompile(`(?m)^#+ (.+)$`)

// TestRunbook: each alert has its tests, a severity and its place in the runbook, and the
// runbook speaks of no alert that does not exist.
func TestRunbook(t *testing.T) {
	tests, book := read(t, "deploy/prometheus/alerts_test.yaml"), read(t, "docs/RUNBOOK.md")
	anchors := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(book, -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			anchors[strings.ToLower(name)] = true
		}
	}
	names := map[string]bool{}
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			names[r.Alert] = true
			page, anchor, _ := strings.Cut(r.Annotations["runbook"], "#")
			if page != "docs/RUNBOOK.md" || !anchors[anchor] {
				t.Errorf("%s: no place %q in the runbook", r.Alert, r.Annotations["runbook"])
			}
			switch r.Labels["severity"] {
			case "critical", "warning", "info":
			default:
				t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
			}
			if r.Annotations["summary"] == "" {
				t.Errorf("%s has no summary", r.Alert)
			}
			for _, want := range []string{r.Alert + " fires\n", r.Alert + " stays quiet\n"} {
				if !strings.Contains(tests, want) {
					t.Errorf("alerts_test.yaml has no test %q", strings.TrimSpace(want))
				}
			}
		}
	}
	for _, m := range regexp.MustCompile(`\bMemd[A-Z][A-Za-z]+`).FindAllString(book, -1) {
		if !names[m] {
			t.Errorf("the runbook speaks of %s, which is no alert", m)
		}
	}
}
