// Package mutant names the switches that break one rule of replication each, so
// that the test suites can prove they would notice its loss: every mutant must turn
// them red.
//
// It promises that the zero Set, the only one that production has, breaks nothing.
// Product code may ask [Set.Has]; only _test.go files and the test folder may name a
// constant to set it. TestOnlyTestsSetMutants holds the repository to that.
//
// It does not implement the broken behaviour: each switch is read in the one place
// whose rule it breaks.
package mutant

import "strings"

// Set is a set of mutants, one bit each.
type Set uint64

// The comment of a mutant says what breaks, and the case that shows it: a number of
// the edge cases in the design's list, or the section of the rule.
const (
	TimeWatermark       Set = 1 << iota // 1, 2: pulls resume from the greatest wall time seen, not from dots
	SkipFailedRow                       // 3: a row that failed to apply is covered all the same
	PageEdgeDrop                        // 4: the page ends before the row that did not fit, and covers it
	MaxCounterClock                     // 5: seeing counter n claims everything up to n
	HoleCovered                         // 6: a scanned dot without a row in the page is covered
	HeadClockOnPartial                  // 7: the head's clock is merged after an incomplete page
	ClockBeforeRows                     // 8: the clock is committed in a transaction before the rows
	AckBeforeFsync                      // 9: a push is acknowledged before it is durable
	ReuseOrigin                         // 10, 49: a restart goes on under the origin of the process before it
	AckTwicePerName                     // 11: two acks of one name count as two
	ReviveCovered                       // 13: a covered dot that arrives again is applied again
	NoAbsorb                            // 14: the context of an applied row is not added to the clock
	DropDeletedRow                      // 17: a delete removes the row instead of leaving a tombstone
	UniqueTitles                        // 18: a title that exists rejects the replicated row of another id
	RenameKeepsTitle                    // 19: a derived id taken by a renamed memory is used again
	HLCUnbounded                        // 20: a foreign stamp of any value moves the local HLC
	StampFromWall                       // 21: a stamp is the wall clock, not above what it supersedes
	QuorumFromGossip                    // 28: N is what gossip calls alive, not the registry
	RollbackOnMiss                      // 29: a write that missed W is undone
	RetryNewDot                         // 30: a retry of an idempotency key writes again
	FilteredAdvances                    // 32: a filtered pull advances the full clock
	WithheldCovered                     // 31, 32: a page covers what it withholds
	CopyClockOnRelay                    // 33: the clock of a relaying peer is copied instead of earned
	PoisonSkip                          // 34: a defective row is covered without being kept
	StripUnknown                        // 35: unknown fields are dropped when a row is stored
	NoReservations                      // 36: parallel pulls do not tell each other what they fetch
	LeakReservation                     // 36b: a reservation outlives the pull that made it
	OffsetCursor                        // 37: pages continue by position, not by cause
	TruncatedIsComplete                 // 43: a page without its tail counts as complete
	DeadHoleIsLag                       // 47: a hole that no member claims counts as lag
	DeadHoleSeen                        // 48: a hole that no member claims is declared seen
	CollisionOverwrites                 // c: a dot that comes with other bytes replaces the first
	HLCDecidesDelete                    // 53: the HLC decides between a delete and a concurrent live version
	CollapseInState                     // 54: siblings of equal content collapse in the state, not in the view
	ReservedInCursor                    // 55: what is reserved elsewhere counts as already held
	HighestCounterAck                   // B6: an ack carries the highest counter instead of the exact entry
	SeenByClockOnly                     // B4: "seen" asks the node clock and forgets the row's context
	OverCapDrops                        // B2: a clock over its cap drops claims that the disk holds
	NoFence                             // B1 a: a dot of the own origin that was never issued here is taken as it is
	CheckpointAhead                     // storage: the checkpoint of the key index names rows that are only in RAM
	DropUndrained                       // storage: rows leave the index in RAM before all of them are in the file
	WriteBeforePull                     // 56: a node that has just started takes writes before it has heard a peer
	RemovedCounts                       // B11: a name that was removed is still pushed to, acknowledges, and its acks count
	RegistrationRevives                 // B11: a registration that had not seen the removal of its name undoes it
	OriginByName                        // 12: the origin follows from the node's name, whatever its disk holds
	PauseUnnoticed                      // 22: a pause triggers nothing
	PauseByTickerOnly                   // 25: the request path does not look for a pause
	MonotonicOnly                       // 26: a pause is looked for on the monotonic clock alone
	NoBreaker                           // 23: a peer that does not answer is tried for ever
	PullFromAliveOnly                   // 27: who seems dead to gossip is not pulled
	PushBacklog                         // 40: a peer that was away is pushed all that it missed, while it pulls
	FatDigest                           // 41: a digest grows beyond what a gossip packet carries
	EndlessPage                         // 42: a page ends when nothing is left, however long that takes
	MemoriesOnly                        // B4: pulls carry memories; links, archives, agents and standards are left to pushes
	LinkOneEnd                          // storage: a link is found from its source alone
	CopyIsAWrite                        // B4: what a node writes by itself stands beside what somebody wrote without having seen it

	end // one past the last
)

var names = [...]string{
	"TimeWatermark", "SkipFailedRow", "PageEdgeDrop", "MaxCounterClock", "HoleCovered", "HeadClockOnPartial",
	"ClockBeforeRows", "AckBeforeFsync", "ReuseOrigin", "AckTwicePerName", "ReviveCovered", "NoAbsorb",
	"DropDeletedRow", "UniqueTitles", "RenameKeepsTitle", "HLCUnbounded", "StampFromWall", "QuorumFromGossip",
	"RollbackOnMiss", "RetryNewDot", "FilteredAdvances", "WithheldCovered", "CopyClockOnRelay", "PoisonSkip", "StripUnknown",
	"NoReservations", "LeakReservation", "OffsetCursor", "TruncatedIsComplete", "DeadHoleIsLag", "DeadHoleSeen",
	"CollisionOverwrites", "HLCDecidesDelete", "CollapseInState", "ReservedInCursor", "HighestCounterAck",
	"SeenByClockOnly", "OverCapDrops", "NoFence", "CheckpointAhead", "DropUndrained", "WriteBeforePull",
	"RemovedCounts", "RegistrationRevives",
	"OriginByName", "PauseUnnoticed", "PauseByTickerOnly", "MonotonicOnly", "NoBreaker", "PullFromAliveOnly",
	"PushBacklog", "FatDigest", "EndlessPage", "MemoriesOnly", "LinkOneEnd", "CopyIsAWrite",
}

// Has reports whether s contains all of m; the empty m is in no set, so that a
// slip of the pen breaks no rule.
func (s Set) Has(m Set) bool { return m != 0 && s&m == m }

// String returns the names of the mutants in s joined by "+", "none" for the empty
// set.
func (s Set) String() string {
	var in []string
	for i, name := range names {
		if s.Has(1 << i) {
			in = append(in, name)
		}
	}
	if s&^(end-1) != 0 {
		in = append(in, "unknown")
	}
	if in == nil {
		return "none"
	}
	return strings.Join(in, "+")
}

// All returns every mutant, one by one.
func All() []Set {
	all := make([]Set, len(names))
	for i := range all {
		all[i] = 1 << i
	}
	return all
}
