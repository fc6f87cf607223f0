package memory

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Kind tells what the document of a record is. Kinds that this version does not know are stored, merged and relayed, never shown.
type Kind uint8

// Known kinds. Numbers are for ever.
const (
	KindMemory   Kind = 1
	KindMember   Kind = 2
	KindLink     Kind = 3
	KindArchive  Kind = 4
	KindAgent    Kind = 5
	KindStandard Kind = 6
)

// Known tells whether this version understands documents of the kind.
func (k Kind) Known() bool {
	switch k {
	case KindMemory, KindMember, KindLink, KindArchive, KindAgent, KindStandard:
		return true
	default:
		return false
	}
}

func (k Kind) String() string {
	switch k {
	case KindMemory:
		return "memory"
	case KindMember:
		return "member"
	case KindLink:
		return "link"
	case KindArchive:
		return "archive"
	case KindAgent:
		return "agent"
	case KindStandard:
		return "standard"
	default:
		return fmt.Sprintf("kind-%d", uint8(k))
	}
}

// Key is the identity of a record in binary: kind byte, form byte, then either the 16 raw bytes of an id that is a canonical
// lower-case UUID (form 1) or the id verbatim (form 2). It sorts by kind first, so one kind is one range of a bucket.
//
// Invariant: an id has exactly one key (a UUID never takes form 2). Checked by ParseKey; test TestKeyForms.
type Key string

const (
	formUUID = 1
	formText = 2
)

// NewKey makes the key of an id. It does not judge the id: see ValidateID.
func NewKey(k Kind, id string) Key {
	var b [2 + MaxIDLen]byte
	b[0] = byte(k)
	if parseUUID(b[2:18], id) {
		b[1] = formUUID
		return Key(b[:18])
	}
	b[1] = formText
	if len(id) > MaxIDLen {
		return Key(string(b[:2]) + id)
	}
	return Key(b[:2+copy(b[2:], id)])
}

// Kind of the record, 0 for an empty key.
func (k Key) Kind() Kind {
	if len(k) == 0 {
		return 0
	}
	return Kind(k[0])
}

// ID is the text form of the identity, as clients see it.
func (k Key) ID() string {
	if len(k) < 2 {
		return ""
	}
	if k[1] == formUUID && len(k) == 18 {
		var b [36]byte
		formatUUID(&b, k[2:])
		return string(b[:])
	}
	return string(k[2:])
}

func (k Key) String() string { return k.Kind().String() + "/" + k.ID() }

var errKey = errors.New("malformed record key")

// ParseKey checks the binary form: known form byte, id of 1..128 bytes of UTF-8, one key per id.
func ParseKey(b []byte) (Key, error) {
	if len(b) < 3 || b[0] == 0 {
		return "", errKey
	}
	switch b[1] {
	case formUUID:
		if len(b) != 18 {
			return "", errKey
		}
	case formText:
		id := b[2:]
		if len(id) > MaxIDLen || !utf8.Valid(id) || parseUUID(nil, string(id)) {
			return "", errKey
		}
	default:
		return "", errKey
	}
	return Key(b), nil
}

// parseUUID reports whether s is a canonical lower-case UUID and, if dst is not nil, puts its 16 bytes there.
func parseUUID(dst []byte, s string) bool {
	if len(s) != 36 {
		return false
	}
	var raw [16]byte
	n := 0
	for i := 0; i < 36; {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
			i++
			continue
		}
		hi, lo := unhex(s[i]), unhex(s[i+1])
		if hi > 15 || lo > 15 {
			return false
		}
		raw[n] = hi<<4 | lo
		n++
		i += 2
	}
	copy(dst, raw[:])
	return true
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	default:
		return 255
	}
}

func formatUUID[T ~string | ~[]byte](dst *[36]byte, raw T) {
	const digits = "0123456789abcdef"
	p := 0
	for i := range 16 {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst[p] = '-'
			p++
		}
		dst[p], dst[p+1] = digits[raw[i]>>4], digits[raw[i]&15]
		p += 2
	}
}

// Hash is a SHA-256 cut to 128 bits.
type Hash [16]byte

// IsZero tells whether the hash is unset.
func (h Hash) IsZero() bool { return h == Hash{} }

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// HashOf is the hash of an opaque client text, such as an Idempotency-Key.
func HashOf(s string) Hash { return cut(sha256.Sum256([]byte(s))) }

func cut(sum [32]byte) Hash { return Hash(sum[:16]) }

// ClusterID names a cluster. Nodes of different clusters never merge.
type ClusterID [16]byte

// IsZero tells that the node does not belong to a cluster yet.
func (c ClusterID) IsZero() bool { return c == ClusterID{} }

func (c ClusterID) String() string { return hex.EncodeToString(c[:]) }

// MarshalText is String: a log in JSON would show a list of numbers.
func (c ClusterID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ParseClusterID reads 32 lower-case hex digits.
func ParseClusterID(s string) (ClusterID, error) {
	var c ClusterID
	if len(s) != 32 {
		return c, fieldErrorf("cluster", "must be 32 hex digits")
	}
	for i := range c {
		hi, lo := unhex(s[2*i]), unhex(s[2*i+1])
		if hi > 15 || lo > 15 {
			return ClusterID{}, fieldErrorf("cluster", "must be 32 lower-case hex digits")
		}
		c[i] = hi<<4 | lo
	}
	return c, nil
}

// DerivedID is the id of a memory that is addressed by its title: the same on every node, so that two nodes which create one title
// at the same time meet in one record (replication.md B4). nfcTitle must be normalised (TitleKey). The gen is bumped when the id of
// a lower one is live under another title. The text is a UUID of version 8, which RFC 9562 leaves to the maker.
func DerivedID(cluster ClusterID, ns, nfcTitle string, gen uint32) string {
	b := make([]byte, 0, 128+len(ns)+len(nfcTitle))
	b = append(b, "memd/id/1"...)
	b = append(b, cluster[:]...)
	b = binary.AppendUvarint(b, uint64(len(ns)))
	b = append(b, ns...)
	b = append(b, 0)
	b = append(b, nfcTitle...)
	b = binary.BigEndian.AppendUint32(b, gen)
	return madeID(b)
}

// madeID is the UUID of version 8 that stands for what b says.
func madeID(b []byte) string {
	h := cut(sha256.Sum256(b))
	h[6] = h[6]&0x0f | 0x80
	h[8] = h[8]&0x3f | 0x80
	var text [36]byte
	formatUUID(&text, h[:])
	return string(text[:])
}
