package node

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/memd/memd/auth"
)

// ownKey is what this node shows to its peers.
type ownKey struct {
	file string     // "" = it never changes
	keys *auth.Keys // nil = nobody asks for one
	key  atomic.Pointer[string]
}

func newOwnKey(key, file string, keys *auth.Keys) *ownKey {
	o := &ownKey{file: file, keys: keys}
	o.key.Store(&key)
	return o
}

func (o *ownKey) shown() string { return *o.key.Load() }

// reload reads the file again. A key that this node itself would refuse is not taken: the
// others have the same keys, and would too.
func (o *ownKey) reload() (changed bool, err error) {
	if o.file == "" {
		return false, nil
	}
	key, err := auth.ReadKeyFile(o.file)
	if errors.Is(err, os.ErrNotExist) || err == nil && key == o.shown() {
		return false, nil // a file may have been there for the start only
	}
	if err != nil {
		return false, fmt.Errorf("api-key-file: %w", err)
	}
	if o.keys != nil {
		if who := o.keys.Check(key); who == nil || !who.May(auth.Peer) {
			return false, errors.New("api-key-file: this node's own keys do not know the new key as one of scope peer")
		}
	}
	o.key.Store(&key)
	return true, nil
}
