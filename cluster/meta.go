package cluster

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/memberlist"
)

// ID names a cluster for ever. The zero ID means that a node belongs to none yet.
type ID [16]byte

// IsZero reports whether the node is not in a cluster yet.
func (id ID) IsZero() bool { return id == ID{} }

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Meta is what a node says about itself on gossip. It is a claim, not a proof:
// gossip keys are shared, so authentication of a node belongs to the data channel.
type Meta struct {
	Cluster  ID
	Boot     uint64    // random, of this process; tells a restart from a clone
	Started  time.Time // of the process, to the millisecond
	HTTP     string    // host:port of the data channel; empty = none
	ProtoMin uint8     // wire protocol, inclusive bounds
	ProtoMax uint8
	Features uint32 // bits; unknown ones are kept
	Version  string // of the build, for people
}

// The layout, 512 bytes at most (memberlist's limit):
//
//	0       format, 1
//	1..16   cluster
//	17..24  boot, big-endian as all that follows
//	25..32  started, Unix milliseconds, 0 = not said
//	33, 34  lowest and highest protocol
//	35..38  features
//	39      length of HTTP, then HTTP
//	        length of version, then version
//	        anything: fields of later builds, ignored by this one
//
// A change that old builds cannot ignore gets another format number.
const (
	metaFormat     = 1
	metaFixed      = 40
	maxMeta        = memberlist.MetaMaxSize
	maxHTTPLen     = 255
	maxVersionLen  = 64
	maxStartMillis = 253402300799999 // the end of year 9999
)

var errMeta = errors.New("node meta")

func (m Meta) validate() error {
	if m.ProtoMin > m.ProtoMax {
		return fmt.Errorf("%w: protocol %d..%d", errMeta, m.ProtoMin, m.ProtoMax)
	}
	if len(m.Version) > maxVersionLen || !printable(m.Version) {
		return fmt.Errorf("%w: version %.80q", errMeta, m.Version)
	}
	if m.HTTP == "" {
		return nil
	}
	if len(m.HTTP) > maxHTTPLen || !printable(m.HTTP) {
		return fmt.Errorf("%w: http address %.80q", errMeta, m.HTTP)
	}
	host, port, err := net.SplitHostPort(m.HTTP)
	if err != nil || host == "" {
		return fmt.Errorf("%w: http address %.80q is not host:port", errMeta, m.HTTP)
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return fmt.Errorf("%w: http address %.80q has no port of 1..65535", errMeta, m.HTTP)
	}
	return nil
}

// encode renders a valid Meta; decodeMeta of the result gives it back.
func (m Meta) encode() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	var started int64
	if !m.Started.IsZero() {
		started = m.Started.UnixMilli()
	}
	if started < 0 || started > maxStartMillis {
		return nil, fmt.Errorf("%w: start time %v", errMeta, m.Started)
	}
	b := make([]byte, 0, metaFixed+1+len(m.HTTP)+len(m.Version))
	b = append(b, metaFormat)
	b = append(b, m.Cluster[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Boot)
	b = binary.BigEndian.AppendUint64(b, uint64(started))
	b = append(b, m.ProtoMin, m.ProtoMax)
	b = binary.BigEndian.AppendUint32(b, m.Features)
	b = append(b, byte(len(m.HTTP)))
	b = append(b, m.HTTP...)
	b = append(b, byte(len(m.Version)))
	return append(b, m.Version...), nil
}

func decodeMeta(b []byte) (Meta, error) {
	var m Meta
	switch {
	case len(b) > maxMeta:
		return m, fmt.Errorf("%w: %d bytes", errMeta, len(b))
	case len(b) < metaFixed+1:
		return m, fmt.Errorf("%w: only %d bytes", errMeta, len(b))
	case b[0] != metaFormat:
		return m, fmt.Errorf("%w: unknown format %d", errMeta, b[0])
	}
	copy(m.Cluster[:], b[1:17])
	m.Boot = binary.BigEndian.Uint64(b[17:])
	started := binary.BigEndian.Uint64(b[25:])
	if started > maxStartMillis {
		return m, fmt.Errorf("%w: start time %d", errMeta, started)
	}
	if started > 0 {
		m.Started = time.UnixMilli(int64(started)).UTC()
	}
	m.ProtoMin, m.ProtoMax = b[33], b[34]
	m.Features = binary.BigEndian.Uint32(b[35:])
	rest := b[39:]
	var ok bool
	if m.HTTP, rest, ok = cutString(rest); !ok {
		return m, fmt.Errorf("%w: http address is cut short", errMeta)
	}
	if m.Version, _, ok = cutString(rest); !ok {
		return m, fmt.Errorf("%w: version is cut short", errMeta)
	}
	return m, m.validate()
}

// cutString takes a string with a length byte in front off b.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}

// printable keeps control characters of a stranger out of logs and tables.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return false
		}
	}
	return true
}
