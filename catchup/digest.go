package catchup

import (
	"time"

	"github.com/memd/memd/clock"
)

// DigestHint is what gossip says of a peer's store: its own last write and the hash of
// its clock. Zero Origin or Counter: it has not written.
type DigestHint struct {
	Origin    clock.Origin
	Counter   uint64
	ClockHash uint64
}

func (h DigestHint) dot() clock.Dot {
	if h.Origin == 0 {
		return clock.Dot{}
	}
	return clock.Dot{Origin: h.Origin, Counter: h.Counter}
}

// digestWatch decides whether what gossip says of a peer is worth a pull. Two rules,
// each of which gives the push digestAge to make the pull unnecessary:
//
//   - a write of the peer itself is still not here;
//   - the peer's clock has another hash than ours, has had it all this time, and no
//     complete pull has seen it. Under load it changes all the time and says nothing.
//     That ours stands still as well is not asked for: it may never do so, while the
//     peer has what nobody pushes to us.
//
// Either way a peer is pulled for a digest at most once per digestInterval.
type digestWatch struct {
	hint  DigestHint
	heard time.Time // since when the hash is this one; zero = nothing to judge
	// answered is the hint as it was before the last complete pull, or the hash that the
	// peer showed in it: all that it stands for is here, or is not to be had.
	answered     DigestHint
	answeredHash uint64

	dot   clock.Dot // oldest write of the peer that was announced and is not here
	since time.Time
	last  time.Time // a pull was decided on
}

// hear takes a hint.
func (d *digestWatch) hear(now time.Time, h DigestHint) {
	if d.heard.IsZero() || h.ClockHash != d.hint.ClockHash {
		d.heard = now
	}
	d.hint = h
	if !d.dot.Valid() && h.dot() != d.answered.dot() {
		d.dot, d.since = h.dot(), now
	}
}

// asked is what a watch stood at when a pull began.
type asked struct {
	hint DigestHint
	dot  clock.Dot
}

func (d *digestWatch) asked() asked { return asked{d.hint, d.dot} }

// pulled notes a complete pull that began at a; hash is what the peer showed in it, 0
// if nothing.
func (d *digestWatch) pulled(a asked, hash uint64) {
	d.answered, d.answeredHash = a.hint, hash
	if d.dot == a.dot {
		d.dot = clock.Dot{}
	}
}

// judge reports whether to pull now, and if not, when to look again: zero = not before
// another hint comes.
func (d *digestWatch) judge(now time.Time, mine clock.Clock) (bool, time.Time) {
	if d.heard.IsZero() {
		return false, time.Time{}
	}
	if mine.Contains(d.dot) {
		d.dot = clock.Dot{}
		if h := d.hint.dot(); h.Valid() && !mine.Contains(h) && h != d.answered.dot() {
			d.dot, d.since = h, now
		}
	}
	var at time.Time
	if d.dot.Valid() {
		at = d.since.Add(digestAge)
	}
	if h := d.hint.ClockHash; h != d.answered.ClockHash && h != d.answeredHash && h != mine.Hash() {
		if by := d.heard.Add(digestAge); at.IsZero() || by.Before(at) {
			at = by
		}
	}
	if at.IsZero() {
		return false, time.Time{}
	}
	if next := d.last.Add(digestInterval); !d.last.IsZero() && next.After(at) {
		at = next
	}
	if now.Before(at) {
		return false, at
	}
	d.last = now
	return true, time.Time{}
}
