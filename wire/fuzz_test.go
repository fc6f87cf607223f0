package wire

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/memd/memd/memory"
)

// Whatever arrives: no panic, one of the declared errors, and what is accepted is
// written and read again as the same.

func typed(err error) bool {
	return errors.Is(err, ErrMalformed) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrTooLarge)
}

func FuzzReadPage(f *testing.F) {
	f.Add(pageBytes(f, fixedPage()))
	f.Add(pageBytes(f, &Page{}))
	f.Add(newRaw().frame('Z', []byte("unknown")).frame(frameRow, []byte("row")).tail(Tail{Rows: 1, Bytes: 3}))
	f.Add(newRaw().tail(Tail{Covers: fixedClock()}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadPage(bytes.NewReader(b), 1<<20)
		switch {
		case errors.Is(err, ErrTruncated):
			if p == nil || !p.Tail.Covers.Empty() || p.Tail.Complete || !p.Withheld.Empty() {
				t.Fatalf("truncated page proves something: %+v", p)
			}
		case err != nil:
			if p != nil || !typed(err) {
				t.Fatalf("%v, %v", p, err)
			}
		default:
			again, err := ReadPage(bytes.NewReader(pageBytes(t, p)), 0)
			if err != nil {
				t.Fatal(err)
			}
			samePage(t, p, again)
		}
	})
}

// FuzzReadPageFrame puts one frame with the right checksums into a page, at its
// beginning and in its middle.
func FuzzReadPageFrame(f *testing.F) {
	h := fixedPage().Head
	f.Add(byte(frameHead), h.append(nil))
	f.Add(byte(frameWithheld), appendClock(nil, 1, fixedClock()))
	tail := Tail{Covers: fixedClock(), Rows: 1, Bytes: 3, CRC: 5}
	f.Add(byte(frameTail), tail.append(nil))
	f.Add(byte(frameRow), []byte("row"))
	f.Add(byte('Z'), []byte("unknown"))
	f.Fuzz(func(t *testing.T, typ byte, payload []byte) {
		for _, b := range [][]byte{
			new(raw).frame(typ, payload).tail(Tail{}),
			newRaw().frame(typ, payload).tail(Tail{}),
			newRaw().frame(typ, payload).tail(Tail{Rows: 1, Bytes: int64(len(payload))}),
		} {
			p, err := ReadPage(bytes.NewReader(b), 0)
			if err != nil {
				if !typed(err) || errors.Is(err, ErrTruncated) {
					t.Fatal(err)
				}
				continue
			}
			again, err := ReadPage(bytes.NewReader(pageBytes(t, p)), 0)
			if err != nil {
				t.Fatal(err)
			}
			samePage(t, p, again)
		}
	})
}

func FuzzDecodePush(f *testing.F) {
	n := fixedNudge()
	f.Add(batchBytes(f, fixedBatch()))
	f.Add(AppendNudge(batchBytes(f, PushBatch{}), &n))
	f.Add(appendFrame(nil, 'Z', []byte("unknown")))
	f.Add(appendFrame(nil, framePush, appendUint(nil, 900, 5)))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := ReadPushBody(bytes.NewReader(b))
		if err != nil {
			if all != nil || !typed(err) {
				t.Fatalf("%v, %v", all, err)
			}
			return
		}
		for _, p := range all {
			if p.Nudge != nil {
				again, err := ReadPushBody(bytes.NewReader(AppendNudge(nil, p.Nudge)))
				if err != nil || *again[0].Nudge != *p.Nudge {
					t.Fatalf("%+v: %v", p.Nudge, err)
				}
				continue
			}
			again, err := ReadPushBody(bytes.NewReader(batchBytes(t, *p.Batch)))
			if err != nil {
				t.Fatal(err)
			}
			sameBatch(t, *p.Batch, *again[0].Batch)
		}
	})
}

// FuzzDecodePushPayload puts the checksum right, which the fuzzer cannot.
func FuzzDecodePushPayload(f *testing.F) {
	b := batchBytes(f, fixedBatch())
	f.Add(byte(framePush), b[3:len(b)-sumSize])
	n := fixedNudge()
	b = AppendNudge(nil, &n)
	f.Add(byte(frameNudge), b[2:len(b)-sumSize])
	f.Fuzz(func(t *testing.T, typ byte, payload []byte) {
		all, err := ReadPushBody(bytes.NewReader(appendFrame(nil, typ, payload)))
		if err != nil {
			if !typed(err) {
				t.Fatal(err)
			}
			return
		}
		for _, p := range all {
			if p.Batch != nil {
				_ = batchBytes(t, *p.Batch)
			}
		}
	})
}

func FuzzDecodeAck(f *testing.F) {
	b := ackBytes(f, fixedAck())
	f.Add(b[2 : len(b)-sumSize])
	f.Add(appendUint(nil, 3, 200))
	f.Fuzz(func(t *testing.T, payload []byte) {
		acks, err := ReadAcks(bytes.NewReader(appendFrame(nil, frameAck, payload)))
		if err != nil {
			if !typed(err) {
				t.Fatal(err)
			}
			return
		}
		again, err := ReadAcks(bytes.NewReader(ackBytes(t, acks[0])))
		if err != nil {
			t.Fatal(err)
		}
		sameAck(t, acks[0], again[0])
	})
}

func FuzzParseSince(f *testing.F) {
	f.Add(fixedSince().Values().Encode())
	f.Add("v=2&peer=n")
	f.Add("v=3&peer=n&cursor=AA&reserved=AA&limit_bytes=-1")
	f.Fuzz(func(t *testing.T, query string) {
		v, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		r, err := ParseSince(v, http.Header{})
		if err != nil {
			if !errors.Is(err, memory.ErrInvalid) && !errors.Is(err, ErrCluster) {
				t.Fatal(err)
			}
			return
		}
		again, err := ParseSince(r.Values(), nil)
		if err != nil || again.Values().Encode() != r.Values().Encode() {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	})
}

func FuzzParseUpdatedSince(f *testing.F) {
	f.Add("since=2026-05-01T10:00:00%2B00:00&limit=5&peer=x")
	f.Add("since=@5")
	f.Fuzz(func(t *testing.T, query string) {
		v, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		r, err := ParseUpdatedSince(v)
		if err != nil {
			if !errors.Is(err, memory.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if r.Limit < 1 || r.Limit > MaxSyncLimit {
			t.Fatal(r.Limit)
		}
		again, err := ParseUpdatedSince(url.Values{"since": {r.NextSince(7)}})
		if err != nil || !again.Since.Equal(r.Since) || again.After != 7 {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	})
}
