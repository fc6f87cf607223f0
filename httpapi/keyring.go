package httpapi

import (
	"context"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// GossipKeys changes the keys with which nodes gossip.
type GossipKeys interface {
	// Keyring changes the keys of all members, or with wire.KeyList only says who has
	// which. Without force every member must be reached, before anything is taken away.
	// Errors: memory.ErrConflict, memory.ErrUnavailable, *memory.FieldError.
	Keyring(ctx context.Context, change wire.KeyChange, force bool) (KeyringStatus, error)
	// OwnKeys does it to this node alone, for a peer that was asked for all.
	OwnKeys(ctx context.Context, change wire.KeyChange) (wire.KeyState, error)
}

// KeyringStatus says who has which keys.
type KeyringStatus struct {
	Keys        []GossipKey `json:"keys"`        // the one that most encrypt with first; never null
	Members     int         `json:"members"`     // that were asked, this node included
	Unreachable []Failure   `json:"unreachable"` // members that did not answer, or refused; never null
}

// GossipKey is one key, by its name.
type GossipKey struct {
	ID     string   `json:"id"`
	HeldBy []string `json:"held_by"` // names of members; never null
	UsedBy []string `json:"used_by"` // those that encrypt with it; never null
}

// Failure is why something was not done by a member.
type Failure struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

func (c *call) keyring() error {
	s, err := c.door.Node.Keyring(c.context(), wire.KeyChange{Op: wire.KeyList}, true)
	if err != nil {
		return err
	}
	return c.encode(s)
}

func (c *call) changeKeyring() error {
	change, err := c.keyChange()
	if err != nil {
		return err
	}
	force, err := c.flag("force")
	if err != nil {
		return err
	}
	s, err := c.door.Node.Keyring(c.context(), change, force)
	if err != nil {
		return err
	}
	return c.encode(s)
}

// ownKeys is the peers' lane of it.
func (c *call) ownKeys() error {
	if _, err := c.caller(); err != nil {
		return err
	}
	change, err := c.keyChange()
	if err != nil {
		return err
	}
	s, err := c.door.Node.OwnKeys(c.context(), change)
	if err != nil {
		return err
	}
	c.door.Self.Hello().Set(c.Header())
	return c.encode(s)
}

func (c *call) keyChange() (change wire.KeyChange, err error) {
	body, err := c.jsonBody()
	if err != nil {
		return change, err
	}
	if err := memory.ParseJSON(body, &change); err != nil {
		return change, err
	}
	return change, change.Validate()
}
