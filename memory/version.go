package memory

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/memd/memd/clock"
)

// Version is one write of a record. Once made, no byte of it ever changes: a dot names one byte string for ever.
type Version struct {
	Dot     clock.Dot
	Stamp   clock.Stamp
	Agent   string // who wrote it
	Deleted bool
	Value   []byte // the kind's document, verbatim for ever; empty if and only if deleted
	Content Hash   // hash of what the user said, without server-made fields: equal contents collapse in the view
	Idem    Hash   // hash of the Idempotency-Key, zero = none
	Kept    Kept   // what this is a copy of that nobody asked for; zero = somebody wrote it
	Lasts   uint64 // of a copy: until when, in milliseconds of Unix time; MaxUint64 = for ever
	Ext     []byte // fields of newer versions, verbatim

	// Invariant: if not zero, it is the sum of the fields above under the record's key. Set by decoding and by Sum; a Version is
	// not changed after either. Guarded by DecodeRecord, which compares.
	sum Hash
}

// Kept says that a version is what a node made of another one by itself, and of which: with another time to live or, when that was
// over, a deletion. Whoever writes has decided about what somebody wrote, and has not to know of such copies: a write that has seen the
// version has seen them all, be they older or concurrent (Merge, Supersede). So what was deleted does not come back with a copy, and an
// update has no conflict with one. Among copies of the same version what is live goes before a deletion, as everywhere.
type Kept struct {
	Dot   clock.Dot   // of the version that somebody wrote, be there copies between
	Stamp clock.Stamp // of it: a copy ranks as what it is a copy of
}

// IsCopy tells that nobody asked for the version.
func (v *Version) IsCopy() bool { return v.Kept != Kept{} }

// Origin is the version that somebody wrote: itself, or what it is a copy of.
func (v *Version) Origin() Kept {
	if v.IsCopy() {
		return v.Kept
	}
	return Kept{v.Dot, v.Stamp}
}

// keptSize is the bytes of the field: origin, counter and stamp of Kept, and Lasts, big endian.
const keptSize = 32

// Numbers of the payload's fields, ascending. From firstVersionExt on: unknown, kept in Ext.
const (
	fieldStamp      = 1 // fixed64, always there
	fieldAgent      = 2
	fieldDeleted    = 3 // varint 1
	fieldValue      = 4
	fieldContent    = 5
	fieldIdem       = 6
	fieldKept       = 7
	firstVersionExt = 8
)

// Sum is the checksum that travels beside the payload, so that damage is seen per version: SHA-256 cut to 128 bits over key, dot
// and payload. The result is cached: the version must not be changed afterwards, and the first call must not be concurrent.
func (v *Version) Sum(k Key) Hash {
	if v.sum.IsZero() {
		s := scratch.Get().(*[]byte)
		v.sum, *s = v.sumInto(k, (*s)[:0])
		putScratch(s)
	}
	return v.sum
}

// Sound tells whether the checksum that the version came with is that of its fields.
func (v *Version) Sound(k Key) bool {
	again := *v
	again.sum = Hash{}
	return again.Sum(k) == v.Sum(k)
}

// sumInto also hands back the buffer, which then holds the summed bytes with the payload as its tail.
func (v *Version) sumInto(k Key, buf []byte) (Hash, []byte) {
	buf = appendSumHead(buf, k, v.Dot)
	buf = v.appendPayload(buf)
	return cut(sha256.Sum256(buf)), buf
}

func appendSumHead(b []byte, k Key, d clock.Dot) []byte {
	b = append(b, "memd/version/1"...)
	b = binary.AppendUvarint(b, uint64(len(k)))
	b = append(b, k...)
	b = binary.BigEndian.AppendUint64(b, uint64(d.Origin))
	return binary.BigEndian.AppendUint64(b, d.Counter)
}

func sumHeadSize(k Key) int {
	return len("memd/version/1") + protowire.SizeVarint(uint64(len(k))) + len(k) + 16
}

// sumRaw is the sum over payload bytes as they came.
func sumRaw(k Key, d clock.Dot, payload []byte) Hash {
	s := scratch.Get().(*[]byte)
	*s = append(appendSumHead((*s)[:0], k, d), payload...)
	h := cut(sha256.Sum256(*s))
	putScratch(s)
	return h
}

var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

func putScratch(b *[]byte) {
	if cap(*b) <= MaxPayload {
		scratch.Put(b)
	}
}

func (v *Version) payloadSize() int {
	n := 1 + 8 + len(v.Ext)
	if v.Agent != "" {
		n += 1 + protowire.SizeBytes(len(v.Agent))
	}
	if v.Deleted {
		n += 2
	}
	if len(v.Value) > 0 {
		n += 1 + protowire.SizeBytes(len(v.Value))
	}
	if !v.Content.IsZero() {
		n += 2 + len(v.Content)
	}
	if !v.Idem.IsZero() {
		n += 2 + len(v.Idem)
	}
	if v.IsCopy() {
		n += 2 + keptSize
	}
	return n
}

func (v *Version) appendPayload(b []byte) []byte {
	b = protowire.AppendTag(b, fieldStamp, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, uint64(v.Stamp))
	if v.Agent != "" {
		b = protowire.AppendTag(b, fieldAgent, protowire.BytesType)
		b = protowire.AppendString(b, v.Agent)
	}
	if v.Deleted {
		b = protowire.AppendTag(b, fieldDeleted, protowire.VarintType)
		b = append(b, 1)
	}
	if len(v.Value) > 0 {
		b = protowire.AppendTag(b, fieldValue, protowire.BytesType)
		b = protowire.AppendBytes(b, v.Value)
	}
	if !v.Content.IsZero() {
		b = protowire.AppendTag(b, fieldContent, protowire.BytesType)
		b = protowire.AppendBytes(b, v.Content[:])
	}
	if !v.Idem.IsZero() {
		b = protowire.AppendTag(b, fieldIdem, protowire.BytesType)
		b = protowire.AppendBytes(b, v.Idem[:])
	}
	if k := v.Kept; v.IsCopy() {
		b = protowire.AppendTag(b, fieldKept, protowire.BytesType)
		b = protowire.AppendVarint(b, keptSize)
		b = binary.BigEndian.AppendUint64(b, uint64(k.Dot.Origin))
		b = binary.BigEndian.AppendUint64(b, k.Dot.Counter)
		b = binary.BigEndian.AppendUint64(b, uint64(k.Stamp))
		b = binary.BigEndian.AppendUint64(b, v.Lasts)
	}
	return append(b, v.Ext...)
}

var (
	errTruncated = errors.New("truncated field")
	errOrder     = errors.New("fields out of order or repeated")
	errShape     = errors.New("field of wrong type or size")
	errMinimal   = errors.New("not in canonical form")
)

// decodePayload fills v from the payload. Value and Ext alias it.
func (v *Version) decodePayload(payload []byte) error {
	b, last := payload, protowire.Number(0)
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errTruncated
		}
		if num >= firstVersionExt {
			if err := checkExt(b, firstVersionExt); err != nil {
				return err
			}
			v.Ext = b
			break
		}
		if num <= last {
			return errOrder
		}
		last, b = num, b[n:]
		switch typ {
		case protowire.Fixed64Type:
			x, n := protowire.ConsumeFixed64(b)
			if n < 0 || num != fieldStamp {
				return errShape
			}
			v.Stamp, b = clock.Stamp(x), b[n:]
		case protowire.VarintType:
			x, n := protowire.ConsumeVarint(b)
			if n < 0 || num != fieldDeleted || x != 1 {
				return errShape
			}
			v.Deleted, b = true, b[n:]
		case protowire.BytesType:
			x, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return errTruncated
			}
			if err := v.setBytes(num, x); err != nil {
				return err
			}
			b = b[n:]
		default:
			return errShape
		}
	}
	switch {
	case v.Deleted && len(v.Value) > 0:
		return errors.New("a deletion with a value")
	case v.IsCopy() && !v.Idem.IsZero():
		return errors.New("a copy that was asked for")
	case v.Kept.Dot == v.Dot:
		return errors.New("a copy of itself")
	case v.payloadSize() != len(payload):
		return errMinimal
	}
	return nil
}

func (v *Version) setBytes(num protowire.Number, x []byte) error {
	switch num {
	case fieldAgent:
		if len(x) == 0 || len(x) > MaxAgentLen || !utf8.Valid(x) {
			return errShape
		}
		v.Agent = string(x)
	case fieldValue:
		if len(x) == 0 || len(x) > MaxValue {
			return errShape
		}
		v.Value = x
	case fieldContent:
		return setHash(&v.Content, x)
	case fieldIdem:
		return setHash(&v.Idem, x)
	case fieldKept:
		if len(x) != keptSize {
			return errShape
		}
		v.Kept = Kept{
			Dot:   clock.Dot{Origin: clock.Origin(binary.BigEndian.Uint64(x)), Counter: binary.BigEndian.Uint64(x[8:])},
			Stamp: clock.Stamp(binary.BigEndian.Uint64(x[16:])),
		}
		v.Lasts = binary.BigEndian.Uint64(x[24:])
		if v.Kept.Dot.Counter == 0 || v.Kept.Dot.Counter > clock.MaxCounter {
			return errShape
		}
	default:
		return errShape
	}
	return nil
}

func setHash(h *Hash, x []byte) error {
	if len(x) != len(h) || Hash(x).IsZero() {
		return errShape
	}
	*h = Hash(x)
	return nil
}

// checkExt walks unknown fields: well formed, numbers from first on and never descending.
func checkExt(b []byte, first protowire.Number) error {
	last := first
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return errTruncated
		}
		if num < last {
			return errOrder
		}
		last, b = num, b[n:]
	}
	return nil
}
