package storage

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

func fuzzRecord(value string, deleted bool) []byte {
	k := memory.NewKey(memory.KindMemory, "id")
	r := memory.Record{Key: k, Context: clock.Of(clock.Dot{Origin: 3, Counter: 4})}
	r.Versions = append(r.Versions, memory.Version{Dot: clock.Dot{Origin: 1, Counter: 2}, Stamp: 5, Agent: "a", Value: []byte(value)})
	if deleted {
		r.Versions = append(r.Versions, memory.Version{Dot: clock.Dot{Origin: 2, Counter: 2}, Stamp: 9, Deleted: true, Idem: memory.Hash{7}})
	}
	return r.Append(nil)
}

const fuzzValue = `{"tier":"mid","namespace":"ns","title":"t","content":"c","tags":[],"priority":5,"confidence":1,"source":"api","created_at":"2026-11-22T10:00:00+00:00","updated_at":"2026-11-22T10:00:00+00:00","metadata":{}}`

// The writer accepts exactly the rows that package memory calls sound.
func FuzzJudge(f *testing.F) {
	for _, value := range []string{fuzzValue, `{}`, `[]`, fuzzValue[:len(fuzzValue)-1] + `,"x":1}`} {
		for _, deleted := range []bool{false, true} {
			raw := fuzzRecord(value, deleted)
			f.Add(raw)
			f.Add(append(raw, 14<<3, 1))
			bad := bytes.Clone(raw)
			bad[len(bad)/2] ^= 1
			f.Add(bad)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		want, wantErr := memory.DecodeRecord(raw)
		got, _, err := judge(raw, memory.ClusterID{}, 0)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("judge says %v, memory says %v", err, wantErr)
		}
		if err == nil && !bytes.Equal(got.Append(nil), want.Append(nil)) {
			t.Fatal("other records")
		}
	})
}

// Whatever is on disk, reading it ends in a value or an error.
func FuzzStored(f *testing.F) {
	k := []byte(memory.NewKey(memory.KindMemory, "id"))
	rec, err := memory.DecodeRecord(fuzzRecord(fuzzValue, true))
	if err != nil {
		f.Fatal(err)
	}
	stored, _ := sealRow(seqKey(7), rec)
	f.Add(seqKey(7), stored)
	f.Add(k, sealQuarantined(k, "reason", []byte("raw")))
	f.Add([]byte("state"), state{seq: 3}.encode())
	d := clock.Dot{Origin: 3, Counter: 4}
	f.Add(clockKey(3), sealClock(clockKey(3), clock.Of(d)))
	f.Add(clockKey(3), append(sealClock(clockKey(3), clock.Of(d)), 0)) // the sum is another one
	f.Add(seqKey(8), stored)                                           // a row at another's place
	f.Add(seqKey(7), stored[:len(stored)-1])
	body := memory.Record{Key: rec.Key, Versions: rec.Versions[:1]}
	rk := revKey(rec.Key, rec.Versions[0].Dot)
	f.Add(rk, seal(body.Append(make([]byte, sealSize)), rk))
	f.Add(revKey(rec.Key, d), seal(body.Append(make([]byte, sealSize)), revKey(rec.Key, d)))
	f.Add(seqKey(9), seal(append(make([]byte, sealSize), 0xff, 0xff, 0xff, 0xff, 0x0f), seqKey(9))) // a length of nothing
	f.Add(k, binary.AppendUvarint(binary.AppendUvarint(nil, 3), 1764000000000000000))
	f.Add(k, binary.AppendUvarint(nil, memory.MaxAccessCount+1))
	f.Add([]byte{}, dotKey(d))
	f.Add([]byte{}, dotKey(clock.Dot{}))
	f.Fuzz(func(t *testing.T, k, v []byte) {
		if raw, err := unseal(v, k); err == nil {
			if rec, err := memory.DecodeStored(raw); err == nil {
				if again, _ := sealRow(k, rec); !bytes.Equal(again, v) {
					t.Fatal("a row that is read and written again differs")
				}
			}
		}
		if reason, raw, err := openQuarantined(k, v); err == nil && !bytes.Equal(sealQuarantined(k, reason, raw), v) {
			t.Fatal("quarantined bytes that are read and written again differ")
		}
		if c, err := unsealClock(k, v); err == nil && !bytes.Equal(sealClock(k, c), v) {
			t.Fatal("a clock that is read and written again differs")
		}
		_, _ = rowKey(k, v)
		_, _ = decodeState(v)
		_, _ = openRevision(k, v)
		_, _ = decodeAccess(v)
		_, _ = parseDot(v)
	})
}
