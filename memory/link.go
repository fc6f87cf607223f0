package memory

import (
	"bytes"
	"time"
)

// Link is the document of a KindLink record: a directed relation between two memories. The record's id is made of the two ends and the
// relation, so that two nodes that make one link meet in one record.
type Link struct {
	SourceID  string
	TargetID  string
	Relation  string
	CreatedAt time.Time
	Extra     []Field // unknown members, preserved
}

// DefaultRelation is that of a link whose maker names none.
const DefaultRelation = "related_to"

var relations = map[string]bool{DefaultRelation: true, "supersedes": true, "contradicts": true, "derived_from": true}

// ValidateRelation accepts the relations of contract 2.2.
func ValidateRelation(s string) error {
	if !relations[s] {
		return fieldErrorf("relation", "must be related_to, supersedes, contradicts or derived_from")
	}
	return nil
}

// LinkID is the id of a link's record, the same on every node and in every cluster.
func LinkID(source, relation, target string) string {
	b := append(make([]byte, 0, 64+len(source)+len(relation)+len(target)), "memd/link/1"...)
	for _, part := range [...]string{source, relation, target} {
		b = appendSized(b, part)
	}
	return madeID(b)
}

// Key of the link's record.
func (l *Link) Key() Key { return NewKey(KindLink, LinkID(l.SourceID, l.Relation, l.TargetID)) }

// Source is the key of the memory that it starts from.
func (l *Link) Source() Key { return NewKey(KindMemory, l.SourceID) }

// Target is the key of the memory that it points to.
func (l *Link) Target() Key { return NewKey(KindMemory, l.TargetID) }

// Other is the end that is not key.
func (l *Link) Other(key Key) Key {
	if l.Source() == key {
		return l.Target()
	}
	return l.Source()
}

// Encode is the canonical value at rest, which is also how the contract shows a link: its four members, and behind them what came with
// it.
func (l *Link) Encode() []byte {
	b := append(make([]byte, 0, 192), `{"source_id":`...)
	b = AppendString(b, l.SourceID)
	b = append(b, `,"target_id":`...)
	b = AppendString(b, l.TargetID)
	b = append(b, `,"relation":`...)
	b = AppendString(b, l.Relation)
	b = append(b, `,"created_at":"`...)
	b = AppendTime(b, l.CreatedAt)
	b = append(b, '"')
	b = appendFields(b, l.Extra)
	return append(b, '}')
}

// ContentHash says what the link says, which is its id: the same link made twice is no conflict.
func (l *Link) ContentHash() Hash { return HashOf("memd/link/1" + string(l.Key())) }

// DecodeLink reads and validates a stored link, and shares nothing with the value. Which relations and ids there may be is for the
// door to judge: a later version may know more.
func DecodeLink(key Key, value []byte) (Link, error) {
	var l Link
	if len(value) < 2 || value[0] != '{' || value[len(value)-1] != '}' {
		return l, errValue
	}
	dated := false
	err := eachMember(value, "value", func(name string, v []byte) error {
		dated = dated || name == "created_at"
		known, err := l.field(name, v)
		if !known {
			l.Extra = append(l.Extra, Field{Name: name, Value: bytes.Clone(v)})
		}
		return err
	})
	switch {
	case err != nil:
		return Link{}, err
	case !dated, l.SourceID == "", l.TargetID == "", l.Relation == "":
		return Link{}, errMissing
	case l.SourceID == l.TargetID, len(l.SourceID) > MaxIDLen, len(l.TargetID) > MaxIDLen, len(l.Relation) > MaxRelation:
		return Link{}, fieldErrorf("value", "is no link between two memories")
	case l.Key() != key:
		return Link{}, fieldErrorf("value", "is not what the record's id says")
	}
	return l, nil
}

func (l *Link) field(name string, v []byte) (known bool, err error) {
	switch name {
	case "source_id":
		l.SourceID, err = stringField(name, v)
	case "target_id":
		l.TargetID, err = stringField(name, v)
	case "relation":
		l.Relation, err = stringField(name, v)
	case "created_at":
		l.CreatedAt, err = timeField(name, v)
	default:
		return false, nil
	}
	return true, err
}

// ParseLink reads a link that a client sends: null is the same as leaving a member out, the relation has a default, created_at may be
// absent and is zero then, and a member that memd does not know is kept.
func ParseLink(data []byte) (Link, error) {
	l := Link{Relation: DefaultRelation}
	err := eachMember(data, "link", func(name string, v []byte) error {
		if isNull(v) {
			return nil
		}
		known, err := l.field(name, v)
		if known || linkAnswers[name] {
			return err
		}
		return addExtra(&l.Extra, name, v)
	})
	if err != nil {
		return Link{}, err
	}
	if err := settleExtra(l.Extra); err != nil {
		return Link{}, err
	}
	return l, l.Validate()
}

// linkAnswers are names that come back in a body when a client sends what it has been answered.
var linkAnswers = map[string]bool{"linked": true, "attest_level": true}

// Validate applies the rules of contract 2.2 to what a client can say.
func (l *Link) Validate() error {
	if err := checkID("source_id", l.SourceID); err != nil {
		return err
	}
	if err := checkID("target_id", l.TargetID); err != nil {
		return err
	}
	if err := ValidateRelation(l.Relation); err != nil {
		return err
	}
	if l.SourceID == l.TargetID {
		return errSelfLink
	}
	return checkExtra("link", l.Extra, "source_id", "target_id", "relation", "created_at")
}

var errSelfLink error = &FieldError{Field: "target_id", Problem: "is the source itself"}
