package recall

import (
	"context"
	"time"
)

// Indexing a memory costs about as much as storing it, on every node. So that a burst of
// writes is not halved by it, the index follows at a pace of its own: it gathers changes
// into large batches, and rests between them. A search that waits for it ends both at once,
// and so does falling too far behind.
const (
	// gatherFor is how long a change waits at most for others to be indexed with.
	gatherFor = 100 * time.Millisecond
	// A rest is restTimes as long as the batch before it took, and restAtMost.
	restTimes  = 9
	restAtMost = 2 * time.Second
	// pacedChanges are taken by one batch while there are rests: a large one would hold up
	// requests for as long as it takes.
	pacedChanges = 100
	// maxBehind changes it rests no more.
	maxBehind = 20_000
)

// hurries reports whether the index should get on as quickly as it can.
func (x *Index) hurries() bool {
	s := x.Status()
	return s.Building || s.Last-min(s.Seq, s.Last) > maxBehind || x.awaited()
}

// batchSize is how many changes the next batch takes at most.
func (x *Index) batchSize() int {
	if x.hurries() {
		return batchChanges
	}
	return pacedChanges
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
	if x.hurries() {
		return
	}
	timer := time.NewTimer(min(restTimes*took, restAtMost))
	defer timer.Stop()
	select {
	case <-x.urge:
	case <-timer.C:
	case <-ctx.Done():
	}
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
