package storage_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

func linked(source, target string) memory.Link {
	return memory.Link{SourceID: source, TargetID: target, Relation: memory.DefaultRelation, CreatedAt: start}
}

func putAside(t testing.TB, s *storage.Store, id string, at time.Time, value []byte) {
	t.Helper()
	a := memory.Archived{ArchivedAt: at, Reason: "test", Value: value}
	put(t, s, memory.ArchiveKey(key(id)), a.Encode(), storage.PutOptions{Content: a.ContentHash()})
}

func linksOf(t testing.TB, s *storage.Store, id string) (out []string) {
	t.Helper()
	err := s.View(func(tx *storage.Tx) error {
		for l, err := range tx.Links(key(id)) {
			if err != nil {
				return err
			}
			out = append(out, l.SourceID+">"+l.TargetID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func TestLinksAreFoundFromBothEnds(t *testing.T) {
	s := storagetest.Open(t)
	// One id is the beginning of another, and one is a UUID.
	const uuid = "00000000-0000-4000-8000-000000000001"
	for _, l := range []memory.Link{linked("a", "ab"), linked("ab", "a"), linked("a", uuid), linked(uuid, "abc")} {
		put(t, s, l.Key(), l.Encode(), storage.PutOptions{Content: l.ContentHash()})
	}
	for id, want := range map[string]string{
		"a": "[a>" + uuid + " a>ab ab>a]", "ab": "[a>ab ab>a]", "abc": "[" + uuid + ">abc]", uuid: "[" + uuid + ">abc a>" + uuid + "]", "b": "[]",
	} {
		if got := fmt.Sprint(linksOf(t, s, id)); got != want {
			t.Errorf("links of %s: %s, want %s", id, got, want)
		}
	}
	gone := linked("a", "ab")
	_, err := storagetest.Commit(t, s, func(tx *storage.Tx) error {
		if _, err := tx.Delete(gone.Key(), storage.PutOptions{}); err != nil {
			return err
		}
		for l, err := range tx.Links(key("ab")) {
			if err != nil || l.Key == gone.Key() {
				return fmt.Errorf("the Op sees a link that it has deleted: %v, %w", l, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(linksOf(t, s, "a")); got != "[a>"+uuid+" ab>a]" {
		t.Error(got)
	}
	err = s.View(func(tx *storage.Tx) error {
		st, err := tx.Stats()
		if st.Links != 3 {
			t.Errorf("%d links are counted", st.Links)
		}
		n := 0
		last := memory.Key("")
		for l, err := range tx.LinksAfter("") {
			if err != nil {
				return err
			}
			if n++; n == 2 {
				last = l.Key
				break
			}
		}
		for l, err := range tx.LinksAfter(last) {
			if err != nil || l.Key <= last {
				return fmt.Errorf("%s behind %s, %w", l.Key, last, err)
			}
			n++
		}
		if n != 3 {
			t.Errorf("walked over %d links", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A link whose document is not what its id says is refused here, and kept as bytes when it
// comes from elsewhere.
func TestLinkMustBeWhatItsIDSays(t *testing.T) {
	s := storagetest.Open(t)
	good, other := linked("a", "b"), linked("a", "c")
	_, err := storagetest.Commit(t, s, func(tx *storage.Tx) error {
		_, err := tx.Put(good.Key(), other.Encode(), storage.PutOptions{})
		return err
	})
	if err == nil {
		t.Error("stored")
	}
}

func TestArchiveIsListedByTime(t *testing.T) {
	s := storagetest.Open(t)
	for i, ns := range []string{"x", "y", "x", "x/y"} {
		putAside(t, s, fmt.Sprint("m", i), start.Add(time.Duration(i)*time.Hour), doc(ns, fmt.Sprint("t", i), "c"))
	}
	list := func(ns string, skip, limit int) string {
		var ids []string
		err := s.View(func(tx *storage.Tx) error {
			for a, err := range tx.Archive(ns, skip) {
				if err != nil || len(ids) == limit {
					return err
				}
				if a.Memory.ID != a.Key.ID() || a.Reason != "test" {
					t.Errorf("%+v", a)
				}
				ids = append(ids, a.Key.ID())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(ids, " ")
	}
	if got := list("", 0, 9); got != "m3 m2 m1 m0" {
		t.Error(got)
	}
	if got := list("x", 0, 9) + "," + list("", 1, 2) + "," + list("z", 0, 9); got != "m2 m0,m2 m1," {
		t.Error(got)
	}
	err := s.View(func(tx *storage.Tx) error {
		old, err := tx.ArchivedBefore(start.Add(2*time.Hour), 9)
		if len(old) != 2 || !slices.Contains(old, memory.ArchiveKey(key("m0"))) || !slices.Contains(old, memory.ArchiveKey(key("m1"))) {
			t.Errorf("%v", old)
		}
		if some, _ := tx.ArchivedBefore(start.Add(99*time.Hour), 3); len(some) != 3 {
			t.Errorf("%v", some)
		}
		st, _ := tx.Stats()
		if fmt.Sprint(st.Archived) != "[{x 2} {x/y 1} {y 1}]" || st.Total != 0 {
			t.Errorf("%+v", st)
		}
		a, live, err2 := tx.Archived(key("m1"))
		if !live || a.Memory.Title != "t1" || err2 != nil {
			t.Errorf("%+v, %v", a, err2)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestExpiredAreFoundByTheIndex(t *testing.T) {
	s := storagetest.Open(t)
	for i := range 5 {
		put(t, s, key(fmt.Sprint(i)), doc("ns", fmt.Sprint(i), "c", func(m *memory.Memory) {
			if i > 0 {
				m.ExpiresAt = start.Add(time.Duration(i) * time.Hour)
			}
		}))
	}
	err := s.View(func(tx *storage.Tx) error {
		keys, next, err := tx.Expired(start.Add(2*time.Hour), nil, 9)
		slices.Sort(keys)
		if fmt.Sprint(keys) != "[memory/1 memory/2]" || next != nil {
			t.Error(keys, next)
		}
		// A look at a time finds the same, and ends.
		for look := 1; look < 7; look++ {
			var all []memory.Key
			looks := 0
			for from := []byte(nil); ; from = next {
				keys, next, _ = tx.Expired(start.Add(9*time.Hour), from, look)
				all = append(all, keys...)
				if looks++; next == nil {
					break
				}
			}
			slices.Sort(all)
			if fmt.Sprint(all) != "[memory/1 memory/2 memory/3 memory/4]" || looks != (5+look-1)/look {
				t.Errorf("%d at a time: %v in %d looks", look, all, looks)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A file of the format before gets the indexes that it lacks when it is opened, and is not
// read without.
func TestUpgradeFromFormat2(t *testing.T) {
	dir := filled(t, 50)
	s := storagetest.Open(t, storagetest.Dir(dir))
	l := linked("1", "2")
	put(t, s, l.Key(), l.Encode())
	gone := linked("1", "3")
	put(t, s, gone.Key(), gone.Encode())
	if _, err := storagetest.Commit(t, s, func(tx *storage.Tx) error {
		_, err := tx.Delete(gone.Key(), storage.PutOptions{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	putAside(t, s, "x", start, doc("ns", "x", "x"))
	before := storagetest.Dump(t, s)
	s.Close()
	edit(t, filepath.Join(dir, storage.DataFile), func(tx *bolt.Tx) error {
		counts := tx.Bucket([]byte("counts"))
		for _, k := range []string{"l", "ans"} {
			if counts.Get([]byte(k)) == nil {
				t.Fatalf("no count %q", k)
			}
			if err := counts.Delete([]byte(k)); err != nil {
				return err
			}
		}
		if err := tx.DeleteBucket([]byte("links")); err != nil {
			return err
		}
		if err := tx.DeleteBucket([]byte("archived")); err != nil {
			return err
		}
		return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("2"))
	})
	if _, err := storage.VerifyFile(context.Background(), dir); err == nil || !strings.Contains(err.Error(), "start it once") {
		t.Errorf("verify before: %v", err)
	}
	s = storagetest.Open(t, storagetest.Dir(dir)) // verifies at the end
	if after := storagetest.Dump(t, s); after != before {
		t.Errorf("rows changed:\n%s\n%s", before, after)
	}
	if got := fmt.Sprint(linksOf(t, s, "1")); got != "[1>2]" {
		t.Error(got)
	}
	storagetest.Verify(t, s)
	s.Close()
	if found, err := storage.VerifyFile(context.Background(), dir); err != nil || len(found) > 0 {
		t.Errorf("verify after: %v, %v", found, err)
	}
}
