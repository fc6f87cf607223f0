package storage_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

// only is a guard that lets namespaces be seen.
type only []string

func (o only) Namespace(ns string) bool { return slices.Contains(o, ns) }
func (o only) Agent(string) bool        { return false }

// narrowPull pulls all that g lets through, page by page, as catchup does.
func narrowPull(t testing.TB, to, from *storage.Store, g storage.Guard, known *clock.Clock, limit int) (withheld clock.Clock) {
	t.Helper()
	for range 10_000 {
		r := storage.SinceRequest{Cursor: to.Clock(), Reserved: withheld, LimitBytes: limit, Guard: g, Hidden: *known}
		p := since(t, from, r)
		if p.NotModified {
			return withheld
		}
		if !p.Covers.Intersect(p.Withheld).Empty() {
			t.Errorf("covers %s of what is withheld, %s", p.Covers, p.Withheld)
		}
		if !p.Withheld.Covers(p.Lasting) {
			t.Errorf("lasting %s is not withheld, %s", p.Lasting, p.Withheld)
		}
		if _, err := storagetest.Apply(t, to, storage.Batch{From: "x", Rows: p.Rows, Floor: p.Floor, Covers: p.Covers, Clock: p.Clock}); err != nil {
			t.Fatal(err)
		}
		more := !p.Withheld.Minus(withheld).Empty() || !p.Covers.Minus(r.Cursor).Empty()
		withheld.Union(p.Withheld)
		seen := known.Clone()
		seen.Union(p.Lasting)
		*known = seen
		if p.Complete {
			return withheld
		}
		if !more {
			t.Fatal("a page without progress")
		}
	}
	t.Fatal("pages without end")
	return withheld
}

// namespacesOf are those of every version that a store holds.
func namespacesOf(t testing.TB, s *storage.Store, keys []memory.Key) (all []string) {
	t.Helper()
	for _, k := range keys {
		rec, _, _ := get(t, s, k)
		for _, v := range rec.Versions {
			if v.Deleted {
				continue
			}
			m, err := memory.DecodeMemory(k, v.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m.Namespace)
		}
	}
	return all
}

// TestWithheld (replication.md C 31, 32): whatever happens to records in whatever
// namespaces, a peer that may have some of them gets no other one, claims nothing that it
// was denied (storagetest.Verify), and has everything once it may have it.
func TestWithheld(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			full := []*storage.Store{storagetest.Open(t), storagetest.Open(t)}
			narrow := storagetest.Open(t)
			allowed := only{"a"}
			known := make([]clock.Clock, len(full))
			var keys []memory.Key
			for i := range 12 {
				keys = append(keys, key(fmt.Sprint(i)))
			}
			limit := 1 + rnd.IntN(2000)
			for step := range 120 {
				at, k := full[rnd.IntN(2)], keys[rnd.IntN(len(keys))]
				switch n := rnd.IntN(10); {
				case n < 5:
					put(t, at, k, doc([]string{"a", "b", "c"}[rnd.IntN(3)], k.ID(), fmt.Sprint(step)))
				case n < 6:
					if rec, _, found := get(t, at, k); found && rec.View().Live {
						del(t, at, k)
					}
				case n < 8:
					storagetest.Pull(t, full[0], full[1], limit)
					storagetest.Pull(t, full[1], full[0], limit)
				default:
					i := rnd.IntN(2)
					withheld := narrowPull(t, narrow, full[i], allowed, &known[i], limit)
					if rest := full[i].Clock().Minus(narrow.Clock()).Minus(withheld); !rest.Empty() {
						t.Errorf("step %d: %s is neither here nor withheld", step, rest)
					}
					storagetest.Verify(t, narrow)
				}
			}
			for _, ns := range namespacesOf(t, narrow, keys) {
				if !allowed.Namespace(ns) {
					t.Errorf("a record of namespace %s has come", ns)
				}
			}
			storagetest.Pull(t, full[0], full[1], limit)
			storagetest.Pull(t, full[1], full[0], limit)
			// Something of the allowed namespace is there as it is.
			var none clock.Clock
			narrowPull(t, narrow, full[0], allowed, &known[0], limit)
			for _, k := range keys {
				theirs, _, found := get(t, full[0], k)
				if !found || !onlyIn(t, k, &theirs, "a") {
					continue
				}
				ours, _, _ := get(t, narrow, k)
				if string(ours.Append(nil)) != string(theirs.Append(nil)) {
					t.Errorf("%s is another one at the peer", k)
				}
			}
			// Widened: what was denied before is given, and all is equal.
			narrowPull(t, narrow, full[0], only{"a", "b", "c"}, &none, limit)
			same(t, narrow, full[0])
			storagetest.Pull(t, narrow, full[0], limit)
			same(t, narrow, full[0])
		})
	}
}

// onlyIn tells that every live version of a record is in the namespace.
func onlyIn(t testing.TB, k memory.Key, rec *memory.Record, ns string) bool {
	t.Helper()
	for _, v := range rec.Versions {
		if v.Deleted {
			continue
		}
		if m, err := memory.DecodeMemory(k, v.Value); err != nil || m.Namespace != ns {
			return false
		}
	}
	return true
}

// TestWithheldLinks: a link is where its ends are, and comes when they may be seen, though
// nothing of its own has changed.
func TestWithheldLinks(t *testing.T) {
	s, peer := storagetest.Open(t), storagetest.Open(t)
	source, target := put(t, s, key("s"), doc("a", "s", "s")), put(t, s, key("t"), doc("b", "t", "t"))
	link := memory.Link{SourceID: "s", TargetID: "t", Relation: "related_to"}
	at := put(t, s, link.Key(), link.Encode())
	var known clock.Clock
	withheld := narrowPull(t, peer, s, only{"a"}, &known, 0)
	if !withheld.Equal(clock.Of(target, at)) || !known.Equal(clock.Of(target)) || !peer.Clock().Contains(source) {
		t.Errorf("withheld %s, of which %s lasts; the peer has %s", withheld, known, peer.Clock())
	}
	put(t, s, key("t"), doc("a", "t", "moved"))
	if withheld = narrowPull(t, peer, s, only{"a"}, &known, 0); !withheld.Empty() {
		t.Errorf("withheld %s", withheld)
	}
	same(t, peer, s)
}

// TestWithheldMany: more denied rows than one page looks at are no end of the pull.
func TestWithheldMany(t *testing.T) {
	s, peer := storagetest.Open(t), storagetest.Open(t)
	const rows = 3000
	if _, err := storagetest.Commit(t, s, func(tx *storage.Tx) error {
		for i := range rows {
			ns := "b"
			if i == rows-1 {
				ns = "a"
			}
			title := fmt.Sprint(i)
			if _, err := tx.Put(key(title), doc(ns, title, strings.Repeat("x", 10)), storage.PutOptions{Agent: "t"}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var known clock.Clock
	withheld := narrowPull(t, peer, s, only{"a"}, &known, 0)
	if withheld.Count() != rows-1 || peer.Clock().Count() != 1 {
		t.Errorf("%d withheld, %d here", withheld.Count(), peer.Clock().Count())
	}
}

func withheldIsNotClaimed(t *testing.T, open opener) bool {
	s, peer := open(), open()
	put(t, s, key("a"), doc("a", "a", "a"))
	put(t, s, key("b"), doc("b", "b", "b"))
	p, err := s.Since(storage.SinceRequest{Guard: only{"a"}})
	if err != nil || len(p.Rows) != 1 || p.Withheld.Count() != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := storagetest.Apply(t, peer, storage.Batch{Rows: p.Rows, Covers: p.Covers, Clock: p.Clock}); err != nil {
		t.Fatal(err)
	}
	// Widened: is it sent?
	if p, err = s.Since(storage.SinceRequest{Cursor: peer.Clock()}); err != nil {
		t.Fatal(err)
	}
	return len(p.Rows) == 1
}
