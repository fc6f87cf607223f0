package storage

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/memd/memd/clock"
)

// Op is one local operation. Its callbacks run on the writer and must not block.
type Op struct {
	// Fn decides, inside the transaction: it reads through tx, then calls Put and Delete.
	// Several of them stand or fall together. An error leaves nothing of this Op behind
	// and is handed to Done; other operations of the transaction are not touched. Fn must
	// not keep tx.
	Fn func(*Tx) error
	// Staged is called when the writes are in the transaction, before it is synced, and
	// before Config.Staged gets the rows. Not called if Fn failed.
	Staged func(Result)
	// Done is called once, after the outcome is known: nil when it is durable.
	Done func(Result, error)
}

// Result is what an Op wrote: nothing if Fn only read.
type Result struct {
	Dots []clock.Dot
	Rows [][]byte // per dot the record as the Op left it, encoded; not to be changed
}

// item is one entry of the queue: a local operation or rows from elsewhere.
type item struct {
	op    Op
	apply *incoming
	state *atomic.Int32 // nil, or itemWaiting and on
	size  int64

	// The outcome, set by the writer.
	res  Result
	out  Applied
	err  error
	done bool // its submitter has been told
}

// Life of an item that its submitter may give up.
const (
	itemWaiting = iota
	itemTaken
	itemDropped
)

// take claims the item for the writer; false if it was given up before. The writer may
// take it again.
func (it *item) take() bool {
	return it.state == nil || it.state.CompareAndSwap(itemWaiting, itemTaken) || it.state.Load() == itemTaken
}

// queue holds what waits for the writer. Pulled pages wait apart from local operations
// and pushes, because a live write must not wait behind a backlog.
type queue struct {
	maxItems int
	maxBytes int64
	wake     chan struct{} // one token: there may be work

	mu     sync.Mutex
	fore   []item // local operations and pushes, in order of arrival
	pulls  []item
	bytes  int64
	paged  bool // the last transaction had a pulled page, and others waited
	closed bool
}

// Bounds of one transaction. A commit of this size takes some tens of milliseconds, which
// is what one more waiter may have to wait.
const (
	maxTxItems = 2048
	maxTxBytes = 4 << 20
)

func newQueue(items int, bytes int64) *queue {
	return &queue{maxItems: items, maxBytes: bytes, wake: make(chan struct{}, 1)}
}

// push adds it; ErrBusy if there is no room, errClosed if nobody will take it any more.
func (q *queue) push(it item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	pulled := it.apply != nil && !it.apply.push
	switch {
	case q.closed:
		return errClosed
	case len(q.fore)+len(q.pulls) >= q.maxItems, q.bytes > 0 && q.bytes+it.size > q.maxBytes:
		return ErrBusy
	case pulled:
		q.pulls = append(q.pulls, it)
	default:
		q.fore = append(q.fore, it)
	}
	q.bytes += it.size
	q.poke()
	return nil
}

// poke lets a waiting writer look.
func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next takes the work of one transaction. While something waits in the foreground every
// other one begins with a pulled page, so that pulls take half of the transactions at most,
// and no less (replication.md B10). With an idle foreground pulled pages share them all.
func (q *queue) next() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	var bytes int64
	alone := len(q.fore) == 0
	p := 0
	for p < len(q.pulls) && (alone || !q.paged && p == 0) && (p == 0 || bytes+q.pulls[p].size <= maxTxBytes) {
		bytes += q.pulls[p].size
		p++
	}
	q.paged = p > 0 && !alone
	n := 0
	for n < len(q.fore) && n < maxTxItems && (n == 0 || bytes+q.fore[n].size <= maxTxBytes) {
		bytes += q.fore[n].size
		n++
	}
	work := append(make([]item, 0, n+p), q.pulls[:p]...)
	work = append(work, q.fore[:n]...)
	q.fore, q.pulls = drop(q.fore, n), drop(q.pulls, p)
	q.bytes -= bytes
	return work
}

// putBack returns what did not fit, to the head of the queue.
func (q *queue) putBack(items []item) {
	if len(items) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	p := 0
	for p < len(items) && items[p].apply != nil && !items[p].apply.push {
		p++
	}
	q.pulls = slices.Insert(q.pulls, 0, items[:p]...)
	q.fore = slices.Insert(q.fore, 0, items[p:]...)
	for i := range items {
		q.bytes += items[i].size
	}
	q.poke()
}

// drop removes the first n items and keeps the storage, without the references in it.
func drop(items []item, n int) []item {
	rest := copy(items, items[n:])
	clear(items[rest:])
	return items[:rest]
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.fore) + len(q.pulls)
}

// seal lets nothing more in; close also hands back what waits.
func (q *queue) seal() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func (q *queue) close() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	left := append(q.fore, q.pulls...)
	q.fore, q.pulls, q.bytes = nil, nil, 0
	return left
}

// finish tells the submitter the outcome, once.
func (it *item) finish() {
	if it.done {
		return
	}
	it.done = true
	switch {
	case it.apply != nil:
		if it.apply.done != nil {
			it.apply.done(it.out, it.err)
		}
	case it.op.Done != nil:
		it.op.Done(it.res, it.err)
	}
}

// Submit queues op for the next transaction. An error means that it was not queued and
// none of its callbacks will run: ErrBusy or memory.ErrStopped.
func (s *Store) Submit(op Op) error { return s.enqueue(item{op: op}) }

func (s *Store) enqueue(it item) error {
	err := s.queue.push(it)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrBusy):
		s.metrics.rejected.WithLabelValues("busy").Inc()
		return err
	}
	if failure := s.Err(); failure != nil {
		return failure
	}
	return stopped(err)
}

// Commit runs fn in the next transaction and returns when it is durable. If ctx ends
// before the writer took it up, nothing is done and the error is ctx's; after that the
// outcome is waited for. Run must be running.
func (s *Store) Commit(ctx context.Context, fn func(*Tx) error) (Result, error) {
	type outcome struct {
		res Result
		err error
	}
	done := make(chan outcome, 1)
	it := item{op: Op{Fn: fn, Done: func(r Result, err error) { done <- outcome{r, err} }}, state: new(atomic.Int32)}
	if err := s.enqueue(it); err != nil {
		return Result{}, err
	}
	select {
	case o := <-done:
		return o.res, o.err
	case <-ctx.Done():
		if it.state.CompareAndSwap(itemWaiting, itemDropped) {
			return Result{}, ctx.Err()
		}
		o := <-done
		return o.res, o.err
	}
}
