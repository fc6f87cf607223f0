package storage_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

func tagged(tags ...string) func(*memory.Memory) { return func(m *memory.Memory) { m.Tags = tags } }

// The list is what a scan over everything would give.
func TestListAgainstScan(t *testing.T) {
	now := start.Add(time.Hour)
	s := storagetest.Open(t, func(c *storage.Config) { c.Now = func() time.Time { return now } })
	r := rand.New(rand.NewPCG(3, 4))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	model := map[memory.Key]memory.Memory{}
	for i := range 600 {
		k := key(fmt.Sprint(r.IntN(250)))
		if r.IntN(6) == 0 {
			if _, ok := model[k]; ok {
				del(t, s, k)
				delete(model, k)
			}
			continue
		}
		m := memory.Memory{
			ID: k.ID(), Tier: pick("short", "mid", "long"), Namespace: pick("a", "a/b", "ab", "b"), Title: fmt.Sprint(i), Content: "c",
			Tags: []string{}, Priority: 1 + r.IntN(10), Confidence: 1, Source: "api",
			CreatedAt: start.Add(time.Duration(r.IntN(100)) * time.Minute), UpdatedAt: start.Add(time.Duration(r.IntN(50)) * time.Second),
			Metadata: memory.Raw(fmt.Sprintf(`{"agent_id":%q}`, pick("x", "y"))),
		}
		for _, tag := range []string{"red", "re", "blue"} {
			if r.IntN(2) == 0 {
				m.Tags = append(m.Tags, tag)
			}
		}
		if r.IntN(3) == 0 {
			m.ExpiresAt = now.Add(time.Duration(r.IntN(100)-50) * time.Minute)
		}
		put(t, s, k, m.Encode())
		model[k] = m
	}
	for range 300 {
		f := memory.Filter{Limit: r.IntN(40), Offset: r.IntN(3) * r.IntN(30)}
		if r.IntN(2) == 0 {
			f.Namespace = pick("a", "a/b", "ab", "b", "none")
		}
		if r.IntN(3) == 0 {
			f.Tag = pick("red", "re", "blue", "none")
		}
		if r.IntN(3) == 0 {
			f.Tier = pick("short", "long")
		}
		if r.IntN(3) == 0 {
			f.AgentID = pick("x", "y")
		}
		if r.IntN(3) == 0 {
			f.MinPriority = r.IntN(12)
		}
		if r.IntN(3) == 0 {
			f.Since = start.Add(time.Duration(r.IntN(100)) * time.Minute)
		}
		if r.IntN(3) == 0 {
			f.Until = start.Add(time.Duration(r.IntN(100)) * time.Minute)
		}
		var want []memory.Memory
		for _, m := range model {
			if f.Match(&m) && !m.Expired(now) {
				want = append(want, m)
			}
		}
		slices.SortFunc(want, func(a, b memory.Memory) int {
			return cmp.Or(cmp.Compare(b.Priority, a.Priority), b.UpdatedAt.Compare(a.UpdatedAt), cmp.Compare(key(a.ID), key(b.ID)))
		})
		want = want[min(f.Offset, len(want)):]
		want = want[:min(f.Limit, len(want))]
		var got []string
		err := s.View(func(tx *storage.Tx) error {
			for it, err := range tx.List(f) {
				if err != nil {
					return err
				}
				got = append(got, it.Key.ID())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, func(id string, m memory.Memory) bool { return id == m.ID }) {
			t.Fatalf("filter %+v: %v, want %d others", f, got, len(want))
		}
	}
	err := s.View(func(tx *storage.Tx) error {
		st, err := tx.Stats()
		if err != nil {
			return err
		}
		total := int64(0)
		for _, c := range st.ByNamespace {
			total += c.Count
		}
		if st.Total != int64(len(model)) || total != st.Total || len(st.ByTier) != 3 || st.Deleted == 0 {
			t.Errorf("%+v for %d memories", st, len(model))
		}
		soon := 0
		for _, m := range model {
			if m.ExpiresAt.After(now) && !m.ExpiresAt.After(now.Add(20*time.Minute)) {
				soon++
			}
		}
		n, err := tx.Expiring(now, now.Add(20*time.Minute))
		if n != soon {
			t.Errorf("%d expire soon, want %d", n, soon)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestExpiredIsHiddenFromListsOnly(t *testing.T) {
	now := start
	s := storagetest.Open(t, func(c *storage.Config) { c.Now = func() time.Time { return now } })
	put(t, s, key("a"), doc("ns", "a", "a", func(m *memory.Memory) { m.ExpiresAt = start.Add(time.Minute) }))
	n := func() (n int) {
		s.View(func(tx *storage.Tx) error {
			for range tx.List(memory.Filter{Limit: 9}) {
				n++
			}
			return nil
		})
		return n
	}
	if n() != 1 {
		t.Error("not listed before its time")
	}
	now = now.Add(time.Minute)
	if n() != 0 {
		t.Error("listed after its time")
	}
	if content(t, s, key("a")) != "a" {
		t.Error("not to be got after its time")
	}
}

func TestByTitle(t *testing.T) {
	s := storagetest.Open(t)
	at := func(ns, title string) (ids []memory.Key) {
		err := s.View(func(tx *storage.Tx) (err error) {
			ids, err = tx.ByTitle(ns, title)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	// One letter and a combining one are the same title.
	composed, decomposed := "caf\u00e9", "cafe\u0301"
	k := derived("ns", composed, 0)
	put(t, s, k, doc("ns", decomposed, "v"))
	if got := at("ns", composed); !slices.Equal(got, []memory.Key{k}) {
		t.Errorf("%v", got)
	}
	if got := at("n", "s"+composed); len(got) > 0 {
		t.Errorf("%v", got)
	}
	// Renamed: the derived id no longer shows the title, another one may.
	put(t, s, k, doc("ns", "tea", "v"))
	if len(at("ns", composed)) != 0 || !slices.Equal(at("ns", "tea"), []memory.Key{k}) {
		t.Errorf("%v, %v", at("ns", composed), at("ns", "tea"))
	}
	k1 := derived("ns", composed, 1)
	put(t, s, k1, doc("ns", composed, "v"))
	put(t, s, derived("ns", "tea", 0), doc("ns", "tea", "v"))
	if got := at("ns", "tea"); len(got) != 2 || got[0] != derived("ns", "tea", 0) {
		t.Errorf("%v", got)
	}
	del(t, s, k1)
	if got := at("ns", composed); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestResolvePrefix(t *testing.T) {
	s := storagetest.Open(t)
	ids := []string{"9d0e0000-0000-0000-0000-000000000001", "9d0e1111-0000-0000-0000-000000000002", "9d0f0000-0000-0000-0000-000000000003", "9d0e-text", "plain", "plainer", "gone"}
	for _, id := range ids {
		put(t, s, key(id), doc("ns", id, "v"))
	}
	del(t, s, key("gone"))
	put(t, s, memory.NewKey(memory.KindMember, "plaque"), (&memory.Member{Name: "plaque", HTTP: "h:1"}).Encode())
	for _, c := range []struct{ in, want string }{
		{"9d0f", ids[2]}, {"9d0e1", ids[1]}, {"9d0e0000-0000-0000-0000-000000000001", ids[0]}, {"9d0e0000-0", ids[0]}, {"9d0e-t", ids[3]},
		{"9d0e", "ambiguous"}, {"9d0e-", ids[3]}, {"9", "ambiguous"}, {"plain", "plain"}, {"plaine", "plainer"}, {"pla", "ambiguous"},
		{"plaque", "none"}, {"gone", "gone"}, {"gon", "none"}, {"", "none"}, {"x", "none"}, {"9D0F", "none"}, {"9d0f0000-0000-0000-0000-0000000000031", "none"},
	} {
		err := s.View(func(tx *storage.Tx) error {
			got, err := tx.ResolvePrefix(memory.KindMemory, c.in)
			what := got.ID()
			switch {
			case errors.Is(err, memory.ErrAmbiguous):
				what = "ambiguous"
			case errors.Is(err, memory.ErrNotFound):
				what = "none"
			case err != nil:
				return err
			}
			if what != c.want {
				t.Errorf("%q is %s, want %s", c.in, what, c.want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestMembers(t *testing.T) {
	s := storagetest.Open(t)
	for _, name := range []string{"n3", "n1", "n2"} {
		m := memory.Member{Name: name, HTTP: name + ":1"}
		put(t, s, m.Key(), m.Encode())
	}
	del(t, s, memory.NewKey(memory.KindMember, "n2"))
	put(t, s, key("n4"), doc("ns", "n4", "no member"))
	err := s.View(func(tx *storage.Tx) error {
		ms, removed, err := tx.Members()
		if len(ms) != 2 || ms[0].Name != "n1" || ms[1].Name != "n3" || !slices.Equal(removed, []string{"n2"}) {
			t.Errorf("%+v, removed %v", ms, removed)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFeed(t *testing.T) {
	var rows []storage.StagedRow
	src := storagetest.Open(t, recorded(&rows))
	put(t, src, key("pushed"), doc("ns", "pushed", "v"))
	s := storagetest.Open(t)
	changed := s.Changed()
	put(t, s, key("a"), doc("ns", "a", "v"))
	select {
	case <-changed:
	default:
		t.Error("not told of the change")
	}
	put(t, s, key("b"), doc("ns", "b", "v"))
	push(t, s, rows...)
	put(t, s, key("a"), doc("ns", "a", "v2"))
	all, err := s.Changes(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, c := range all {
		order = append(order, fmt.Sprint(c.Seq, c.Key.ID()))
	}
	if want := []string{"2b", "3pushed", "4a"}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
	if some, _ := s.Changes(2, 1); len(some) != 1 || some[0].Seq != 3 {
		t.Errorf("%v", some)
	}
	if none, err := s.Changes(s.Seq(), 10); len(none) != 0 || err != nil {
		t.Errorf("%v, %v", none, err)
	}
}

// Rows come in order of arrival, whatever their own time says, and none is jumped over.
func TestChangedSince(t *testing.T) {
	s := storagetest.Open(t)
	at := func(minute int) func(*memory.Memory) {
		return func(m *memory.Memory) {
			m.UpdatedAt = start.Add(time.Duration(minute) * time.Minute)
			m.Priority = 1 + minute%10
		}
	}
	for _, m := range []int{30, 10, 20, 5, 40} {
		put(t, s, key(fmt.Sprint(m)), doc([]string{"a", "b"}[m%2], fmt.Sprint(m), "v", at(m)))
	}
	put(t, s, key("gone"), doc("a", "gone", "v", at(50)))
	del(t, s, key("gone"))
	ids := func(after time.Time, seq uint64, limit int) (out []string) {
		rows, more, err := s.ChangedSince(nil, after, seq, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			out = append(out, r.Key.ID())
			if !r.UpdatedAt.After(after) || r.Seq <= seq {
				t.Errorf("%s: updated %s, seq %d", r.Key, r.UpdatedAt, r.Seq)
			}
		}
		if more {
			out = append(out, "more")
		}
		return out
	}
	for _, c := range []struct {
		since time.Time
		seq   uint64
		limit int
		want  []string
	}{
		{time.Time{}, 0, 10, []string{"30", "10", "20", "5", "40"}},
		{start.Add(10 * time.Minute), 0, 10, []string{"30", "20", "40"}},
		{start.Add(10 * time.Minute), 0, 2, []string{"30", "20", "more"}},
		{start.Add(10 * time.Minute), 3, 2, []string{"40"}},
		{start.Add(40 * time.Minute), 0, 2, nil},
		{time.Time{}, 0, 5, []string{"30", "10", "20", "5", "40"}},
	} {
		if got := ids(c.since, c.seq, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("since %s after %d: %v, want %v", c.since, c.seq, got, c.want)
		}
	}
}

func TestAccessStatisticsAreLocalAndKept(t *testing.T) {
	dir := t.TempDir()
	s := storagetest.Open(t, storagetest.Dir(dir), func(c *storage.Config) { c.Now = func() time.Time { return start } })
	put(t, s, key("a"), doc("ns", "a", "v"))
	digest := s.Digest()
	for range 3 {
		s.Touch(key("a"))
	}
	s.Touch(key("none"))
	if _, l, _ := get(t, s, key("a")); l.AccessCount != 3 || !l.LastAccessedAt.Equal(start) {
		t.Errorf("%+v", l)
	}
	if s.Digest() != digest {
		t.Error("a read changed the digest")
	}
	s.Close()
	s = storagetest.Open(t, storagetest.Dir(dir), func(c *storage.Config) { c.Now = func() time.Time { return start } })
	s.Touch(key("a"))
	put(t, s, key("b"), doc("ns", "b", "v")) // carries the count along
	if _, l, _ := get(t, s, key("a")); l.AccessCount != 4 {
		t.Errorf("%+v", l)
	}
	// Many reads without a write are written as well.
	for i := range 5000 {
		s.Touch(key(fmt.Sprint("x", i)))
	}
	s.Touch(key("a"))
	if _, err := s.Step(); err != nil {
		t.Fatal(err)
	}
	if _, l, _ := get(t, s, key("a")); l.AccessCount != 5 {
		t.Errorf("%+v", l)
	}
}

// What no door of this version lets in may come from another one: it is kept, indexed and
// found, whatever is in it.
func TestStrangeTextsFromElsewhere(t *testing.T) {
	s := storagetest.Open(t)
	long := strings.Repeat("n", 40_000)
	for i, m := range []memory.Memory{
		{Namespace: "a\x00b", Title: "t\x00", Tags: []string{"x\x00y", "x"}},
		{Namespace: "a", Title: "b\x00t\x00", Tags: []string{"\x01"}},
		{Namespace: long, Title: long, Tags: []string{long, long}},
		{Namespace: "a", Title: "far", UpdatedAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Namespace: "a", Title: "old", UpdatedAt: time.Date(2, 1, 1, 0, 0, 0, 0, time.UTC), ExpiresAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		m.Tier, m.Content, m.Priority, m.Confidence, m.Source, m.CreatedAt = "mid", "c", 5, 1, "api", start
		if m.UpdatedAt.IsZero() {
			m.UpdatedAt = start
		}
		k := fmt.Sprint(i)
		push(t, s, foreign(uint64(i+1), k, func(v *memory.Version) { v.Value = m.Encode() }))
		if !s.Quarantined().Empty() {
			t.Skipf("%d: package memory does not take it", i)
		}
		err := s.View(func(tx *storage.Tx) error {
			keys, err := tx.ByTitle(m.Namespace, m.Title)
			if err != nil || len(keys) != 1 || keys[0] != key(k) {
				t.Errorf("%d by title: %v, %v", i, keys, err)
			}
			f := memory.Filter{Namespace: m.Namespace, Limit: 10}
			if len(m.Tags) > 0 {
				f.Tag = m.Tags[0]
			}
			found := false
			for it, err := range tx.List(f) {
				found = found || err == nil && it.Key == key(k)
			}
			if !found {
				t.Errorf("%d is not listed", i)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, key("2"), doc("ns", "t", "t"))
	if rows, _, err := s.ChangedSince(nil, time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), 0, 10); err != nil || len(rows) > 1 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}
