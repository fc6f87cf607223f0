package memory

import (
	"bytes"
	"strings"
	"time"
)

// Agent is the document of a KindAgent record: one registered agent. The record's id is the agent id, so that an agent that registers
// at two nodes is one.
type Agent struct {
	ID           string
	Type         string   // contract 1.4
	Capabilities []string // what it says of itself; no meaning to memd
	RegisteredAt time.Time
	LastSeenAt   time.Time // of its last registration
	Extra        []Field   // unknown members, preserved
}

// Key of the agent's record.
func (a *Agent) Key() Key { return NewKey(KindAgent, a.ID) }

// Encode is the canonical value at rest.
func (a *Agent) Encode() []byte {
	b := a.appendSaid(make([]byte, 0, 256))
	b = append(b, `,"registered_at":"`...)
	b = AppendTime(b, a.RegisteredAt)
	b = append(b, `","last_seen_at":"`...)
	b = AppendTime(b, a.LastSeenAt)
	b = append(b, '"')
	b = appendFields(b, a.Extra)
	return append(b, '}')
}

// appendSaid appends the beginning of the value: what the agent said.
func (a *Agent) appendSaid(b []byte) []byte {
	b = append(b, `{"agent_id":`...)
	b = AppendString(b, a.ID)
	b = append(b, `,"agent_type":`...)
	b = AppendString(b, a.Type)
	b = append(b, `,"capabilities":`...)
	return appendStrings(b, a.Capabilities)
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, s)
	}
	return append(b, ']')
}

// ContentHash covers what the agent said, not the times: one that registers in the same way at two nodes at once is no conflict.
func (a *Agent) ContentHash() Hash {
	return HashOf("memd/agent/1" + string(appendFields(a.appendSaid(nil), a.Extra)))
}

// DecodeAgent reads a stored agent, and shares nothing with the value. Who may say what is the door's to check.
func DecodeAgent(value []byte) (Agent, error) {
	var a Agent
	err := eachMember(value, "value", func(name string, v []byte) error {
		known, err := a.field(name, v)
		if !known {
			a.Extra = append(a.Extra, Field{Name: name, Value: bytes.Clone(v)})
		}
		return err
	})
	if err != nil {
		return Agent{}, err
	}
	return a, checkAgent("agent_id", a.ID)
}

func (a *Agent) field(name string, v []byte) (known bool, err error) {
	switch name {
	case "agent_id":
		a.ID, err = stringField(name, v)
	case "agent_type":
		a.Type, err = stringField(name, v)
	case "capabilities":
		a.Capabilities, err = stringsField(name, v, MaxCapabilities)
	case "registered_at":
		a.RegisteredAt, err = timeField(name, v)
	case "last_seen_at":
		a.LastSeenAt, err = timeField(name, v)
	default:
		return false, nil
	}
	return true, err
}

// DecodeRegistration reads the body of a registration (contract 2.2), as strictly as DecodeDraft. The times are not set.
func DecodeRegistration(data []byte) (Agent, error) {
	a := Agent{Capabilities: []string{}}
	var said struct{ id, kind bool }
	err := eachMemberOnce(data, func(name string, v []byte) (err error) {
		switch name {
		case "agent_id":
			said.id = true
			a.ID, err = stringField(name, v)
		case "agent_type":
			said.kind = true
			a.Type, err = stringField(name, v)
		case "capabilities":
			if !isNull(v) {
				a.Capabilities, err = stringsField(name, v, MaxCapabilities)
			}
		}
		return err
	})
	switch {
	case err != nil:
		return Agent{}, err
	case !said.id:
		return Agent{}, fieldErrorf("agent_id", "is required")
	case !said.kind:
		return Agent{}, fieldErrorf("agent_type", "is required")
	}
	return a, a.check()
}

// ParseAgent reads a registration as an export carries it: with its times, and with what came beside it.
func ParseAgent(data []byte) (Agent, error) {
	a := Agent{Capabilities: []string{}}
	err := eachMemberOnce(data, func(name string, v []byte) error {
		if isNull(v) {
			return nil
		}
		known, err := a.field(name, v)
		if known {
			return err
		}
		return addExtra(&a.Extra, name, v)
	})
	if err == nil {
		err = settleExtra(a.Extra)
	}
	switch {
	case err != nil:
		return a, err
	case a.RegisteredAt.IsZero():
		return a, fieldErrorf("registered_at", "is required")
	case a.LastSeenAt.IsZero():
		return a, fieldErrorf("last_seen_at", "is required")
	}
	if err := checkExtra("agent", a.Extra, "agent_id", "agent_type", "capabilities", "registered_at", "last_seen_at"); err != nil {
		return a, err
	}
	return a, a.check()
}

func (a *Agent) check() error {
	if err := ValidateAgentID(a.ID); err != nil {
		return err
	}
	if err := checkAgentType(a.Type); err != nil {
		return err
	}
	for i, c := range a.Capabilities {
		if blank(c) || len(c) > MaxTag {
			return fieldErrorf("capabilities", "item %d must have 1 to %d bytes", i, MaxTag)
		}
		if err := checkText("capabilities", c); err != nil {
			return err
		}
	}
	return nil
}

// checkAgentType applies contract 1.4. The original's curated list has nothing that is not of the form ai:<name>.
func checkAgentType(s string) error {
	name, ai := strings.CutPrefix(s, "ai:")
	good := s == "human" || s == "system" || ai && name != "" && len(s) <= MaxAgentType
	for i := 0; ai && good && i < len(name); i++ {
		c := name[i]
		good = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
	}
	if !good {
		return fieldErrorf("agent_type", "must be human, system, or ai: and a name of letters, digits and _ . -, at most %d bytes in all", MaxAgentType)
	}
	return nil
}
