package storage_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

// The key index in RAM and in the file, in every state that few rows at a time can bring
// it to, is a map: for the writer, for a reader, for a reader whose transaction has seen
// many others go by, and after a start.
func TestRecentKeysMatchAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := filepath.Join(memDir(t), "s")
		rows := rapid.IntRange(1, 9).Draw(rt, "recent rows")
		// Synced, because a store in a test that is not would have to wait for its own reader
		// when the file grows.
		open := func() *storage.Store {
			s, err := storage.Open(storage.Config{Dir: dir, RecentRows: rows, MinFree: 1})
			if err != nil {
				rt.Fatal(err)
			}
			return s
		}
		s := open()
		defer func() {
			s.Close()
			if err := os.RemoveAll(dir); err != nil {
				rt.Error(err)
			}
		}()
		model := map[memory.Key]string{}
		drawKey := rapid.Custom(func(rt *rapid.T) memory.Key {
			n := rapid.IntRange(0, 24).Draw(rt, "key")
			if n < 12 {
				return key(fmt.Sprint("k", n))
			}
			return derived("ns", fmt.Sprint("t", n), 0)
		})
		write := func(rt *rapid.T) {
			for range rapid.IntRange(1, 4).Draw(rt, "rows") {
				k, text := drawKey.Draw(rt, "k"), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(rt, "text")
				model[k] = text
				s.Submit(storage.Op{Fn: func(tx *storage.Tx) error {
					_, err := tx.Put(k, doc("ns", "t", text), storage.PutOptions{})
					return err
				}})
			}
			if _, err := s.Step(); err != nil {
				rt.Fatal(err)
			}
		}
		check := func(tx *storage.Tx, want map[memory.Key]string) error {
			for k, text := range want {
				if got, err := contentIn(tx, k); err != nil || got != text {
					return fmt.Errorf("%s is %q, want %q: %w", k, got, text, err)
				}
				if got, err := tx.ResolvePrefix(k.Kind(), k.ID()[:len(k.ID())-1]); err != nil && !errors.As(err, new(*memory.AmbiguousError)) || err == nil && want[got] == "" {
					return fmt.Errorf("prefix of %s resolves to %s: %w", k, got, err)
				}
			}
			var order []memory.Key
			for rec, err := range tx.Records() {
				if err != nil {
					return err
				}
				order = append(order, rec.Key)
			}
			if sorted := slices.Sorted(maps.Keys(want)); !slices.Equal(order, sorted) {
				return fmt.Errorf("records are %v, want %v", order, sorted)
			}
			return nil
		}
		rt.Repeat(map[string]func(*rapid.T){
			"write":  write,
			"reopen": func(*rapid.T) { s.Close(); s = open() },
			"read while others write": func(rt *rapid.T) {
				want := maps.Clone(model)
				err := s.View(func(tx *storage.Tx) error {
					if rapid.Bool().Draw(rt, "looks first") {
						if err := check(tx, want); err != nil {
							return err
						}
					}
					for range rapid.IntRange(0, 8).Draw(rt, "transactions") {
						write(rt)
					}
					return check(tx, want)
				})
				if err != nil {
					rt.Fatalf("in the old transaction: %v", err)
				}
			},
			"": func(rt *rapid.T) {
				if err := s.View(func(tx *storage.Tx) error { return check(tx, model) }); err != nil {
					rt.Fatal(err)
				}
				if found, err := s.Verify(background); err != nil || len(found) > 0 {
					rt.Fatalf("verify: %v, %v", found, err)
				}
			},
		})
	})
}

// Every transaction gives all keys one number, so a reader must see one number, and none
// that is older than what it saw before. Run with -race.
func TestReadersMeetMovingKeys(t *testing.T) {
	s := storagetest.Open(t, func(c *storage.Config) { c.NoSync, c.RecentRows = false, 5 })
	storagetest.Run(t, s)
	all := make([]memory.Key, 7)
	for i := range all {
		all[i] = key(fmt.Sprint("k", i))
	}
	number := func(n int) {
		_, err := s.Commit(background, func(tx *storage.Tx) error {
			for _, k := range all {
				if _, err := tx.Put(k, doc("ns", string(k), strconv.Itoa(n)), storage.PutOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	number(0)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for seen := 0; ctx.Err() == nil; {
				err := s.View(func(tx *storage.Tx) error {
					for i, k := range all {
						text, err := contentIn(tx, k)
						n, bad := strconv.Atoi(text)
						if err != nil || bad != nil || n < seen || i > 0 && n != seen {
							return fmt.Errorf("key %d is %q after %d: %w", i, text, seen, err)
						}
						seen = n
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 300 {
		number(n + 1)
	}
	stop()
	readers.Wait()
}

// A row that the start cannot read is not a memory that never was, also if nothing but the
// row knew its key.
func TestDamagedRecentRowIsFound(t *testing.T) {
	dir := t.TempDir()
	s := storagetest.Open(t, storagetest.Dir(dir))
	for i := range 9 {
		put(t, s, key(fmt.Sprint(i)), doc("ns", fmt.Sprint(i), "v"))
	}
	s.Close()
	edit(t, filepath.Join(dir, storage.DataFile), func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("rows"))
		k, v := b.Cursor().Last()
		bad := slices.Clone(v)
		bad[len(bad)-9] ^= 1
		return b.Put(k, bad)
	})
	s, err := storage.Open(storage.Config{Dir: dir, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 9 {
		err := s.View(func(tx *storage.Tx) error { _, err := contentIn(tx, key(fmt.Sprint(i))); return err })
		if damaged := i == 8; errors.Is(err, storage.ErrCorrupt) != damaged {
			t.Errorf("memory %d: %v", i, err)
		}
	}
	if found, err := s.Verify(background); err != nil || len(found) == 0 {
		t.Errorf("verify: %v, %v", found, err)
	}
}

// contentIn is the text of a memory, in a transaction.
func contentIn(tx *storage.Tx, k memory.Key) (string, error) {
	rec, _, found, err := tx.Get(k)
	if err != nil || !found {
		return "", err
	}
	m, err := memory.DecodeMemory(k, rec.View().Winner.Value)
	return m.Content, err
}
