package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// Run is the writer: it waits for work and commits what has gathered, until ctx ends.
// Then it accepts nothing more, commits what was accepted, and returns. It returns an
// error if a commit failed: the store is stopped then, and the process should end.
func (s *Store) Run(ctx context.Context) error {
	for {
		select {
		case <-s.queue.wake:
			if err := s.drain(); err != nil {
				return err
			}
		case <-s.stopped:
			if err := s.Err(); !errors.Is(err, errClosed) {
				return err
			}
			return nil
		case <-ctx.Done():
			s.queue.seal()
			return s.drain()
		}
	}
}

// drain steps until nothing waits.
func (s *Store) drain() error {
	for {
		if _, err := s.Step(); err != nil {
			return err
		}
		if s.queue.len() == 0 {
			return nil
		}
	}
}

// Step commits what waits in one transaction, calls the callbacks and returns how many
// items it took. Run calls it; a simulation calls it instead of Run. The error is the one
// that stopped the store.
func (s *Store) Step() (int, error) {
	s.stepMu.Lock()
	defer s.stepMu.Unlock()
	if err := s.Err(); err != nil {
		s.refuse(s.queue.close(), err)
		return 0, err
	}
	work := s.queue.next()
	s.metrics.queueDepth.Set(float64(s.queue.len()))
	if len(work) == 0 && s.access.pending() < maxPendingReads {
		return 0, nil
	}
	if err := s.checkRoom(work); err != nil {
		s.refuse(work, err)
		return len(work), nil
	}
	n, err := s.transact(work)
	s.queue.putBack(work[n:])
	if err != nil {
		err = s.stop(err)
		s.metrics.stopped.Set(1)
		s.log.Error("the store stopped: what was being written may or may not be on disk, nothing more is served", "err", err)
		s.refuse(work[:n], err)
		s.refuse(s.queue.close(), err)
	}
	return n, err
}

// refuse ends items whose outcome is not known yet with err. What an item had come to in
// a transaction that failed does not count.
func (s *Store) refuse(items []item, err error) {
	for i := range items {
		it := &items[i]
		if it.done || !it.take() {
			continue
		}
		it.res, it.out, it.err = Result{}, Applied{}, err
		it.finish()
	}
}

// checkRoom keeps a full disk from becoming a failed commit, after which nobody knows what
// is on disk. A changed row costs its page and the path to it; four times the bytes and a
// few pages per row is more than that, and a transaction is bounded.
func (s *Store) checkRoom(work []item) error {
	if s.cfg.Free == nil {
		return nil
	}
	need := uint64(1 << 20)
	for i := range work {
		need += uint64(4*work[i].size) + 32<<10
	}
	need = s.cfg.MinFree + min(need, 8*maxTxBytes)
	free, err := s.cfg.Free(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("%w: cannot tell what is free: %w", memory.ErrNoSpace, err)
	}
	if free >= need {
		return nil
	}
	s.metrics.rejected.WithLabelValues("no_space").Inc()
	return fmt.Errorf("%w: %d bytes are free, %d wanted", memory.ErrNoSpace, free, need)
}

// transact runs the work, or as much of it as makes a full transaction, and returns how
// much. An error means that the commit failed or that it is not known what was committed.
func (s *Store) transact(work []item) (n int, err error) {
	w, err := s.begin()
	if err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a transaction: %v", p)
			s.log.Error("panic in a transaction", "panic", p, "stack", stack())
		}
		w.rollback() // nothing after a commit
	}()
	for n < len(work) && w.rowBytes < maxTxBytes {
		n++ // also if it fails
		if err := w.run(&work[n-1]); err != nil {
			return n, err
		}
	}
	work = work[:n]
	if err := w.finish(work); err != nil {
		return n, err
	}
	if s.mutants.Has(mutant.AckBeforeFsync) {
		w.complete(work)
	}
	if err := s.commit(w); err != nil {
		return n, err
	}
	w.complete(work)
	s.announce(w)
	return n, nil
}

// commit makes w durable and visible.
func (s *Store) commit(w *txn) error {
	if !w.changed {
		return nil
	}
	if err := s.fail("before-commit"); err != nil {
		return err
	}
	if s.mutants.Has(mutant.ClockBeforeRows) {
		if err := s.commitClockFirst(w); err != nil {
			return err
		}
	}
	tell, err := w.membersTold()
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	w.fileBytes = w.btx.Size()
	start := time.Now()
	if err := w.btx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	w.btx = nil
	s.metrics.commitSeconds.Observe(time.Since(start).Seconds())
	tell()
	s.snap.Store(w.snapshot())
	w.settle()
	return s.fail("after-commit")
}

func (s *Store) fail(point string) error {
	if s.cfg.Fail == nil {
		return nil
	}
	return s.cfg.Fail(point)
}

// announce wakes those who wait for what w committed.
func (s *Store) announce(w *txn) {
	if !w.changed {
		return
	}
	snap := s.snap.Load()
	s.metrics.batchOps.Observe(float64(w.items))
	s.metrics.batchBytes.Observe(float64(w.rowBytes))
	s.metrics.ops.Add(float64(len(w.staged)))
	s.metrics.intervals.Set(float64(snap.clock.Intervals()))
	s.metrics.quarantined.Set(float64(snap.quarantined.Count()))
	s.metrics.fileBytes.Set(float64(w.fileBytes))
	s.waiters.wake(snap.clock)
	if w.state.seq > w.base.state.seq || w.clockOwned {
		s.mu.Lock()
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	}
}
