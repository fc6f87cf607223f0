package memory

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/memd/memd/clock"
)

// The outer envelope. Numbers ascend; from firstRecordExt on they are unknown here and kept in Ext.
//
//	1 key      bytes
//	2 version  origin 8 B big-endian, uvarint counter, sum 16 B, payload to the end; repeated, ascending by dot
//	3 context  clock encoding; left out when empty
//	4 lost     origin, uvarint counter, stamp 8 B, content 16 B, agent to the end; repeated, ascending by dot
//	5 idem     origin, uvarint counter, stamp 8 B, idem 16 B, content 16 B; repeated, ascending by dot
//
// A version's inside is the payload (version.go). A later field at record level must be a set of elements whose merge is the union:
// a node that does not know it merges it so.
const (
	fieldKey       = 1
	fieldVersion   = 2
	fieldContext   = 3
	fieldLost      = 4
	fieldIdemMark  = 5
	firstRecordExt = 6
)

func dotSize(d clock.Dot) int { return 8 + protowire.SizeVarint(d.Counter) }

func appendDot(b []byte, d clock.Dot) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(d.Origin))
	return binary.AppendUvarint(b, d.Counter)
}

func versionSize(v *Version, payload int) int { return dotSize(v.Dot) + len(v.sum) + payload }

// Append writes the canonical form: the same bytes at rest, on the wire and in hashes. Equal records have equal bytes.
func (r Record) Append(b []byte) []byte {
	b = protowire.AppendTag(b, fieldKey, protowire.BytesType)
	b = protowire.AppendString(b, string(r.Key))
	for i := range r.Versions {
		b = r.appendVersion(b, &r.Versions[i])
	}
	if !r.Context.Empty() {
		s := scratch.Get().(*[]byte)
		*s = r.Context.Append((*s)[:0])
		b = protowire.AppendTag(b, fieldContext, protowire.BytesType)
		b = protowire.AppendBytes(b, *s)
		putScratch(s)
	}
	for i := range r.Lost {
		b = appendLost(b, &r.Lost[i])
	}
	for i := range r.Idems {
		b = appendIdem(b, &r.Idems[i])
	}
	return append(b, r.Ext...)
}

func (r Record) appendVersion(b []byte, v *Version) []byte {
	b = protowire.AppendTag(b, fieldVersion, protowire.BytesType)
	if !v.sum.IsZero() {
		b = protowire.AppendVarint(b, uint64(versionSize(v, v.payloadSize())))
		b = appendDot(b, v.Dot)
		b = append(b, v.sum[:]...)
		return v.appendPayload(b)
	}
	s := scratch.Get().(*[]byte)
	v.sum, *s = v.sumInto(r.Key, (*s)[:0])
	payload := (*s)[sumHeadSize(r.Key):]
	b = protowire.AppendVarint(b, uint64(versionSize(v, len(payload))))
	b = appendDot(b, v.Dot)
	b = append(b, v.sum[:]...)
	b = append(b, payload...)
	putScratch(s)
	return b
}

func appendLost(b []byte, l *Lost) []byte {
	b = protowire.AppendTag(b, fieldLost, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(dotSize(l.Dot)+8+len(l.Content)+len(l.Agent)))
	b = appendDot(b, l.Dot)
	b = binary.BigEndian.AppendUint64(b, uint64(l.Stamp))
	b = append(b, l.Content[:]...)
	return append(b, l.Agent...)
}

func appendIdem(b []byte, m *IdemMark) []byte {
	b = protowire.AppendTag(b, fieldIdemMark, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(dotSize(m.Dot)+8+len(m.Idem)+len(m.Content)))
	b = appendDot(b, m.Dot)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Stamp))
	b = append(b, m.Idem[:]...)
	return append(b, m.Content[:]...)
}

// Size is the length of the encoding without the context, which is not cheap to know: a lower bound that is exact for most rows.
func (r Record) Size() int {
	n := 1 + protowire.SizeBytes(len(r.Key)) + len(r.Ext)
	for i := range r.Versions {
		v := &r.Versions[i]
		n += 1 + protowire.SizeBytes(versionSize(v, v.payloadSize()))
	}
	for i := range r.Lost {
		n += 2 + dotSize(r.Lost[i].Dot) + 8 + 16 + len(r.Lost[i].Agent)
	}
	for i := range r.Idems {
		n += 2 + dotSize(r.Idems[i].Dot) + 8 + 32
	}
	return n
}
