//go:build chaos && linux

package chaos

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What all scenarios share.
var (
	binary string // the memd under test
	runDir string // of everything that the run writes
	report = new(summary)
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if runDir, err = os.MkdirTemp("", "memd-chaos-"); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	defer endAll()
	go onSignal()
	defer watchdog()()
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	code := m.Run()
	endAll()
	report.print(os.Stdout)
	if err := report.tooVoid(); err != nil {
		fmt.Println("FAIL:", err)
		code = max(code, 1)
	}
	if code != 0 {
		fmt.Println("histories and logs are kept in", runDir)
		return code
	}
	if err := os.RemoveAll(runDir); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	return 0
}

// build makes the binary as a release does. MEMD_CHAOS_BINARY names one that is there.
func build() error {
	if binary = os.Getenv("MEMD_CHAOS_BINARY"); binary != "" {
		return nil
	}
	binary = filepath.Join(runDir, "memd")
	cmd := exec.Command("go", "build", "-o", binary, "github.com/memd/memd/cmd/memd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build memd: %w\n%s", err, out)
	}
	return nil
}

// onSignal ends the children before this process goes. Should it be killed itself, the
// kernel ends them (Pdeathsig).
func onSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	s := <-c
	fmt.Fprintln(os.Stderr, "chaos: ending on", s, "- histories and logs are kept in", runDir)
	endAll()
	os.Exit(130)
}

// watchdog comes shortly before go test would end the process with a panic, which would
// run no cleanup.
func watchdog() (stop func()) {
	limit := flag.Lookup("test.timeout").Value.(flag.Getter).Get().(time.Duration)
	if limit <= 0 {
		return func() {}
	}
	t := time.AfterFunc(max(limit-15*time.Second, limit/2), func() {
		fmt.Fprintln(os.Stderr, "chaos: out of time - histories and logs are kept in", runDir)
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		endAll()
		os.Exit(1)
	})
	return func() { t.Stop() }
}

// errVoid marks a round whose fault did not happen: it says nothing about memd.
var errVoid = errors.New("void round")

func voidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errVoid, fmt.Sprintf(format, args...))
}

// summary is what a run tells at its end.
type summary struct {
	mu     sync.Mutex
	rounds int
	void   []string
	lines  []string
}

// round counts one round of a scenario. A void one is noted, any other error fails the test.
func (s *summary) round(t *testing.T, err error) {
	t.Helper()
	s.mu.Lock()
	s.rounds++
	if errors.Is(err, errVoid) {
		s.void = append(s.void, t.Name()+": "+err.Error())
		t.Log(err)
		err = nil
	}
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
}

// note adds a line with figures.
func (s *summary) note(t *testing.T, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Log(line)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, strings.TrimPrefix(t.Name(), "Test")+": "+line)
}

func (s *summary) print(w *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(w, "chaos: %d rounds, %d void; loopback with proxies between the nodes, no network namespaces\n", s.rounds, len(s.void))
	for _, l := range append(s.void, s.lines...) {
		fmt.Fprintln(w, "  "+l)
	}
}

// tooVoid: a harness whose faults do not happen proves nothing.
func (s *summary) tooVoid() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if 50*len(s.void) > s.rounds {
		return fmt.Errorf("%d of %d rounds are void", len(s.void), s.rounds)
	}
	return nil
}
