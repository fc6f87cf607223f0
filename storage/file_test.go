package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

// synced opens as production does.
func synced(c *storage.Config) { c.NoSync = false }

// filled is a closed store with n rows.
func filled(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := storagetest.Open(t, storagetest.Dir(dir), synced)
	for i := range n {
		err := s.Submit(storage.Op{Fn: func(tx *storage.Tx) error {
			_, err := tx.Put(key(fmt.Sprint(i)), doc("ns", fmt.Sprint(i), strings.Repeat("v", 500)), storage.PutOptions{})
			return err
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		put(t, s, key("last"), doc("ns", "last", "v"))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func overwrite(t *testing.T, path string, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	storagetest.Open(t, storagetest.Dir(dir))
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	info, err = os.Stat(filepath.Join(dir, storage.DataFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestDamagedFiles(t *testing.T) {
	page := int64(os.Getpagesize())
	for name, c := range map[string]struct {
		damage func(t *testing.T, path string)
		want   error
		text   string
	}{
		"zero length": {func(t *testing.T, p string) { os.Truncate(p, 0) }, storage.ErrDamaged, "empty"},
		"missing":     {func(t *testing.T, p string) { os.Remove(p) }, storage.ErrMissing, storage.MarkerFile},
		"truncated": {func(t *testing.T, p string) {
			os.Truncate(p, 20*page)
		}, storage.ErrDamaged, "truncated"},
		"both meta pages": {func(t *testing.T, p string) {
			overwrite(t, p, 20+40, []byte("garbage"))
			overwrite(t, p, page+20+40, []byte("garbage"))
		}, storage.ErrDamaged, "meta"},
		"text file": {func(t *testing.T, p string) { os.WriteFile(p, []byte(strings.Repeat("no database\n", 9999)), 0o600) }, storage.ErrForeign, "magic"},
		"other bbolt file": {func(t *testing.T, p string) {
			os.Remove(p)
			db, err := bolt.Open(p, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("x")); return err })
			db.Close()
		}, storage.ErrForeign, "format"},
		"other format": {func(t *testing.T, p string) {
			edit(t, p, func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("999")) })
		}, storage.ErrFormat, "999"},
		"zeroed pages": {func(t *testing.T, p string) {
			info, _ := os.Stat(p)
			for at := 4 * page; at < min(info.Size(), 200*page); at += page {
				overwrite(t, p, at, make([]byte, page))
			}
		}, storage.ErrDamaged, "page"},
		"clock entry": {func(t *testing.T, p string) {
			edit(t, p, func(tx *bolt.Tx) error {
				b := tx.Bucket([]byte("clock"))
				k, v := b.Cursor().First()
				bad := append([]byte{}, v...)
				bad[len(bad)-2]++ // claims one more
				return b.Put(k, bad)
			})
		}, storage.ErrCorrupt, "clock"},
		"directory": {func(t *testing.T, p string) { os.Remove(p); os.Mkdir(p, 0o700) }, storage.ErrForeign, "regular"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t, 200)
			path := filepath.Join(dir, storage.DataFile)
			c.damage(t, path)
			before, _ := os.ReadFile(path)
			_, err := storage.Open(storage.Config{Dir: dir})
			if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.text)
			}
			after, _ := os.ReadFile(path)
			if string(before) != string(after) {
				t.Error("opening changed the file")
			}
			if _, err := storage.VerifyFile(context.Background(), dir); err == nil {
				t.Error("VerifyFile has nothing to say")
			}
		})
	}
}

// edit changes the file behind the store's back.
func edit(t *testing.T, path string, fn func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(fn); err != nil {
		t.Fatal(err)
	}
}

// bbolt falls back to the older meta page without a word: acked writes are gone. They come
// back by a pull, and no dot is used twice, because a start takes a new origin.
func TestLostMetaPageReusesNoDot(t *testing.T) {
	dir := filled(t, 10)
	path := filepath.Join(dir, storage.DataFile)
	whole := storagetest.Open(t, storagetest.Dir(copyDir(t, dir)))

	page := int64(os.Getpagesize())
	newest := int64(0) // of the two, the one with the greater transaction id
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if txid := func(at int64) byte { return b[at+16+48] }; txid(page) > txid(0) {
		newest = page
	}
	overwrite(t, path, newest+30, []byte("garbage"))

	s := storagetest.Open(t, storagetest.Dir(dir), synced)
	if s.Clock().Covers(whole.Clock()) {
		t.Fatal("nothing was lost: the test proves nothing")
	}
	d := put(t, s, key("new"), doc("ns", "new", "v"))
	if whole.Clock().Max(d.Origin) > 0 {
		t.Errorf("dot %s under a used origin", d)
	}
	storagetest.Pull(t, s, whole, 0)
	storagetest.Pull(t, whole, s, 0)
	same(t, s, whole)
}

func copyDir(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	storagetest.Open(t, storagetest.Dir(dir))
	start := time.Now()
	if _, err := storage.Open(storage.Config{Dir: dir}); !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), "already open") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	if _, err := storage.VerifyFile(context.Background(), dir); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("error %v", err)
	}
}

// A crash while the store was being made leaves a directory that starts anew.
func TestHalfMadeStoreIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, storage.DataFile+".new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := storagetest.Open(t, storagetest.Dir(dir))
	put(t, s, key("a"), doc("ns", "a", "a"))
	s.Close()
	// And one between the store and its marker loses nothing.
	if err := os.Remove(filepath.Join(dir, storage.MarkerFile)); err != nil {
		t.Fatal(err)
	}
	s = storagetest.Open(t, storagetest.Dir(dir))
	if content(t, s, key("a")) != "a" {
		t.Error("lost a row")
	}
	if _, err := os.Stat(filepath.Join(dir, storage.MarkerFile)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, storage.DataFile+".new")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestFlippedBitIsNotServed(t *testing.T) {
	dir := filled(t, 20)
	path := filepath.Join(dir, storage.DataFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(doc("ns", "7", strings.Repeat("v", 500)))
	hits := 0
	for at := 0; ; hits++ {
		i := strings.Index(string(b[at:]), text)
		if i < 0 {
			break
		}
		overwrite(t, path, int64(at+i+100), []byte("w")) // pages of earlier transactions too
		at += i + 1
	}
	if hits == 0 {
		t.Fatal("the row is not in the file")
	}
	s, err := storage.Open(storage.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.View(func(tx *storage.Tx) error { _, _, _, err := tx.Get(key("7")); return err })
	var corrupt *storage.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Key != key("7") || !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("error %v", err)
	}
	p, err := s.Since(storage.SinceRequest{})
	if err != nil || p.Complete || len(p.Rows) != 20 || p.Covers.Count() != s.Clock().Count()-1 {
		t.Errorf("since: %d rows, complete %v, covers %s, %v", len(p.Rows), p.Complete, p.Covers, err)
	}
	_, err = storagetest.Commit(t, s, func(tx *storage.Tx) error {
		_, err := tx.Put(key("7"), doc("ns", "7", "new"), storage.PutOptions{})
		return err
	})
	if !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("write over a corrupt row: %v", err)
	}
	found, err := s.Verify(context.Background())
	if err != nil || len(found) == 0 || found[0].Key != key("7") {
		t.Errorf("verify: %v, %v", found, err)
	}
	s.Close()
	if found, err = storage.VerifyFile(context.Background(), dir); err != nil || len(found) == 0 {
		t.Errorf("verify file: %v, %v", found, err)
	}
}

func TestVerifyFileOfGoodStore(t *testing.T) {
	dir := filled(t, 100)
	found, err := storage.VerifyFile(context.Background(), dir)
	if err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// Every derived bucket is checked in both directions.
func TestVerifyFindsWhatWasTamperedWith(t *testing.T) {
	bucket := func(tx *bolt.Tx, name string) *bolt.Bucket { return tx.Bucket([]byte(name)) }
	for _, name := range []string{"dots", "keys", "order", "tags", "titles", "links", "archived", "counts", "idem", "rows", "clock"} {
		for what, change := range map[string]func(b *bolt.Bucket) error{
			"removed": func(b *bolt.Bucket) error { k, _ := b.Cursor().First(); return b.Delete(k) },
			"added": func(b *bolt.Bucket) error {
				k, v := b.Cursor().Last()
				k = append([]byte{}, k...)
				k[len(k)-1]++
				return b.Put(k, append([]byte{}, v...))
			},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				dir := t.TempDir()
				s := storagetest.Open(t, storagetest.Dir(dir))
				put(t, s, key("a"), doc("ns", "a", "a", tagged("x", "y")), storage.PutOptions{Idem: [16]byte{1}})
				for i := range 8 { // so that some are in the keys bucket alone
					put(t, s, key(fmt.Sprint("many", i)), doc("ns", fmt.Sprint("many", i), "a"))
				}
				put(t, s, key("b"), doc("ns", "b", "b", tagged("x")), storage.PutOptions{Idem: [16]byte{2}})
				put(t, s, key("b"), doc("ns", "b", "c", tagged("x")))
				link := linked("a", "b")
				put(t, s, link.Key(), link.Encode())
				putAside(t, s, "c", start, doc("ns", "c", "c"))
				s.Close()
				edit(t, filepath.Join(dir, storage.DataFile), func(tx *bolt.Tx) error { return change(bucket(tx, name)) })
				found, err := storage.VerifyFile(context.Background(), dir)
				if len(found) == 0 && err == nil {
					t.Error("nothing found")
				}
			})
		}
	}
}
