package sim

import (
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memd/memd/internal/mutant"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "the schedule that TestSeed plays")
	mutantFlag = flag.String("mutant", "", "the rule that TestSeed breaks")
	scriptFlag = flag.String("scenario", "", "the script that opens it, if not the seed shall choose")
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // many small stores, little memory
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/blevesearch/bleve_index_api.AnalysisWorker"))
}

// schedules that every run of the tests plays.
const schedules = 2000

// newRig works in memory where there is a file system for that: nothing here is synced.
func newRig(t testing.TB) *Rig {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "memd-sim-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	r, err := NewRig(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// replay is the one line that plays a schedule again.
func replay(c Config) string {
	s := fmt.Sprintf("go test ./test/sim -run '^TestSeed$' -v -seed=%d", c.Seed)
	if c.Scenario != "" {
		s += fmt.Sprintf(" -scenario=%q", c.Scenario)
	}
	if c.Mutants != 0 {
		s += fmt.Sprintf(" -mutant=%s", c.Mutants)
	}
	return s
}

// sweep plays seeds first to first+n-1 on all processors, until some have failed.
func sweep(t *testing.T, first, n uint64, progress time.Duration) Stats {
	t.Helper()
	var (
		next    atomic.Uint64
		failed  atomic.Int32
		workers sync.WaitGroup
		mu      sync.Mutex
		all     Stats
		began   = time.Now()
		told    = began
	)
	for range runtime.GOMAXPROCS(0) {
		r := newRig(t)
		workers.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= n || failed.Load() >= 5 {
					return
				}
				c := Config{Seed: first + i}
				st, failure := r.Run(c)
				mu.Lock()
				all.Add(st)
				if failure != nil {
					failed.Add(1)
					t.Errorf("seed %d: %s", c.Seed, failure)
					fmt.Println(replay(c))
				}
				if now := time.Now(); progress > 0 && now.Sub(told) > progress {
					told = now
					fmt.Printf("%8s %.1f%% %s\n", now.Sub(began).Round(time.Second), 100*float64(all.Schedules)/float64(n), all)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return all
}

func TestSim(t *testing.T) {
	n := uint64(schedules)
	if testing.Short() {
		n /= 10
	}
	all := sweep(t, 1, n, 0)
	t.Log(all)
	// A generator that does nothing finds nothing.
	for what, got := range map[string]int{
		"acknowledged writes": all.Acked, "retries": all.Retries, "crashes": all.Crashes, "conflicts": all.Conflicts,
		"dead holes": all.DeadHoles, "excused writes": all.Excused, "rows": all.Rows,
	} {
		if got == 0 {
			t.Errorf("no %s in %d schedules", what, n)
		}
	}
}

// TestSimLong plays MEMD_SIM_SEEDS schedules from MEMD_SIM_FIRST on.
func TestSimLong(t *testing.T) {
	n, err := strconv.ParseUint(os.Getenv("MEMD_SIM_SEEDS"), 10, 64)
	if err != nil || n == 0 {
		t.Skip("plays MEMD_SIM_SEEDS schedules")
	}
	first := uint64(1)
	if s := os.Getenv("MEMD_SIM_FIRST"); s != "" {
		if first, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println(sweep(t, first, n, 15*time.Second))
}

// TestSeed plays one schedule; with -v it tells what happens.
func TestSeed(t *testing.T) {
	if *seedFlag == 0 {
		t.Skip("plays -seed=n")
	}
	c := Config{Seed: *seedFlag, Scenario: *scriptFlag}
	for _, m := range mutant.All() {
		if m.String() == *mutantFlag {
			c.Mutants = m
		}
	}
	if testing.Verbose() {
		c.Logf = func(f string, args ...any) { fmt.Printf(f+"\n", args...) }
	}
	st, failure := newRig(t).Run(c)
	t.Log(st)
	if failure != nil {
		t.Error(failure)
	}
}

// TestScenarios plays every script without a broken rule, with several random tails.
func TestScenarios(t *testing.T) {
	r := newRig(t)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			for seed := range uint64(8) {
				c := Config{Seed: seed + 1, Scenario: s.name}
				if _, failure := r.Run(c); failure != nil {
					t.Fatalf("%s\n%s", failure, replay(c))
				}
			}
		})
	}
}

// TestReplay: the same seed is the same schedule.
func TestReplay(t *testing.T) {
	r := newRig(t)
	transcript := func(seed uint64) (uint64, int) {
		h, lines := fnv.New64(), 0
		r.Run(Config{Seed: seed, Logf: func(f string, args ...any) {
			lines++
			fmt.Fprintf(h, f, args...)
		}})
		return h.Sum64(), lines
	}
	for seed := uint64(1); seed <= 20; seed++ {
		a, n := transcript(seed)
		if b, _ := transcript(seed); a != b || n < 10 {
			t.Errorf("seed %d: two transcripts of %d lines differ", seed, n)
		}
	}
}
