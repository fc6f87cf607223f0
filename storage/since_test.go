package storage_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

func since(t testing.TB, s *storage.Store, r storage.SinceRequest) *storage.Page {
	t.Helper()
	p, err := s.Since(r)
	if err != nil {
		t.Fatalf("since: %v", err)
	}
	if !s.Clock().Covers(p.Covers) {
		t.Errorf("covers %s goes beyond the clock %s", p.Covers, s.Clock())
	}
	for _, raw := range p.Rows {
		env, err := memory.DecodeEnvelope(raw)
		if err != nil {
			t.Fatal(err)
		}
		if r.Cursor.Covers(clock.Of(env.Dots...)) && r.Cursor.Covers(env.Context) {
			t.Errorf("row %s was in the cursor", env.Key)
		}
	}
	return p
}

func TestSinceNothingMissing(t *testing.T) {
	s := storagetest.Open(t)
	if p := since(t, s, storage.SinceRequest{}); !p.NotModified {
		t.Error("an empty store has something")
	}
	put(t, s, key("a"), doc("ns", "a", "a"))
	if p := since(t, s, storage.SinceRequest{Cursor: s.Clock()}); !p.NotModified || !p.Clock.Equal(s.Clock()) {
		t.Errorf("%+v", p)
	}
	if p := since(t, s, storage.SinceRequest{Reserved: s.Clock(), Scope: storage.ScopeAll}); !p.NotModified {
		t.Error("what is all reserved elsewhere is sent")
	}
	if _, err := s.Since(storage.SinceRequest{Scope: "ns:a"}); !errors.Is(err, storage.ErrScope) {
		t.Errorf("error %v", err)
	}
}

func TestSinceSendsCurrentStateOnce(t *testing.T) {
	s := storagetest.Open(t)
	for i := range 1000 {
		put(t, s, key("hot"), doc("ns", "hot", fmt.Sprint(i)))
	}
	p := since(t, s, storage.SinceRequest{})
	if len(p.Rows) != 1 || !p.Complete || !p.Covers.Equal(s.Clock()) {
		t.Errorf("%d rows, complete %v, covers %s", len(p.Rows), p.Complete, p.Covers)
	}
}

func TestSincePages(t *testing.T) {
	s := storagetest.Open(t)
	for i := range 50 {
		put(t, s, key(fmt.Sprint(i)), doc("ns", fmt.Sprint(i), "v"))
	}
	one := since(t, s, storage.SinceRequest{LimitBytes: 1})
	if len(one.Rows) != 1 || one.Complete || one.Covers.Count() != 1 {
		t.Errorf("a page of one byte: %d rows, complete %v, covers %s", len(one.Rows), one.Complete, one.Covers)
	}
	p := since(t, s, storage.SinceRequest{LimitBytes: 3000})
	if p.Bytes > 3000 || p.Complete || len(p.Rows) < 5 {
		t.Errorf("%d bytes in %d rows, complete %v", p.Bytes, len(p.Rows), p.Complete)
	}
	// The oldest prefix, without a hole.
	if base, above := p.Covers.Entry(s.Origin()); base != uint64(len(p.Rows)) || len(above) > 0 {
		t.Errorf("covers %s", p.Covers)
	}
	dst := storagetest.Open(t)
	if n := storagetest.Pull(t, dst, s, 3000); n != 50 {
		t.Errorf("%d rows for 50", n)
	}
	same(t, s, dst)
}

func TestSinceReserved(t *testing.T) {
	var rows []storage.StagedRow
	s := storagetest.Open(t, recorded(&rows))
	x := put(t, s, key("k"), doc("ns", "k", "x"))
	y := put(t, s, key("k"), doc("ns", "k", "y"))
	z := put(t, s, key("other"), doc("ns", "o", "z"))
	// y is fetched elsewhere. x must not be covered because of it: that pull may break.
	p := since(t, s, storage.SinceRequest{Reserved: clock.Of(y)})
	if len(p.Rows) != 1 || !p.Complete || p.Covers.Contains(x) || p.Covers.Contains(y) || !p.Covers.Contains(z) {
		t.Errorf("%d rows, complete %v, covers %s", len(p.Rows), p.Complete, p.Covers)
	}
	// y is had: a state that knows of x is needed all the same, else nothing there speaks for x.
	p = since(t, s, storage.SinceRequest{Cursor: clock.Of(y, z)})
	if len(p.Rows) != 1 || !p.Complete || !p.Covers.Equal(clock.Of(x)) {
		t.Errorf("%d rows, complete %v, covers %s", len(p.Rows), p.Complete, p.Covers)
	}
	// x is reserved, its successor is not.
	p = since(t, s, storage.SinceRequest{Reserved: clock.Of(x)})
	if len(p.Rows) != 2 || !p.Complete || !p.Covers.Equal(clock.Of(y, z)) {
		t.Errorf("%d rows, complete %v, covers %s", len(p.Rows), p.Complete, p.Covers)
	}
	dst := storagetest.Open(t)
	if _, err := storagetest.Apply(t, dst, storage.Batch{Rows: p.Rows, Covers: p.Covers}); err != nil {
		t.Fatal(err)
	}
	same(t, s, dst) // the row's context brought x
}

func TestSinceNeverCoversWhatItDoesNotSend(t *testing.T) {
	var rows []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&rows)), storagetest.Open(t)
	for i := range 10 {
		put(t, a, key(fmt.Sprint(i)), doc("ns", fmt.Sprint(i), "v"))
	}
	push(t, b, rows[2], rows[7]) // holes below and between
	p := since(t, b, storage.SinceRequest{})
	if !p.Complete || !p.Covers.Equal(clock.Of(rows[2].Dot, rows[7].Dot)) {
		t.Errorf("complete %v, covers %s", p.Complete, p.Covers)
	}
	c := storagetest.Open(t)
	storagetest.Pull(t, c, b, 0)
	same(t, b, c)
	storagetest.Pull(t, c, a, 0)
	same(t, a, c)
}

func TestRelayKeepsDots(t *testing.T) {
	a, b, c := storagetest.Open(t), storagetest.Open(t), storagetest.Open(t)
	put(t, a, key("a"), doc("ns", "a", "a"))
	put(t, a, key("gone"), doc("ns", "g", "g"))
	del(t, a, key("gone"))
	storagetest.Pull(t, b, a, 0)
	put(t, b, key("b"), doc("ns", "b", "b"))
	if n := storagetest.Pull(t, c, b, 0); n != 3 {
		t.Errorf("%d rows", n)
	}
	same(t, b, c)
	if n := storagetest.Pull(t, c, a, 0); n != 0 {
		t.Errorf("%d rows that a relay had brought", n)
	}
	if n := storagetest.Pull(t, a, c, 0); n != 1 {
		t.Errorf("%d rows", n)
	}
	same(t, a, c)
}

func TestUnknownKindsAndFieldsAreKept(t *testing.T) {
	a, b := storagetest.Open(t), storagetest.Open(t)
	k := memory.NewKey(77, "from the future")
	v := memory.Version{Dot: clock.Dot{Origin: 7, Counter: 1}, Stamp: 5, Value: []byte("no json"), Ext: []byte{15 << 3, 1}}
	raw := memory.Record{Key: k, Versions: []memory.Version{v}, Ext: []byte{14 << 3, 9}}.Append(nil)
	push(t, a, storage.StagedRow{Raw: raw})
	storagetest.Pull(t, b, a, 0)
	same(t, a, b)
	p := since(t, b, storage.SinceRequest{})
	if len(p.Rows) != 1 || string(p.Rows[0]) != string(raw) {
		t.Error("bytes of an unknown kind changed on the way")
	}
}

// TestSinceBoundsThePast: a page ends behind rows that were overwritten often, however few
// bytes they have, since its reader makes an entry of each of their dots.
func TestSinceBoundsThePast(t *testing.T) {
	s := storagetest.Open(t)
	b := storage.Batch{From: "peer"}
	for i := range 3 {
		r := memory.Record{Key: key(fmt.Sprint(i)), Versions: []memory.Version{{Dot: clock.Dot{Origin: clock.Origin(i + 1), Counter: 140_001}, Stamp: 1, Value: doc("ns", fmt.Sprint(i), "c")}}}
		if i < 2 {
			r.Context.AddRange(clock.Origin(i+1), 1, 140_000)
		}
		b.Rows = append(b.Rows, r.Append(nil))
	}
	if _, err := storagetest.Apply(t, s, b); err != nil {
		t.Fatal(err)
	}
	first := since(t, s, storage.SinceRequest{})
	if len(first.Rows) != 2 || first.Complete || first.Covers.Count() != 280_002 {
		t.Errorf("%d rows, complete %t, covers %s", len(first.Rows), first.Complete, first.Covers)
	}
	if rest := since(t, s, storage.SinceRequest{Cursor: first.Covers}); len(rest.Rows) != 1 || !rest.Complete {
		t.Errorf("then %d rows, complete %t", len(rest.Rows), rest.Complete)
	}
}
