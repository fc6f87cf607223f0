package clock

import (
	"math"
	"sync"
	"time"
)

// MaxSkew is how far ahead of the local wall clock a foreign stamp may pull an HLC.
const MaxSkew = 60 * time.Second

// Stamp is a hybrid logical timestamp: 48 bits of Unix milliseconds, 16 bits of
// logical count. It chooses among concurrent versions and shows a time to people.
// It never says how far a synchronisation got.
type Stamp uint64

const (
	logicalBits = 16
	maxMillis   = 1<<48 - 1
	maxStamp    = Stamp(math.MaxUint64)
)

// NewStamp puts a stamp together; ms is clamped to what 48 bits hold.
func NewStamp(ms int64, logical uint16) Stamp {
	return Stamp(uint64(min(max(ms, 0), maxMillis))<<logicalBits | uint64(logical))
}

// Millis returns the Unix time of the stamp in milliseconds.
func (s Stamp) Millis() int64 { return int64(s >> logicalBits) }

// Logical returns the count within the millisecond.
func (s Stamp) Logical() uint16 { return uint16(s) }

// Time returns the time of the stamp in UTC, to the millisecond.
func (s Stamp) Time() time.Time { return time.UnixMilli(s.Millis()).UTC() }

// next returns the stamp after s. It stops at the end of the range instead of
// starting over: a successor then ties with what it supersedes, which causality
// resolves anyway, but it never sorts below it.
func (s Stamp) next() Stamp {
	if s == maxStamp {
		return s
	}
	return s + 1
}

// HLC issues stamps (Kulkarni et al., Logical Physical Clocks, 2014). It is safe
// for concurrent use.
type HLC struct {
	mu sync.Mutex
	// Invariant: last never decreases; a stamp of another node or of a superseded
	// version raised it at most to the wall clock of that moment plus MaxSkew.
	// Guarded by TestHLCProperties.
	last Stamp
}

// NewHLC returns an HLC that never issues a stamp at or below bound, the highest
// value of Last that survived the restart. Thus a wall clock that stepped back
// while the process was down cannot make new writes look old.
func NewHLC(bound Stamp) *HLC { return &HLC{last: bound} }

// Next issues the stamp of a local write. It is greater than Last and greater than
// after, the greatest stamp that the write supersedes. It becomes Last, except when
// after is further than MaxSkew ahead of now: then only the returned stamp lies
// beyond it, so that one key is poisoned while the HLC goes on from its own time.
func (h *HLC) Next(now time.Time, after Stamp) Stamp {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := max(h.last.next(), wall(now))
	if after < s {
		h.last = s
		return s
	}
	successor := after.next()
	if successor <= limit(now) {
		s = successor
	}
	h.last = s
	return successor
}

// Observe takes note of a stamp received from elsewhere, so that later local writes
// sort above it. A stamp further than MaxSkew ahead of now is not adopted and
// reported as future: its row is kept all the same, it is merely counted.
func (h *HLC) Observe(s Stamp, now time.Time) (future bool) {
	if s > limit(now) {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = max(h.last, s)
	return false
}

// Last returns the highest stamp issued or adopted: what storage persists with
// every commit as the bound for the next start.
func (h *HLC) Last() Stamp {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

func wall(now time.Time) Stamp { return NewStamp(now.UnixMilli(), 0) }

// limit is the highest stamp that may be adopted at now.
func limit(now time.Time) Stamp { return NewStamp(now.Add(MaxSkew).UnixMilli(), math.MaxUint16) }
