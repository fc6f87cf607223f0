package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// doc is a memory that only differs from others in what a test names.
func doc(ns, title, content string, change ...func(*memory.Memory)) []byte {
	m := memory.Memory{
		Tier: memory.TierMid, Namespace: ns, Title: title, Content: content, Tags: []string{}, Priority: 5, Confidence: 1,
		Source: "api", CreatedAt: start, UpdatedAt: start,
	}
	for _, c := range change {
		c(&m)
	}
	return m.Encode()
}

func key(id string) memory.Key { return memory.NewKey(memory.KindMemory, id) }

func derived(ns, title string, gen uint32) memory.Key {
	return key(memory.DerivedID(storagetest.Cluster, ns, memory.TitleKey(title), gen))
}

func put(t testing.TB, s *storage.Store, k memory.Key, value []byte, opt ...storage.PutOptions) clock.Dot {
	t.Helper()
	var o storage.PutOptions
	if len(opt) > 0 {
		o = opt[0]
	}
	if o.Content.IsZero() {
		o.Content = memory.HashOf(string(value))
	}
	var d clock.Dot
	_, err := storagetest.Commit(t, s, func(tx *storage.Tx) (err error) {
		d, err = tx.Put(k, value, o)
		return err
	})
	if err != nil {
		t.Fatalf("put %s: %v", k, err)
	}
	return d
}

func del(t testing.TB, s *storage.Store, k memory.Key) clock.Dot {
	t.Helper()
	var d clock.Dot
	_, err := storagetest.Commit(t, s, func(tx *storage.Tx) (err error) {
		d, err = tx.Delete(k, storage.PutOptions{})
		return err
	})
	if err != nil {
		t.Fatalf("delete %s: %v", k, err)
	}
	return d
}

func get(t testing.TB, s *storage.Store, k memory.Key) (rec memory.Record, local storage.Local, found bool) {
	t.Helper()
	err := s.View(func(tx *storage.Tx) (err error) {
		rec, local, found, err = tx.Get(k)
		return err
	})
	if err != nil {
		t.Fatalf("get %s: %v", k, err)
	}
	return rec, local, found
}

// content is what a reader sees, "-" if nothing.
func content(t testing.TB, s *storage.Store, k memory.Key) string {
	t.Helper()
	rec, _, _ := get(t, s, k)
	v := rec.View()
	if !v.Live {
		return "-"
	}
	m, err := memory.DecodeMemory(k, v.Winner.Value)
	if err != nil {
		t.Fatalf("decode %s: %v", k, err)
	}
	return m.Content
}

func TestPutGetDelete(t *testing.T) {
	s := storagetest.Open(t)
	k := derived("ns", "title", 0)
	d := put(t, s, k, doc("ns", "title", "one"))
	if d.Counter != 1 || d.Origin != s.Origin() || s.Origin() == 0 {
		t.Errorf("first dot %s under origin %s", d, s.Origin())
	}
	if got := content(t, s, k); got != "one" {
		t.Errorf("content %q", got)
	}
	put(t, s, k, doc("ns", "title", "two"))
	if got := content(t, s, k); got != "two" {
		t.Errorf("content %q", got)
	}
	if d := del(t, s, k); d.Counter != 3 || s.Issued() != 3 {
		t.Errorf("third dot %s, issued %d", d, s.Issued())
	}
	rec, _, found := get(t, s, k)
	if !found || rec.View().Live || rec.Context.Count() != 2 {
		t.Errorf("after the delete: found %v, live %v, context %s", found, rec.View().Live, rec.Context)
	}
	if base, above := s.Clock().Entry(s.Origin()); base != 3 || len(above) != 0 {
		t.Errorf("clock %s", s.Clock())
	}
	if _, _, found := get(t, s, key("other")); found {
		t.Error("found what was never written")
	}
}

func TestFailedOpLeavesNothing(t *testing.T) {
	s := storagetest.Open(t)
	put(t, s, key("a"), doc("ns", "a", "a"))
	before, digest, issued := storagetest.Dump(t, s), s.Digest(), s.Issued()
	refuse := errors.New("no")
	var order []string
	submit := func(name string, err error) {
		if e := s.Submit(storage.Op{
			Fn: func(tx *storage.Tx) error {
				if _, e := tx.Put(key(name), doc("ns", name, name), storage.PutOptions{}); e != nil {
					return e
				}
				if _, e := tx.Delete(key("a"), storage.PutOptions{}); e != nil {
					return e
				}
				return err
			},
			Staged: func(r storage.Result) { order = append(order, "staged "+name) },
			Done: func(r storage.Result, e error) {
				order = append(order, fmt.Sprintf("done %s %d %v", name, len(r.Dots), e))
			},
		}); e != nil {
			t.Fatal(e)
		}
	}
	submit("b", refuse)
	if _, err := s.Step(); err != nil {
		t.Fatal(err)
	}
	if storagetest.Dump(t, s) != before || s.Digest() != digest || s.Issued() != issued {
		t.Error("a refused operation left something behind")
	}
	order = nil
	submit("c", nil)
	submit("d", refuse)
	submit("e", nil)
	if n, err := s.Step(); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	want := []string{"staged c", "staged e", "done c 2 <nil>", "done d 0 no", "done e 2 <nil>"}
	if !slices.Equal(order, want) {
		t.Errorf("callbacks %q, want %q", order, want)
	}
	if s.Issued() != issued+4 {
		t.Errorf("issued %d, want %d: counters of a refused operation were lost", s.Issued(), issued+4)
	}
	if _, _, found := get(t, s, key("d")); found {
		t.Error("d is there")
	}
}

func TestOpReadsWhatWasWrittenBefore(t *testing.T) {
	s := storagetest.Open(t)
	var seen []string
	op := func(name string) {
		err := s.Submit(storage.Op{Fn: func(tx *storage.Tx) error {
			keys, err := tx.ByTitle("ns", "same")
			if err != nil {
				return err
			}
			seen = append(seen, fmt.Sprintf("%s sees %d", name, len(keys)))
			if _, err := tx.Put(key(name), doc("ns", "same", name), storage.PutOptions{Idem: memory.HashOf(name)}); err != nil {
				return err
			}
			keys, err = tx.ByTitle("ns", "same")
			seen = append(seen, fmt.Sprintf("%s then sees %d", name, len(keys)))
			if k, mark, ok, e := tx.Idem(memory.HashOf(name)); e != nil || !ok || k != key(name) || mark.Dot.IsZero() {
				t.Errorf("idem of %s inside: %s %v %v %v", name, k, mark, ok, e)
			}
			st, e := tx.Stats()
			if e != nil {
				return e
			}
			n := 0
			for _, e := range tx.List(memory.Filter{Limit: 10}) {
				if e != nil {
					return e
				}
				n++
			}
			seen = append(seen, fmt.Sprintf("%s lists %d of %d", name, n, st.Total))
			return err
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	op("x")
	op("y")
	if _, err := s.Step(); err != nil {
		t.Fatal(err)
	}
	want := []string{"x sees 0", "x then sees 1", "x lists 0 of 0", "y sees 1", "y then sees 2", "y lists 1 of 1"}
	if !slices.Equal(seen, want) {
		t.Errorf("%q, want %q", seen, want)
	}
	err := s.View(func(tx *storage.Tx) error {
		keys, err := tx.ByTitle("ns", "same")
		if len(keys) != 2 || keys[0] != key("y") {
			t.Errorf("by title: %v, want y, the later one, first", keys)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSeveralPutsStandTogether(t *testing.T) {
	s := storagetest.Open(t)
	res, err := storagetest.Commit(t, s, func(tx *storage.Tx) error {
		for _, name := range []string{"a", "b", "a"} {
			if _, err := tx.Put(key(name), doc("ns", name, "v"), storage.PutOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(res.Dots) != 3 || len(res.Rows) != 3 {
		t.Fatalf("%d dots, %v", len(res.Dots), err)
	}
	rec, err := memory.DecodeRecord(res.Rows[0])
	if err != nil || len(rec.Versions) != 1 || rec.Context.Count() != 1 {
		t.Errorf("row of the twice written record: %+v, %v", rec, err)
	}
	if base, above := s.Clock().Entry(s.Origin()); base != 3 || len(above) > 0 {
		t.Errorf("clock %s", s.Clock())
	}
}
