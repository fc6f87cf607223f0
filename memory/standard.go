package memory

import (
	"bytes"
	"slices"
	"time"
)

// GlobalNamespace is the one whose standard stands above all others.
const GlobalNamespace = "*"

// StandardTag marks the memory that is made for a standard which names none.
const StandardTag = "_namespace_standard"

// StandardTitle is the title of that memory.
func StandardTitle(ns string) string { return "_standard:" + ns }

// Standard is the document of a KindStandard record: the memory that says how things are done in a namespace, and who may do what
// there. There is one record for each namespace.
type Standard struct {
	Namespace  string
	MemoryID   string
	Parent     string // a namespace whose standard stands above this one's, beside those that the path names; "" = none
	Governance Raw    // an object as ParseGovernance returned it; nil = none
	UpdatedAt  time.Time
	Extra      []Field // unknown members, preserved
}

// StandardKey is the key of a namespace's standard. A namespace may be longer than an id, so the id is its hash.
func StandardKey(ns string) Key { return NewKey(KindStandard, HashOf("memd/standard/1"+ns).String()) }

// Key of the standard's record.
func (s *Standard) Key() Key { return StandardKey(s.Namespace) }

// Encode is the canonical value at rest.
func (s *Standard) Encode() []byte {
	b := s.appendSaid(make([]byte, 0, 256+len(s.Governance)))
	b = append(b, `,"updated_at":"`...)
	b = AppendTime(b, s.UpdatedAt)
	b = append(b, '"')
	b = appendFields(b, s.Extra)
	return append(b, '}')
}

func (s *Standard) appendSaid(b []byte) []byte {
	b = append(b, `{"namespace":`...)
	b = AppendString(b, s.Namespace)
	b = append(b, `,"standard_id":`...)
	b = AppendString(b, s.MemoryID)
	if s.Parent != "" {
		b = append(b, `,"parent":`...)
		b = AppendString(b, s.Parent)
	}
	if s.Governance != nil {
		b = append(b, `,"governance":`...)
		b = append(b, s.Governance...)
	}
	return b
}

// ContentHash covers what was said, not the time: two nodes that are told the same at once hold no conflict.
func (s *Standard) ContentHash() Hash {
	return HashOf("memd/standard/1" + string(appendFields(s.appendSaid(nil), s.Extra)))
}

// DecodeStandard reads a stored standard, and shares nothing with the value. Who may say what is the door's to check.
func DecodeStandard(value []byte) (Standard, error) {
	var s Standard
	err := eachMember(value, "value", func(name string, v []byte) error {
		switch known, err := s.field(name, v); {
		case known:
			return err
		case name != "governance":
			s.Extra = append(s.Extra, Field{Name: name, Value: bytes.Clone(v)})
		case v[0] != '{' || depth(v) > MaxDepth:
			return fieldErrorf(name, "is no object or nested too deeply")
		default:
			s.Governance = bytes.Clone(v)
		}
		return nil
	})
	if err != nil {
		return Standard{}, err
	}
	if blank(s.Namespace) || blank(s.MemoryID) {
		return Standard{}, fieldErrorf("namespace", "or standard_id is empty")
	}
	return s, nil
}

// field reads a member, but for the governance, which is checked in one way at the door and in another at rest.
func (s *Standard) field(name string, v []byte) (known bool, err error) {
	switch name {
	case "namespace":
		s.Namespace, err = stringField(name, v)
	case "standard_id":
		s.MemoryID, err = stringField(name, v)
	case "parent":
		s.Parent, err = stringField(name, v)
	case "updated_at":
		s.UpdatedAt, err = timeField(name, v)
	default:
		return false, nil
	}
	return true, err
}

// ParseStandard reads a standard as an export carries it: with its time, and with what came beside it. Its memory need not be there.
func ParseStandard(data []byte) (Standard, error) {
	var s Standard
	err := eachMemberOnce(data, func(name string, v []byte) error {
		if isNull(v) {
			return nil
		}
		known, err := s.field(name, v)
		switch {
		case known:
		case name == "governance":
			s.Governance, err = ParseGovernance(v)
		default:
			err = addExtra(&s.Extra, name, v)
		}
		return err
	})
	if err == nil {
		err = settleExtra(s.Extra)
	}
	if err != nil {
		return s, err
	}
	if err := ValidateNamespace(s.Namespace); err != nil {
		return s, err
	}
	if err := checkID("standard_id", s.MemoryID); err != nil {
		return s, err
	}
	if s.Parent != "" {
		if err := checkNamespace("parent", s.Parent); err != nil {
			return s, err
		}
	}
	if s.UpdatedAt.IsZero() {
		return s, fieldErrorf("updated_at", "is required")
	}
	return s, checkExtra("standard", s.Extra, "namespace", "standard_id", "parent", "governance", "updated_at")
}

// StandardDraft is what a writer says of a namespace's standard. What it does not say stays as it is.
type StandardDraft struct {
	Namespace  string  // "" = not said
	MemoryID   string  // or a unique prefix of it; "" = not said
	Parent     *string // nil = not said; "" = none
	Governance *Raw    // nil = not said; a nil Raw = none
}

// DecodeStandardDraft reads the body that sets a standard, as strictly as DecodeDraft. Its members may stand under "standard", which
// go before those beside it. Every one that is given has been checked; the namespace may be missing.
func DecodeStandardDraft(data []byte) (StandardDraft, error) {
	var d StandardDraft
	var inner []byte
	err := eachMemberOnce(data, func(name string, v []byte) error {
		if name == "standard" && !isNull(v) {
			inner = v
			return nil
		}
		return d.field(name, v)
	})
	if err == nil && inner != nil {
		if inner[0] != '{' {
			return StandardDraft{}, fieldErrorf("standard", "must be an object")
		}
		err = within(eachMemberOnce(inner, d.field), "standard")
	}
	if err != nil {
		return StandardDraft{}, err
	}
	return d, nil
}

func (d *StandardDraft) field(name string, v []byte) (err error) {
	switch name {
	case "namespace":
		if isNull(v) {
			return nil
		}
		if d.Namespace, err = stringField(name, v); err != nil {
			return err
		}
		return ValidateNamespace(d.Namespace)
	case "id", "standard_id": // the second is what a reader was shown
		if isNull(v) {
			return nil
		}
		if d.MemoryID, err = stringField(name, v); err != nil {
			return err
		}
		return ValidateID(d.MemoryID)
	case "parent":
		if isNull(v) || string(v) == `""` {
			d.Parent = new("")
			return nil
		}
		if d.Parent, err = optional(stringField, name, v); err != nil {
			return err
		}
		return checkNamespace(name, *d.Parent)
	case "governance":
		var g Raw
		if !isNull(v) {
			if g, err = ParseGovernance(v); err != nil {
				return err
			}
		}
		d.Governance = &g
	}
	return nil
}

// ParseGovernance checks a governance (contract 2.2) and returns its canonical form, unknown members included.
func ParseGovernance(v []byte) (Raw, error) {
	const field = "governance"
	if kindOf(v) != '{' {
		return nil, fieldErrorf(field, "must be an object")
	}
	if depth(v) > MaxDepth {
		return nil, fieldErrorf(field, "must be nested at most %d levels", MaxDepth)
	}
	if hugeNumber(v) {
		return nil, fieldErrorf(field, "has a number out of range")
	}
	write := false
	err := eachMemberOnce(v, func(name string, v []byte) error {
		switch name {
		case "write":
			write = true
			return checkLevel(name, v)
		case "promote", "delete":
			return checkLevel(name, v)
		case "approver":
			return checkApprover(v)
		case "inherit":
			if s := string(v); s != "true" && s != "false" {
				return fieldErrorf(name, "must be true or false")
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, within(err, field)
	case !write:
		return nil, fieldErrorf(field+".write", "is required")
	}
	g, err := canonical(v)
	if err == nil && len(g) > MaxGovernance {
		err = fieldErrorf(field, "must have at most %d bytes", MaxGovernance)
	}
	return g, err
}

var levels = []string{"any", "registered", "owner", "approve"}

func checkLevel(name string, v []byte) error {
	if s, err := stringField(name, v); err != nil || !slices.Contains(levels, s) {
		return fieldErrorf(name, "must be any, registered, owner or approve")
	}
	return nil
}

func checkApprover(v []byte) error {
	if s, err := stringField("approver", v); err == nil && s == "human" {
		return nil
	}
	known := 0
	if v[0] == '{' {
		err := eachMemberOnce(v, func(name string, v []byte) error {
			switch name {
			case "agent":
				known++
				id, err := stringField("approver.agent", v)
				if err != nil {
					return err
				}
				return checkAgent("approver.agent", id)
			case "consensus":
				known++
				if n, err := integerField(name, v); err != nil || n < 1 || n > MaxConsensus {
					return fieldErrorf("approver.consensus", "must be from 1 to %d", MaxConsensus)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if known != 1 {
		return fieldErrorf("approver", `must be "human", {"agent": an id} or {"consensus": a number}`)
	}
	return nil
}
