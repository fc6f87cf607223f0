package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/memd/memd/memory"
)

// Keyring says which members have which gossip keys.
type Keyring struct {
	Keys        []GossipKey `json:"keys"` // the one that most encrypt with first
	Members     int         `json:"members"`
	Unreachable []Failure   `json:"unreachable"` // members that did not answer, or refused
}

// GossipKey is one key, by a name that does not give it away.
type GossipKey struct {
	ID     string   `json:"id"`
	HeldBy []string `json:"held_by"`
	UsedBy []string `json:"used_by"` // members that encrypt with it
}

// Failure is why a member did not do something.
type Failure struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

const pathKeyring = "/api/v1/keyring"

// Keyring returns the gossip keys of all members.
func (c *Client) Keyring(ctx context.Context) (*Keyring, error) {
	return call[Keyring](ctx, c, request{method: http.MethodGet, path: pathKeyring})
}

// InstallKey makes all members understand a further gossip key of 16, 24 or 32 bytes. force
// does it without members that cannot be reached, here and below. Errors:
// memory.ErrUnavailable, memory.ErrConflict, *memory.FieldError.
func (c *Client) InstallKey(ctx context.Context, key []byte, force bool) (*Keyring, error) {
	return c.changeKeyring(ctx, keyChange{Op: "install", Key: key}, force)
}

// UseKey makes all members encrypt with a key that they have; it is named by its ID.
func (c *Client) UseKey(ctx context.Context, id string, force bool) (*Keyring, error) {
	return c.changeKeyring(ctx, keyChange{Op: "use", ID: id}, force)
}

// RemoveKey makes all members forget a key that nobody encrypts with.
func (c *Client) RemoveKey(ctx context.Context, id string, force bool) (*Keyring, error) {
	return c.changeKeyring(ctx, keyChange{Op: "remove", ID: id}, force)
}

type keyChange struct {
	Op  string `json:"op"`
	Key []byte `json:"key,omitempty"`
	ID  string `json:"id,omitempty"`
}

func (c *Client) changeKeyring(ctx context.Context, change keyChange, force bool) (*Keyring, error) {
	body, err := memory.AppendJSON(nil, change)
	if err != nil {
		return nil, err
	}
	r := request{method: http.MethodPost, path: pathKeyring, body: body}
	if force {
		r.query = url.Values{"force": {"1"}}
	}
	return call[Keyring](ctx, c, r)
}
