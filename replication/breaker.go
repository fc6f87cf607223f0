package replication

import "time"

// BreakerState says whether a peer is pushed to.
type BreakerState uint8

// States of a breaker. Closed is also the state of a peer that was never tried.
const (
	Closed   BreakerState = iota // pushed to, or being reconnected after a short loss
	HalfOpen                     // one probe is under way
	Open                         // left alone until the backoff has passed
)

func (s BreakerState) String() string {
	switch s {
	case HalfOpen:
		return "half-open"
	case Open:
		return "open"
	}
	return "closed"
}

// Breaker decides when a peer is tried. A stopped process keeps its connections, its
// kernel accepts new ones and takes bytes: only a deadline tells, and only a breaker
// keeps each write from finding it out again.
//
// It is told of events and of the time; it starts nothing. Not safe for concurrent use.
type Breaker struct {
	limit    int           // failures in a row that open it
	min, max time.Duration // of the backoff

	state    BreakerState
	failures int // in a row
	step     int // of the backoff
	until    time.Time
	cut      bool // the current backoff was cut short
	spent    bool // no backoff may be cut until one has passed whole, or a connect
	heard    bool // the peer was heard while a try was under way
}

// NewBreaker returns a closed breaker that may be tried at once.
func NewBreaker(limit int, minBackoff, maxBackoff time.Duration) *Breaker {
	return &Breaker{limit: limit, min: minBackoff, max: maxBackoff}
}

// State returns the state, Failures how many failures came in a row.
func (b *Breaker) State() BreakerState { return b.state }

// Failures returns how many failures came in a row.
func (b *Breaker) Failures() int { return b.failures }

// Wait returns how long the next try has to wait, 0 if it may begin.
func (b *Breaker) Wait(now time.Time) time.Duration { return max(0, b.until.Sub(now)) }

// Try says that a try to connect begins.
func (b *Breaker) Try() {
	if b.state == Open {
		b.state = HalfOpen
	}
	if !b.cut {
		b.spent = false
	}
	b.cut, b.heard = false, false
}

// Connected says that the peer answered the handshake. After a probe it is on
// probation: it takes an acknowledgement (Good) to be trusted with more than one
// failure again.
func (b *Breaker) Connected() {
	if b.state != Closed {
		b.state = Closed
		b.failures = b.limit - 1
	}
	b.spent = false
}

// Good says that the peer did its work in time.
func (b *Breaker) Good() { b.failures, b.step = 0, 0 }

// Missed counts a deadline that passed on a stream that stands, and reports whether
// this opened the breaker. rnd in [0,1) is the jitter.
func (b *Breaker) Missed(now time.Time, rnd float64) (opened bool) {
	b.failures++
	if b.failures < b.limit {
		return false
	}
	b.state = Open
	b.backoff(now, rnd)
	return true
}

// Lost counts a try that failed or a stream that broke, and reports whether this opened
// the breaker. The first failure of a row is followed by a try at once: most broken
// streams are a restart of the peer or of something between.
func (b *Breaker) Lost(now time.Time, rnd float64) (opened bool) {
	b.failures++
	switch {
	case b.state == HalfOpen:
		b.state = Open
	case b.failures >= b.limit:
		b.state, opened = Open, true
	case b.failures == 1:
		b.until = now
		return false
	}
	b.backoff(now, rnd)
	if b.heard && !b.spent {
		b.cutShort(now)
	}
	return opened
}

// Again allows another try at once without counting a failure.
func (b *Breaker) Again(now time.Time) {
	if b.state == HalfOpen {
		b.state = Open
	}
	b.until = now
}

// Heard says that something came from the peer. It reports whether this cut the backoff
// short: once, and then only after a backoff that passed whole, for a peer that can
// reach us may still be out of our reach.
func (b *Breaker) Heard(now time.Time) bool {
	b.heard = true
	if b.spent || !b.until.After(now) {
		return false
	}
	b.cutShort(now)
	return true
}

func (b *Breaker) cutShort(now time.Time) {
	b.until, b.cut, b.spent, b.heard = now, true, true, false
}

func (b *Breaker) backoff(now time.Time, rnd float64) {
	b.until = now.Add(backoff(b.step, b.min, b.max, rnd))
	b.step++
}

// backoff is full jitter over an exponential ceiling, but never under low.
func backoff(step int, low, high time.Duration, rnd float64) time.Duration {
	ceiling := low
	for range step + 1 {
		if ceiling >= high/2 {
			ceiling = high
			break
		}
		ceiling *= 2
	}
	return low + time.Duration(rnd*float64(ceiling-low))
}
