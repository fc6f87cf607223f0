package memory

import (
	"bytes"
	"net"
	"strconv"
)

// Member is the document of a KindMember record: one registered node. The record's id is the name. N of the quorum is the number of
// registered members, never the number that gossip calls alive.
type Member struct {
	Name   string  // unique, stable, the id of the record
	HTTP   string  // host:port of the node's door
	Gossip string  // host:port of its gossip, "" if it has none
	Extra  []Field // unknown members, preserved
}

// Membership is what a record of KindMember says of its name.
type Membership int

// What the record of a name says.
const (
	NeverMember   Membership = iota // no version
	IsMember                        // registered: counts for N, may acknowledge
	RemovedMember                   // deleted by an operator, and not admitted again since
)

// Membership of the record's name. Unlike elsewhere a deletion wins over a live version that had not seen it: a node that was cut off
// while it was removed, and registers another address of its own, must not undo what an operator decided. Only a version that has
// seen the deletion does (members add). So a deletion beside a live version says something here: it must not be pruned before the
// live one is gone.
func (r Record) Membership() Membership {
	m := NeverMember
	for i := range r.Versions {
		if r.Versions[i].Deleted {
			return RemovedMember
		}
		m = IsMember
	}
	return m
}

// Key of the member's record.
func (m *Member) Key() Key { return NewKey(KindMember, m.Name) }

// Encode is the canonical value at rest.
func (m *Member) Encode() []byte {
	b := append(make([]byte, 0, 128), `{"name":`...)
	b = AppendString(b, m.Name)
	b = append(b, `,"http":`...)
	b = AppendString(b, m.HTTP)
	b = append(b, `,"gossip":`...)
	b = AppendString(b, m.Gossip)
	b = appendFields(b, m.Extra)
	return append(b, '}')
}

// ContentHash is the hash of the whole value: a server made all of it.
func (m *Member) ContentHash() Hash { return HashOf("memd/member/1" + string(m.Encode())) }

// DecodeMember reads and validates a stored member, and shares nothing with the value.
func DecodeMember(value []byte) (Member, error) {
	var m Member
	err := eachMember(value, "value", func(name string, v []byte) (err error) {
		switch name {
		case "name":
			m.Name, err = stringField(name, v)
		case "http":
			m.HTTP, err = stringField(name, v)
		case "gossip":
			m.Gossip, err = stringField(name, v)
		default:
			m.Extra = append(m.Extra, Field{Name: name, Value: bytes.Clone(v)})
		}
		return err
	})
	if err != nil {
		return Member{}, err
	}
	return m, m.Validate()
}

// Validate checks name and addresses.
func (m *Member) Validate() error {
	if err := ValidateNodeName(m.Name); err != nil {
		return err
	}
	if err := checkAddr("http", m.HTTP); err != nil {
		return err
	}
	if m.Gossip == "" {
		return nil
	}
	return checkAddr("gossip", m.Gossip)
}

// ValidateNodeName accepts 1..128 bytes of letters, digits and . _ -
func ValidateNodeName(name string) error {
	if name == "" || len(name) > MaxIDLen {
		return fieldErrorf("name", "must have 1 to %d bytes", MaxIDLen)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fieldErrorf("name", "may only contain letters, digits and . _ -")
		}
	}
	return nil
}

func checkAddr(field, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || len(addr) > 300 {
		return fieldErrorf(field, "must be host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fieldErrorf(field, "must have a port from 1 to 65535")
	}
	return checkText(field, addr)
}
