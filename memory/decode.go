package memory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/memd/memd/clock"
)

// Envelope is what can always be read of a record, whatever is inside its versions: enough to hold the row durably, to relay it and
// to know which dots it stands for.
type Envelope struct {
	Key     Key
	Dots    []clock.Dot // of the siblings, ascending
	Context clock.Clock
	Raw     []byte // the whole encoding, aliases the input
}

// rawVersion is a sibling whose payload was not opened.
type rawVersion struct {
	dot     clock.Dot
	sum     Hash
	payload []byte
}

// frame is the scanned envelope. Its slices alias the input.
type frame struct {
	key      Key
	versions []rawVersion
	context  clock.Clock
	lost     [][]byte
	idems    [][]byte
	ext      []byte
	inline   [2]rawVersion // most records have one sibling: no allocation for it
}

// ErrFrame is a record whose envelope cannot be read: not a defect of a row but a sender that does not speak the protocol.
var ErrFrame = errors.New("malformed record")

func frameErr(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFrame, fmt.Sprintf(format, args...))
}

// DecodeEnvelope reads the outer part only. An error means a malformed frame (an ErrFrame), which spoils the page it came in.
func DecodeEnvelope(b []byte) (Envelope, error) {
	var f frame
	if err := f.scan(b); err != nil {
		return Envelope{}, err
	}
	e := Envelope{Key: f.key, Context: f.context, Raw: b, Dots: make([]clock.Dot, len(f.versions))}
	for i := range f.versions {
		e.Dots[i] = f.versions[i].dot
	}
	return e, nil
}

// DecodeRecord reads a record from outside: it verifies each version's sum, the canonical form and, for known kinds, the document.
// An error that is an ErrFrame is a malformed frame; any other is a defect of this row alone, to be quarantined. The record does
// not alias b.
func DecodeRecord(b []byte) (Record, error) {
	return decodeRecord(bytes.Clone(b), true)
}

// DecodeStored reads a record that this store wrote. It checks the structure and trusts the sums; the record aliases b, so it is to
// be used inside the transaction that b came from, or cloned.
func DecodeStored(b []byte) (Record, error) {
	return decodeRecord(b, false)
}

func decodeRecord(b []byte, foreign bool) (Record, error) {
	var f frame
	if err := f.scan(b); err != nil {
		return Record{}, err
	}
	r := Record{Key: f.key, Context: f.context, Ext: f.ext}
	if len(f.versions) > 0 {
		r.Versions = make([]Version, len(f.versions))
	}
	for i := range f.versions {
		raw, v := &f.versions[i], &r.Versions[i]
		v.Dot, v.sum = raw.dot, raw.sum
		if foreign && sumRaw(f.key, raw.dot, raw.payload) != raw.sum {
			return Record{}, &DefectError{Dot: raw.dot, Reason: "checksum mismatch"}
		}
		if err := v.decodePayload(raw.payload); err != nil {
			return Record{}, &DefectError{Dot: raw.dot, Reason: err.Error()}
		}
		if foreign && !v.Deleted {
			if err := ValidateValue(f.key, v.Value); err != nil {
				return Record{}, &DefectError{Dot: raw.dot, Reason: err.Error()}
			}
		}
	}
	if foreign {
		if err := r.CheckCopies(); err != nil {
			return Record{}, err
		}
	}
	if err := f.marks(&r); err != nil {
		return Record{}, &DefectError{Reason: err.Error()}
	}
	return r, nil
}

// CheckCopies refuses copies of what the record has not in its past: no node makes them, and nothing could tell what they stand for.
func (r Record) CheckCopies() error {
	for i := range r.Versions {
		if v := &r.Versions[i]; v.IsCopy() && !r.Context.Contains(v.Kept.Dot) {
			return &DefectError{Dot: v.Dot, Reason: "a copy of what is not in the past"}
		}
	}
	return nil
}

// scan reads the envelope, strictly: known fields once and in order, minimal lengths, siblings ascending, none of them in the context.
func (f *frame) scan(b []byte) error {
	if len(b) > MaxRecord {
		return frameErr("%d bytes", len(b))
	}
	f.versions = f.inline[:0]
	last := protowire.Number(0)
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return frameErr("truncated")
		}
		if num >= firstRecordExt {
			if err := checkRecordExt(b); err != nil {
				return err
			}
			f.ext = b
			break
		}
		body, m := protowire.ConsumeBytes(b[n:])
		if typ != protowire.BytesType || m < 0 {
			return frameErr("field %d", num)
		}
		if n != 1 || m != protowire.SizeBytes(len(body)) {
			return frameErr("field %d is not in canonical form", num)
		}
		if num < last || num == last && (num == fieldKey || num == fieldContext) || (last == 0) != (num == fieldKey) {
			return frameErr("field %d out of order", num)
		}
		last, b = num, b[n+m:]
		if err := f.field(num, body); err != nil {
			return err
		}
	}
	if f.key == "" {
		return frameErr("no key")
	}
	for i := range f.versions {
		if f.context.Contains(f.versions[i].dot) {
			return frameErr("a sibling in its own context")
		}
	}
	return nil
}

func (f *frame) field(num protowire.Number, body []byte) (err error) {
	switch num {
	case fieldKey:
		if f.key, err = ParseKey(body); err != nil {
			return frameErr("key")
		}
	case fieldVersion:
		return f.version(body)
	case fieldContext:
		var rest []byte
		f.context, rest, err = clock.Decode(body)
		if err != nil || len(rest) > 0 || f.context.Empty() {
			return frameErr("context")
		}
	case fieldLost:
		f.lost = append(f.lost, body)
	case fieldIdemMark:
		f.idems = append(f.idems, body)
	}
	if len(f.lost) > MaxLost || len(f.idems) > MaxIdems {
		return frameErr("too many marks")
	}
	return nil
}

func (f *frame) version(body []byte) error {
	dot, rest, ok := cutDot(body)
	if !ok || len(rest) < len(Hash{}) {
		return frameErr("version head")
	}
	if len(f.versions) > 0 && f.versions[len(f.versions)-1].dot.Compare(dot) >= 0 {
		return frameErr("versions out of order")
	}
	if len(f.versions) == MaxSiblings {
		return frameErr("more than %d siblings", MaxSiblings)
	}
	raw := rawVersion{dot: dot, sum: Hash(rest[:16]), payload: rest[16:]}
	if len(raw.payload) > MaxPayload {
		return frameErr("payload of %d bytes", len(raw.payload))
	}
	f.versions = append(f.versions, raw)
	return nil
}

func cutDot(b []byte) (d clock.Dot, rest []byte, ok bool) {
	if len(b) < 9 {
		return d, nil, false
	}
	d.Origin = clock.Origin(binary.BigEndian.Uint64(b))
	c, n := protowire.ConsumeVarint(b[8:])
	if n != protowire.SizeVarint(c) || c == 0 || c > clock.MaxCounter {
		return d, nil, false
	}
	d.Counter = c
	return d, b[8+n:], true
}

// checkRecordExt bounds the unknown fields of a record, which merge as a set (ext.go).
func checkRecordExt(b []byte) error {
	last, count := protowire.Number(firstRecordExt), 0
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if count++; n < 0 || num < last || count > MaxExt || n > MaxExtField {
			return frameErr("unknown fields")
		}
		last, b = num, b[n:]
	}
	return nil
}

var errMark = errors.New("malformed mark")

// marks decodes what Lost and Idems hold.
func (f *frame) marks(r *Record) error {
	for _, b := range f.lost {
		dot, rest, ok := cutDot(b)
		if !ok || len(rest) < 24 || len(rest) > 24+MaxAgentLen || !utf8.Valid(rest[24:]) {
			return errMark
		}
		r.Lost = append(r.Lost, Lost{
			Dot: dot, Stamp: clock.Stamp(binary.BigEndian.Uint64(rest)), Content: Hash(rest[8:24]), Agent: string(rest[24:]),
		})
	}
	for _, b := range f.idems {
		dot, rest, ok := cutDot(b)
		if !ok || len(rest) != 40 || Hash(rest[8:24]).IsZero() {
			return errMark
		}
		r.Idems = append(r.Idems, IdemMark{
			Dot: dot, Stamp: clock.Stamp(binary.BigEndian.Uint64(rest)), Idem: Hash(rest[8:24]), Content: Hash(rest[24:]),
		})
	}
	if !ascending(r.Lost) || !ascending(r.Idems) {
		return errMark
	}
	return nil
}

func ascending[M mark](ms []M) bool {
	for i := 1; i < len(ms); i++ {
		if ms[i-1].key().Compare(ms[i].key()) >= 0 {
			return false
		}
	}
	return true
}
