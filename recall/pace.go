package recall

import (
	"context"
	"time"
)

// Indexing a memory costs a good part of what storing it does, on every node. So that a burst of
// writes is not slowed by it, the index follows at a pace of its own: it gathers changes
// into large batches, and rests between them. A search that waits for it ends both at once.
// The further it is behind, the shorter it rests, so that at a thousand writes a second it
// stays a second or two behind. A burst goes first, which is more than it could follow with
// burstShare of its time: there the batches are the largest, which cost least, and the rests so
// long that it may get burstLag behind.
const (
	// gatherFor is how long a change waits at most for others to be indexed with.
	gatherFor = 100 * time.Millisecond
	// A rest is restTimes as long as the batch before it took, in a burst burstTimes, less the
	// further it is behind, nothing from fewBehind changes on, in a burst from what comes in
	// burstLag.
	restTimes  = 9
	fewBehind  = 2000
	burstTimes = 19
	burstLag   = 15 * time.Second
	// restAtMost it rests outside of a burst.
	restAtMost = time.Second
	burstShare = 0.3
	// From pacedChanges to largeChanges are taken by one batch outside of a burst: a large one
	// costs less, and would hold up requests for as long as it takes.
	pacedChanges = 100
	largeChanges = 500
	// meterFor is how long changes are counted at least to tell how many come.
	meterFor = 250 * time.Millisecond
	// lookAgain is how often a rest looks whether it is still to last.
	lookAgain = 200 * time.Millisecond
)

// behind is how many changes the index has not taken.
func (x *Index) behind() uint64 {
	s := x.Status()
	return s.Last - min(s.Seq, s.Last)
}

// hurries reports whether the index should get on as quickly as it can.
func (x *Index) hurries() bool { return x.Status().Building || x.awaited() }

// batchSize is how many changes the next batch takes at most.
func (x *Index) batchSize() int {
	if x.hurries() || x.load.burst() {
		return batchChanges
	}
	return int(min(max(x.behind()/2, pacedChanges), largeChanges)) // #nosec G115 -- bounded
}

// gather waits for a batch to fill.
func (x *Index) gather(ctx context.Context, seq uint64) {
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	for {
		changed := x.cfg.Feed.Changed()
		if x.awaited() || x.cfg.Feed.Seq() >= seq+pacedChanges {
			return
		}
		select {
		case <-changed:
		case <-x.urge:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// rest lets writes go first after a batch that took so long.
func (x *Index) rest(ctx context.Context, took time.Duration) {
	for began := time.Now(); ; {
		x.load.incoming.tick(time.Now(), x.cfg.Feed.Seq())
		left := x.load.restFor(took, x.behind()) - time.Since(began)
		if left <= 0 || x.hurries() {
			return
		}
		timer := time.NewTimer(min(left, lookAgain))
		select {
		case <-x.urge:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// load is what there is to do for the index. It is of the goroutine that follows the feed.
type load struct {
	incoming meter
	each     time.Duration // that it takes to index one change, about
}

// took notes how long a batch of so many took.
func (l *load) took(d time.Duration, changes int) {
	each := d / time.Duration(changes)
	if l.each > 0 { // it depends on what else the machine does at the moment
		each = (3*l.each + each) / 4
	}
	l.each = each
}

// burst reports whether more comes than is to be followed at once.
func (l *load) burst() bool { return l.incoming.rate*l.each.Seconds() >= burstShare }

// restFor is how long to rest after a batch that took so long, so many changes behind.
func (l *load) restFor(took time.Duration, behind uint64) time.Duration {
	if l.burst() {
		return shorter(burstTimes*took, float64(behind)/(l.incoming.rate*burstLag.Seconds()))
	}
	return min(shorter(restTimes*took, float64(behind)/fewBehind), restAtMost)
}

// shorter is what is left of a time without a share of it.
func shorter(d time.Duration, without float64) time.Duration {
	return time.Duration(float64(d) * max(1-without, 0))
}

// meter tells how many changes a second come in, about.
type meter struct {
	at   time.Time
	seq  uint64
	rate float64
}

// tick takes the seq of the last change at a time. It looks back meterFor at least, since they
// come in batches.
func (m *meter) tick(at time.Time, seq uint64) float64 {
	switch past := at.Sub(m.at); {
	case m.at.IsZero():
		m.at, m.seq = at, seq
	case past >= meterFor:
		m.rate = float64(seq-min(m.seq, seq)) / past.Seconds()
		m.at, m.seq = at, seq
	}
	return m.rate
}

// awaited reports whether somebody waits for the index to get further.
func (x *Index) awaited() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.waiters > 0
}

// await counts one that waits, until done is called.
func (x *Index) await() (done func()) {
	x.mu.Lock()
	x.waiters++
	x.mu.Unlock()
	select {
	case x.urge <- struct{}{}:
	default:
	}
	return func() {
		x.mu.Lock()
		x.waiters--
		x.mu.Unlock()
	}
}
