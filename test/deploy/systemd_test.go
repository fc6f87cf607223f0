package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestUnits: systemd itself reads the units and says how much they are exposed.
func TestUnits(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED, the units were not tested: no systemd-analyze")
	}
	dir := t.TempDir()
	units := []string{"memd.service", "memd-backup.service", "memd-backup.timer"}
	for _, u := range units {
		// verify looks for the binary where the unit has it.
		text := strings.ReplaceAll(read(t, "deploy/systemd", u), "/usr/local/bin/memd", memd(t))
		if err := os.WriteFile(filepath.Join(dir, u), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if out := run(t, dir, nil, tool, "verify", "./"+u); strings.TrimSpace(out) != "" {
			t.Errorf("%s: %s", u, out)
		}
	}
	level := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`)
	for _, u := range units[:2] {
		m := level.FindStringSubmatch(run(t, dir, nil, tool, "security", "--offline=true", "./"+u))
		if m == nil {
			t.Errorf("%s: no exposure level", u)
			continue
		}
		if v, err := strconv.ParseFloat(m[1], 64); err != nil || v >= 2 {
			t.Errorf("%s: exposure %s, want under 2.0", u, m[1])
		}
		t.Logf("%s: exposure %s", u, m[1])
	}
}
