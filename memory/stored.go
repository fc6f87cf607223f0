package memory

import (
	"bytes"
	"errors"
	"math"
)

// DecodeMemory reads a stored value, and shares nothing with it. The result has the id of the key; its access statistics are zero, they are the store's to add.
// Every type and bound that keeps a reader safe is checked. Rules about who may say what (the list of sources, the namespace
// grammar) are not: they belong to the door, and a later version may widen them without making its rows defective here.
func DecodeMemory(key Key, value []byte) (Memory, error) {
	m := Memory{ID: key.ID()}
	if err := m.decodeStored(value, true); err != nil {
		return Memory{}, err
	}
	return m, nil
}

// DecodeOutline is DecodeMemory without content, metadata and members of other versions, which are
// checked and not copied.
func DecodeOutline(key Key, value []byte) (Memory, error) {
	m := Memory{ID: key.ID()}
	if err := m.decodeStored(value, false); err != nil {
		return Memory{}, err
	}
	return m, nil
}

// ValidateValue tells whether a value is a document that this version can show. Values of unknown kinds are always fine.
func ValidateValue(key Key, value []byte) error {
	switch key.Kind() {
	case KindMemory:
		var m Memory
		return m.decodeStored(value, false)
	case KindMember:
		m, err := DecodeMember(value)
		if err == nil && m.Name != key.ID() {
			err = fieldErrorf("name", "is not the record's id")
		}
		return err
	case KindLink:
		_, err := DecodeLink(key, value)
		return err
	case KindArchive:
		_, err := DecodeArchived(value)
		return err
	case KindAgent:
		a, err := DecodeAgent(value)
		if err == nil && a.Key() != key {
			err = fieldErrorf("agent_id", "is not the record's id")
		}
		return err
	case KindStandard:
		s, err := DecodeStandard(value)
		if err == nil && s.Key() != key {
			err = fieldErrorf("namespace", "is not the record's")
		}
		return err
	default:
		return nil
	}
}

var (
	errValue   = errors.New("value is not an object without white space around it")
	errMissing = errors.New("value lacks a member")
)

// Members that every stored memory has.
const (
	hasTier = 1 << iota
	hasNamespace
	hasTitle
	hasContent
	hasTags
	hasPriority
	hasConfidence
	hasSource
	hasCreated
	hasUpdated
	hasMetadata
	hasAll = 1<<iota - 1
)

// decodeStored checks a stored value and, if keep is set, takes its text along; without, a check of a row costs no copies.
func (m *Memory) decodeStored(value []byte, keep bool) error {
	if len(value) < 2 || value[0] != '{' || value[len(value)-1] != '}' {
		return errValue // AppendView relies on it
	}
	have := 0
	err := eachMember(value, "value", func(name string, v []byte) error {
		bit, err := m.storedField(name, v, keep)
		have |= bit
		return err
	})
	switch {
	case err != nil:
		return err
	case have != hasAll:
		return errMissing
	case tierRank(m.Tier) == 0:
		return fieldErrorf("tier", "is unknown")
	case blank(m.Title), blank(m.Namespace):
		return fieldErrorf("title", "or namespace is empty")
	}
	if err := checkPriority(m.Priority); err != nil {
		return err
	}
	return checkConfidence(m.Confidence)
}

func (m *Memory) storedField(name string, v []byte, keep bool) (bit int, err error) {
	var n int64
	if !keep && name == "content" && v[0] == '"' {
		return hasContent, nil // the decoder has seen that it is a sound string
	}
	switch name {
	case "tier":
		m.Tier, err = stringField(name, v)
		return hasTier, err
	case "namespace":
		m.Namespace, err = stringField(name, v)
		return hasNamespace, err
	case "title":
		m.Title, err = stringField(name, v)
		return hasTitle, err
	case "content":
		m.Content, err = stringField(name, v)
		return hasContent, err
	case "tags":
		m.Tags, err = tagsField(v)
		return hasTags, err
	case "priority":
		n, err = integerField(name, v)
		m.Priority = int(max(math.MinInt32, min(n, math.MaxInt32)))
		return hasPriority, err
	case "confidence":
		m.Confidence, err = numberField(name, v)
		return hasConfidence, err
	case "source":
		m.Source, err = stringField(name, v)
		return hasSource, err
	case "created_at":
		m.CreatedAt, err = timeField(name, v)
		return hasCreated, err
	case "updated_at":
		m.UpdatedAt, err = timeField(name, v)
		return hasUpdated, err
	case "expires_at":
		m.ExpiresAt, err = timeField(name, v)
		m.Expiry = expiryAt(m.ExpiresAt)
		return 0, err
	case "metadata":
		if v[0] != '{' || depth(v) > MaxDepth || len(v) > MaxMetadata {
			return 0, fieldErrorf(name, "is no object or over its limits")
		}
		if keep {
			m.Metadata = bytes.Clone(v)
		}
		return hasMetadata, nil
	}
	if known[name] || answers[name] {
		return 0, fieldErrorf("value", "has a member that is not stored: %s", name)
	}
	// Kept as they are, also when a newer writer's idea of canonical differs from ours.
	if keep {
		m.Extra = append(m.Extra, Field{Name: name, Value: bytes.Clone(v)})
	}
	return 0, nil
}
