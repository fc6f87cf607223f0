package wire

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// SinceRequest is a pull: what does the callee have that the caller lacks. It is the
// whole truth; the callee keeps nothing per caller.
type SinceRequest struct {
	Peer    string // name of the caller
	Boot    uint64 // of the caller
	Cluster memory.ClusterID
	Scope   string // ScopeAll if empty
	// Cursor is the caller's clock.
	Cursor clock.Clock
	// Reserved are dots that the caller is getting from others at this moment: not to
	// be sent, and not to be reasoned from.
	Reserved clock.Clock
	// LimitBytes is where the page should end; at least one row comes anyway. 0 =
	// DefaultLimitBytes; clamped to MaxLimitBytes by ParseSince.
	LimitBytes int
	// IfNoneMatch is the entity tag of the If-None-Match header. The client always sends
	// the hash of Cursor, whatever stands here.
	IfNoneMatch string
}

// ETag returns the entity tag that stands for the cursor: the hash of the clock in
// quotes. A 304 repeats it.
func (r SinceRequest) ETag() string { return etag(r.Cursor.Hash()) }

// Values returns r as query or form parameters.
func (r SinceRequest) Values() url.Values {
	v := url.Values{}
	v.Set("v", strconv.Itoa(Proto))
	v.Set("peer", r.Peer)
	v.Set("boot", strconv.FormatUint(r.Boot, 10))
	if !r.Cluster.IsZero() {
		v.Set("cluster", r.Cluster.String())
	}
	v.Set("scope", r.Scope)
	if r.Scope == "" {
		v.Set("scope", ScopeAll)
	}
	if r.LimitBytes > 0 {
		v.Set("limit_bytes", strconv.Itoa(r.LimitBytes))
	}
	v.Set("cursor", r.Cursor.Token())
	if !r.Reserved.Empty() {
		v.Set("reserved", r.Reserved.Token())
	}
	return v
}

// IsClockSince tells a pull of a memd node from the RFC 3339 form of the original,
// which has neither of these parameters.
func IsClockSince(v url.Values) bool { return v.Has("v") || v.Has("cursor") }

// ParseSince reads what Values wrote; header may be nil. Unknown parameters are
// ignored. A bad value is a [*memory.FieldError]; another protocol version a 409
// [*StatusError].
func ParseSince(v url.Values, header http.Header) (SinceRequest, error) {
	p := params{values: v}
	if version := p.get("v"); p.err == nil {
		n, err := strconv.ParseUint(version, 10, 16)
		if err != nil {
			return SinceRequest{}, fieldError("v", "must be a protocol version")
		}
		if err := checkProto(int(n)); err != nil {
			return SinceRequest{}, err
		}
	}
	r := SinceRequest{
		Peer:        p.name("peer"),
		Boot:        p.boot("boot"),
		Cluster:     p.cluster("cluster"),
		Scope:       p.scope("scope"),
		Cursor:      p.clock("cursor"),
		Reserved:    p.clock("reserved"),
		LimitBytes:  p.limit("limit_bytes"),
		IfNoneMatch: header.Get("If-None-Match"),
	}
	if p.err != nil {
		return SinceRequest{}, p.err
	}
	return r, nil
}

// ReadSince reads a pull from a request: the query of a GET, the form of a POST. Beside
// the errors of ParseSince it returns 413 and 415 as [*StatusError].
func ReadSince(r *http.Request) (SinceRequest, error) {
	if r.Method != http.MethodPost {
		v, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return SinceRequest{}, fieldError("query", "is not a query string")
		}
		return ParseSince(v, r.Header)
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != MediaForm {
		return SinceRequest{}, &StatusError{Status: http.StatusUnsupportedMediaType, Message: "the body must be " + MediaForm}
	}
	body, err := readBody(r.Body, MaxSinceBody)
	if err != nil {
		return SinceRequest{}, err
	}
	v, err := url.ParseQuery(string(body))
	if err != nil {
		return SinceRequest{}, fieldError("body", "is not a form")
	}
	return ParseSince(v, r.Header)
}

var errBodyTooLarge = &StatusError{Status: http.StatusRequestEntityTooLarge, Message: "request body too large"}

// readBody reads at most limit bytes; more is a 413, a broken body a 400.
func readBody(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	var tooLarge *http.MaxBytesError // of a limit that the front door had set
	if int64(len(body)) > limit || errors.As(err, &tooLarge) {
		return nil, errBodyTooLarge
	}
	if err != nil {
		return nil, &StatusError{Status: http.StatusBadRequest, Message: "request body is incomplete"}
	}
	return body, nil
}

// params reads parameters and keeps the first error.
type params struct {
	values url.Values
	err    error
}

func (p *params) fail(key, format string, args ...any) {
	if p.err == nil {
		p.err = fieldError(key, format, args...)
	}
}

func (p *params) get(key string) string {
	switch v := p.values[key]; len(v) {
	case 0:
		return ""
	case 1:
		return v[0]
	}
	p.fail(key, "given more than once")
	return ""
}

func (p *params) name(key string) string {
	s := p.get(key)
	if p.err == nil && !ValidName(s) {
		p.fail(key, "must be a node name of 1 to %d visible ASCII characters", MaxName)
	}
	return s
}

func (p *params) boot(key string) uint64 {
	s := p.get(key)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		p.fail(key, "must be a number")
	}
	return n
}

func (p *params) cluster(key string) memory.ClusterID {
	s := p.get(key)
	if s == "" {
		return memory.ClusterID{}
	}
	id, err := memory.ParseClusterID(s)
	if err != nil {
		p.fail(key, "must be a cluster id")
	}
	return id
}

func (p *params) scope(key string) string {
	s := p.get(key)
	if s == "" {
		return ScopeAll
	}
	if !validScope(s) {
		p.fail(key, "must be at most %d bytes without control characters", MaxScope)
	}
	return s
}

// clock reads a token; an absent one is the empty clock.
func (p *params) clock(key string) clock.Clock {
	s := p.get(key)
	if s == "" {
		return clock.Clock{}
	}
	c, err := clock.ParseToken(s)
	if err != nil {
		p.fail(key, "is no clock: %v", err)
	}
	return c
}

// limit clamps what is too large, even if it is no int; anything else that is no
// count is refused.
func (p *params) limit(key string) int {
	s := p.get(key)
	if s == "" {
		return DefaultLimitBytes
	}
	n, err := strconv.ParseUint(s, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return MaxLimitBytes
	case err != nil:
		p.fail(key, "must be a number of bytes")
		return 0
	case n == 0:
		return DefaultLimitBytes
	}
	return int(min(n, MaxLimitBytes))
}
