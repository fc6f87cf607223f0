package cluster

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func sampleMeta() Meta {
	return Meta{Cluster: ID{1, 2, 15: 9}, Boot: 0xfeedfacecafebeef, Started: time.UnixMilli(1764000000123).UTC(),
		HTTP: "[2001:db8::1]:9077", ProtoMin: 1, ProtoMax: 2, Features: 0x80000001, Version: "v1.2.3-dirty"}
}

func TestMetaRoundTrip(t *testing.T) {
	for _, m := range []Meta{
		sampleMeta(),
		{Boot: 1},
		{Boot: 1, HTTP: strings.Repeat("h", 249) + ":65535", Version: strings.Repeat("v", 64), ProtoMax: 255, Features: 1<<32 - 1},
	} {
		b, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) >= maxMeta {
			t.Fatalf("%d bytes", len(b))
		}
		got, err := decodeMeta(b)
		if err != nil || got != m {
			t.Fatalf("got %+v, %v; want %+v", got, err, m)
		}
		got, err = decodeMeta(append(b, "a field of a later build"...))
		if err != nil || got != m {
			t.Fatalf("with a later field: %+v, %v", got, err)
		}
	}
}

// The bytes are a contract between builds.
func TestMetaGolden(t *testing.T) {
	b, err := sampleMeta().encode()
	if err != nil {
		t.Fatal(err)
	}
	want := "\x01" + "\x01\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09" +
		"\xfe\xed\xfa\xce\xca\xfe\xbe\xef" + "\x00\x00\x01\x9a\xb6\x97\xe8\x7b" + "\x01\x02" + "\x80\x00\x00\x01" +
		"\x12[2001:db8::1]:9077" + "\x0cv1.2.3-dirty"
	if string(b) != want {
		t.Fatalf("got  %q\nwant %q", b, want)
	}
}

func TestMetaRefuses(t *testing.T) {
	with := func(f func(*Meta)) Meta { m := sampleMeta(); f(&m); return m }
	for _, m := range []Meta{
		with(func(m *Meta) { m.HTTP = "nohost" }),
		with(func(m *Meta) { m.HTTP = ":9077" }),
		with(func(m *Meta) { m.HTTP = "h:0" }),
		with(func(m *Meta) { m.HTTP = "h:65536" }),
		with(func(m *Meta) { m.HTTP = "h\n:1" }),
		with(func(m *Meta) { m.HTTP = strings.Repeat("h", 255) + ":1" }),
		with(func(m *Meta) { m.Version = strings.Repeat("v", 65) }),
		with(func(m *Meta) { m.Version = "\x1b[2J" }),
		with(func(m *Meta) { m.Version = "\xff" }),
		with(func(m *Meta) { m.ProtoMin = 3 }),
		with(func(m *Meta) { m.Started = time.UnixMilli(-1) }),
		with(func(m *Meta) { m.Started = time.UnixMilli(maxStartMillis + 1) }),
	} {
		if _, err := m.encode(); err == nil {
			t.Errorf("encoded %+v", m)
		}
	}
	good, _ := sampleMeta().encode()
	for n := range good {
		if _, err := decodeMeta(good[:n]); err == nil {
			t.Errorf("decoded the first %d bytes", n)
		}
	}
	if _, err := decodeMeta(append(bytes.Clone(good), make([]byte, maxMeta)...)); err == nil {
		t.Error("decoded more than the limit")
	}
	good[0] = 2
	if _, err := decodeMeta(good); err == nil {
		t.Error("decoded another format")
	}
}

func FuzzMeta(f *testing.F) {
	b, _ := sampleMeta().encode()
	f.Add(b)
	f.Add(append(b, 1, 2, 3))
	b, _ = Meta{Boot: 1}.encode()
	f.Add(b)
	f.Add([]byte{})
	b, _ = Meta{Boot: 1, HTTP: strings.Repeat("h", 249) + ":65535", Version: strings.Repeat("v", 64), ProtoMax: 255, Features: 1<<32 - 1}.encode()
	f.Add(b)
	b, _ = sampleMeta().encode()
	f.Add(b[:len(b)-1]) // cut
	b = bytes.Clone(b)
	b[0]++ // another format
	f.Add(b)
	f.Add(bytes.Repeat([]byte{0xff}, maxMeta))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil {
			t.Fatalf("decoded, but cannot be encoded: %+v: %v", m, err)
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func FuzzMessages(f *testing.F) {
	meta, _ := sampleMeta().encode()
	f.Add(numbered{Digest: Digest{1, 2, 3, 4}, Seq: 4}.append(nil))
	f.Add(encodeState([]numbered{{Digest: Digest{1, 2, 3, 4}, Seq: 4}, {Digest: Digest{5, 6, 7, 8}, Seq: 8}}))
	f.Add(append(conflictReport{name: "a", addr: "10.0.0.1:7946"}.appendTo(nil), meta...))
	f.Add(encodeState(nil))
	f.Add(encodeState([]numbered{{Seq: 1}})[:20]) // claims more than there is
	f.Add([]byte{stateFormat, 255})
	f.Add(encodeState(make([]numbered, maxStateDigests+1)))
	f.Add(conflictReport{name: strings.Repeat("n", 255), addr: "[2001:db8::1]:7946"}.appendTo(nil))
	f.Add(conflictReport{}.appendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, ok := decodeDigest(b); ok && !bytes.HasPrefix(b, d.append(nil)) {
			t.Fatalf("digest of %x", b)
		}
		if ds, err := decodeState(b); err == nil && !bytes.HasPrefix(b, encodeState(ds)) {
			t.Fatalf("state of %x", b)
		}
		if r, ok := decodeConflict(b); ok {
			if !bytes.HasPrefix(b, r.appendTo(nil)) {
				t.Fatalf("conflict of %x", b)
			}
		}
	})
}
