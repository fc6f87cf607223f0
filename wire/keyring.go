package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/memd/memd/memory"
)

// PathKeyring is where nodes change each other's gossip keys.
const PathKeyring = "/api/v1/sync/keyring"

// What a KeyChange does.
const (
	KeyList    = "list"    // nothing
	KeyInstall = "install" // a further key is understood
	KeyUse     = "use"     // a key that is installed encrypts
	KeyRemove  = "remove"  // a key that does not encrypt is no longer understood
)

// KeyChange is one change of a node's gossip keys.
type KeyChange struct {
	Op  string `json:"op"`
	Key []byte `json:"key,omitempty"` // the key itself; KeyInstall needs it
	ID  string `json:"id,omitempty"`  // or its name, see cluster.KeyID
}

// Validate checks the form.
func (k KeyChange) Validate() error {
	switch k.Op {
	case KeyList:
	case KeyInstall:
		if len(k.Key) == 0 {
			return fieldError("key", "is required")
		}
	case KeyUse, KeyRemove:
		if (len(k.Key) == 0) == (k.ID == "") {
			return fieldError("id", "or key is required, and not both")
		}
	default:
		return fieldError("op", "must be list, install, use or remove")
	}
	return nil
}

// KeyState are the keys of one node, by their names.
type KeyState struct {
	IDs []string `json:"ids"` // the first one encrypts; none = gossip is not encrypted
}

// maxKeyState bounds an answer.
const maxKeyState = 64 << 10

// ChangeKeys asks a peer for a change of its keys. Errors are those of Since.
func (c *Client) ChangeKeys(ctx context.Context, peer Peer, change KeyChange) (KeyState, error) {
	s, err := c.changeKeys(ctx, peer, change)
	if err != nil {
		return s, fmt.Errorf("gossip keys of %s: %w", peer, err)
	}
	return s, nil
}

func (c *Client) changeKeys(ctx context.Context, peer Peer, change KeyChange) (s KeyState, err error) {
	body, err := memory.AppendJSON(nil, change)
	if err != nil {
		return s, err
	}
	ctx, cancel := c.callContext(ctx)
	defer cancel(nil)
	req, err := c.request(ctx, http.MethodPost, c.url(peer, PathKeyring, ""), bytes.NewReader(body))
	if err != nil {
		return s, err
	}
	req.Header.Set("Content-Type", MediaJSON)
	resp, err := c.transport(peer).RoundTrip(req)
	if err != nil {
		return s, cause(ctx, err)
	}
	in := newBody(ctx, cancel, resp.Body, c.cfg.IdleTimeout)
	defer in.stop()
	defer resp.Body.Close()
	resp.Body = io.NopCloser(in)
	if resp.StatusCode != http.StatusOK {
		return s, statusError(resp)
	}
	if _, err := c.checkHello(peer, resp); err != nil {
		return s, err
	}
	answer, err := io.ReadAll(io.LimitReader(in, maxKeyState+1))
	if err != nil {
		return s, err
	}
	if len(answer) > maxKeyState {
		return s, fmt.Errorf("%w: gossip keys", ErrTooLarge)
	}
	if err := memory.ParseJSON(answer, &s); err != nil {
		return s, malformed("gossip keys: %v", err)
	}
	return s, nil
}
