// Package storagetest opens stores in tests and, when the test ends, fails it for anything
// that Verify finds.
package storagetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// Cluster is the cluster that Open joins stores to.
var Cluster = memory.ClusterID{0xc1}

// Open opens a store in a directory of the test's own, without fsync, as a member of
// Cluster. Options change the Config before. At the end of the test the store is verified
// and closed, unless it has been closed or has failed, which is then the test's business.
func Open(t testing.TB, options ...func(*storage.Config)) *storage.Store {
	t.Helper()
	s, err := TryOpen(t, options...)
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	if s.Cluster().IsZero() {
		if err := s.SetCluster(Cluster); err != nil {
			t.Fatalf("set cluster: %v", err)
		}
	}
	return s
}

// TryOpen is Open that hands back the error and joins no cluster.
func TryOpen(t testing.TB, options ...func(*storage.Config)) (*storage.Store, error) {
	t.Helper()
	cfg := storage.Config{NoSync: true}
	if _, measured := t.(*testing.B); !measured {
		cfg.RecentRows = 3 // the keys of rows reach the file at once, and never all of them
	}
	for _, o := range options {
		o(&cfg)
	}
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := storage.Open(cfg)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		t.Helper()
		if s.Err() == nil {
			Verify(t, s)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s, nil
}

// Dir keeps the store in dir.
func Dir(dir string) func(*storage.Config) { return func(c *storage.Config) { c.Dir = dir } }

// Run runs the store's writer until the test ends.
func Run(t testing.TB, s *storage.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("writer: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// Verify fails the test for each finding.
func Verify(t testing.TB, s *storage.Store) {
	t.Helper()
	found, err := s.Verify(context.Background())
	if err != nil {
		t.Errorf("verify: %v", err)
	}
	for _, f := range found {
		t.Errorf("verify: %s", f)
	}
}

// Commit runs fn as one operation and steps until it is done. No writer may be running.
func Commit(t testing.TB, s *storage.Store, fn func(*storage.Tx) error) (res storage.Result, err error) {
	t.Helper()
	done := false
	err = s.Submit(storage.Op{Fn: fn, Done: func(r storage.Result, e error) { res, err, done = r, e, true }})
	for err == nil && !done {
		if _, stepErr := s.Step(); stepErr != nil && !done {
			return res, stepErr
		}
	}
	return res, err
}

// Apply applies b and steps until it is done. No writer may be running.
func Apply(t testing.TB, s *storage.Store, b storage.Batch) (a storage.Applied, err error) {
	t.Helper()
	done := false
	s.SubmitApply(b, func(got storage.Applied, e error) { a, err, done = got, e, true })
	for !done {
		if _, stepErr := s.Step(); stepErr != nil && !done {
			return a, stepErr
		}
	}
	return a, err
}

// Pull brings to what it lacks of from, page by page, and returns how many rows that took.
func Pull(t testing.TB, to, from *storage.Store, limit int) (rows int) {
	t.Helper()
	for range 100_000 {
		p, err := from.Since(storage.SinceRequest{Cursor: to.Clock(), LimitBytes: limit})
		if err != nil {
			t.Fatalf("since: %v", err)
		}
		if p.NotModified {
			return rows
		}
		rows += len(p.Rows)
		a, err := Apply(t, to, storage.Batch{From: "peer", Rows: p.Rows, Floor: p.Floor, Covers: p.Covers, Clock: p.Clock})
		if err != nil {
			t.Fatalf("apply: %v", err)
		}
		if a.NewDots == 0 {
			t.Fatalf("a page brought no dot: %d rows, complete %v", len(p.Rows), p.Complete)
		}
	}
	t.Fatal("a pull does not end")
	return rows
}

// Dump writes every record with siblings and context, one line each: equal on stores that
// hold the same.
func Dump(t testing.TB, s *storage.Store) string {
	t.Helper()
	var b strings.Builder
	err := s.View(func(tx *storage.Tx) error {
		for rec, err := range tx.Records() {
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s ctx %s", rec.Key, rec.Context)
			for i := range rec.Versions {
				v := &rec.Versions[i]
				fmt.Fprintf(&b, " [%s %s %q deleted=%t]", v.Dot, v.Sum(rec.Key), v.Value, v.Deleted)
			}
			b.WriteByte('\n')
		}
		return nil
	})
	if err != nil {
		t.Fatalf("dump: %v", err)
	}
	return b.String()
}
