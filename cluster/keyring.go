package cluster

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// What is wrong with a change of the keys.
var (
	ErrNoKeys     = errors.New("this node gossips without a key: it needs one from its start on")
	ErrKeySize    = errors.New("a gossip key has 16, 24 or 32 bytes")
	ErrUnknownKey = errors.New("no such gossip key here")
	ErrKeyInUse   = errors.New("this gossip key encrypts: use another one first")
)

// KeyID names a key without giving it away: the first 16 hex digits of its SHA-256.
func KeyID(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// CheckKey returns ErrKeySize for what is no key.
func CheckKey(key []byte) error {
	switch len(key) {
	case 16, 24, 32:
		return nil
	}
	return fmt.Errorf("%w, not %d", ErrKeySize, len(key))
}

// Keys returns the keys with which gossip is read. The first one encrypts; none means that
// gossip is not encrypted.
func (c *Cluster) Keys() [][]byte {
	if c.conf.Keyring == nil {
		return nil
	}
	return c.conf.Keyring.GetKeys()
}

// SetKeys replaces them all, in a node that began with some.
func (c *Cluster) SetKeys(keys [][]byte) error {
	ring := c.conf.Keyring
	if ring == nil {
		return ErrNoKeys
	}
	if len(keys) == 0 {
		return ErrUnknownKey
	}
	for _, k := range keys {
		if err := ring.AddKey(k); err != nil {
			return err
		}
	}
	if err := ring.UseKey(keys[0]); err != nil {
		return err
	}
	for _, k := range ring.GetKeys() {
		if !slices.ContainsFunc(keys, func(o []byte) bool { return bytes.Equal(o, k) }) {
			if err := ring.RemoveKey(k); err != nil {
				return err
			}
		}
	}
	return nil
}
