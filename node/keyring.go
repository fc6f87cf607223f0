package node

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/memd/memd/cluster"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/trust"
	"github.com/memd/memd/wire"
)

// keyringFile is where a node keeps gossip keys that were changed while it ran.
const keyringFile = "gossip.keys"

// keyring is the file of a node's gossip keys. What the configuration says founds it;
// changes of the running mesh are kept in it and outlive a restart, until the
// configuration says something else than it did when they were made.
type keyring struct {
	path    string
	founded string // of the configured keys

	mu sync.Mutex // one change at a time
}

type keyringContent struct {
	Founded string   `json:"configured"` // digest of the configured keys, in their order
	Keys    [][]byte `json:"keys"`       // base64; the first one encrypts
}

// openKeyring returns the keys to begin with.
func openKeyring(dir string, configured [][]byte) (*keyring, [][]byte, error) {
	sum := sha256.New()
	for _, k := range configured {
		if err := cluster.CheckKey(k); err != nil {
			return nil, nil, fmt.Errorf("%w: gossip-key: %w", ErrConfig, err)
		}
		sum.Write([]byte{byte(len(k))})
		sum.Write(k)
	}
	k := &keyring{path: filepath.Join(dir, keyringFile), founded: hex.EncodeToString(sum.Sum(nil))}
	b, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) || len(configured) == 0 {
		return k, configured, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var c keyringContent
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrConfig, k.path, err)
	}
	if c.Founded != k.founded || len(c.Keys) == 0 {
		return k, configured, nil
	}
	return k, c.Keys, nil
}

// save keeps keys before they are used, so that no crash forgets what peers were told.
func (k *keyring) save(keys [][]byte) error {
	b, err := json.Marshal(keyringContent{Founded: k.founded, Keys: keys})
	if err != nil {
		return err
	}
	return trust.WriteFile(k.path, b, 0o600)
}

// OwnKeys changes this node's gossip keys. A change that is there already is none.
func (n *Node) OwnKeys(_ context.Context, change wire.KeyChange) (wire.KeyState, error) {
	n.ring.mu.Lock()
	defer n.ring.mu.Unlock()
	keys := n.gossip.Keys()
	after, err := changeKeys(keys, change)
	if err != nil {
		return wire.KeyState{}, err
	}
	if !slices.EqualFunc(keys, after, bytes.Equal) {
		if err := n.ring.save(after); err != nil {
			return wire.KeyState{}, fmt.Errorf("keep the gossip keys: %w", err)
		}
		if err := n.gossip.SetKeys(after); err != nil {
			return wire.KeyState{}, err
		}
		n.log.Info("gossip keys were changed", "op", change.Op, "keys", len(after), "encrypts", cluster.KeyID(after[0]))
	}
	out := wire.KeyState{IDs: []string{}}
	for _, k := range after {
		out.IDs = append(out.IDs, cluster.KeyID(k))
	}
	return out, nil
}

// changeKeys returns the keys after the change; the first one encrypts.
func changeKeys(keys [][]byte, change wire.KeyChange) ([][]byte, error) {
	if change.Op == wire.KeyList {
		return keys, nil
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: %w", memory.ErrConflict, cluster.ErrNoKeys)
	}
	at := slices.IndexFunc(keys, func(k []byte) bool {
		return bytes.Equal(k, change.Key) || change.ID != "" && cluster.KeyID(k) == change.ID
	})
	switch change.Op {
	case wire.KeyInstall:
		if err := cluster.CheckKey(change.Key); err != nil {
			return nil, &memory.FieldError{Field: "key", Problem: "must have 16, 24 or 32 bytes, in base64"}
		}
		if at >= 0 {
			return keys, nil
		}
		return append(slices.Clone(keys), change.Key), nil
	case wire.KeyUse:
		if at < 0 {
			return nil, fmt.Errorf("%w: %w", memory.ErrConflict, cluster.ErrUnknownKey)
		}
		out := append([][]byte{keys[at]}, keys[:at]...)
		return append(out, keys[at+1:]...), nil
	default: // remove
		if at < 0 {
			return keys, nil
		}
		if at == 0 {
			return nil, fmt.Errorf("%w: %w", memory.ErrConflict, cluster.ErrKeyInUse)
		}
		return slices.Delete(slices.Clone(keys), at, at+1), nil
	}
}

// Keyring changes the gossip keys of every member. What would cut a member off is refused
// before anything is done: a key encrypts only once all have it, and goes only once nobody
// encrypts with it. force does it without the members that cannot be reached.
func (n *Node) Keyring(ctx context.Context, change wire.KeyChange, force bool) (httpapi.KeyringStatus, error) {
	before, err := n.askKeys(ctx, wire.KeyChange{Op: wire.KeyList})
	if err != nil || change.Op == wire.KeyList {
		return before.status(), err
	}
	id := change.ID
	if len(change.Key) > 0 {
		id = cluster.KeyID(change.Key)
	}
	switch change.Op {
	case wire.KeyUse:
		if lack := before.without(id); len(lack) > 0 {
			return before.status(), fmt.Errorf("%w: %q lack that key: install it first", memory.ErrConflict, lack)
		}
	case wire.KeyRemove:
		if users := before.users(id); len(users) > 0 {
			return before.status(), fmt.Errorf("%w: %q encrypt with that key: use another one first", memory.ErrConflict, users)
		}
	}
	if len(before.failed) > 0 && !force {
		return before.status(), before.unavailable()
	}
	after, err := n.askKeys(ctx, change)
	if err == nil && len(after.failed) > 0 && !force {
		err = after.unavailable()
	}
	return after.status(), err
}

// askedKeys is what the members answered.
type askedKeys struct {
	states map[string]wire.KeyState
	failed []httpapi.Failure // by name
}

// askKeys asks this node and all other members at once. An error is this node's own.
func (n *Node) askKeys(ctx context.Context, change wire.KeyChange) (askedKeys, error) {
	out := askedKeys{states: map[string]wire.KeyState{}}
	own, err := n.OwnKeys(ctx, change)
	if err != nil {
		return out, err
	}
	out.states[n.cfg.Name] = own
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, peer := range n.pushPeers() {
		all.Go(func() {
			s, err := n.client.ChangeKeys(ctx, peer, change)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out.failed = append(out.failed, httpapi.Failure{Name: peer.Name, Error: err.Error()})
				return
			}
			out.states[peer.Name] = s
		})
	}
	all.Wait()
	slices.SortFunc(out.failed, func(a, b httpapi.Failure) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func (a askedKeys) unavailable() error {
	texts := make([]string, len(a.failed))
	for i, f := range a.failed {
		texts[i] = f.Error
	}
	return fmt.Errorf("%w: not every member could be asked: %s", memory.ErrUnavailable, strings.Join(texts, "; "))
}

// without are the members that do not have the key; users are those that encrypt with it.
func (a askedKeys) without(id string) (names []string) {
	return a.which(func(s wire.KeyState) bool { return !slices.Contains(s.IDs, id) })
}

func (a askedKeys) users(id string) (names []string) {
	return a.which(func(s wire.KeyState) bool { return len(s.IDs) > 0 && s.IDs[0] == id })
}

func (a askedKeys) which(is func(wire.KeyState) bool) (names []string) {
	for name, s := range a.states {
		if is(s) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (a askedKeys) status() httpapi.KeyringStatus {
	out := httpapi.KeyringStatus{Keys: []httpapi.GossipKey{}, Members: len(a.states) + len(a.failed), Unreachable: append([]httpapi.Failure{}, a.failed...)}
	ids := map[string]bool{}
	for _, s := range a.states {
		for _, id := range s.IDs {
			ids[id] = true
		}
	}
	for id := range ids {
		out.Keys = append(out.Keys, httpapi.GossipKey{
			ID: id, UsedBy: append([]string{}, a.users(id)...),
			HeldBy: append([]string{}, a.which(func(s wire.KeyState) bool { return slices.Contains(s.IDs, id) })...),
		})
	}
	slices.SortFunc(out.Keys, func(a, b httpapi.GossipKey) int {
		return cmp.Or(cmp.Compare(len(b.UsedBy), len(a.UsedBy)), cmp.Compare(a.ID, b.ID))
	})
	return out
}
