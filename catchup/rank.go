package catchup

import (
	"cmp"
	"slices"
	"time"
)

// candidate is a peer as the choice of whom to ask sees it.
type candidate struct {
	name     string
	waiting  bool   // in its backoff
	failures int    // in a row
	claims   uint64 // wanted dots that it is known to have
	rtt      time.Duration
	lastOK   time.Time

	// Numbers of events in the manager's order, 0 = never.
	okStart    uint64 // start of its last complete pull
	answeredAt uint64 // its last sign of life in a pull
	failedAt   uint64 // its last failure

	answeredWhen time.Time
}

// rank sorts the peers best first: those that do not fail, those that have what is
// wanted, the near ones, those heard of last. Equals keep their order, so whoever wants
// them spread shuffles first.
func rank(peers []candidate) {
	slices.SortStableFunc(peers, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(btoi(a.waiting), btoi(b.waiting)),
			cmp.Compare(min(a.failures, 1), min(b.failures, 1)),
			cmp.Compare(b.claims, a.claims),
			cmp.Compare(distance(a.rtt), distance(b.rtt)),
			b.lastOK.Compare(a.lastOK),
		)
	})
}

// distance coarsens a round trip to a power of two, so that noise does not send every
// node to one peer; an unknown one is far.
func distance(rtt time.Duration) int {
	if rtt <= 0 {
		return 64
	}
	n := 0
	for ; rtt > time.Millisecond; rtt /= 2 {
		n++
	}
	return n
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
