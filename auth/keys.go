package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Config of Keys. At least one of Key and File must be given.
type Config struct {
	// Key is one key with all rights; "" = none. One that Add made has those that File gives
	// it, if there is a File: revoked there it has none.
	Key  string
	File string       // principals, as Add writes them; "" = none
	Log  *slog.Logger // nil = discard
}

// Keys are all keys that a node takes, at this moment. It is safe for concurrent use.
type Keys struct {
	cfg    Config
	single held // of Config.Key; its principal is nil without one
	now    func() time.Time

	live atomic.Pointer[set]

	mu   sync.Mutex // one reload at a time
	seen stamp      // what the file looked like when it was last read
}

type held struct {
	p      *Principal
	digest Digest
}

// set is what a file holds.
type set struct{ byID map[string]held }

// stamp tells whether a file is another one than before, without reading it.
type stamp struct {
	info fs.FileInfo
	mod  time.Time
	size int64
}

func (s stamp) same(info fs.FileInfo) bool {
	return s.info != nil && os.SameFile(s.info, info) && s.mod.Equal(info.ModTime()) && s.size == info.Size()
}

// strongKey is the length from which on a key that somebody chose is taken for one that
// cannot be guessed.
const strongKey = 32

// Open reads the file.
func Open(c Config) (*Keys, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Key == "" && c.File == "" {
		return nil, errors.New("neither a key nor a file of keys")
	}
	k := &Keys{cfg: c, now: time.Now}
	k.live.Store(new(set))
	if c.Key != "" {
		if err := CheckKey(c.Key); err != nil {
			return nil, err
		}
		if len(c.Key) < strongKey {
			c.Log.Warn("the API key is short: whoever may try often enough guesses it", "want", strongKey)
		}
		if c.File == "" || KeyID(c.Key) == "" {
			k.single = held{all("api-key"), DigestOf(c.Key)}
			k.single.p.Strong = len(c.Key) >= strongKey
		}
	}
	if c.File != "" {
		if err := k.reload(); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Check returns who has shown a key; nil if nobody has it, or if it has expired. Its time
// depends on whether the public part of the key is known, and on nothing else of it.
func (k *Keys) Check(key string) *Principal {
	if len(key) > MaxKey {
		return nil
	}
	d := DigestOf(key)
	one := k.live.Load().byID[KeyID(key)] // without a match: the digest of nothing
	own := one.digest.equal(d) && one.p != nil
	single := k.single.digest.equal(d) && k.single.p != nil
	switch {
	case single:
		return k.single.p
	case own && (one.p.Expires.IsZero() || k.now().Before(one.p.Expires)):
		return one.p
	}
	return nil
}

// reload reads the file. One that cannot be taken leaves the keys as they are.
func (k *Keys) reload() error {
	b, info, err := readFile(k.cfg.File)
	if err != nil {
		return err
	}
	_, s, err := parseFile(b)
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrFile, k.cfg.File, err)
	}
	k.live.Store(s)
	k.seen = stamp{info, info.ModTime(), info.Size()}
	k.cfg.Log.Info("keys read", "file", k.cfg.File, "keys", len(s.byID))
	return nil
}

// Refresh reads the file if it is not the one that was read last. Its time and size are
// looked at, since file systems that come over the network, and the links of mounted
// secrets, tell nobody of changes.
func (k *Keys) Refresh() error {
	if k.cfg.File == "" {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.cfg.File)
	if err != nil {
		return fmt.Errorf("keys file: %w", err)
	}
	if k.seen.same(info) {
		return nil
	}
	return k.reload()
}
