package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write what was printed into the scripts")

// bin is the folder of the binary under test.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		for _, kv := range os.Environ() { // settings of whoever runs the tests
			if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "MEMD_") {
				os.Unsetenv(name)
			}
		}
		dir, err := os.MkdirTemp("", "memd-cli-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-o", filepath.Join(dir, "memd"), "./cmd/memd")
		build.Dir = filepath.Join("..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %s", err, out)
			return 1
		}
		bin = dir
		return m.Run()
	}())
}

// TestScripts runs testdata/*.txtar. Beside what testscript knows itself:
//
//	node NAME [flag...]      start memd serve, wait until it is ready, set $NAME to its URL
//	mesh NAME NAME...        the same for nodes that are members of one cluster
//	stop NAME                end a node with SIGTERM and wait for it
//	exits CODE arg...        run memd, which has to end with that code
//	capture VAR REGEXP       set $VAR to the first group in the last standard output
//	scrub FILE               the last standard output, what differs from run to run replaced
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", UpdateScripts: *update, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("MEMD_AGENT_ID", "ai:script")
			// Nobody listens there, whatever runs on this machine: a script names its nodes.
			e.Setenv("MEMD_SERVER", "127.0.0.1:1")
			nodes := &nodes{dir: e.WorkDir, running: map[string]*process{}}
			e.Values[nodesKey{}] = nodes
			e.Values[scrubKey{}] = newScrubber()
			e.Defer(nodes.stopAll)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"node": node, "mesh": mesh, "stop": stop, "exits": exits, "capture": capture, "scrub": scrub,
		},
	})
}

type (
	nodesKey struct{}
	scrubKey struct{}
)

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE arg...")
	}
	code := 0
	var exit *exec.ExitError
	switch err := ts.Exec("memd", args[1:]...); {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil && !errors.Is(err, context.Canceled):
		ts.Fatalf("memd: %v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("memd %s: exit code %d, want %s", strings.Join(args[1:], " "), code, args[0])
	}
	if stderr := ts.ReadFile("stderr"); code != 0 && !strings.HasPrefix(stderr, "memd: ") && !strings.Contains(stderr, "\nmemd: ") || strings.Contains(stderr, "goroutine ") {
		ts.Fatalf("memd %s says %q", strings.Join(args[1:], " "), stderr)
	}
}
