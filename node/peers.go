package node

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/memd/memd/clock"
)

// clocks remembers the durable clock that each peer last reported.
type clocks struct {
	mu    sync.Mutex
	m     map[string]clock.Clock
	boots map[string]uint64
}

// boot notes which process a peer is now. What an earlier one reported is forgotten: its
// disk may have been restored since, and a claim of before would count a name that no
// longer holds the write (invariant 10).
func (c *clocks) boot(name string, boot uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.boots == nil {
		c.boots = map[string]uint64{}
	}
	if before, ok := c.boots[name]; ok && before != boot {
		delete(c.m, name)
	}
	c.boots[name] = boot
}

// set takes what a peer reported; an answer without a clock says nothing.
func (c *clocks) set(name string, k clock.Clock) {
	if k.Empty() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]clock.Clock{}
	}
	c.m[name] = k
}

func (c *clocks) get(name string) clock.Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[name]
}

// maxOffset is how far this node's wall clock may be from the median of its peers'
// before it refuses to stamp new writes (replication.md B3).
const maxOffset = 60 * time.Second

// skew samples the offsets of the peers' wall clocks on pulls.
type skew struct {
	mu      sync.Mutex
	offsets map[string]time.Duration // peer's clock minus ours
}

// observe takes one sample, good to half the round trip; a slow answer says nothing.
func (s *skew) observe(name string, at clock.Stamp, sent, received time.Time) {
	rtt := received.Sub(sent)
	if at == 0 || rtt < 0 || rtt > 5*time.Second {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offsets == nil {
		s.offsets = map[string]time.Duration{}
	}
	s.offsets[name] = at.Time().Sub(sent.Add(rtt / 2))
}

// median of all clocks that are known, this node's own among them, as an offset from its
// own: with two peers, one of which is wrong, the two that agree decide. Of two middle ones
// it is the nearer to the own. ok only with two peers or more, since with one nobody can
// tell which of the two is wrong.
func (s *skew) median() (offset time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.offsets) < 2 {
		return 0, false
	}
	all := make([]time.Duration, 1, len(s.offsets)+1)
	for _, o := range s.offsets {
		all = append(all, o)
	}
	slices.Sort(all)
	low, high := all[(len(all)-1)/2], all[len(all)/2]
	if low.Abs() < high.Abs() {
		return low, true
	}
	return high, true
}

// behind is how far the slowest clock that is known is behind this node's own, as an
// offset: never above 0.
func (s *skew) behind() (offset time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.offsets {
		offset = min(offset, o)
	}
	return offset
}

// all are the offsets by peer.
func (s *skew) all() map[string]time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.offsets)
}

// tooFar reports whether this node's clock is the odd one out.
func (s *skew) tooFar() bool {
	o, ok := s.median()
	return ok && o.Abs() > maxOffset
}
