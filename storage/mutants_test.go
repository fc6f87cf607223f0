package storage_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

// Rules that a random schedule of small stores does not touch: each scene is a fault, and
// reports whether the rule held. With the rule's mutant it must not.
func TestScriptedMutants(t *testing.T) {
	for m, holds := range map[mutant.Set]func(t *testing.T, open opener) bool{
		mutant.SkipFailedRow:       failedRowIsNotCovered,
		mutant.AckBeforeFsync:      ackFollowsCommit,
		mutant.PoisonSkip:          poisonIsKept,
		mutant.StripUnknown:        unknownFieldsAreKept,
		mutant.HLCUnbounded:        futureDoesNotDrag,
		mutant.StampFromWall:       successorSortsAbove,
		mutant.FilteredAdvances:    noScopeButAll,
		mutant.WithheldCovered:     withheldIsNotClaimed,
		mutant.CollisionOverwrites: firstBytesStay,
		mutant.OverCapDrops:        raggedClockKeepsItsClaims,
		mutant.EndlessPage:         pagesEnd,
	} {
		for _, on := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s=%t", m, on), func(t *testing.T) {
				got := holds(t, func(options ...func(*storage.Config)) *storage.Store {
					t.Helper()
					cfg := storage.Config{NoSync: true, RecentRows: 3, Dir: t.TempDir(), Now: func() time.Time { return start }}
					if on {
						cfg.Mutants = m
					}
					for _, o := range options {
						o(&cfg)
					}
					s, err := storage.Open(cfg)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { s.Close() })
					return s
				})
				if got == on {
					t.Errorf("the rule holds: %t", got)
				}
			})
		}
	}
}

type opener func(...func(*storage.Config)) *storage.Store

func clean(t *testing.T, s *storage.Store) bool {
	found, err := s.Verify(background)
	if err != nil {
		t.Fatal(err)
	}
	return len(found) == 0
}

func foreign(n uint64, k string, change func(*memory.Version)) storage.StagedRow {
	v := memory.Version{Dot: clock.Dot{Origin: 7, Counter: n}, Stamp: clock.NewStamp(start.UnixMilli(), 0), Value: doc("ns", k, k)}
	if change != nil {
		change(&v)
	}
	return storage.StagedRow{Dot: v.Dot, Raw: memory.Record{Key: key(k), Versions: []memory.Version{v}}.Append(nil)}
}

func failedRowIsNotCovered(t *testing.T, open opener) bool {
	dir := t.TempDir()
	s := open(storagetest.Dir(dir))
	put(t, s, key("k"), doc("ns", "k", "v"))
	s.Close()
	edit(t, filepath.Join(dir, storage.DataFile), func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("rows"))
		k, v := b.Cursor().First()
		bad := append([]byte{}, v...)
		bad[len(bad)-9] ^= 1
		return b.Put(k, bad)
	})
	s = open(storagetest.Dir(dir))
	r := foreign(1, "k", nil)
	a, err := storagetest.Apply(t, s, storage.Batch{Rows: [][]byte{r.Raw}, Covers: clock.Of(r.Dot)})
	if err != nil || a.Failed != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	return !s.Clock().Contains(r.Dot)
}

func ackFollowsCommit(t *testing.T, open opener) bool {
	s := open(func(c *storage.Config) {
		c.Fail = func(p string) error {
			if p == "before-commit" {
				return errCrash
			}
			return nil
		}
	})
	var got error
	s.SubmitApply(storage.Batch{Push: true, Rows: [][]byte{foreign(1, "k", nil).Raw}}, func(_ storage.Applied, err error) { got = err })
	s.Step()
	return errors.Is(got, errCrash)
}

func poisonIsKept(t *testing.T, open opener) bool {
	s := open()
	push(t, s, storage.StagedRow{Raw: broken(t, foreign(1, "poison", nil).Raw, "poison\",\"content")})
	p, err := s.Since(storage.SinceRequest{})
	return err == nil && len(p.Rows) == 1 && clean(t, s)
}

func unknownFieldsAreKept(t *testing.T, open opener) bool {
	s := open()
	r := foreign(1, "k", func(v *memory.Version) { v.Ext = []byte{15 << 3, 1} })
	push(t, s, r)
	p, err := s.Since(storage.SinceRequest{})
	return err == nil && len(p.Rows) == 1 && string(p.Rows[0]) == string(r.Raw)
}

func futureDoesNotDrag(t *testing.T, open opener) bool {
	s := open()
	far := clock.NewStamp(start.Add(time.Hour).UnixMilli(), 0)
	push(t, s, foreign(1, "k", func(v *memory.Version) { v.Stamp = far }))
	put(t, s, key("other"), doc("ns", "o", "o"))
	rec, _, _ := get(t, s, key("other"))
	return rec.MaxStamp() < far
}

func successorSortsAbove(t *testing.T, open opener) bool {
	now := start
	s := open(func(c *storage.Config) { c.Now = func() time.Time { return now } })
	put(t, s, key("k"), doc("ns", "k", "one"))
	rec, _, _ := get(t, s, key("k"))
	before := rec.MaxStamp()
	now = now.Add(-time.Minute)
	put(t, s, key("k"), doc("ns", "k", "two"))
	rec, _, _ = get(t, s, key("k"))
	return rec.MaxStamp() > before
}

func noScopeButAll(t *testing.T, open opener) bool {
	s := open()
	put(t, s, key("a"), doc("a", "a", "a"))
	put(t, s, key("b"), doc("b", "b", "b"))
	p, err := s.Since(storage.SinceRequest{Scope: "ns:a"})
	if err == nil && (len(p.Rows) != 1 || p.Covers.Count() != 2) {
		t.Errorf("%d rows, covers %s", len(p.Rows), p.Covers)
	}
	return errors.Is(err, storage.ErrScope)
}

func firstBytesStay(t *testing.T, open opener) bool {
	s := open()
	push(t, s, foreign(1, "k", nil))
	push(t, s, foreign(1, "k", func(v *memory.Version) { v.Value = doc("ns", "k", "other") }))
	return content(t, s, key("k")) == "k"
}

func raggedClockKeepsItsClaims(t *testing.T, open opener) bool {
	s := open()
	var rows [][]byte
	for n := uint64(1); n <= 1040; n++ {
		rows = append(rows, foreign(2*n, strings.Repeat("x", int(n%7))+fmt.Sprint(n), nil).Raw)
	}
	a, err := storagetest.Apply(t, s, storage.Batch{Push: true, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	return a.Refused == 16 && clean(t, s)
}

func pagesEnd(t *testing.T, open opener) bool {
	s := open()
	for n := range 20 {
		put(t, s, key(fmt.Sprint(n)), doc("ns", fmt.Sprint(n), strings.Repeat("x", 1000)))
	}
	p, err := s.Since(storage.SinceRequest{LimitBytes: 4000})
	if err != nil {
		t.Fatal(err)
	}
	return p.Bytes <= 4000 && !p.Complete
}
