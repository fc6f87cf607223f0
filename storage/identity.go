package storage

import (
	"sync/atomic"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
)

// identity is under which origin this process writes, and how far it got. Nothing of it is
// ever read back from disk, so no restored, copied or half-committed file can make a dot
// twice (replication.md B1).
type identity struct {
	// Invariant: issued is at least every counter that ever left this process under the
	// origin: it is published before Config.Staged. Guarded by TestFenceCountsIssuedNotCommitted.
	current atomic.Pointer[issued]
	mint    atomic.Pointer[string] // not nil: the next write takes a new origin, and why
}

type issued struct {
	origin  clock.Origin
	counter uint64
}

func (id *identity) load() issued {
	if p := id.current.Load(); p != nil {
		return *p
	}
	return issued{}
}

// publish makes own what this process is known to have issued. A Mint that came after the
// one that own follows stays due.
func (id *identity) publish(own issued, followed *string) {
	id.current.Store(&own)
	if followed != nil {
		id.mint.CompareAndSwap(followed, nil)
	}
}

// Origin is the origin of the last local write of this process, 0 before the first.
func (s *Store) Origin() clock.Origin { return s.ident.load().origin }

// Issued is the highest counter given out under Origin. It runs ahead of the clock while a
// commit is under way.
func (s *Store) Issued() uint64 { return s.ident.load().counter }

// Mint makes the next local write take a new origin: after a long pause, or when another
// process may have been writing under this one's.
func (s *Store) Mint(reason string) {
	if s.ident.load().origin == 0 {
		return // the first write mints anyway
	}
	s.ident.mint.Store(&reason)
}

// ObserveClock looks at a clock that a peer showed. If it names this store's origin above
// the highest counter ever issued, another process writes under it: the store leaves the
// origin at once.
func (s *Store) ObserveClock(c clock.Clock) (fenced bool) {
	own := s.ident.load()
	if own.origin == 0 || c.Max(own.origin) <= own.counter {
		return false
	}
	s.fence(own, c.Max(own.origin))
	return true
}

func (s *Store) fence(own issued, seen uint64) {
	if s.ident.mint.Load() != nil || s.mutants.Has(mutant.NoFence) {
		return
	}
	s.metrics.fenced.Inc()
	s.log.Error("another process writes under this one's origin: taking a new one", "origin", own.origin, "issued", own.counter, "seen", seen)
	s.Mint("fenced")
}

// nextOrigin is an origin that no dot names.
func (s *Store) nextOrigin(known clock.Clock) clock.Origin {
	if s.mutants.Has(mutant.OriginByName) {
		return namedOrigin(s.cfg.Node)
	}
	for {
		o := clock.Origin(s.cfg.Random())
		if o != 0 && o != s.ident.load().origin && known.Max(o) == 0 {
			return o
		}
	}
}
