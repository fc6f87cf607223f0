package wire

import (
	"fmt"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// Proto is the protocol version spoken here. A peer with another one is refused with
// 409: what grows within a version are unknown fields and frames, which are skipped.
const Proto = 2

// Paths of the sync protocol, the same for memd's peers and for clients of the
// original service.
const (
	PathSince = "/api/v1/sync/since"
	PathPush  = "/api/v1/sync/push"
)

// Media types and the upgrade token.
const (
	MediaFrames  = "application/vnd.memd.frames"
	MediaNDJSON  = "application/x-ndjson"
	MediaForm    = "application/x-www-form-urlencoded"
	MediaJSON    = "application/json"
	UpgradeProto = "memd-push/2"
)

// Headers. The x- names are the original's; a node sends its own name in
// HeaderPeerID and "memd:<name>" in HeaderAgentID.
const (
	HeaderPeerID  = "X-Peer-Id"
	HeaderAgentID = "X-Agent-Id"
	HeaderAPIKey  = "X-Api-Key"

	HeaderProto   = "Memd-Proto"   // decimal protocol version
	HeaderCluster = "Memd-Cluster" // cluster id, hex; absent while there is none
	HeaderNode    = "Memd-Node"    // node name of the sender of this message
	HeaderBoot    = "Memd-Boot"    // decimal boot number of that process
	HeaderClock   = "Memd-Clock"   // 16 hex digits: hash of the sender's durable clock
	HeaderHLC     = "Memd-Hlc"     // decimal stamp: the sender's wall clock; only in a 304, which has no HEAD
)

// Limits of what is read and, so that no node writes what no node reads, of what is
// written.
const (
	// MaxFrame bounds the payload of a ROW or PUSH frame.
	MaxFrame = 16 << 20
	// MaxMeta bounds the payload of every other known frame. A clock at its own limits
	// ([clock.MaxEncoded]) fits once.
	MaxMeta = 2 << 20
	// MaxPage bounds a page, decompressed.
	MaxPage = 64 << 20
	// MaxSinceBody bounds the POST form of a since request.
	MaxSinceBody = 2 << 20
	// MaxPushBody bounds the plain POST form of a push.
	MaxPushBody = 17 << 20
	// MaxPushRows bounds the rows of one PUSH frame.
	MaxPushRows = 1000
	// MaxName bounds a node name in bytes.
	MaxName = 128
	// MaxScope bounds the scope of a pull in bytes.
	MaxScope = 4096

	// DefaultLimitBytes and MaxLimitBytes are what a since request without limit_bytes
	// asks for, and to what a greater one is clamped.
	DefaultLimitBytes = 1 << 20
	MaxLimitBytes     = 4 << 20

	// maxQueryCursor is the size of the text of the clocks in a since request above
	// which it travels as a POST form.
	maxQueryCursor = 4 << 10
	// minCompress is the size of a page below which compression is not worth a header.
	minCompress = 1 << 10
	// maxHeaderBytes bounds the header of an answer.
	maxHeaderBytes = 16 << 10
	// maxErrorBody is how much of the body of a refusal is read.
	maxErrorBody = 4 << 10
)

// ScopeAll is the scope of a full replica.
const ScopeAll = "*"

// Peer is another node, to talk to.
type Peer struct {
	Name string // as registered; "" if not known yet (a seed address): then it is not checked
	Addr string // host:port of its HTTP
	Boot uint64 // as last heard, 0 if never; informative
}

// Self is what a node says of itself in every message.
type Self struct {
	Name    string
	Cluster func() memory.ClusterID // zero while the node has none; nil is always zero
	Boot    uint64
	// Now is this node's wall clock, which a peer compares with its own; nil = not said.
	Now func() clock.Stamp
}

func (s Self) cluster() memory.ClusterID {
	if s.Cluster == nil {
		return memory.ClusterID{}
	}
	return s.Cluster()
}

// ValidName reports whether a node name can be said on the wire: 1 to [MaxName]
// visible ASCII characters, so that it fits into a header and a log line as it is.
func ValidName(name string) bool {
	if name == "" || len(name) > MaxName {
		return false
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}

func validScope(scope string) bool {
	if scope == "" || len(scope) > MaxScope {
		return false
	}
	for i := range len(scope) {
		if scope[i] < ' ' || scope[i] == 0x7f {
			return false
		}
	}
	return true
}

func fieldError(field, format string, args ...any) error {
	return &memory.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
