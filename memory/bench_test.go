package memory

import (
	"strings"
	"testing"

	"github.com/memd/memd/clock"
)

var benchBody = []byte(`{"title":"Deploy day","content":"` + strings.Repeat("We ship on Tuesdays. ", 46) + `","tier":"long","namespace":"acme/ops","tags":["ops","release"],` +
	`"priority":7,"confidence":0.9,"source":"api","metadata":{"topic":"deploy"},"agent_id":"ai:alice","scope":"team"}`)

func benchMemory(b *testing.B) Memory {
	b.Helper()
	d, err := DecodeDraft(benchBody)
	if err != nil {
		b.Fatal(err)
	}
	m, err := d.Memory(epoch, "ai:x")
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func benchRecord(b *testing.B) Record {
	m := benchMemory(b)
	v := Version{Dot: dot(1<<60, 100_000), Stamp: clock.NewStamp(1_795_000_000_000, 3), Agent: "ai:alice", Value: m.Encode(), Content: m.ContentHash()}
	return Record{Key: testKey, Versions: []Version{v}}
}

// BenchmarkPut is all that this package does for one create: body to bytes on the wire.
func BenchmarkPut(b *testing.B) {
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		d, err := DecodeDraft(benchBody)
		if err != nil {
			b.Fatal(err)
		}
		m, err := d.Memory(epoch, "ai:x")
		if err != nil {
			b.Fatal(err)
		}
		v := Version{Dot: dot(1<<60, 100_000), Stamp: 5, Agent: "ai:alice", Value: m.Encode(), Content: m.ContentHash()}
		s, err := Record{Key: testKey}.Supersede(v, nil)
		if err != nil {
			b.Fatal(err)
		}
		out = s.Record.Append(out[:0])
	}
}

func BenchmarkDecodeDraft(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeDraft(benchBody); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDraftMemory(b *testing.B) {
	b.ReportAllocs()
	d, _ := DecodeDraft(benchBody)
	for b.Loop() {
		if _, err := d.Memory(epoch, "ai:x"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeValue(b *testing.B) {
	b.ReportAllocs()
	m := benchMemory(b)
	for b.Loop() {
		m.Encode()
	}
}

func BenchmarkContentHash(b *testing.B) {
	b.ReportAllocs()
	m := benchMemory(b)
	for b.Loop() {
		m.ContentHash()
	}
}

func BenchmarkRecordEncode(b *testing.B) {
	b.ReportAllocs()
	r := benchRecord(b)
	buf := r.Append(nil)
	for b.Loop() {
		r.Versions[0].sum = Hash{} // as for a fresh write
		buf = r.Append(buf[:0])
	}
}

func BenchmarkRecordDecode(b *testing.B) {
	b.ReportAllocs()
	raw := benchRecord(b).Append(nil)
	for b.Loop() {
		if _, err := DecodeRecord(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecordDecodeStored(b *testing.B) {
	b.ReportAllocs()
	raw := benchRecord(b).Append(nil)
	for b.Loop() {
		if _, err := DecodeStored(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMergeNew(b *testing.B) {
	b.ReportAllocs()
	r := benchRecord(b)
	for b.Loop() {
		if m := Merge(Record{}, r, nil); !m.Changed {
			b.Fatal("not new")
		}
	}
}

func BenchmarkDecodeMemory(b *testing.B) {
	b.ReportAllocs()
	m := benchMemory(b)
	value := m.Encode()
	for b.Loop() {
		if _, err := DecodeMemory(testKey, value); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendView(b *testing.B) {
	b.ReportAllocs()
	m := benchMemory(b)
	value, id := m.Encode(), testKey.ID()
	var out []byte
	for b.Loop() {
		out = AppendView(out[:0], id, value, ViewFields{Token: "AQAAAAAAAAABAQA"})
	}
}
