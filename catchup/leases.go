package catchup

import (
	"sync"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
)

// maxReservedIntervals bounds how ragged the reservations in a request may get. Beyond
// it they are left out, which costs rows sent twice and nothing else.
const maxReservedIntervals = 4096

// LeaseID names one lease; 0 is none.
type LeaseID uint64

// Leases are the dots that pulls in flight are getting, so that no other pull asks for
// them too. A dot is leased to one pull at most; a lease ends with Release, or by itself
// when the request it stands for is overdue. Leases never count as knowledge: they only
// keep a peer from sending.
//
// Time is passed in. It is safe for concurrent use.
type Leases struct {
	mutants mutant.Set

	mu   sync.Mutex
	last LeaseID
	// Invariant: the dots of two entries are disjoint while neither has expired.
	// Guarded by TestLeasesProperties.
	held map[LeaseID]lease
}

type lease struct {
	dots  clock.Clock
	until time.Time
}

// NewLeases returns an empty set of leases. Mutants are for tests.
func NewLeases(mutants mutant.Set) *Leases {
	return &Leases{mutants: mutants, held: map[LeaseID]lease{}}
}

// Open returns a new id that holds nothing yet.
func (l *Leases) Open() LeaseID {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	return l.last
}

// Acquire replaces what id holds by those dots of want that no other lease holds, until
// the given time, and returns what the others hold.
func (l *Leases) Acquire(id LeaseID, want clock.Clock, now, until time.Time) (others clock.Clock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	others = l.union(id, now)
	if got := want.Minus(others); got.Empty() {
		delete(l.held, id)
	} else {
		l.held[id] = lease{dots: got, until: until}
	}
	if l.mutants.Has(mutant.NoReservations) {
		return clock.Clock{}
	}
	return others
}

// Release ends the lease. Releasing twice, or what has expired, is fine.
func (l *Leases) Release(id LeaseID) {
	if l.mutants.Has(mutant.LeakReservation) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, id)
}

// Held returns everything that is leased now.
func (l *Leases) Held(now time.Time) clock.Clock {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.union(0, now)
}

// union collects what all but one hold, and forgets what has expired.
func (l *Leases) union(but LeaseID, now time.Time) clock.Clock {
	var all clock.Clock
	for id, held := range l.held {
		if !now.Before(held.until) && !l.mutants.Has(mutant.LeakReservation) {
			delete(l.held, id)
			continue
		}
		if id != but {
			all.Union(held.dots)
		}
	}
	return all
}
