package memory

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"
)

// Archived is the document of a KindArchive record: a memory that was put aside, whole. The record's id is the memory's.
type Archived struct {
	ArchivedAt time.Time
	Reason     string  // 1..MaxReason bytes
	Value      Raw     // the memory's value, verbatim as it was stored
	Extra      []Field // unknown members, preserved
}

// Reasons that memd itself gives.
const (
	ReasonArchived = "archive" // somebody asked for it and gave no reason
	ReasonForgot   = "forget"
	ReasonExpired  = "ttl_expired"
)

// ArchiveKey is the key of the archive record of a memory.
func ArchiveKey(memory Key) Key { return Key(byte(KindArchive)) + memory[1:] }

// ArchivedKey is the key of the memory that an archive record is of.
func ArchivedKey(archive Key) Key { return Key(byte(KindMemory)) + archive[1:] }

// Encode is the canonical value at rest.
func (a *Archived) Encode() []byte {
	b := append(make([]byte, 0, 128+len(a.Reason)+len(a.Value)), `{"archived_at":"`...)
	b = AppendTime(b, a.ArchivedAt)
	b = append(b, `","archive_reason":`...)
	b = AppendString(b, a.Reason)
	b = append(b, `,"memory":`...)
	b = append(b, a.Value...)
	b = appendFields(b, a.Extra)
	return append(b, '}')
}

// ContentHash covers the memory alone: two nodes that put the same one aside do not differ.
func (a *Archived) ContentHash() Hash {
	b := append(make([]byte, 0, 32+len(a.Value)), "memd/archive/1"...)
	return cut(sha256.Sum256(append(b, a.Value...)))
}

// ValidateReason checks a reason that a client gives.
func ValidateReason(s string) error { return checkReason("reason", s) }

func checkReason(field, s string) error {
	if blank(s) || len(s) > MaxReason {
		return fieldErrorf(field, "must have 1 to %d bytes", MaxReason)
	}
	return checkText(field, s)
}

// DecodeArchived reads and validates a stored value, and shares nothing with it.
func DecodeArchived(value []byte) (Archived, error) {
	var a Archived
	if len(value) < 2 || value[0] != '{' || value[len(value)-1] != '}' {
		return a, errValue
	}
	err := eachMember(value, "value", func(name string, v []byte) (err error) {
		switch name {
		case "archived_at":
			a.ArchivedAt, err = timeField(name, v)
		case "archive_reason":
			a.Reason, err = stringField(name, v)
		case "memory":
			a.Value = bytes.Clone(v)
		default:
			a.Extra = append(a.Extra, Field{Name: name, Value: bytes.Clone(v)})
		}
		return err
	})
	switch {
	case err != nil:
		return Archived{}, err
	case a.ArchivedAt.IsZero(), a.Value == nil:
		return Archived{}, errMissing
	}
	if err := checkReason("archive_reason", a.Reason); err != nil {
		return Archived{}, err
	}
	var m Memory
	if err := m.decodeStored(a.Value, false); err != nil {
		return Archived{}, err
	}
	return a, nil
}

// Memory is the memory of an archive record's document. The result has the id of the key.
func (a *Archived) Memory(key Key) (Memory, error) { return DecodeMemory(ArchivedKey(key), a.Value) }

// AppendShown renders the memory as AppendView does, with archived_at and archive_reason behind it. Its tags are a string of JSON, as
// the original's archive has them, unless plain is set.
func (a *Archived) AppendShown(b []byte, id string, plain bool) ([]byte, error) {
	v := []byte(a.Value)
	if !plain {
		v = make([]byte, 0, len(a.Value)+16)
		err := eachMember(a.Value, "value", func(name string, m []byte) error {
			if len(v) == 0 {
				v = append(v, '{')
			} else {
				v = append(v, ',')
			}
			v = AppendString(v, name)
			v = append(v, ':')
			if name == "tags" {
				v = AppendString(v, string(m))
			} else {
				v = append(v, m...)
			}
			return nil
		})
		if err != nil {
			return b, err
		}
		v = append(v, '}')
	}
	b = AppendView(b, id, v, ViewFields{})
	b = append(b[:len(b)-1], `,"archived_at":"`...)
	b = AppendTime(b, a.ArchivedAt)
	b = append(b, `","archive_reason":`...)
	b = AppendString(b, a.Reason)
	return append(b, '}'), nil
}

// IsArchived tells a memory that was put aside from any other that an import brings.
func (m *Memory) IsArchived() bool {
	has := func(name string) bool {
		return slices.ContainsFunc(m.Extra, func(f Field) bool { return f.Name == name })
	}
	return has("archived_at") && has("archive_reason")
}

// ParseArchived reads a memory that was put aside as an export carries it: a full record (DecodeFull) with archived_at and
// archive_reason.
func ParseArchived(data []byte) (string, Archived, error) {
	m, err := DecodeFull(data)
	if err != nil {
		return m.ID, Archived{}, err
	}
	var a Archived
	m.Extra = slices.DeleteFunc(m.Extra, func(f Field) bool {
		switch f.Name {
		case "archived_at":
			if a.ArchivedAt, err = timeField(f.Name, f.Value); err != nil {
				err = fieldErrorf("archived_at", "must be a time")
			}
		case "archive_reason":
			a.Reason, _ = stringField(f.Name, f.Value)
		default:
			return false
		}
		return true
	})
	switch {
	case err != nil:
		return m.ID, Archived{}, err
	case a.ArchivedAt.IsZero():
		return m.ID, Archived{}, fieldErrorf("archived_at", "is required")
	}
	a.Value = m.Encode()
	return m.ID, a, checkReason("archive_reason", a.Reason)
}
