package storage_test

import (
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

func writeCopy(t *testing.T, s *storage.Store, k memory.Key, value []byte) {
	t.Helper()
	rec, _, _ := get(t, s, k)
	if value == nil {
		if _, err := storagetest.Commit(t, s, func(tx *storage.Tx) error {
			_, err := tx.Delete(k, storage.PutOptions{Copy: rec.View().Winner})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return
	}
	put(t, s, k, value, storage.PutOptions{Copy: rec.View().Winner})
}

// TestQuarantinedCopy: two copies of one version, on a and b; c has the first as bytes only.
func TestQuarantinedCopy(t *testing.T) {
	var ra, rb []storage.StagedRow
	a, b, c := storagetest.Open(t, recorded(&ra)), storagetest.Open(t, recorded(&rb)), storagetest.Open(t)
	k := key("k")
	put(t, a, k, doc("ns", "t", "first"))
	push(t, b, ra...)
	writeCopy(t, a, k, doc("ns", "t", "copyA"))
	writeCopy(t, b, k, doc("ns", "t", "copyB"))
	push(t, c, storage.StagedRow{Raw: broken(t, ra[1].Raw, "copyA")}, rb[0])
	push(t, a, rb[0])
	push(t, b, ra[1])
	same(t, a, b)
	push(t, c, ra[1])
	if !c.Quarantined().Empty() {
		t.Error("still quarantined")
	}
	storagetest.Pull(t, c, a, 0)
	same(t, a, c) // level clocks
}

// TestCopyOfWhatUnreadableBytesUpdate: an update that is bytes only, and then a copy of what it has updated
func TestCopyOfWhatUnreadableBytesUpdate(t *testing.T) {
	var ra, rb []storage.StagedRow
	a, b, c := storagetest.Open(t, recorded(&ra)), storagetest.Open(t, recorded(&rb)), storagetest.Open(t)
	k := key("k")
	put(t, a, k, doc("ns", "t", "first"))
	push(t, b, ra...)
	put(t, a, k, doc("ns", "t", "newer"))
	writeCopy(t, b, k, doc("ns", "t", "copyB"))
	push(t, c, storage.StagedRow{Raw: broken(t, ra[1].Raw, "newer")})
	push(t, c, rb[0])
	push(t, c, ra[1])
	p := since(t, c, storage.SinceRequest{})
	if !p.Complete {
		t.Errorf("page of c after release: %d rows, complete %v, covers %s, c's clock %s", len(p.Rows), p.Complete, p.Covers, c.Clock())
	}
	storagetest.Pull(t, a, b, 0)
	same(t, a, c)
}

// TestForgedCopy: a forged copy of what is here under another key
func TestForgedCopy(t *testing.T) {
	var ra []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&ra)), storagetest.Open(t)
	put(t, a, key("k"), doc("ns", "t", "first"))
	put(t, a, key("l"), doc("ns", "l", "fine"))
	v := memory.Version{Dot: clock.Dot{Origin: 7, Counter: 1}, Stamp: 1, Value: doc("ns", "x", "forged"), Kept: memory.Kept{Dot: ra[0].Dot, Stamp: 1}}
	push(t, a, storage.StagedRow{Raw: memory.Record{Key: key("x"), Versions: []memory.Version{v}}.Append(nil)})
	p := since(t, a, storage.SinceRequest{})
	got, err := storagetest.Apply(t, b, storage.Batch{From: "a", Rows: p.Rows, Floor: p.Floor, Covers: p.Covers, Clock: p.Clock})
	if err != nil || content(t, b, key("l")) != "fine" || content(t, b, key("k")) != "first" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestUndoneCopy: an update, and a copy that had not seen it, in both orders.
func TestUndoneCopy(t *testing.T) {
	var ra, rb []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&ra)), storagetest.Open(t, recorded(&rb))
	k := key("k")
	put(t, a, k, doc("ns", "t", "first"))
	push(t, b, ra...)
	put(t, a, k, doc("ns", "t", "newer"))
	writeCopy(t, b, k, doc("ns", "t", "copyB"))
	storagetest.Pull(t, b, a, 0)
	storagetest.Verify(t, b)
	storagetest.Pull(t, a, b, 0)
	same(t, a, b)
}

// TestForgedStampOfACopy: a forged copy that names another stamp is one in any order.
func TestForgedStampOfACopy(t *testing.T) {
	var ra []storage.StagedRow
	a, b := storagetest.Open(t, recorded(&ra)), storagetest.Open(t)
	put(t, a, key("k"), doc("ns", "t", "first"))
	v := memory.Version{Dot: clock.Dot{Origin: 7, Counter: 1}, Stamp: 1, Value: doc("ns", "x", "forged"), Kept: memory.Kept{Dot: ra[0].Dot, Stamp: 1}}
	f := storage.StagedRow{Raw: memory.Record{Key: key("k"), Versions: []memory.Version{v}}.Append(nil)}
	push(t, a, f)
	push(t, b, f)
	push(t, b, ra[0])
	same(t, a, b)
}

// TestReleasedCopy: one copy, bytes only first, then readable
func TestReleasedCopy(t *testing.T) {
	var ra []storage.StagedRow
	a, c := storagetest.Open(t, recorded(&ra)), storagetest.Open(t)
	k := key("k")
	put(t, a, k, doc("ns", "t", "first"))
	writeCopy(t, a, k, doc("ns", "t", "copyA"))
	push(t, c, storage.StagedRow{Raw: broken(t, ra[1].Raw, "copyA")})
	push(t, c, ra[1])
	if content(t, c, k) != "copyA" {
		t.Errorf("c shows %q, quarantined %s, clocks level %v", content(t, c, k), c.Quarantined(), a.Clock().Equal(c.Clock()))
	}
	same(t, a, c)
}

// TestCopiesLeaveNoLosers: two copies that differ end by the sweep; an update from before them arrives
func TestCopiesLeaveNoLosers(t *testing.T) {
	var ra, rb, rc []storage.StagedRow
	a, b, c := storagetest.Open(t, recorded(&ra)), storagetest.Open(t, recorded(&rb)), storagetest.Open(t, recorded(&rc))
	k := key("k")
	put(t, a, k, doc("ns", "t", "first"))
	push(t, b, ra...)
	push(t, c, ra...)
	put(t, a, k, doc("ns", "t", "newer")) // a is away from now on
	writeCopy(t, b, k, doc("ns", "t", "copyB"))
	writeCopy(t, c, k, doc("ns", "t", "copyC"))
	push(t, b, rc...)
	writeCopy(t, b, k, nil)
	storagetest.Pull(t, b, a, 0)
	storagetest.Pull(t, a, b, 0)
	same(t, a, b)
}

// TestUndoneCopyBesideUnreadableBytes: a row that kept bytes have superseded may name the dot of a copy
// that they do not know. A state speaks for it all the same, and goes when the bytes can be read.
func TestUndoneCopyBesideUnreadableBytes(t *testing.T) {
	var ra, rb []storage.StagedRow
	a, b, c, d := storagetest.Open(t, recorded(&ra)), storagetest.Open(t, recorded(&rb)), storagetest.Open(t), storagetest.Open(t)
	k := key("k")
	put(t, a, k, doc("ns", "t", "first"))
	push(t, b, ra[0])
	writeCopy(t, b, k, doc("ns", "t", "copyB"))
	put(t, a, k, doc("ns", "t", "second"))
	put(t, a, k, doc("ns", "t", "third"))
	push(t, d, ra[1], rb[0]) // has the second, and put the copy aside
	push(t, c, storage.StagedRow{Raw: broken(t, ra[2].Raw, "third")})
	storagetest.Pull(t, c, d, 0)
	storagetest.Verify(t, c)
	if p := since(t, c, storage.SinceRequest{}); !p.Complete || !p.Covers.Equal(c.Clock()) {
		t.Errorf("page: complete %v, covers %s of %s", p.Complete, p.Covers, c.Clock())
	}
	push(t, c, ra[2])
	storagetest.Pull(t, a, c, 0)
	same(t, a, c)
	if !c.Quarantined().Empty() || content(t, c, k) != "third" {
		t.Errorf("%q, quarantined %s", content(t, c, k), c.Quarantined())
	}
}
