package catchup

import "time"

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// backoff spaces the attempts at a peer that fails: full jitter under a ceiling that
// doubles, so that nodes which lost the same peer do not return to it in step.
type backoff struct {
	failures int
	until    time.Time
	asked    bool // until is what the peer asked for (Retry-After): never cut short
	cut      bool // the one cut was used; it comes back when a backoff was sat out
}

// fail notes a failure. random returns a number in [0,n).
func (b *backoff) fail(now time.Time, retryAfter time.Duration, random func(n int64) int64) {
	ceiling := maxBackoff
	if b.failures < 16 {
		ceiling = min(maxBackoff, minBackoff<<b.failures)
	}
	b.failures++
	wait := time.Duration(random(int64(ceiling) + 1))
	b.asked = retryAfter > 0
	b.until = now.Add(max(wait, retryAfter))
}

// ok forgets all failures.
func (b *backoff) ok() { *b = backoff{} }

// ready reports whether an attempt may be made now, and if not, when. news is a
// trigger that came after the failure.
func (b *backoff) ready(now time.Time, news bool) (bool, time.Time) {
	if !now.Before(b.until) || news && !b.asked && !b.cut {
		return true, time.Time{}
	}
	return false, b.until
}

// begin notes that an attempt is made.
func (b *backoff) begin(now time.Time) { b.cut = now.Before(b.until) }
