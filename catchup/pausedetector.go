package catchup

import (
	"sync"
	"sync/atomic"
	"time"
)

// suspendGap is how much more than the monotonic clock the wall clock must have moved
// between two beats for a suspend: Linux's monotonic clock stands still during one
// (golang/go issue 24595). A wall clock set forward looks the same, and costs a pull.
const suspendGap = time.Second

// PauseDetector notices that this process stood still: stopped, frozen, starved, or
// suspended with its machine. A ticker calls Check and Beat; whoever serves requests calls
// Check too, because after a pause the requests in the sockets may be served before the
// ticker runs. A pause is reported once, to whoever sees it first.
//
// It is safe for concurrent use and does not allocate.
type PauseDetector struct {
	base  time.Time
	limit time.Duration // between two beats
	tick  time.Duration
	leap  time.Duration // of the wall clock against the monotonic one: more is a suspend

	mu   sync.Mutex   // of whoever sets the two
	last atomic.Int64 // monotonic time of the last beat, since base; 0 = none yet
	skew atomic.Int64 // wall minus monotonic time at the last beat
}

// NewPauseDetector returns a detector for a beat every tick: a beat that is overdue by
// more than threshold is a pause.
func NewPauseDetector(tick, threshold time.Duration) *PauseDetector {
	return &PauseDetector{base: time.Now().Add(-1), limit: tick + threshold, tick: tick, leap: suspendGap}
}

// Beat says that the process ran at now. Nothing is detected before the first Beat. A
// pause that ended before now is forgotten by it, so call Check before, with the same
// time: then one that begins between the two calls is not. An old time changes nothing.
func (d *PauseDetector) Beat(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if mono, skew := d.read(now); int64(mono) > d.last.Load() {
		d.set(mono, skew)
	}
}

// Overdue reports whether Check would report a pause. It is the cheap question: two
// loads and no lock.
func (d *PauseDetector) Overdue(now time.Time) bool {
	return d.judge(d.read(now)) > 0
}

// Check returns how long the process was away, if it was and nobody has been told.
func (d *PauseDetector) Check(now time.Time) (time.Duration, bool) {
	if !d.Overdue(now) {
		return 0, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	mono, skew := d.read(now)
	away := d.judge(mono, skew)
	if away == 0 {
		return 0, false // somebody else saw it first
	}
	d.set(mono, skew)
	return away, true
}

func (d *PauseDetector) judge(mono, skew time.Duration) time.Duration {
	return judgePause(time.Duration(d.last.Load()), time.Duration(d.skew.Load()), mono, skew, d.limit, d.tick, d.leap)
}

func (d *PauseDetector) set(mono, skew time.Duration) {
	d.skew.Store(int64(skew))
	d.last.Store(int64(mono))
}

// read returns the monotonic time since base, and how far the wall clock has run ahead
// of it.
func (d *PauseDetector) read(now time.Time) (mono, skew time.Duration) {
	mono = now.Sub(d.base)
	return mono, now.Round(0).Sub(d.base.Round(0)) - mono
}

// judgePause returns the length of the pause that two readings show, 0 if none.
func judgePause(last, lastSkew, mono, skew, limit, tick, most time.Duration) time.Duration {
	if last == 0 {
		return 0
	}
	var away time.Duration
	if gap := mono - last; gap > limit {
		away = gap - tick
	}
	if leap := skew - lastSkew; leap > most {
		away += leap
	}
	return away
}
