package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// Config of one schedule.
type Config struct {
	Seed    uint64
	Mutants mutant.Set
	// Scenario opens the schedule with a script instead of what the seed would choose;
	// "random" is none.
	Scenario string
	// Only these oracles count, if any are named: to see what one of them would notice alone.
	Only []string
	// Logf takes the transcript; nil = none.
	Logf func(format string, args ...any)
}

// Failure is what an oracle found.
type Failure struct {
	Oracle string
	Detail string
	Step   int
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %s (step %d)", f.Oracle, f.Detail, f.Step) }

// Stats of one schedule, or of many.
type Stats struct {
	Schedules, Steps, Commits, Crashes   int
	Writes, Acked, Retries               int
	Others                               int // of Writes: to links, archives, agents and standards
	Rows, Pulls, Conflicts, DeadHoles    int
	Excused                              int // acknowledged writes whose W holders were destroyed
	Lost, Resurrected, Reused, Divergent int
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	s.Schedules += o.Schedules
	s.Steps += o.Steps
	s.Commits += o.Commits
	s.Crashes += o.Crashes
	s.Writes += o.Writes
	s.Others += o.Others
	s.Acked += o.Acked
	s.Retries += o.Retries
	s.Rows += o.Rows
	s.Pulls += o.Pulls
	s.Conflicts += o.Conflicts
	s.DeadHoles += o.DeadHoles
	s.Excused += o.Excused
	s.Lost += o.Lost
	s.Resurrected += o.Resurrected
	s.Reused += o.Reused
	s.Divergent += o.Divergent
}

func (s Stats) String() string {
	return fmt.Sprintf("%d schedules, %d steps, %d transactions, %d crashes, %d writes (%d to no memory), %d acked (%d excused), %d retries, %d rows pulled in %d pulls, %d conflicts, %d dead holes: %d lost, %d resurrected, %d dots reused, %d divergent",
		s.Schedules, s.Steps, s.Commits, s.Crashes, s.Writes, s.Others, s.Acked, s.Excused, s.Retries, s.Rows, s.Pulls, s.Conflicts, s.DeadHoles, s.Lost, s.Resurrected, s.Reused, s.Divergent)
}

// World is one schedule under way.
type World struct {
	cfg  Config
	opt  options
	rig  *Rig
	rng  *rand.Rand
	now  time.Time
	logf func(format string, args ...any)

	slots    []*slot
	flight   []*message
	copies   []*copied
	requests []*request

	writes  []*write
	byDot   map[clock.Dot]*write
	lives   int
	owners  map[clock.Origin]*process // nil: not a process of this version
	keys    []memory.Key
	keyNo   map[memory.Key]int
	poison  set          // writes that no node of this version can read
	tainted map[int]bool // records that such a write has touched

	pages    map[*wire.Page][]told // what pages say that are not applied yet
	quiet    bool                  // nothing but pulls goes on: no row may come twice
	together bool                  // of one node from several peers at once

	scripted bool   // nothing happens by chance
	during   func() // what a script does between the disk steps of the next transaction

	stats   Stats
	failure *Failure
}

// cluster is the id of every cluster of this package.
var cluster = memory.ClusterID{0x51, 0x3a}

const namespace = "sim"

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld(rig *Rig, cfg Config) *World {
	w := &World{
		cfg: cfg, rig: rig, logf: cfg.Logf,
		rng: rand.New(rand.NewPCG(cfg.Seed, 0x6d656d64)), // #nosec G404 -- a schedule is to be played again from its seed
		now: epoch.Add(time.Hour), byDot: map[clock.Dot]*write{}, owners: map[clock.Origin]*process{},
		keyNo: map[memory.Key]int{}, tainted: map[int]bool{}, pages: map[*wire.Page][]told{},
	}
	w.stats.Schedules = 1
	return w
}

// Run plays one schedule. The failure is nil if every oracle is content.
func (r *Rig) Run(cfg Config) (stats Stats, failure *Failure) {
	w := newWorld(r, cfg)
	defer func() {
		if p := recover(); p != nil {
			w.fail("panic", "%v\n%s", p, stack())
		}
		w.end()
		stats, failure = w.stats, w.failure
		if failure != nil {
			stats.blame(failure)
		}
	}()
	w.play()
	return
}

// blame counts a failure under the heading of the summary that it belongs to.
func (s *Stats) blame(f *Failure) {
	switch f.Oracle {
	case "lost", "quorum", "local", "cover":
		s.Lost++
	case "zombie":
		s.Resurrected++
	case "dot", "origin":
		s.Reused++
	default:
		s.Divergent++
	}
}

// fail keeps the first finding; whoever drives the world stops there.
func (w *World) fail(oracle, format string, args ...any) {
	if w.failure != nil || len(w.cfg.Only) > 0 && !slices.Contains(w.cfg.Only, oracle) {
		return
	}
	w.failure = &Failure{Oracle: oracle, Detail: fmt.Sprintf(format, args...), Step: w.stats.Steps}
	w.say("*** %s", w.failure)
}

func (w *World) failed() bool { return w.failure != nil }

// say adds a line to the transcript.
func (w *World) say(format string, args ...any) {
	if w.logf != nil {
		w.logf("%4d "+format, append([]any{w.stats.Steps}, args...)...)
	}
}

// chance is true with the given probability, and never in a script.
func (w *World) chance(p float64) bool { return !w.scripted && p > 0 && w.rng.Float64() < p }

// pick chooses one of n; n > 0.
func (w *World) pick(n int) int { return w.rng.IntN(n) }

func one[T any](w *World, list []T) T { return list[w.pick(len(list))] }

// number is the number of a record, given when it is first heard of.
func (w *World) number(key memory.Key) int {
	n, ok := w.keyNo[key]
	if !ok {
		n = len(w.keys)
		w.keys = append(w.keys, key)
		w.keyNo[key] = n
	}
	return n
}

func (w *World) record(key int) string { return w.keys[key].String() }

// advance lets time pass.
func (w *World) advance(d time.Duration) { w.now = w.now.Add(d) }

// live are the nodes that exist, running or not.
func (w *World) live() (out []*slot) {
	for _, s := range w.slots {
		if !s.destroyed {
			out = append(out, s)
		}
	}
	return out
}

// running are the nodes that can take a step now.
func (w *World) running() (out []*slot) {
	for _, s := range w.slots {
		if s.proc != nil && !s.paused {
			out = append(out, s)
		}
	}
	return out
}
