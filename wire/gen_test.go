package wire

import (
	"bytes"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func genClock(t *rapid.T, label string) clock.Clock {
	var c clock.Clock
	for range rapid.IntRange(0, 6).Draw(t, label+" ranges") {
		o := clock.Origin(rapid.Uint64Range(0, 4).Draw(t, label+" origin") * 0x1111111111111111)
		lo := rapid.Uint64Range(1, 400).Draw(t, label+" lo")
		if rapid.Bool().Draw(t, label+" far") {
			lo = clock.MaxCounter - lo
		}
		c.AddRange(o, lo, min(lo+rapid.Uint64Range(0, 50).Draw(t, label+" len"), clock.MaxCounter))
	}
	return c
}

func genRows(t *rapid.T) [][]byte {
	var rows [][]byte
	for range rapid.IntRange(0, 20).Draw(t, "rows") {
		n := rapid.OneOf(rapid.IntRange(1, 300), rapid.IntRange(1, 100_000)).Draw(t, "row size")
		rows = append(rows, bytes.Repeat([]byte{rapid.Byte().Draw(t, "fill")}, n))
	}
	return rows
}

func genName(t *rapid.T) string { return rapid.StringMatching(`[a-z0-9._:@/-]{1,40}`).Draw(t, "name") }

func genCluster(t *rapid.T) (id memory.ClusterID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "cluster"))
	return id
}

func genPage(t *rapid.T) *Page {
	known := genClock(t, "clock")
	return &Page{
		Head: Head{
			Proto: Proto, Cluster: genCluster(t), Name: genName(t), Boot: rapid.Uint64().Draw(t, "boot"),
			Origin: clock.Origin(rapid.Uint64().Draw(t, "origin")), Clock: known, Floor: genClock(t, "floor"),
			Scope: rapid.SampledFrom([]string{ScopeAll, "team/a", "ü"}).Draw(t, "scope"),
			HLC:   clock.Stamp(rapid.Uint64().Draw(t, "hlc")), Reconcile: rapid.Bool().Draw(t, "reconcile"),
		},
		Rows:     genRows(t),
		Withheld: genClock(t, "withheld"),
		Tail:     Tail{Covers: known.Intersect(genClock(t, "covers")), Complete: rapid.Bool().Draw(t, "complete")},
	}
}

func genBatch(t *rapid.T) PushBatch {
	return PushBatch{
		Seq: rapid.Uint64Range(0, clock.MaxCounter).Draw(t, "seq"), Origin: clock.Origin(rapid.Uint64().Draw(t, "origin")),
		Base: rapid.Uint64Range(0, clock.MaxCounter).Draw(t, "base"), Floor: genClock(t, "floor"), Rows: genRows(t),
	}
}

func genAck(t *rapid.T) Ack {
	return Ack{
		Seq: rapid.Uint64Range(0, clock.MaxCounter).Draw(t, "seq"), Entry: genClock(t, "entry"),
		Result: AckResult(rapid.Uint8Range(1, 255).Draw(t, "result")), Name: genName(t), ClockHash: rapid.Uint64().Draw(t, "hash"),
	}
}

func genNudge(t *rapid.T) Nudge {
	return Nudge{
		ClockHash: rapid.Uint64().Draw(t, "hash"), Origin: clock.Origin(rapid.Uint64().Draw(t, "origin")),
		Counter: rapid.Uint64Range(0, clock.MaxCounter).Draw(t, "counter"),
	}
}

// The fixed messages of the golden files, fuzz seeds and benchmarks.

var fixedCluster = memory.ClusterID{0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

func fixedClock() clock.Clock {
	var c clock.Clock
	c.AddRange(0x0123456789abcdef, 1, 20)
	c.AddRange(0x0123456789abcdef, 22, 22)
	c.AddRange(0x0123456789abcdef, 30, 31)
	c.AddRange(0xfedcba9876543210, 5, clock.MaxCounter)
	return c
}

func fixedPage() *Page {
	covers := fixedClock()
	return &Page{
		Head: Head{
			Proto: Proto, Cluster: fixedCluster, Name: "n1", Boot: 7, Origin: 0x0123456789abcdef, Clock: covers,
			Floor: covers.Only(0x0123456789abcdef), Scope: ScopeAll, HLC: clock.NewStamp(1_767_225_600_123, 4), Reconcile: true,
		},
		Rows:     [][]byte{[]byte("first row"), bytes.Repeat([]byte("x"), 200)},
		Withheld: clock.Of(clock.Dot{Origin: 9, Counter: 3}),
		Tail:     Tail{Covers: covers, Complete: true},
	}
}

func fixedBatch() PushBatch {
	return PushBatch{
		Seq: 3, Origin: 0x0123456789abcdef, Base: 41, Floor: clock.Of(clock.Dot{Origin: 9, Counter: 1}),
		Rows: [][]byte{[]byte("first row"), bytes.Repeat([]byte("y"), 200)},
	}
}

func fixedAck() Ack {
	c := fixedClock()
	return Ack{Seq: 3, Entry: c.Only(0x0123456789abcdef), Result: AckOK, Name: "n2", ClockHash: 0x1122334455667788}
}

func fixedNudge() Nudge {
	return Nudge{ClockHash: 0x1122334455667788, Origin: 0x0123456789abcdef, Counter: 42}
}

func fixedSince() SinceRequest {
	return SinceRequest{
		Peer: "n2", Boot: 5, Cluster: fixedCluster, Scope: ScopeAll, Cursor: fixedClock(),
		Reserved: clock.Of(clock.Dot{Origin: 9, Counter: 3}), LimitBytes: 1 << 20,
	}
}

func pageBytes(t testing.TB, p *Page) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WritePage(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func batchBytes(t testing.TB, p PushBatch) []byte {
	t.Helper()
	b, err := AppendBatch(nil, &p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ackBytes(t testing.TB, a Ack) []byte {
	t.Helper()
	b, err := AppendAck(nil, &a)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
