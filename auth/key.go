package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// A key that memd makes is memd_<id>_<secret>: 12 hex digits that name it, in lists and
// logs, and 256 random bits in base64. Nobody can guess those, so one SHA-256 keeps them as
// safe at rest as a slow hash would; a slow one is for what people choose, and here would
// only let strangers keep the node busy with wrong keys.
const (
	keyPrefix = "memd_"
	idBytes   = 6
	idLen     = 2 * idBytes
	secretLen = 43 // 32 bytes in unpadded base64
)

// MaxKey bounds a key as it is shown to a node, in bytes.
const MaxKey = 512

// Digest is what is kept of a key: the SHA-256 of its text.
type Digest [sha256.Size]byte

// DigestOf is the digest of a key as it was shown.
func DigestOf(key string) Digest { return sha256.Sum256([]byte(key)) }

func (d Digest) equal(other Digest) bool { return subtle.ConstantTimeCompare(d[:], other[:]) == 1 }

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

func parseDigest(s string) (d Digest, ok bool) {
	b, err := hex.DecodeString(s)
	return Digest(append(b, make([]byte, len(d))...)[:len(d)]), err == nil && len(b) == len(d)
}

// newKey makes a key and its id.
func newKey() (key, id string) {
	var b [idBytes + 32]byte
	rand.Read(b[:]) // never fails
	id = hex.EncodeToString(b[:idBytes])
	return keyPrefix + id + "_" + base64.RawURLEncoding.EncodeToString(b[idBytes:]), id
}

// KeyID is the public part of a key that memd made; "" if it did not.
func KeyID(key string) string {
	rest, ok := strings.CutPrefix(key, keyPrefix)
	if !ok || len(rest) != idLen+1+secretLen || rest[idLen] != '_' || !isID(rest[:idLen]) {
		return ""
	}
	return rest[:idLen]
}

func isID(s string) bool {
	return len(s) == idLen && strings.Trim(s, "0123456789abcdef") == ""
}
