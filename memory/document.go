package memory

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Memory is the document of a KindMemory record (contract 1.1).
//
// ID is the record's key; AccessCount and LastAccessedAt are statistics of one node. None of the three is in the value at rest, so
// they are neither replicated nor hashed.
type Memory struct {
	ID             string
	Tier           string
	Namespace      string
	Title          string
	Content        string
	Tags           []string
	Priority       int
	Confidence     float64
	Source         string
	AccessCount    int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
	LastAccessedAt time.Time // zero = never
	ExpiresAt      time.Time // zero = never
	Metadata       Raw       // a JSON object
	Extra          []Field   // members that this version does not know, sorted by name

	// Expiry is what the writer said about the end of life, for the content hash only: "" = nothing, so that an expiry computed from
	// the tier's TTL does not make twins differ. It is not stored; a decoded memory has its stored expiry here.
	Expiry string
}

// Encode is the canonical value at rest: fixed field order, unknown members sorted behind them, no HTML escaping.
func (m *Memory) Encode() []byte {
	return m.AppendValue(make([]byte, 0, 256+len(m.Content)+len(m.Content)/16+len(m.Title)+len(m.Metadata)))
}

// AppendValue is Encode into a buffer.
func (m *Memory) AppendValue(b []byte) []byte {
	b = append(b, `{"tier":"`...)
	b = append(b, m.Tier...)
	b = append(b, `","namespace":`...)
	b = AppendString(b, m.Namespace)
	b = append(b, `,"title":`...)
	b = AppendString(b, m.Title)
	b = append(b, `,"content":`...)
	b = AppendString(b, m.Content)
	b = append(b, `,"tags":[`...)
	for i, t := range m.Tags {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, t)
	}
	b = append(b, `],"priority":`...)
	b = strconv.AppendInt(b, int64(m.Priority), 10)
	b = append(b, `,"confidence":`...)
	b = jsontext.AppendFloat(b, m.Confidence, 64)
	b = append(b, `,"source":`...)
	b = AppendString(b, m.Source)
	b = append(b, `,"created_at":"`...)
	b = AppendTime(b, m.CreatedAt)
	b = append(b, `","updated_at":"`...)
	b = AppendTime(b, m.UpdatedAt)
	b = append(b, '"')
	if !m.ExpiresAt.IsZero() {
		b = append(b, `,"expires_at":"`...)
		b = AppendTime(b, m.ExpiresAt)
		b = append(b, '"')
	}
	b = append(b, `,"metadata":`...)
	if len(m.Metadata) == 0 {
		b = append(b, "{}"...)
	} else {
		b = append(b, m.Metadata...)
	}
	b = appendFields(b, m.Extra)
	return append(b, '}')
}

func appendFields(b []byte, fields []Field) []byte {
	for _, f := range fields {
		b = append(b, ',')
		b = AppendString(b, f.Name)
		b = append(b, ':')
		b = append(b, f.Value...)
	}
	return b
}

// ContentHash covers what the writer said and nothing that a server made: not created_at, not updated_at, not an expiry computed from
// the tier. One request executed on two nodes has one content hash, so its twins collapse in the view. An agent id that a door made up
// for the request would part them: a caller hashes the memory made without it (Draft.Memory with agent "").
func (m *Memory) ContentHash() Hash {
	s := scratch.Get().(*[]byte)
	b := append((*s)[:0], "memd/content/1"...)
	for _, part := range [...]string{m.Title, m.Content, m.Tier, m.Namespace, m.Source, m.Expiry} {
		b = appendSized(b, part)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Tags)))
	for _, t := range m.Tags {
		b = appendSized(b, t)
	}
	b = binary.AppendVarint(b, int64(m.Priority))
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(m.Confidence))
	if len(m.Metadata) == 0 {
		b = appendSized(b, "{}")
	} else {
		b = appendSized(b, m.Metadata)
	}
	for _, f := range m.Extra {
		b = appendSized(b, f.Name)
		b = appendSized(b, f.Value)
	}
	h := cut(sha256.Sum256(b))
	*s = b
	putScratch(s)
	return h
}

func appendSized[T ~string | ~[]byte](b []byte, part T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

// Expired tells whether the memory is hidden at now.
func (m *Memory) Expired(now time.Time) bool { return !m.ExpiresAt.IsZero() && !m.ExpiresAt.After(now) }

// Agent is metadata.agent_id, "" if there is none.
func (m *Memory) Agent() string { return m.Metadata.text("agent_id") }

// Scope is metadata.scope; absent or unknown is "private".
func (m *Memory) Scope() string {
	if s := m.Metadata.text("scope"); scopes[s] {
		return s
	}
	return "private"
}

// Promote is the verb: tier long, no expiry.
func (m Memory) Promote(now time.Time) Memory {
	m.Tier, m.ExpiresAt, m.Expiry, m.UpdatedAt = TierLong, time.Time{}, "", now.UTC()
	return m
}

// Recalled is what a memory becomes that was just recalled (contract 1.2): a short one lives for another hour, one of tier mid for
// another day, and for ever once it is recalled often. It never becomes shorter. changed is false if it stays as it is.
func (m Memory) Recalled(often bool, now time.Time) (kept Memory, changed bool) {
	var more time.Duration
	switch {
	case m.Tier == TierShort:
		more = time.Hour
	case m.Tier == TierMid && often:
		return m.Promote(now), true
	case m.Tier == TierMid:
		more = 24 * time.Hour
	default:
		return m, false
	}
	until := now.UTC().Add(more).Truncate(time.Second)
	if m.ExpiresAt.IsZero() || !until.After(m.ExpiresAt) {
		return m, false
	}
	m.ExpiresAt, m.Expiry = until, expiryAt(until)
	return m, true
}

// ViewFields is what a reader gets beside the stored value.
type ViewFields struct {
	AccessCount    int64
	LastAccessedAt time.Time // zero = left out
	Token          string    // "" = left out
	Conflicts      int       // 0 = left out
}

// AppendView renders the record as the contract's 15 fields, with token and conflicts behind them, by splicing the stored bytes:
// nothing is decoded. value must be a stored value of a memory.
func AppendView(dst []byte, id string, value []byte, f ViewFields) []byte {
	dst = slices.Grow(dst, len(value)+len(id)+len(f.Token)+160)
	dst = append(dst, `{"id":`...)
	dst = AppendString(dst, id)
	if len(value) > 2 {
		dst = append(dst, ',')
		dst = append(dst, value[1:len(value)-1]...)
	}
	dst = append(dst, `,"access_count":`...)
	dst = strconv.AppendInt(dst, f.AccessCount, 10)
	if !f.LastAccessedAt.IsZero() {
		dst = append(dst, `,"last_accessed_at":"`...)
		dst = AppendTime(dst, f.LastAccessedAt)
		dst = append(dst, '"')
	}
	if f.Token != "" {
		dst = append(dst, `,"token":`...)
		dst = AppendString(dst, f.Token)
	}
	if f.Conflicts > 0 {
		dst = append(dst, `,"conflicts":`...)
		dst = strconv.AppendInt(dst, int64(f.Conflicts), 10)
	}
	return append(dst, '}')
}
