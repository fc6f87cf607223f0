package wire

import (
	"github.com/memd/memd/clock"
	"google.golang.org/protobuf/encoding/protowire"
)

// The payload of a frame other than ROW is a sequence of protobuf fields. A field that
// is zero is left out; one that is not known is skipped; of one that comes twice the
// last counts, as protobuf has it.

// field is one decoded field: u for numbers, b (aliasing the payload) for bytes.
type field struct {
	num protowire.Number
	typ protowire.Type
	u   uint64
	b   []byte
}

// eachField calls f for every field of b and stops at the first error.
func eachField(what string, b []byte, f func(fl *field) error) error {
	var fl field
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed("%s: bad tag", what)
		}
		b = b[n:]
		fl = field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			fl.u, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			fl.u, n = protowire.ConsumeFixed64(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			fl.u = uint64(v)
		case protowire.BytesType:
			fl.b, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return malformed("%s: field %d is cut off or of an unknown type", what, num)
		}
		b = b[n:]
		if err := f(&fl); err != nil {
			return err
		}
	}
	return nil
}

// The setters below check the type of a known field.

func (f *field) uint(dst *uint64, limit uint64) error {
	if f.typ != protowire.VarintType {
		return malformed("field %d has the wrong type", f.num)
	}
	if f.u > limit {
		return malformed("field %d is out of range", f.num)
	}
	*dst = f.u
	return nil
}

func (f *field) bool(dst *bool) error {
	var v uint64
	if err := f.uint(&v, 1); err != nil {
		return err
	}
	*dst = v == 1
	return nil
}

func (f *field) fixed64(dst *uint64) error {
	if f.typ != protowire.Fixed64Type {
		return malformed("field %d has the wrong type", f.num)
	}
	*dst = f.u
	return nil
}

func (f *field) fixed32(dst *uint32) error {
	if f.typ != protowire.Fixed32Type {
		return malformed("field %d has the wrong type", f.num)
	}
	*dst = uint32(f.u)
	return nil
}

func (f *field) bytes(dst *[]byte) error {
	if f.typ != protowire.BytesType {
		return malformed("field %d has the wrong type", f.num)
	}
	*dst = f.b
	return nil
}

func (f *field) name(dst *string) error {
	var b []byte
	if err := f.bytes(&b); err != nil {
		return err
	}
	if !ValidName(string(b)) {
		return malformed("field %d is not a node name", f.num)
	}
	*dst = string(b)
	return nil
}

func (f *field) clock(dst *clock.Clock) error {
	var b []byte
	if err := f.bytes(&b); err != nil {
		return err
	}
	c, rest, err := clock.Decode(b)
	if err != nil {
		return malformed("field %d: %v", f.num, err)
	}
	if len(rest) > 0 {
		return malformed("field %d: %d bytes behind the clock", f.num, len(rest))
	}
	*dst = c
	return nil
}

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return appendUint(b, num, 1)
}

func appendFixed64(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), v)
}

func appendString(b []byte, num protowire.Number, v string) []byte {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func appendClock(b []byte, num protowire.Number, c clock.Clock) []byte {
	if c.Empty() {
		return b
	}
	return appendBytes(b, num, c.Append(nil))
}

// appendFixed32 writes zero too: it carries checksums, of which zero is one.
func appendFixed32(b []byte, num protowire.Number, v uint32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(b, num, protowire.Fixed32Type), v)
}
