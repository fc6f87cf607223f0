//go:build conformance

package conformance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The revisions whose requirements are frozen: the newest of each era.
const (
	modern = "2026-07-28"
	legacy = "2025-11-25"
)

// tools is the suite as it was installed, once for all tests.
var tools = sync.OnceValues(install)

// suite are the installed programs.
type suite struct {
	dir  string // where node_modules is
	node string
}

// skipped is a reason why nothing could be installed that is not memd's fault.
type skipped struct{ reason string }

func (s skipped) Error() string { return s.reason }

// need returns the suite, or skips the test and says why. With MEMD_CONFORMANCE=required
// a skip is a failure.
func need(t *testing.T) suite {
	t.Helper()
	s, err := tools()
	if why, ok := errors.AsType[skipped](err); ok && os.Getenv("MEMD_CONFORMANCE") != "required" {
		t.Skip("conformance is not looked at: " + why.reason)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// install puts the pinned packages into a folder of the user's cache that is named after
// their lock file; nothing else on the machine is touched, and no package runs a script.
func install() (suite, error) {
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		return suite{}, err
	}
	manifest, err := os.ReadFile("package.json")
	if err != nil {
		return suite{}, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(lock)
	s := suite{dir: filepath.Join(cache, "memd-conformance", hex.EncodeToString(sum[:6]))}
	if _, err := os.Stat(filepath.Join(s.dir, "done")); err != nil {
		if err := s.fetch(manifest, lock); err != nil {
			return suite{}, err
		}
	}
	return s, s.findNode()
}

func (s *suite) fetch(manifest, lock []byte) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return skipped{"npm is not installed"}
	}
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(s.dir), "install-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for name, b := range map[string][]byte{"package.json": manifest, "package-lock.json": lock, "done": nil} {
		if err := os.WriteFile(filepath.Join(tmp, name), b, 0o644); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	// npm says of Node 20 that it is too old for the packages; they run under their own.
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--engine-strict=false")
	cmd.Dir = tmp
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return skipped{"npm ci did not end within 4 minutes"}
	case err != nil && offline.Match(out):
		return skipped{"npm ci does not reach its registry: " + string(offline.Find(out))}
	case err != nil:
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	// Another run may have been quicker: its result is the same.
	if err := os.Rename(tmp, s.dir); err != nil {
		if _, there := os.Stat(filepath.Join(s.dir, "done")); there != nil {
			return err
		}
	}
	return nil
}

var offline = regexp.MustCompile(`ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED`)

// findNode takes the Node that came with the packages, else one of this machine.
func (s *suite) findNode() error {
	arch := map[string]string{"amd64": "x64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	tried := []string{filepath.Join(s.dir, "node_modules", "node-"+runtime.GOOS+"-"+arch, "bin", "node"), "node"}
	for _, path := range tried {
		out, err := exec.Command(path, "--version").Output()
		if err != nil {
			continue
		}
		major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(out)), "v"), ".")
		if n, err := strconv.Atoi(major); err == nil && n >= 22 {
			s.node, err = exec.LookPath(path)
			return err
		}
	}
	return skipped{"there is no Node of version 22 or later for " + runtime.GOOS + "/" + runtime.GOARCH}
}

// run is one call of a script of the packages.
func (s suite) run(t *testing.T, script string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.node, append([]string{filepath.Join(s.dir, "node_modules", script)}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "PATH="+filepath.Dir(s.node)+string(os.PathListSeparator)+os.Getenv("PATH"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// require runs what a revision requires against url. expected is a file of scenarios that
// must fail, "" if none may. It returns the checks that
// failed, by scenario.
func (s suite) require(t *testing.T, url, revision, expected string) results {
	t.Helper()
	dir := t.TempDir()
	args := []string{"server", "--url", url, "--requirements", revision, "-o", dir}
	if expected != "" {
		here, err := filepath.Abs(expected)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "--expected-failures", here)
	}
	code, out, errs := s.run(t, "@modelcontextprotocol/conformance/dist/index.js", args...)
	summary := out
	if i := strings.LastIndex(out, "=== SUMMARY ==="); i >= 0 {
		summary = out[i:]
	}
	t.Logf("%s of %s: exit code %d\n%s", revision, url, code, summary)
	if code != 0 {
		t.Errorf("%s: exit code %d\n%s", revision, code, errs)
	}
	return readResults(t, dir)
}

var resultName = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT`)

// results are the ids of the failed checks of each scenario that was run.
type results map[string][]string

// passed reports whether the scenario was run and nothing in it failed.
func (r results) passed(scenario string) bool {
	failed, ran := r[scenario]
	return ran && len(failed) == 0
}

func readResults(t *testing.T, dir string) results {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "checks.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no results in %s: %v", dir, err)
	}
	out := results{}
	for _, file := range files {
		var checks []struct {
			ID     string `json:"id"`
			Status string `json:"status"`
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &checks); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := resultName.FindStringSubmatch(filepath.Base(filepath.Dir(file)))
		if name == nil {
			t.Fatalf("result of an unknown form: %s", file)
		}
		out[name[1]] = nil
		for _, c := range checks {
			if c.Status == "FAILURE" {
				out[name[1]] = append(out[name[1]], c.ID)
			}
		}
	}
	return out
}

// inspect runs the inspector without its windows.
func (s suite) inspect(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return s.run(t, "@modelcontextprotocol/inspector/clients/launcher/build/index.js", append([]string{"--cli"}, args...)...)
}
