package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// A snapshot that is taken while rows are written is a store of its own, of one moment.
func TestSnapshotFileUnderWrites(t *testing.T) {
	s := storagetest.Open(t)
	put(t, s, key("first"), doc("ns", "first", "v"))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				put(t, s, key(fmt.Sprint(i%50)), doc("ns", fmt.Sprint(i%50), strings.Repeat("v", 1000)))
			}
		}
	}()
	for range 5 {
		f, size, closeFile, err := s.SnapshotFile(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "new")
		found, err := storage.Install(t.Context(), dir, func(w io.Writer) error {
			n, err := io.Copy(w, f)
			if n != size {
				t.Errorf("%d bytes, want %d", n, size)
			}
			return err
		})
		if err != nil || len(found) > 0 {
			t.Fatal(found, err)
		}
		if err := closeFile(); err != nil {
			t.Error(err)
		}
		c := storagetest.Open(t, storagetest.Dir(dir))
		if !s.Clock().Covers(c.Clock()) || c.Clock().Empty() {
			t.Errorf("the copy has %v", c.Clock())
		}
		before := s.Origin()
		put(t, c, key("new"), doc("ns", "new", "v"))
		if c.Origin() == before {
			t.Error("the copy goes on under the origin of the store")
		}
	}
	close(stop)
	<-done
}

func TestSnapshotFileNeedsRoom(t *testing.T) {
	dir := t.TempDir()
	s := storagetest.Open(t, storagetest.Dir(dir), func(c *storage.Config) {
		c.MinFree, c.Free = 1<<20, func(string) (uint64, error) { return 1<<20 + 1000, nil }
	})
	if _, _, _, err := s.SnapshotFile(io.Discard); !errors.Is(err, memory.ErrNoSpace) {
		t.Error(err)
	}
	if n := names(t, dir); strings.Contains(n, "unfinished") {
		t.Error(n)
	}
}

// Install is all or nothing.
func TestInstall(t *testing.T) {
	good := filled(t, 100)
	bytes, err := os.ReadFile(filepath.Join(good, storage.DataFile))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	fill := func(b []byte, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			if _, err := w.Write(b); err != nil {
				return err
			}
			return err
		}
	}
	damaged := append([]byte(nil), bytes...)
	page := os.Getpagesize()
	for i := 2 * page; i < 20*page; i++ {
		damaged[i] ^= 0xff
	}
	for name, c := range map[string]struct {
		fill func(io.Writer) error
		want error
	}{
		"cut short": {fill(bytes[:20*page], nil), storage.ErrDamaged},
		"damaged":   {fill(damaged, nil), storage.ErrDamaged},
		"nothing":   {fill(nil, nil), storage.ErrDamaged},
		"no store":  {fill([]byte(strings.Repeat("text\n", 9999)), nil), storage.ErrForeign},
		"failed":    {fill(bytes, broken), broken},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			for _, dir := range []string{base, filepath.Join(base, "new")} {
				if found, err := storage.Install(t.Context(), dir, c.fill); !errors.Is(err, c.want) && len(found) == 0 {
					t.Errorf("%v, %v", found, err)
				}
				if n := names(t, base); n != "" {
					t.Errorf("left behind: %s", n)
				}
			}
		})
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "unfinished-1"), 0o700); err != nil { // of a restore that was killed
		t.Fatal(err)
	}
	if found, err := storage.Install(t.Context(), dir, fill(bytes, nil)); err != nil || len(found) > 0 {
		t.Fatal(found, err)
	}
	if n := names(t, dir); n != storage.DataFile+" "+storage.MarkerFile {
		t.Error(n)
	}
	if _, err := storage.Install(t.Context(), dir, fill(bytes, nil)); !errors.Is(err, os.ErrExist) {
		t.Errorf("into a store: %v", err)
	}
	storagetest.Open(t, storagetest.Dir(dir), synced)
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	s := storagetest.Open(t, storagetest.Dir(dir), synced)
	for i := range 300 {
		if err := s.Submit(storage.Op{Fn: func(tx *storage.Tx) error {
			_, err := tx.Put(key(fmt.Sprint(i)), doc("ns", fmt.Sprint(i), strings.Repeat("v", 20000)), storage.PutOptions{})
			return err
		}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 299 {
		del(t, s, key(fmt.Sprint(i)))
	}
	digest := s.Digest()
	if _, _, _, err := storage.Compact(t.Context(), dir); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("of an open store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, after, found, err := storage.Compact(t.Context(), dir)
	if err != nil || len(found) > 0 || after*4 > before {
		t.Fatalf("%d bytes, before %d: %v %v", after, before, found, err)
	}
	if n := names(t, dir); n != storage.DataFile+" "+storage.MarkerFile {
		t.Error(n)
	}
	s = storagetest.Open(t, storagetest.Dir(dir), synced)
	if s.Digest() != digest {
		t.Error("another digest")
	}
	put(t, s, key("after"), doc("ns", "after", "v"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// What cannot be read is not made smaller, and stays as it is.
	if err := os.Truncate(filepath.Join(dir, storage.DataFile), after/2); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := storage.Compact(context.Background(), dir); !errors.Is(err, storage.ErrDamaged) {
		t.Error(err)
	}
}
