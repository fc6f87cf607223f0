package storage_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

// rows are the pushes that one store made, in order.
func recorded(rows *[]storage.StagedRow) func(*storage.Config) {
	return func(c *storage.Config) {
		c.Staged = func(s storage.Staged) { *rows = append(*rows, s.Rows...) }
	}
}

func push(t testing.TB, s *storage.Store, rows ...storage.StagedRow) storage.Applied {
	t.Helper()
	b := storage.Batch{From: "peer", Push: true}
	for _, r := range rows {
		b.Rows = append(b.Rows, r.Raw)
	}
	a, err := storagetest.Apply(t, s, b)
	if err != nil {
		t.Fatalf("push: %v", err)
	}
	return a
}

func same(t testing.TB, a, b *storage.Store) {
	t.Helper()
	if x, y := storagetest.Dump(t, a), storagetest.Dump(t, b); x != y {
		t.Errorf("dumps differ:\n%s\n%s", x, y)
	}
	if !a.Clock().Equal(b.Clock()) {
		t.Errorf("clocks differ: %s and %s", a.Clock(), b.Clock())
	}
	if a.Digest() != b.Digest() {
		t.Error("digests differ")
	}
}

func TestPushesInAnyOrderAndTwice(t *testing.T) {
	var rows []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&rows)), storagetest.Open(t)
	for i := range 20 {
		put(t, a, key(fmt.Sprint(i%7)), doc("ns", "t", fmt.Sprint(i)))
	}
	del(t, a, key("3"))
	r := rand.New(rand.NewPCG(1, 2))
	order := append(append([]storage.StagedRow{}, rows...), rows[:10]...)
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, row := range order {
		got := push(t, b, row)
		if !got.Clock.Contains(row.Dot) || !b.Clock().Contains(row.Dot) {
			t.Fatalf("%s is not covered after its push", row.Dot)
		}
		storagetest.Verify(t, b)
	}
	same(t, a, b)
	if got := push(t, b, rows[4]); got.New != 0 || got.Redundant != 1 || got.NewDots != 0 {
		t.Errorf("a covered push: %+v", got)
	}
}

func TestConcurrentWritesBecomeSiblings(t *testing.T) {
	var ra, rb []storage.StagedRow
	now := start
	clockOf := func(c *storage.Config) { c.Now = func() time.Time { return now } }
	a, b := storagetest.Open(t, recorded(&ra), clockOf), storagetest.Open(t, recorded(&rb), clockOf)
	k := key("k")
	put(t, a, k, doc("ns", "t", "from a"))
	now = now.Add(time.Second)
	put(t, b, k, doc("ns", "t", "from b"))
	if got := push(t, a, rb...); got.New != 1 || got.Conflicts != 1 {
		t.Errorf("applied %+v", got)
	}
	push(t, b, ra...)
	same(t, a, b)
	if got := content(t, a, k); got != "from b" {
		t.Errorf("view %q, want the later stamp", got)
	}
	rec, _, _ := get(t, a, k)
	if v := rec.View(); v.Conflicts != 1 {
		t.Errorf("%d conflicts", v.Conflicts)
	}

	// A blind write supersedes both; the loser's body stays as a revision, its digest
	// travels.
	put(t, a, k, doc("ns", "t", "settled"))
	push(t, b, ra[len(ra)-1])
	same(t, a, b)
	for name, s := range map[string]*storage.Store{"a": a, "b": b} {
		rec, _, _ := get(t, s, k)
		if len(rec.Versions) != 1 || len(rec.Lost) != 1 {
			t.Fatalf("%s: %d siblings, %d lost", name, len(rec.Versions), len(rec.Lost))
		}
		err := s.View(func(tx *storage.Tx) error {
			revs, err := tx.Revisions(k)
			if err != nil || len(revs) != 1 || !strings.Contains(string(revs[0].Value), "from a") || revs[0].Dot != rec.Lost[0].Dot {
				t.Errorf("%s: revisions %v, %v", name, revs, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRevisionsAreCapped(t *testing.T) {
	var ra, rb []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&ra)), storagetest.Open(t, recorded(&rb))
	longer := key("k" + strings.Repeat("x", 16)) // its revisions sort among those of "k"
	for i := range 12 {
		for _, k := range []memory.Key{key("k"), longer} {
			ra, rb = nil, nil
			put(t, a, k, doc("ns", "t", fmt.Sprint("a", i)))
			put(t, b, k, doc("ns", "t", fmt.Sprint("b", i)))
			push(t, a, rb...)
			push(t, b, ra...)
			ra = nil
			put(t, a, k, doc("ns", "t", fmt.Sprint("settled", i)))
			push(t, b, ra...)
		}
	}
	same(t, a, b)
	err := a.View(func(tx *storage.Tx) error {
		revs, err := tx.Revisions(key("k"))
		if len(revs) != 8 || revs[0].Stamp < revs[7].Stamp {
			t.Errorf("%d revisions", len(revs))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMatchSupersedesExactlyTheToken(t *testing.T) {
	var ra []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&ra)), storagetest.Open(t)
	k := key("k")
	put(t, a, k, doc("ns", "t", "one"))
	rec, _, _ := get(t, a, k)
	token := rec.View().Token
	put(t, a, k, doc("ns", "t", "two"))
	// The writer had seen "one" only: "two" stays beside it.
	put(t, a, k, doc("ns", "t", "three"), storage.PutOptions{Match: &token})
	rec, _, _ = get(t, a, k)
	if len(rec.Versions) != 2 {
		t.Errorf("%d siblings", len(rec.Versions))
	}
	// A node that has not seen what the token names says so.
	now := rec.View().Token
	_, err := storagetest.Commit(t, b, func(tx *storage.Tx) error {
		_, err := tx.Put(k, doc("ns", "t", "four"), storage.PutOptions{Match: &now})
		return err
	})
	var behind *memory.BehindError
	if !errors.As(err, &behind) || behind.Missing.Count() != 2 {
		t.Errorf("error %v", err)
	}
	if b.Issued() != 0 || !b.Clock().Empty() {
		t.Error("a refused write left a dot behind")
	}
}

func TestIdempotencyKeysTravel(t *testing.T) {
	var ra []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&ra)), storagetest.Open(t)
	h := memory.HashOf("once")
	d := put(t, a, key("k"), doc("ns", "t", "one"), storage.PutOptions{Idem: h})
	put(t, a, key("k"), doc("ns", "t", "two")) // b will know the successor only
	push(t, b, ra[1])
	err := b.View(func(tx *storage.Tx) error {
		k, mark, ok, err := tx.Idem(h)
		if !ok || k != key("k") || mark.Dot != d || mark.Content.IsZero() {
			t.Errorf("idem: %s %+v %v", k, mark, ok)
		}
		if _, _, ok, _ := tx.Idem(memory.HashOf("never")); ok {
			t.Error("found a key that was never used")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFloorGate(t *testing.T) {
	var ra []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&ra)), storagetest.Open(t)
	put(t, a, key("k"), doc("ns", "t", "one"))
	floor := clock.Of(clock.Dot{Origin: 9, Counter: 3})
	_, err := storagetest.Apply(t, b, storage.Batch{From: "a", Rows: [][]byte{ra[0].Raw}, Floor: floor, Covers: a.Clock()})
	if !errors.Is(err, storage.ErrReconcile) || !b.Clock().Empty() {
		t.Errorf("error %v, clock %s", err, b.Clock())
	}
}

func TestMalformedRowSpoilsTheBatch(t *testing.T) {
	var ra []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&ra)), storagetest.Open(t)
	put(t, a, key("k"), doc("ns", "t", "one"))
	_, err := storagetest.Apply(t, b, storage.Batch{From: "a", Rows: [][]byte{ra[0].Raw, {1, 2, 3}}})
	if !errors.Is(err, memory.ErrFrame) || !b.Clock().Empty() {
		t.Errorf("error %v, clock %s", err, b.Clock())
	}
}

// broken is a row whose one version fails its checksum.
func broken(t testing.TB, raw []byte, text string) []byte {
	t.Helper()
	i := strings.Index(string(raw), text)
	if i < 0 {
		t.Fatalf("no %q in the row", text)
	}
	bad := append([]byte{}, raw...)
	bad[i] ^= 1
	return bad
}

func TestQuarantine(t *testing.T) {
	var ra []storage.StagedRow
	a, b, c := storagetest.Open(t, recorded(&ra)), storagetest.Open(t), storagetest.Open(t)
	k := key("k")
	put(t, a, k, doc("ns", "t", "first"))
	put(t, a, k, doc("ns", "t", "second"))
	put(t, a, key("fine"), doc("ns", "f", "fine"))
	bad := broken(t, ra[1].Raw, "second")
	got, err := storagetest.Apply(t, b, storage.Batch{From: "a", Rows: [][]byte{bad, ra[2].Raw}})
	if err != nil || got.Quarantined != 1 || got.New != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if !b.Clock().Equal(a.Clock()) || b.Quarantined().Count() != 1 {
		t.Errorf("clock %s, quarantined %s", b.Clock(), b.Quarantined())
	}
	if content(t, b, k) != "-" || content(t, b, key("fine")) != "fine" {
		t.Error("a quarantined row is shown, or the page around it is not")
	}
	storagetest.Verify(t, b)

	// It is relayed from the kept bytes, and one that has it only lacks it no more.
	if n := storagetest.Pull(t, c, b, 0); n != 2 || c.Quarantined().Count() != 1 {
		t.Errorf("relayed %d rows, quarantined %s", n, c.Quarantined())
	}
	storagetest.Verify(t, c)

	// A row that it superseded does not come to life.
	if got := push(t, b, ra[0]); got.New != 0 {
		t.Errorf("%+v", got)
	}
	// The readable bytes of the same dot are welcome, also when its dot is covered.
	if push(t, b, ra[1]); content(t, b, k) != "second" || !b.Quarantined().Empty() {
		t.Errorf("content %q, quarantined %s", content(t, b, k), b.Quarantined())
	}
	same(t, a, b)

	// So is a successor.
	ra = nil
	put(t, a, k, doc("ns", "t", "third"))
	if push(t, c, ra...); content(t, c, k) != "third" || !c.Quarantined().Empty() {
		t.Errorf("content %q, quarantined %s", content(t, c, k), c.Quarantined())
	}
	same(t, a, c)
}

func TestQuarantineSurvivesReopen(t *testing.T) {
	var ra []storage.StagedRow
	a, dir := storagetest.Open(t, recorded(&ra)), t.TempDir()
	b := storagetest.Open(t, storagetest.Dir(dir))
	put(t, a, key("k"), doc("ns", "t", "text"))
	push(t, b, storage.StagedRow{Raw: broken(t, ra[0].Raw, "text")})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = storagetest.Open(t, storagetest.Dir(dir))
	if b.Quarantined().Count() != 1 {
		t.Errorf("quarantined %s", b.Quarantined())
	}
	push(t, b, ra...)
	same(t, a, b)
}

func TestCollisionKeepsTheFirst(t *testing.T) {
	s := storagetest.Open(t)
	d := clock.Dot{Origin: 7, Counter: 1}
	row := func(text string) []byte {
		v := memory.Version{Dot: d, Stamp: 1, Value: doc("ns", "t", text)}
		return memory.Record{Key: key("k"), Versions: []memory.Version{v}}.Append(nil)
	}
	push(t, s, storage.StagedRow{Raw: row("first")})
	if got := push(t, s, storage.StagedRow{Raw: row("other")}); got.Collisions != 1 {
		t.Errorf("%+v", got)
	}
	if got := content(t, s, key("k")); got != "first" {
		t.Errorf("content %q", got)
	}
}

func TestRaggedClockRefusesPushesOnly(t *testing.T) {
	var ra []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&ra)), storagetest.Open(t)
	const n = 2200
	for i := range n {
		if err := a.Submit(storage.Op{Fn: func(tx *storage.Tx) error {
			_, err := tx.Put(key(fmt.Sprint(i)), doc("ns", fmt.Sprint(i), "v"), storage.PutOptions{})
			return err
		}}); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 999 || i == n-1 {
			if _, err := a.Step(); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused := 0
	for i := 1; i < n; i += 2 { // every second one is lost
		got := push(t, b, ra[i])
		refused += got.Refused
		if got.Refused == 1 && b.Clock().Contains(ra[i].Dot) {
			t.Fatal("a refused row is covered")
		}
	}
	_, above := b.Clock().Entry(a.Origin())
	if len(above) != 1024 || refused != n/2-1024 {
		t.Errorf("%d intervals, %d refused", len(above), refused)
	}
	// A push that closes a gap is taken also now.
	if got := push(t, b, ra[2]); got.New != 1 {
		t.Errorf("%+v", got)
	}
	storagetest.Pull(t, b, a, 0)
	same(t, a, b)
}

func TestFences(t *testing.T) {
	s := storagetest.Open(t)
	put(t, s, key("a"), doc("ns", "a", "a"))
	put(t, s, key("a"), doc("ns", "a", "b"))
	first := s.Origin()
	if s.ObserveClock(clock.Of(clock.Dot{Origin: first, Counter: 2}, clock.Dot{Origin: 5, Counter: 9})) {
		t.Error("fenced by what was issued")
	}
	put(t, s, key("a"), doc("ns", "a", "c"))
	if s.Origin() != first {
		t.Error("changed the origin without a reason")
	}
	if !s.ObserveClock(clock.Of(clock.Dot{Origin: first, Counter: 4})) {
		t.Error("not fenced by a counter above the highest issued")
	}
	d := put(t, s, key("a"), doc("ns", "a", "d"))
	if d.Origin == first || d.Counter != 1 || s.Origin() != d.Origin {
		t.Errorf("dot %s after the fence", d)
	}

	// A row with a dot that this process never made.
	v := memory.Version{Dot: clock.Dot{Origin: d.Origin, Counter: 5}, Stamp: 1, Value: doc("ns", "x", "x")}
	push(t, s, storage.StagedRow{Raw: memory.Record{Key: key("x"), Versions: []memory.Version{v}}.Append(nil)})
	if e := put(t, s, key("a"), doc("ns", "a", "e")); e.Origin == d.Origin {
		t.Errorf("dot %s after the second fence", e)
	}

	last := s.Origin()
	s.Mint("pause")
	if e := put(t, s, key("a"), doc("ns", "a", "f")); e.Origin == last {
		t.Error("Mint did not change the origin")
	}
	last = s.Origin()
	if put(t, s, key("a"), doc("ns", "a", "g")); s.Origin() != last {
		t.Error("one Mint changed the origin twice")
	}
}

// Peers are ahead of the own commit in normal work: rows travel while the disk syncs.
func TestFenceCountsIssuedNotCommitted(t *testing.T) {
	var s *storage.Store
	fenced := false
	s = storagetest.Open(t, func(c *storage.Config) {
		c.Staged = func(st storage.Staged) {
			var peer clock.Clock
			peer.AddRange(st.Origin, 1, st.Base+uint64(len(st.Rows)))
			fenced = fenced || s.ObserveClock(peer)
		}
	})
	for range 3 {
		put(t, s, key("a"), doc("ns", "a", "a"))
	}
	if fenced {
		t.Error("fenced by rows on their way")
	}
}

func TestEveryStartTakesANewOrigin(t *testing.T) {
	dir := t.TempDir()
	seen := map[clock.Origin]bool{}
	for range 3 {
		s := storagetest.Open(t, storagetest.Dir(dir))
		if s.Origin() != 0 {
			t.Error("an origin before the first write")
		}
		d := put(t, s, key("a"), doc("ns", "a", "a"))
		if seen[d.Origin] || d.Counter != 1 {
			t.Errorf("dot %s", d)
		}
		seen[d.Origin] = true
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Also if the random numbers repeat.
	for range 2 {
		n := uint64(4)
		s := storagetest.Open(t, storagetest.Dir(dir), func(c *storage.Config) { c.Random = func() uint64 { n++; return n } })
		if d := put(t, s, key("a"), doc("ns", "a", "a")); seen[d.Origin] {
			t.Errorf("dot %s again", d)
		} else {
			seen[d.Origin] = true
		}
		s.Close()
	}
}

func TestStampsNeverGoBack(t *testing.T) {
	dir := t.TempDir()
	now := start
	open := func() *storage.Store {
		return storagetest.Open(t, storagetest.Dir(dir), func(c *storage.Config) { c.Now = func() time.Time { return now } })
	}
	s := open()
	stamp := func() clock.Stamp {
		rec, _, _ := get(t, s, key("a"))
		return rec.MaxStamp()
	}
	put(t, s, key("a"), doc("ns", "a", "a"))
	before := stamp()
	s.Close()
	now = now.Add(-24 * time.Hour)
	s = open()
	put(t, s, key("b"), doc("ns", "b", "b")) // supersedes nothing: only the bound tells
	rec, _, _ := get(t, s, key("b"))
	if rec.MaxStamp() <= before {
		t.Errorf("stamp %s after %s", rec.MaxStamp().Time(), before.Time())
	}

	// A row of the far future poisons its own key only.
	far := clock.NewStamp(now.Add(10*365*24*time.Hour).UnixMilli(), 0)
	v := memory.Version{Dot: clock.Dot{Origin: 7, Counter: 1}, Stamp: far, Value: doc("ns", "far", "far")}
	push(t, s, storage.StagedRow{Raw: memory.Record{Key: key("far"), Versions: []memory.Version{v}}.Append(nil)})
	put(t, s, key("far"), doc("ns", "far", "near"))
	if rec, _, _ := get(t, s, key("far")); rec.MaxStamp() <= far || content(t, s, key("far")) != "near" {
		t.Error("a successor does not sort above a stamp of the future")
	}
	put(t, s, key("c"), doc("ns", "c", "c"))
	if rec, _, _ := get(t, s, key("c")); rec.MaxStamp() >= far {
		t.Error("a stamp of the future moved the clock")
	}
	// One within bounds is followed.
	soon := clock.NewStamp(start.Add(30*time.Second).UnixMilli(), 0)
	now = start
	v = memory.Version{Dot: clock.Dot{Origin: 7, Counter: 2}, Stamp: soon, Value: doc("ns", "soon", "soon")}
	push(t, s, storage.StagedRow{Raw: memory.Record{Key: key("soon"), Versions: []memory.Version{v}}.Append(nil)})
	put(t, s, key("d"), doc("ns", "d", "d"))
	if rec, _, _ := get(t, s, key("d")); rec.MaxStamp() <= soon {
		t.Error("a stamp within bounds was not followed")
	}
}

// A row that is sound but for one sibling: what is readable stays readable, here and at a
// node that gets both from here.
func TestQuarantineOfOneSibling(t *testing.T) {
	var ra, rb []storage.StagedRow
	a, b, c, d := storagetest.Open(t, recorded(&ra)), storagetest.Open(t, recorded(&rb)), storagetest.Open(t), storagetest.Open(t)
	k := key("k")
	put(t, a, k, doc("ns", "t", "from a"))
	put(t, b, k, doc("ns", "t", "from b"))
	push(t, c, ra[0])
	push(t, a, rb...) // a holds both now
	p := since(t, a, storage.SinceRequest{})
	bad := broken(t, p.Rows[0], "from b")
	push(t, c, storage.StagedRow{Raw: bad})
	if content(t, c, k) != "from a" || !c.Quarantined().Equal(clock.Of(rb[0].Dot)) || !c.Clock().Equal(a.Clock()) {
		t.Errorf("content %q, quarantined %s", content(t, c, k), c.Quarantined())
	}
	storagetest.Verify(t, c)
	if n := storagetest.Pull(t, d, c, 0); n != 2 || content(t, d, k) != "from a" || !d.Quarantined().Equal(c.Quarantined()) {
		t.Errorf("%d rows, content %q, quarantined %s", n, content(t, d, k), d.Quarantined())
	}
	for _, s := range []*storage.Store{c, d} {
		push(t, s, rb...)
		same(t, a, s)
	}
}

// A row that bytes kept here have superseded leaves nothing behind: a record without
// siblings would be passed on in the place of those bytes.
func TestQuarantineBeforeItsPast(t *testing.T) {
	var ra []storage.StagedRow
	a, b, c := storagetest.Open(t, recorded(&ra)), storagetest.Open(t), storagetest.Open(t)
	k := key("k")
	for _, text := range []string{"first", "second", "third"} {
		put(t, a, k, doc("ns", "t", text))
	}
	push(t, b, storage.StagedRow{Raw: broken(t, ra[2].Raw, "third")})
	push(t, b, ra[1]) // second, over first
	if _, _, found := get(t, b, k); found {
		t.Error("a superseded row is stored")
	}
	storagetest.Verify(t, b)
	if n := storagetest.Pull(t, c, b, 1); n != 1 || !c.Quarantined().Equal(b.Quarantined()) {
		t.Errorf("relayed %d rows, quarantined %s", n, c.Quarantined())
	}
	storagetest.Verify(t, c)
	push(t, b, ra[2])
	same(t, a, b)
}

// A dot under two records is a collision, whether the first came long ago or just before.
func TestDotUnderAnotherRecord(t *testing.T) {
	for name, together := range map[string]bool{"one batch": true, "two": false} {
		t.Run(name, func(t *testing.T) {
			s := storagetest.Open(t)
			one, two := foreign(1, "one", nil), foreign(1, "two", nil)
			var got storage.Applied
			if together {
				got = push(t, s, one, two)
			} else {
				push(t, s, one)
				got = push(t, s, two)
			}
			if got.Collisions != 1 || !got.Collided.Contains(one.Dot) {
				t.Errorf("%+v", got)
			}
			if content(t, s, key("one")) != "one" {
				t.Error("the first is gone")
			}
			if _, _, found := get(t, s, key("two")); found {
				t.Error("the second is there")
			}
		})
	}
}

// TestContextsAreBounded: a row of 20 bytes can name as many past versions as there are
// counters. It is left out, and the rest of its page is taken.
func TestContextsAreBounded(t *testing.T) {
	var rows []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&rows)), storagetest.Open(t)
	put(t, a, key("good"), doc("ns", "t", "c"))
	bad := memory.Record{Key: key("bad"), Versions: []memory.Version{{Dot: clock.Dot{Origin: 8, Counter: 1}, Stamp: 1, Value: doc("ns", "bad", "c")}}}
	bad.Context.AddRange(9, 1, clock.MaxCounter)
	covers := bad.Context.Clone()
	covers.Add(bad.Versions[0].Dot)
	covers.Union(a.Clock())
	for _, pushed := range []bool{true, false} {
		batch := storage.Batch{From: "eve", Push: pushed, Rows: [][]byte{bad.Append(nil), rows[0].Raw}}
		if !pushed {
			batch.Covers = covers
		}
		got, err := storagetest.Apply(t, b, batch)
		if err != nil || got.Failed != 1 || !b.Clock().Equal(a.Clock()) {
			t.Errorf("pushed %t: %+v, %v, clock %s", pushed, got, err, b.Clock())
		}
	}
	same(t, a, b)
	empty := memory.Record{Key: key("bad")}
	empty.Context.Add(clock.Dot{Origin: 9, Counter: 1})
	if _, err := storagetest.Apply(t, b, storage.Batch{From: "eve", Push: true, Rows: [][]byte{empty.Append(nil)}}); !errors.Is(err, memory.ErrFrame) {
		t.Errorf("a row without a version: %v", err)
	}
	same(t, a, b)
}
