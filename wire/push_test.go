package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/memd/memd/clock"
	"pgregory.net/rapid"
)

func sameBatch(t testing.TB, want, got PushBatch) {
	t.Helper()
	if want.Seq != got.Seq || want.Origin != got.Origin || want.Base != got.Base || !want.Floor.Equal(got.Floor) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	sameRows(t, want.Rows, got.Rows)
}

func sameAck(t testing.TB, want, got Ack) {
	t.Helper()
	if want.Seq != got.Seq || want.Result != got.Result || want.Name != got.Name || want.ClockHash != got.ClockHash || !want.Entry.Equal(got.Entry) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPushRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var want []Pushed
		var b []byte
		for range rapid.IntRange(0, 4).Draw(rt, "frames") {
			if rapid.Bool().Draw(rt, "nudge") {
				n := genNudge(rt)
				want, b = append(want, Pushed{Nudge: &n}), AppendNudge(b, &n)
				continue
			}
			p := genBatch(rt)
			frame := batchBytes(t, p)
			want, b = append(want, Pushed{Batch: &p}), append(b, frame...)
			if rapid.Bool().Draw(rt, "unknown frame") {
				b = appendFrame(b, 'Z', frame)
			}
		}
		got, err := ReadPushBody(bytes.NewReader(b))
		if err != nil {
			rt.Fatal(err)
		}
		if len(got) != len(want) {
			rt.Fatalf("%d frames, want %d", len(got), len(want))
		}
		for i := range want {
			switch {
			case want[i].Nudge != nil:
				if got[i].Nudge == nil || *got[i].Nudge != *want[i].Nudge {
					rt.Fatalf("nudge: got %+v, want %+v", got[i].Nudge, want[i].Nudge)
				}
			case got[i].Batch == nil:
				rt.Fatal("batch became something else")
			default:
				sameBatch(t, *want[i].Batch, *got[i].Batch)
			}
		}
	})
}

func TestAcksRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(genAck), 0, 4).Draw(rt, "acks")
		var b bytes.Buffer
		if err := WriteAcks(&b, want); err != nil {
			rt.Fatal(err)
		}
		got, err := ReadAcks(&b)
		if err != nil || len(got) != len(want) {
			rt.Fatalf("%d acks, %v", len(got), err)
		}
		for i := range want {
			sameAck(t, want[i], got[i])
		}
	})
}

func TestPushDamage(t *testing.T) {
	n := fixedNudge()
	b := AppendNudge(batchBytes(t, fixedBatch()), &n)
	boundary := len(batchBytes(t, fixedBatch()))
	for cut := range len(b) {
		all, err := ReadPushBody(bytes.NewReader(b[:cut]))
		if cut == 0 || cut == boundary {
			if err != nil {
				t.Errorf("cut at %d, between frames: %v", cut, err)
			}
			continue
		}
		if all != nil || !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			if all, err := ReadPushBody(bytes.NewReader(c)); err == nil || all != nil {
				t.Fatalf("byte %d bit %d: damage not seen", i, bit)
			}
		}
	}
	a := ackBytes(t, fixedAck())
	for i := range a {
		c := bytes.Clone(a)
		c[i] ^= 0x10
		if _, err := ReadAcks(bytes.NewReader(c)); err == nil {
			t.Fatalf("ack byte %d: damage not seen", i)
		}
	}
}

func TestPushLimits(t *testing.T) {
	p := fixedBatch()
	p.Rows = nil
	for range MaxPushRows {
		p.Rows = append(p.Rows, []byte{1})
	}
	if got, err := ReadPushBody(bytes.NewReader(batchBytes(t, p))); err != nil || len(got[0].Batch.Rows) != MaxPushRows {
		t.Errorf("at the limit: %v", err)
	}
	var payload []byte
	for range MaxPushRows + 1 {
		payload = appendBytes(payload, 5, []byte{1})
	}
	if _, err := ReadPushBody(bytes.NewReader(appendFrame(nil, framePush, payload))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one row too many, read: %v", err)
	}
	p.Rows = append(p.Rows, []byte{1})
	before := []byte("before")
	for name, c := range map[string]struct {
		batch PushBatch
		want  error
	}{
		"one row too many": {p, ErrTooLarge},
		"empty row":        {PushBatch{Rows: [][]byte{nil}}, ErrMalformed},
		"too many bytes":   {PushBatch{Rows: [][]byte{make([]byte, MaxFrame)}}, ErrTooLarge},
		"base":             {PushBatch{Base: clock.MaxCounter + 1}, ErrMalformed},
		"seq":              {PushBatch{Seq: clock.MaxCounter + 1}, ErrMalformed},
	} {
		if b, err := AppendBatch(before, &c.batch); !errors.Is(err, c.want) || string(b) != "before" {
			t.Errorf("%s, written: %v", name, err)
		}
	}
	for name, payload := range map[string][]byte{
		"counter over 2^63-1": appendUint(nil, 3, clock.MaxCounter+1),
		"seq over 2^63-1":     appendUint(nil, 1, 1<<63),
		"empty row":           {0x2a, 0},
		"origin as varint":    appendUint(nil, 2, 5),
		"row as varint":       appendUint(nil, 5, 5),
		"floor cut off":       appendBytes(nil, 4, []byte{1, 0, 0}),
		"cut off":             {0x2a, 200, 1},
	} {
		if _, err := ReadPushBody(bytes.NewReader(appendFrame(nil, framePush, payload))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var nudges []byte
	n := fixedNudge()
	for range MaxPushRows + 1 {
		nudges = AppendNudge(nudges, &n)
	}
	if _, err := ReadPushBody(bytes.NewReader(nudges)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many frames: %v", err)
	}
}

// A new result of a later version must not look like OK, and none must not either.
func TestAckResult(t *testing.T) {
	if _, err := AppendAck(nil, &Ack{Name: "n"}); !errors.Is(err, ErrMalformed) {
		t.Errorf("ack without result written: %v", err)
	}
	for payload, want := range map[string]error{
		string(appendString(nil, 4, "n2")): ErrMalformed,
		string(appendUint(nil, 3, 256)):    ErrMalformed,
		string(appendUint(nil, 3, 200)):    nil,
	} {
		acks, err := ReadAcks(bytes.NewReader(appendFrame(nil, frameAck, []byte(payload))))
		if !errors.Is(err, want) || (want == nil && (acks[0].Result == AckOK || acks[0].Result.String() != "result 200")) {
			t.Errorf("%x: %+v, %v", payload, acks, err)
		}
	}
}

// Rows must not reach into each other or into a buffer that is used again.
func TestBatchOwnsItsMemory(t *testing.T) {
	b := append(batchBytes(t, fixedBatch()), batchBytes(t, fixedBatch())...)
	f := newFrameReader(bufio.NewReader(bytes.NewReader(b)), 1<<30)
	first, err := readPushed(f)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(first.Batch.Rows[0], "overwrite"...)
	sameBatch(t, fixedBatch(), *first.Batch)
	if _, err := readPushed(f); err != nil {
		t.Fatal(err)
	}
	sameBatch(t, fixedBatch(), *first.Batch)
	if _, err := readPushed(f); !errors.Is(err, io.EOF) {
		t.Errorf("end of the stream: %v", err)
	}
}
