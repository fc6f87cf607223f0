package memory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/memd/memd/clock"
)

// sound draws a record that decoding accepts.
func sound(t *rapid.T) Record {
	r := join(garbage(t, "r"), Record{Key: testKey})
	r.Key = rapid.SampledFrom([]Key{testKey, NewKey(KindMemory, "chosen"), NewKey(77, "unknown kind")}).Draw(t, "key")
	if checkRecordExt(r.Ext) != nil {
		r.Ext = joinExt(r.Ext, protowire.AppendVarint(protowire.AppendTag(nil, 10, protowire.VarintType), 1))
	}
	for i := range r.Versions {
		v := &r.Versions[i]
		v.sum = Hash{}
		v.Agent = rapid.SampledFrom([]string{"", "ai:alice"}).Draw(t, "agent")
		if rapid.Bool().Draw(t, "newer") {
			v.Ext = protowire.AppendString(protowire.AppendTag(v.Ext, 12, protowire.BytesType), "from a newer node")
		}
	}
	return r
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := sound(t)
		b := r.Append([]byte("prefix"))[len("prefix"):]
		back, err := DecodeRecord(b)
		if err != nil {
			t.Fatalf("%v\n%+v", err, r)
		}
		if !bytes.Equal(back.Append(nil), b) {
			t.Fatal("another encoding after decoding")
		}
		stored, err := DecodeStored(b)
		if err != nil || !reflect.DeepEqual(stored.Clone(), back.Clone()) {
			t.Fatalf("stored differs: %v", err)
		}
		env, err := DecodeEnvelope(b)
		if err != nil || env.Key != r.Key || !slices.Equal(env.Dots, r.Dots()) || !env.Context.Equal(r.Context) || !bytes.Equal(env.Raw, b) {
			t.Fatalf("envelope %+v, %v", env, err)
		}
		if size := r.Size(); r.Context.Empty() && size != len(b) || size > len(b) {
			t.Fatalf("Size %d of %d", size, len(b))
		}
		// The result shares nothing with the input.
		for i := range b {
			b[i] ^= 0xff
		}
		if again := back.Append(nil); bytes.Equal(again, b) || string(again) != bytesOf(r) {
			t.Fatal("the record aliases the input")
		}
	})
}

// TestCanonical: whatever is accepted has exactly one encoding, and no flipped bit goes unnoticed.
func TestCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := sound(t).Append(nil)
		i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		switch rapid.IntRange(0, 2).Draw(t, "damage") {
		case 0:
			b[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 1:
			b = slices.Delete(b, i, min(len(b), i+rapid.IntRange(1, 3).Draw(t, "n")))
		default:
			b = slices.Insert(b, i, rapid.Byte().Draw(t, "byte"))
		}
		r, err := DecodeRecord(b)
		if err == nil && !bytes.Equal(r.Append(nil), b) {
			t.Fatalf("two encodings of one record: %x", b)
		}
	})
}

func TestFlippedPayloadIsADefect(t *testing.T) {
	r := Record{Key: testKey, Versions: []Version{versionOf(dot(1, 1)), versionOf(dot(2, 2))}}
	b := r.Append(nil)
	at := bytes.Index(b, []byte("text 1"))
	b[at] ^= 1
	_, err := DecodeRecord(b)
	var defect *DefectError
	if !errors.As(err, &defect) || defect.Dot != dot(1, 1) || errors.Is(err, ErrFrame) {
		t.Fatalf("%v", err)
	}
	if env, err := DecodeEnvelope(b); err != nil || len(env.Dots) != 2 {
		t.Fatalf("envelope: %v", err)
	}
	if _, err := DecodeStored(b); err != nil {
		t.Fatalf("DecodeStored verifies sums: %v", err)
	}
}

// TestUnknownFieldsSurvive: an old node relays what a newer node wrote, byte for byte, at both levels and through a merge.
func TestUnknownFieldsSurvive(t *testing.T) {
	v := versionOf(dot(1, 1))
	v.sum = Hash{}
	v.Ext = protowire.AppendVarint(protowire.AppendTag(nil, 8, protowire.VarintType), 300)
	v.Ext = protowire.AppendString(protowire.AppendTag(v.Ext, 900, protowire.BytesType), "later")
	r := Record{Key: testKey, Versions: []Version{v}}
	r.Ext = protowire.AppendFixed32(protowire.AppendTag(nil, 6, protowire.Fixed32Type), 7)
	b := r.Append(nil)
	back, err := DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.Ext, r.Ext) || !bytes.Equal(back.Versions[0].Ext, v.Ext) {
		t.Fatalf("%x %x", back.Ext, back.Versions[0].Ext)
	}
	merged := Merge(Record{Key: testKey, Versions: []Version{versionOf(dot(2, 2))}}, back, nil).Record
	if !bytes.Equal(merged.Ext, r.Ext) || !bytes.Equal(merged.Find(v.Dot).Ext, v.Ext) {
		t.Fatal("merge lost them")
	}
	m, err := merged.Supersede(Version{Dot: dot(9, 1), Stamp: 1 << 40, Value: v.Value}, nil)
	if err != nil || !bytes.Equal(m.Record.Ext, r.Ext) {
		t.Fatalf("supersede lost them: %v", err)
	}
}

// TestEnvelopeCost pins what a row pays beside its key, its agent's name and its document.
func TestEnvelopeCost(t *testing.T) {
	value := bytes.Repeat([]byte("x"), 1024)
	v := Version{Dot: dot(1<<63+5, 100_000), Stamp: clock.NewStamp(1_795_000_000_000, 3), Value: value, Content: HashOf("c")}
	r := Record{Key: testKey, Versions: []Version{v}}
	cost := len(r.Append(nil)) - len(value) - len(testKey) - 2
	if cost > 61 {
		t.Errorf("%d bytes", cost)
	}
	r.Versions[0].Content, r.Versions[0].sum = Hash{}, Hash{}
	if bare := cost - (len(r.Append(nil)) - len(value) - len(testKey) - 2); bare != 18 {
		t.Errorf("content hash costs %d", bare)
	}
}

func TestSumBindsEverything(t *testing.T) {
	base := Version{Dot: dot(1, 1), Stamp: 5, Agent: "a", Value: []byte("{}"), Content: HashOf("c"), Idem: HashOf("i")}
	seen := map[Hash]string{base.Sum(testKey): "base"}
	note := func(name string, k Key, change func(*Version)) {
		v := base
		v.sum = Hash{}
		change(&v)
		h := v.Sum(k)
		if other, ok := seen[h]; ok {
			t.Errorf("%s has the sum of %s", name, other)
		}
		seen[h] = name
	}
	note("key", NewKey(KindMemory, "y"), func(*Version) {})
	note("kind", NewKey(KindMember, testKey.ID()), func(*Version) {})
	note("origin", testKey, func(v *Version) { v.Dot.Origin++ })
	note("counter", testKey, func(v *Version) { v.Dot.Counter++ })
	note("stamp", testKey, func(v *Version) { v.Stamp++ })
	note("agent", testKey, func(v *Version) { v.Agent = "b" })
	note("deleted", testKey, func(v *Version) { v.Deleted, v.Value = true, nil })
	note("value", testKey, func(v *Version) { v.Value = []byte("{} ") })
	note("content", testKey, func(v *Version) { v.Content[0]++ })
	note("idem", testKey, func(v *Version) { v.Idem[0]++ })
	note("ext", testKey, func(v *Version) { v.Ext = []byte{0x38, 1} })
	v := base
	if v.sum != base.sum || v.Sum(testKey) != base.sum {
		t.Error("not cached")
	}
}

// wrap builds envelopes by hand.
func wrap(num protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), body)
}

func rawVersionOf(d clock.Dot, payload []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(d.Origin))
	b = binary.AppendUvarint(b, d.Counter)
	sum := sumRaw(testKey, d, payload)
	return wrap(fieldVersion, append(append(b, sum[:]...), payload...))
}

func TestMalformedFrames(t *testing.T) {
	key := wrap(fieldKey, []byte(testKey))
	v := versionOf(dot(1, 5))
	payload := v.appendPayload(nil)
	version := rawVersionOf(v.Dot, payload)
	context := wrap(fieldContext, clock.Of(dot(2, 1)).Append(nil))
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	if _, err := DecodeRecord(cat(key, version, context)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	many := [][]byte{key}
	for i := range MaxSiblings + 1 {
		many = append(many, rawVersionOf(dot(1, uint64(i+1)), nil))
	}
	marks, exts := [][]byte{key}, [][]byte{key}
	for i := range 40 {
		lost := appendLost(nil, &Lost{Dot: dot(1, uint64(i+1))})
		marks = append(marks, lost)
		exts = append(exts, wrap(9, []byte{byte(i)}))
	}
	for name, b := range map[string][]byte{
		"empty":                nil,
		"no key":               version,
		"key twice":            cat(key, key),
		"key of form 3":        wrap(1, []byte{1, 3, 'x'}),
		"key of kind 0":        wrap(1, []byte{0, 2, 'x'}),
		"uuid as text":         wrap(1, append([]byte{1, 2}, testKey.ID()...)),
		"long id":              wrap(1, append([]byte{1, 2}, strings.Repeat("x", 129)...)),
		"id not UTF-8":         wrap(1, []byte{1, 2, 0xff}),
		"context before":       cat(key, context, version),
		"context twice":        cat(key, context, context),
		"empty context":        cat(key, wrap(fieldContext, clock.Clock{}.Append(nil))),
		"context with a tail":  cat(key, wrap(fieldContext, append(clock.Of(dot(2, 1)).Append(nil), 0))),
		"sibling in context":   cat(key, version, wrap(fieldContext, clock.Of(v.Dot).Append(nil))),
		"version twice":        cat(key, version, version),
		"versions descending":  cat(key, version, rawVersionOf(dot(1, 4), payload)),
		"counter 0":            cat(key, rawVersionOf(dot(1, 0), payload)),
		"counter 2^63":         cat(key, rawVersionOf(dot(1, 1<<63), payload)),
		"long form of counter": cat(key, wrap(fieldVersion, append([]byte{0, 0, 0, 0, 0, 0, 0, 1, 0x81, 0}, make([]byte, 40)...))),
		"no sum":               cat(key, wrap(fieldVersion, make([]byte, 12))),
		"large payload":        cat(key, rawVersionOf(v.Dot, make([]byte, MaxPayload+1))),
		"1025 siblings":        cat(many...),
		"17 lost":              cat(marks...),
		"40 unknown fields":    cat(exts...),
		"large unknown field":  cat(key, wrap(9, make([]byte, MaxExtField))),
		"unknown descending":   cat(key, wrap(9, nil), wrap(8, nil)),
		"unknown truncated":    cat(key, wrap(9, []byte("abc"))[:3]),
		"wrong wire type":      cat(key, protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1)),
		"truncated":            cat(key, version)[:len(key)+30],
		"long form of tag":     append([]byte{0x8a, 0x00}, key[1:]...),
		"long form of length":  append([]byte{0x0a, 0x92, 0x00}, key[2:]...),
		"over 16 MiB":          make([]byte, MaxRecord+1),
	} {
		if _, err := DecodeEnvelope(b); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: DecodeEnvelope: %v", name, err)
		}
		if _, err := DecodeRecord(b); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: DecodeRecord: %v", name, err)
		}
	}
}

func TestDefectiveRows(t *testing.T) {
	key := wrap(fieldKey, []byte(testKey))
	stamp := protowire.AppendFixed64(protowire.AppendTag(nil, fieldStamp, protowire.Fixed64Type), 9)
	value := wrap(fieldValue, testValue("x"))
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	deleted := protowire.AppendVarint(protowire.AppendTag(nil, fieldDeleted, protowire.VarintType), 1)
	if _, err := DecodeRecord(cat(key, rawVersionOf(dot(1, 1), cat(stamp, value)))); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, payload := range map[string][]byte{
		"empty":               {},
		"no stamp":            value,
		"no value":            stamp,
		"stamp twice":         cat(stamp, stamp, value),
		"order":               cat(value, stamp),
		"deleted with value":  cat(stamp, deleted, value),
		"deleted = 2":         cat(stamp, protowire.AppendVarint(protowire.AppendTag(nil, fieldDeleted, protowire.VarintType), 2)),
		"empty agent":         cat(stamp, wrap(fieldAgent, nil), value),
		"long agent":          cat(stamp, wrap(fieldAgent, make([]byte, 129)), value),
		"agent not UTF-8":     cat(stamp, wrap(fieldAgent, []byte{0xff}), value),
		"short hash":          cat(stamp, value, wrap(fieldContent, make([]byte, 15))),
		"zero hash":           cat(stamp, value, wrap(fieldIdem, make([]byte, 16))),
		"stamp as varint":     cat(protowire.AppendVarint(protowire.AppendTag(nil, fieldStamp, protowire.VarintType), 9), value),
		"long form":           cat(stamp, []byte{0x22, 0x80 | value[1], value[2] | 0x80, 0}, value[3:]),
		"unknown descending":  cat(stamp, value, wrap(9, nil), wrap(8, nil)),
		"unknown truncated":   cat(stamp, value, []byte{0x4a, 0x05}),
		"value no JSON":       cat(stamp, wrap(fieldValue, []byte("hello"))),
		"value lacks members": cat(stamp, wrap(fieldValue, []byte("{}"))),
		"value over limit":    cat(stamp, wrap(fieldValue, make([]byte, MaxValue+1))),
		"garbage":             bytes.Repeat([]byte{0xff}, 30),
	} {
		b := cat(key, rawVersionOf(dot(1, 1), payload))
		_, err := DecodeRecord(b)
		var defect *DefectError
		if !errors.As(err, &defect) || defect.Dot != dot(1, 1) {
			t.Errorf("%s: %v", name, err)
		}
		if env, err := DecodeEnvelope(b); err != nil || len(env.Dots) != 1 || env.Dots[0] != dot(1, 1) {
			t.Errorf("%s: the envelope is unreadable: %v", name, err)
		}
	}
	for name, tail := range map[string][]byte{
		"short lost":  wrap(fieldLost, make([]byte, 20)),
		"lost order":  cat(appendLost(nil, &Lost{Dot: dot(2, 2)}), appendLost(nil, &Lost{Dot: dot(1, 2)})),
		"lost twice":  cat(appendLost(nil, &Lost{Dot: dot(2, 2)}), appendLost(nil, &Lost{Dot: dot(2, 2)})),
		"short idem":  wrap(fieldIdemMark, make([]byte, 20)),
		"zero idem":   appendIdem(nil, &IdemMark{Dot: dot(1, 1)}),
		"long agent":  appendLost(nil, &Lost{Dot: dot(2, 2), Agent: strings.Repeat("a", 129)}),
		"dot 0 in it": appendLost(nil, &Lost{}),
	} {
		var defect *DefectError
		if _, err := DecodeRecord(cat(key, tail)); !errors.As(err, &defect) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A kind that this version does not know is never judged by its value.
	odd := Record{Key: NewKey(99, "x"), Versions: []Version{{Dot: dot(1, 1), Stamp: 1, Value: []byte{0, 1, 2}}}}
	if _, err := DecodeRecord(odd.Append(nil)); err != nil {
		t.Errorf("unknown kind: %v", err)
	}
}

func TestKeyForms(t *testing.T) {
	for _, id := range []string{
		"00000000-0000-0000-0000-000000000000", "9d0e3f00-aaaa-4bbb-8ccc-0123456789ab", "9D0E3F00-aaaa-4bbb-8ccc-0123456789ab", "x",
		"9d0e3f00aaaa4bbb8ccc0123456789ab", "9d0e3f00-aaaa-4bbb-8ccc-0123456789ag", "9d0e3f00+aaaa-4bbb-8ccc-0123456789ab",
		strings.Repeat("é", 64), strings.Repeat("x", 128),
	} {
		k := NewKey(KindMemory, id)
		if k.ID() != id || k.Kind() != KindMemory {
			t.Errorf("%q came back as %q of %s", id, k.ID(), k.Kind())
		}
		back, err := ParseKey([]byte(k))
		if err != nil || back != k {
			t.Errorf("%q: %v", id, err)
		}
	}
	if k := NewKey(KindMember, "00000000-0000-0000-0000-000000000001"); len(k) != 18 {
		t.Errorf("a UUID takes %d bytes", len(k))
	}
	if NewKey(KindMemory, "X") == NewKey(KindMember, "X") {
		t.Error("kinds share keys")
	}
	for _, b := range []string{"", "\x01", "\x01\x02", "\x00\x02x", "\x01\x01short", "\x01\x03x", "\x01\x02" + strings.Repeat("x", 129)} {
		if k, err := ParseKey([]byte(b)); err == nil {
			t.Errorf("%q was taken as %q", b, k)
		}
	}
	if id := NewKey(KindMemory, strings.Repeat("x", 200)).ID(); len(id) != 200 {
		t.Error("an id over the limit was cut instead of being left for ValidateID")
	}
	if (Key("")).ID() != "" || (Key("")).Kind() != 0 {
		t.Error("empty key")
	}
}

func TestDerivedID(t *testing.T) {
	c := ClusterID{1}
	id := DerivedID(c, "ns", "title", 0)
	if id != DerivedID(c, "ns", "title", 0) || len(NewKey(KindMemory, id)) != 18 {
		t.Errorf("%s", id)
	}
	for _, other := range []string{
		DerivedID(ClusterID{2}, "ns", "title", 0), DerivedID(c, "ns", "title", 1), DerivedID(c, "nst", "itle", 0), DerivedID(c, "ns", "Title", 0),
	} {
		if other == id {
			t.Errorf("%s twice", id)
		}
	}
	if id[14] != '8' {
		t.Errorf("not a version 8 UUID: %s", id)
	}
	// The id of a title is a promise between nodes of all versions.
	if want := "31002809-e13f-841f-8522-26373138a2b5"; id != want {
		t.Errorf("%s, want %s", id, want)
	}
}

func TestClusterID(t *testing.T) {
	c := ClusterID{0xab, 1}
	back, err := ParseClusterID(c.String())
	if err != nil || back != c || c.IsZero() || !(ClusterID{}).IsZero() {
		t.Errorf("%v %v", back, err)
	}
	for _, s := range []string{"", "ab", strings.Repeat("g", 32), strings.Repeat("A", 32)} {
		if _, err := ParseClusterID(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
