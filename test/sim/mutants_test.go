package sim

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/memd/memd/internal/mutant"
)

// broken are the switches of internal/mutant that the simulation must notice: each with the
// edge cases of the design (replication.md C) that it stands for, and the script that leads
// to where its rule matters. QuorumFromGossip, RollbackOnMiss and WriteBeforePull break rules
// of package node: here the clients' own coordinator breaks them (client.go), and for the
// first one TestQuorumFromGossipInANode has whole nodes, too.
var broken = []struct {
	mutant   mutant.Set
	cases    string
	scenario string
}{
	{mutant.TimeWatermark, "1, 2", "late"},
	{mutant.SkipFailedRow, "3", "ragged"},
	{mutant.PageEdgeDrop, "4", "edge"},
	{mutant.MaxCounterClock, "5, 24", "gap"},
	{mutant.HoleCovered, "6", "hole"},
	{mutant.HeadClockOnPartial, "7", "partial"},
	{mutant.ClockBeforeRows, "8", "torn"},
	{mutant.AckBeforeFsync, "45, B6", "fsync"},
	{mutant.ReuseOrigin, "9, 49", "overlap"},
	{mutant.ReuseOrigin, "10", "restore"},
	{mutant.AckTwicePerName, "11", "clone"},
	{mutant.OriginByName, "12", "rejoin"},
	{mutant.ReviveCovered, "13", "late push"},
	{mutant.NoAbsorb, "14", "late push"},
	{mutant.DropDeletedRow, "17", "delete"},
	{mutant.UniqueTitles, "18", "two of a title"},
	{mutant.RenameKeepsTitle, "19", "rename"},
	{mutant.HLCUnbounded, "20", "fast clock"},
	{mutant.StampFromWall, "21", "step back"},
	{mutant.QuorumFromGossip, "28", "split"},
	{mutant.RollbackOnMiss, "29", "miss"},
	{mutant.RetryNewDot, "30", "miss"},
	{mutant.FilteredAdvances, "32", "scope"},
	{mutant.CopyClockOnRelay, "33", "relay"},
	{mutant.PoisonSkip, "34", "poison"},
	{mutant.StripUnknown, "35", "unknown"},
	{mutant.NoReservations, "36", "parallel"},
	{mutant.LeakReservation, "36", "parallel"},
	{mutant.OffsetCursor, "37", "moving"},
	{mutant.TruncatedIsComplete, "43", "cut"},
	{mutant.DeadHoleSeen, "48", "dead hole"},
	{mutant.HLCDecidesDelete, "53", "delete"},
	{mutant.CollapseInState, "54", "twins"},
	{mutant.ReservedInCursor, "55", "broken lease"},
	{mutant.WriteBeforePull, "56", "too early"},
	{mutant.CollisionOverwrites, "B1 c", "forged"},
	{mutant.NoFence, "B1 a", "doubled"},
	{mutant.OverCapDrops, "B2", "ragged"},
	{mutant.HighestCounterAck, "B6", "gap"},
	{mutant.CheckpointAhead, "storage", "moving"},
	{mutant.DropUndrained, "storage", "moving"},
	{mutant.MemoriesOnly, "B4", "kinds"},
	{mutant.LinkOneEnd, "storage", "kinds"},
	{mutant.CopyIsAWrite, "B4", "copies"},
}

// elsewhere are switches that the simulation does not reach, and what notices them.
var elsewhere = []struct {
	mutant mutant.Set
	cases  string
	where  string
}{
	{mutant.DeadHoleIsLag, "47", "TestDeadHoleIsNoLag, here, with the real manager in fake time"},
	{mutant.WithheldCovered, "31, 32", "TestWithheld in storage, TestAllowlist in node: no node of the simulation is denied anything"},
	{mutant.RemovedCounts, "38", "TestRemovedDoesNotCount in test/clustertest: acks of a name are a matter of whole nodes"},
	{mutant.RegistrationRevives, "38", "TestRemovalWins in test/clustertest"},
	{mutant.PauseUnnoticed, "22", "catchup TestMutantsOfPauses; whole nodes: TestMutantsOfNodes, here"},
	{mutant.NoBreaker, "23", "replication TestScriptedMutants"},
	{mutant.PauseByTickerOnly, "25", "catchup TestMutantsOfPauses; whole nodes: TestMutantsOfNodes, here"},
	{mutant.MonotonicOnly, "26", "catchup TestMutantsOfPauses: fake time has one clock"},
	{mutant.PullFromAliveOnly, "27", "TestMutantsOfNodes, here"},
	{mutant.PushBacklog, "40", "replication TestScriptedMutants"},
	{mutant.FatDigest, "41", "cluster TestFatDigestIsNoticed"},
	{mutant.EndlessPage, "42", "storage TestScriptedMutants"},
	{mutant.SeenByClockOnly, "B4", "memory TestMutantsAreNoticed: a clock that covers less than its rows comes with the scrub, later"},
}

// unswitched are the cases that no switch stands for, since their part is not there yet.
var unswitched = []struct{ cases, why string }{
	{"15, 16, 50, 51, 52", "later: collection, the floor and reconcile"},
	{"39", "later: folding of origins"},
	{"44", "later: snapshots for empty nodes"},
	{"46", "later: fingerprints"},
}

// atTheEnd are the oracles that compare nodes with one another and with what clients were
// told, after healing.
var atTheEnd = []string{"converge", "loop", "dump", "digest", "lost", "local"}

// edgeCases are numbered 1 to this in the design.
const edgeCases = 56

// budget of schedules within which a script must show its mutant.
const budget = 5

// TestMutants breaks one rule after the other and expects an oracle to turn red. The
// scripts are green without it (TestScenarios). MEMD_SIM_MUTANTS=n also looks how many
// schedules chance alone needs, up to n, and how many it takes if nobody looks before the end.
func TestMutants(t *testing.T) {
	r := newRig(t)
	long, _ := strconv.ParseUint(os.Getenv("MEMD_SIM_MUTANTS"), 10, 64)
	// find returns how many schedules it took, 0 if n were not enough.
	find := func(c Config, n uint64) (uint64, *Failure) {
		for c.Seed = 1; c.Seed <= n; c.Seed++ {
			if _, failure := r.Run(c); failure != nil {
				return c.Seed, failure
			}
		}
		return 0, nil
	}
	var table, numbers strings.Builder
	row := func(rule, cases, by, detail string) {
		fmt.Fprintf(&numbers, "%s,", cases)
		fmt.Fprintf(&table, "%-20s %-8s %-38s %s\n", rule, cases, by, detail)
	}
	row("rule broken", "cases", "caught by, in schedules of a scenario", "")
	listed := mutant.Set(0)
	for _, b := range broken {
		listed |= b.mutant
		seeds, failure := find(Config{Mutants: b.mutant, Scenario: b.scenario}, budget)
		if failure == nil {
			t.Errorf("%s (%s) is not noticed in %d schedules of scenario %s", b.mutant, b.cases, budget, b.scenario)
			continue
		}
		if failure.Oracle == "rig" || failure.Oracle == "script" || failure.Oracle == "panic" {
			t.Errorf("%s broke the simulation instead: %s\n%s", b.mutant, failure, replay(Config{Seed: seeds, Mutants: b.mutant, Scenario: b.scenario}))
		}
		chance := ""
		if long > 0 {
			n, by := find(Config{Mutants: b.mutant, Scenario: "random"}, long)
			if chance = fmt.Sprintf("; by chance not in %d", long); by != nil {
				chance = fmt.Sprintf("; by chance %s in %d", by.Oracle, n)
			}
		}
		if long > 0 {
			n, by := find(Config{Mutants: b.mutant, Scenario: b.scenario, Only: atTheEnd}, long)
			if by == nil {
				n, by = find(Config{Mutants: b.mutant, Scenario: "random", Only: atTheEnd}, long)
			}
			if by != nil {
				chance += fmt.Sprintf("; at the end %s in %d", by.Oracle, n)
			} else {
				chance += "; at the end not"
			}
		}
		row(b.mutant.String(), b.cases, fmt.Sprintf("%s in %d of %q%s", failure.Oracle, seeds, b.scenario, chance), first(failure.Detail))
	}
	for _, e := range elsewhere {
		listed |= e.mutant
		row(e.mutant.String(), e.cases, "elsewhere", e.where)
	}
	for _, u := range unswitched {
		row("-", u.cases, "", u.why)
	}
	t.Log("\n" + table.String())
	for n := 1; n <= edgeCases; n++ {
		if !slices.Contains(strings.FieldsFunc(numbers.String(), func(r rune) bool { return r == ',' || r == ' ' }), strconv.Itoa(n)) {
			t.Errorf("case %d of the design is in no table", n)
		}
	}
	for _, m := range mutant.All() {
		if !listed.Has(m) {
			t.Errorf("%s is in no table", m)
		}
	}
}

// first cuts a detail to a line.
func first(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > 110 {
		s = s[:110] + "…"
	}
	return s
}
