package recall

import (
	"context"
	"time"
)

// Indexing a memory costs about as much as storing it, on every node. So that a burst of
// writes is not halved by it, the index follows at a pace of its own: it gathers changes
// into large batches, and rests between them. A search that waits for it ends both at once.
// The further it is behind, the shorter it rests, so that at a thousand writes a second it
// stays a second or two behind. A burst of more goes first: there the rests stay long, until
// the index is too far behind.
const (
	// gatherFor is how long a change waits at most for others to be indexed with.
	gatherFor = 100 * time.Millisecond
	// A rest is restTimes as long as the batch before it took, less the further it is
	// behind, nothing from fewBehind changes on; and restAtMost.
	restTimes  = 9
	fewBehind  = 2000
	restAtMost = time.Second
	// burst is from how many changes a second on that does not hold.
	burst = 1500
	// pacedChanges are taken by one batch if it is not behind: a large one costs less, and
	// would hold up requests for as long as it takes.
	pacedChanges = 100
	// maxBehind changes it rests no more.
	maxBehind = 20_000
)

// behind is how many changes the index has not taken.
func (x *Index) behind() uint64 {
	s := x.Status()
	return s.Last - min(s.Seq, s.Last)
}

// hurries reports whether the index should get on as quickly as it can.
func (x *Index) hurries() bool {
	return x.Status().Building || x.behind() > maxBehind || x.awaited()
}

// batchSize is how many changes the next batch takes at most.
func (x *Index) batchSize() int {
	switch {
	case x.hurries():
		return batchChanges
	case x.incoming.rate >= burst:
		return pacedChanges
	}
	return min(max(int(min(x.behind(), fewBehind))/4, pacedChanges), batchChanges)
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
func (x *Index) rest(ctx context.Context, took time.Duration, rate float64) {
	if x.hurries() {
		return
	}
	timer := time.NewTimer(restFor(took, x.behind(), rate))
	defer timer.Stop()
	select {
	case <-x.urge:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// restFor is how long to rest after a batch that took so long, so many changes behind, when
// so many come in a second.
func restFor(took time.Duration, behind uint64, rate float64) time.Duration {
	if rate >= burst {
		behind = 0
	}
	less := restTimes * took * time.Duration(min(behind, fewBehind)) / fewBehind // #nosec G115 -- bounded
	return min(restTimes*took-less, restAtMost)
}

// meter tells how many changes a second come in, about.
type meter struct {
	at   time.Time
	seq  uint64
	rate float64
}

// tick takes the seq of the last change at a time. It looks back a second at least, since
// they come in batches.
func (m *meter) tick(at time.Time, seq uint64) float64 {
	switch past := at.Sub(m.at); {
	case m.at.IsZero():
		m.at, m.seq = at, seq
	case past >= time.Second:
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
