package storage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

var background = context.Background()

func waitClock() clock.Clock { return clock.Of(clock.Dot{Origin: 1, Counter: 1}) }

func TestQueueIsBounded(t *testing.T) {
	s := storagetest.Open(t, func(c *storage.Config) { c.Queue, c.QueueBytes = 3, 1000 })
	ran := 0
	op := storage.Op{Fn: func(*storage.Tx) error { ran++; return nil }}
	for range 3 {
		if err := s.Submit(op); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Submit(op); !errors.Is(err, storage.ErrBusy) || !errors.Is(err, memory.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	var got error
	s.SubmitApply(storage.Batch{}, func(_ storage.Applied, err error) { got = err })
	if !errors.Is(got, storage.ErrBusy) {
		t.Errorf("error %v", got)
	}
	if n, err := s.Step(); n != 3 || ran != 3 || err != nil {
		t.Errorf("%d, %d, %v", n, ran, err)
	}

	// Bytes count as well, but one batch always fits.
	row := func(n uint64) storage.Batch {
		v := memory.Version{Dot: clock.Dot{Origin: 7, Counter: n}, Stamp: 1, Value: doc("ns", "t", fmt.Sprintf("%900d", n))}
		return storage.Batch{Push: true, Rows: [][]byte{memory.Record{Key: key(fmt.Sprint(n)), Versions: []memory.Version{v}}.Append(nil)}}
	}
	var errs []error
	done := func(_ storage.Applied, err error) { errs = append(errs, err) }
	s.SubmitApply(row(1), done)
	s.SubmitApply(row(2), done)
	if len(errs) != 1 || !errors.Is(errs[0], storage.ErrBusy) {
		t.Errorf("errors %v", errs)
	}
	s.Step()
	if len(errs) != 2 || errs[1] != nil {
		t.Errorf("errors %v", errs)
	}
}

// Live writes do not wait behind a backlog of pulled pages, which have half of the
// transactions while somebody waits, no more and no less.
func TestPullsTakeTurns(t *testing.T) {
	src := storagetest.Open(t)
	for i := range 10 {
		put(t, src, key(fmt.Sprint(i)), doc("ns", fmt.Sprint(i), "v"))
	}
	p := since(t, src, storage.SinceRequest{})
	s := storagetest.Open(t)
	pulled := 0
	for _, raw := range p.Rows {
		s.SubmitApply(storage.Batch{Rows: [][]byte{raw}}, func(storage.Applied, error) { pulled++ })
	}
	written := 0
	write := func(n int) {
		for range n {
			s.Submit(storage.Op{Fn: func(*storage.Tx) error { return nil }, Done: func(storage.Result, error) { written++ }})
		}
	}
	for i, want := range []int{1, 1, 2, 2, 3} {
		write(5)
		s.Step()
		if written != 5*(i+1) || pulled != want {
			t.Errorf("step %d: %d written, %d pulled", i+1, written, pulled)
		}
	}
	s.Step() // nobody waits: the rest at once
	if pulled != 10 {
		t.Errorf("%d pulled", pulled)
	}
	same(t, src, s)
}

// More live writes than a transaction takes do not keep a page from its turn.
func TestPullsAreNotStarved(t *testing.T) {
	src := storagetest.Open(t)
	put(t, src, key("pulled"), doc("ns", "pulled", "v"))
	s := storagetest.Open(t)
	write := func() {
		for i := range 3000 {
			s.Submit(storage.Op{Fn: func(tx *storage.Tx) error {
				_, err := tx.Put(key(fmt.Sprint(i)), doc("ns", fmt.Sprint(i), strings.Repeat("v", 4000)), storage.PutOptions{})
				return err
			}})
		}
	}
	write()
	s.Step() // does not finish them, and makes them wait
	pulled := false
	s.SubmitApply(storage.Batch{Rows: since(t, src, storage.SinceRequest{}).Rows}, func(storage.Applied, error) { pulled = true })
	s.Step()
	if !pulled {
		t.Error("the page waits")
	}
	s.Step()
	s.Step()
}

func TestNoSpace(t *testing.T) {
	var free uint64 = 1 << 30
	var rows []storage.StagedRow
	src := storagetest.Open(t, recorded(&rows))
	put(t, src, key("x"), doc("ns", "x", "x"))
	s := storagetest.Open(t, func(c *storage.Config) {
		c.MinFree = 1 << 20
		c.Free = func(string) (uint64, error) { return free, nil }
	})
	put(t, s, key("a"), doc("ns", "a", "a"))
	digest := s.Digest()
	free = 1 << 20
	_, err := storagetest.Commit(t, s, func(tx *storage.Tx) error { t.Error("ran"); return nil })
	if !errors.Is(err, memory.ErrNoSpace) {
		t.Errorf("write: %v", err)
	}
	_, err = storagetest.Apply(t, s, storage.Batch{Rows: [][]byte{rows[0].Raw}, Push: true})
	if !errors.Is(err, memory.ErrNoSpace) {
		t.Errorf("apply: %v", err)
	}
	if content(t, s, key("a")) != "a" || s.Digest() != digest || s.Err() != nil {
		t.Error("reads do not go on")
	}
	free = 1 << 30
	put(t, s, key("a"), doc("ns", "a", "b"))
	push(t, s, rows...)
}

// Writers that come together share transactions.
func TestGroupCommit(t *testing.T) {
	var commits atomic.Int64
	s := storagetest.Open(t, func(c *storage.Config) {
		c.Fail = func(point string) error {
			if point == "before-commit" {
				commits.Add(1)
				time.Sleep(time.Millisecond) // a disk
			}
			return nil
		}
	})
	storagetest.Run(t, s)
	const writers, each = 64, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("%d-%d", w, i)
				res, err := s.Commit(context.Background(), func(tx *storage.Tx) error {
					_, err := tx.Put(key(name), doc("ns", name, name), storage.PutOptions{})
					return err
				})
				if err != nil || len(res.Dots) != 1 || !s.Clock().Contains(res.Dots[0]) {
					t.Errorf("%s: %v, %v", name, res.Dots, err)
				}
			}
		})
	}
	wg.Wait()
	if n := commits.Load(); n > writers*each/8 {
		t.Errorf("%d transactions for %d writes", n, writers*each)
	}
	if s.Issued() != writers*each {
		t.Errorf("issued %d", s.Issued())
	}
}

func TestCommitGivenUpInTime(t *testing.T) {
	s := storagetest.Open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Commit(ctx, func(*storage.Tx) error { t.Error("ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := s.Step(); err != nil {
		t.Fatal(err)
	}
}

// What was accepted is committed when Run is told to end.
func TestRunDrains(t *testing.T) {
	s := storagetest.Open(t)
	done := 0
	for i := range 5000 {
		err := s.Submit(storage.Op{
			Fn: func(tx *storage.Tx) error {
				_, err := tx.Put(key(fmt.Sprint(i%10)), doc("ns", "t", "v"), storage.PutOptions{})
				return err
			},
			Done: func(_ storage.Result, err error) {
				if err == nil {
					done++
				}
			},
		})
		if i < 4096 != (err == nil) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil || done != 4096 {
		t.Errorf("%d done, %v", done, err)
	}
	if err := s.Submit(storage.Op{}); !errors.Is(err, memory.ErrStopped) {
		t.Errorf("submit after Run: %v", err)
	}
}

func TestWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rows []storage.StagedRow
		src := storagetest.Open(t, recorded(&rows))
		put(t, src, key("a"), doc("ns", "a", "a"))
		put(t, src, key("b"), doc("ns", "b", "b"))
		s := storagetest.Open(t)
		if err := s.WaitFor(t.Context(), clock.Clock{}); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var behind *memory.BehindError
		if err := s.WaitFor(ctx, src.Clock()); !errors.As(err, &behind) || !behind.Missing.Equal(src.Clock()) {
			t.Errorf("error %v", err)
		}
		result := make(chan error, 1)
		go func() { result <- s.WaitFor(t.Context(), src.Clock()) }()
		synctest.Wait()
		push(t, s, rows[1])
		synctest.Wait()
		select {
		case err := <-result:
			t.Errorf("returned early: %v", err)
		default:
		}
		push(t, s, rows[0])
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// Nothing of a transaction is to be seen while its disk still works.
func TestNothingIsVisibleBeforeCommit(t *testing.T) {
	var s *storage.Store
	looked := false
	s = storagetest.Open(t, func(c *storage.Config) {
		c.Fail = func(point string) error {
			if point == "before-commit" {
				looked = true
				if !s.Clock().Empty() || s.Seq() != 0 {
					t.Errorf("clock %s, seq %d", s.Clock(), s.Seq())
				}
				if p, err := s.Since(storage.SinceRequest{}); err != nil || !p.NotModified {
					t.Errorf("since: %+v, %v", p, err)
				}
			}
			return nil
		}
	})
	s.Submit(storage.Op{Fn: func(tx *storage.Tx) error {
		_, err := tx.Put(key("a"), doc("ns", "a", "a"), storage.PutOptions{})
		return err
	}})
	s.Step()
	if !looked || s.Clock().Empty() {
		t.Error("did not commit")
	}
}

func TestClusterIsForGood(t *testing.T) {
	dir := t.TempDir()
	s, err := storagetest.TryOpen(t, storagetest.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	// Written before the cluster was known: indexed under its title all the same.
	put(t, s, derived("ns", "t", 0), doc("ns", "t", "early"))
	byTitle := func() (n int) {
		s.View(func(tx *storage.Tx) error {
			keys, _ := tx.ByTitle("ns", "t")
			n = len(keys)
			return nil
		})
		return n
	}
	if byTitle() != 1 {
		t.Error("not found by title before")
	}
	if err := s.SetCluster(storagetest.Cluster); err != nil {
		t.Fatal(err)
	}
	if byTitle() != 1 {
		t.Error("not found by title after")
	}
	storagetest.Verify(t, s)
	if err := s.SetCluster(memory.ClusterID{9}); !errors.Is(err, storage.ErrCluster) {
		t.Errorf("error %v", err)
	}
	if err := s.SetCluster(storagetest.Cluster); err != nil {
		t.Error(err)
	}
	s.Close()
	if s = storagetest.Open(t, storagetest.Dir(dir)); s.Cluster() != storagetest.Cluster {
		t.Errorf("cluster %s after reopening", s.Cluster())
	}
}

// Commit hears of every way in which a write can be refused.
func TestCommitHearsRefusals(t *testing.T) {
	var full, crash atomic.Bool
	s := storagetest.Open(t, func(c *storage.Config) {
		c.MinFree = 1
		c.Free = func(string) (uint64, error) {
			if full.Load() {
				return 0, nil
			}
			return 1 << 40, nil
		}
		c.Fail = func(string) error {
			if crash.Load() {
				return errCrash
			}
			return nil
		}
	})
	run := make(chan error)
	go func() { run <- s.Run(t.Context()) }()
	commit := func() error {
		_, err := s.Commit(t.Context(), func(tx *storage.Tx) error {
			_, err := tx.Put(key("a"), doc("ns", "a", "a"), storage.PutOptions{})
			return err
		})
		return err
	}
	if err := commit(); err != nil {
		t.Error(err)
	}
	full.Store(true)
	if err := commit(); !errors.Is(err, memory.ErrNoSpace) {
		t.Errorf("full: %v", err)
	}
	full.Store(false)
	crash.Store(true)
	if err := commit(); !errors.Is(err, memory.ErrStopped) {
		t.Errorf("crash: %v", err)
	}
	if err := <-run; !errors.Is(err, errCrash) {
		t.Errorf("run: %v", err)
	}
	if err := commit(); !errors.Is(err, memory.ErrStopped) {
		t.Errorf("after: %v", err)
	}
	if s.Issued() != 2 || s.Clock().Count() != 1 {
		t.Errorf("issued %d, clock %s", s.Issued(), s.Clock())
	}
}

// A transaction is bounded by the bytes that operations turn out to write; the rest keeps
// its turn.
func TestTransactionsAreBounded(t *testing.T) {
	s := storagetest.Open(t)
	var order []int
	for i := range 200 {
		s.Submit(storage.Op{
			Fn: func(tx *storage.Tx) error {
				_, err := tx.Put(key(fmt.Sprint(i)), doc("ns", fmt.Sprint(i), strings.Repeat("x", 60_000)), storage.PutOptions{})
				return err
			},
			Done: func(_ storage.Result, err error) {
				if err != nil {
					t.Error(err)
				}
				order = append(order, i)
			},
		})
	}
	steps := 0
	for len(order) < 200 {
		n, err := s.Step()
		if err != nil || n == 0 || n > 80 {
			t.Fatalf("%d in one transaction, %v", n, err)
		}
		steps++
	}
	if !slices.IsSorted(order) || steps != 3 {
		t.Errorf("%d steps, in order: %v", steps, slices.IsSorted(order))
	}
}
