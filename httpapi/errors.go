package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// statusClientGone is what the metrics show when the client left before its answer.
const statusClientGone = 499

// errInternal is a fault that has been logged already.
var errInternal = errors.New("internal")

// problem is an error as a client sees it. As an error it says what it will answer.
type problem struct {
	Status     int    `json:"-"`
	RetryAfter int    `json:"-"` // seconds; 0 = no header
	Close      bool   `json:"-"` // the connection is of no use any more
	Text       string `json:"error"`
	Code       string `json:"code,omitempty"`
	Field      string `json:"field,omitempty"`

	ExistingID string       `json:"existing_id,omitempty"` // of a title clash
	IDs        []string     `json:"ids,omitempty"`         // that an ambiguous prefix has
	Missing    *clock.Clock `json:"missing,omitempty"`     // what a reader's token names
	Reasons    []string     `json:"reasons,omitempty"`     // why the node is not ready
	*quorumProblem
}

// quorumProblem is the rest of a missed quorum's body (contract 8.3).
type quorumProblem struct {
	Got       int    `json:"got"`
	Needed    int    `json:"needed"`
	Reason    string `json:"reason"`
	Committed any    `json:"committed"` // "local", "unknown" or false
	ID        string `json:"id,omitempty"`
	Dot       string `json:"dot,omitempty"`
	StatusURL string `json:"status_url,omitempty"`
}

func (p *problem) Error() string { return p.Text }

func (p *problem) write(c *call) {
	if p.RetryAfter > 0 {
		c.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Close {
		c.Header()["Connection"] = headerClose
	}
	body, err := memory.AppendJSON(c.output(), p)
	if err != nil { // not possible: every field is plain
		body = append(c.output(), `{"error":"internal server error","code":"INTERNAL"}`...)
	}
	_ = c.json(p.Status, body)
}

// explain is the one place where errors become statuses. What it does not know is a 500
// without a word of detail.
func explain(err error) *problem {
	var (
		ready     *problem
		field     *memory.FieldError
		clash     *memory.ConflictError
		member    *memory.MemberError
		ambiguous *memory.AmbiguousError
		quorum    *memory.QuorumError
		behind    *memory.BehindError
		status    *wire.StatusError
	)
	at := func(status int, code, text string) *problem { return &problem{Status: status, Code: code, Text: text} }
	switch {
	case errors.As(err, &ready):
		return ready
	case errors.As(err, &field):
		p := at(http.StatusBadRequest, "INVALID", field.Error())
		p.Field = field.Field
		return p
	case errors.As(err, &ambiguous):
		p := at(http.StatusBadRequest, "AMBIGUOUS", ambiguous.Error())
		p.IDs = ambiguous.IDs
		return p
	case errors.Is(err, memory.ErrAmbiguous):
		return at(http.StatusBadRequest, "AMBIGUOUS", err.Error())
	case errors.Is(err, memory.ErrForbidden):
		return at(http.StatusForbidden, "FORBIDDEN", "forbidden")
	case errors.Is(err, memory.ErrNotArchived):
		return at(http.StatusNotFound, "NOT_ARCHIVED", memory.ErrNotArchived.Error())
	case errors.Is(err, memory.ErrNotFound):
		return at(http.StatusNotFound, "NOT_FOUND", "not found")
	case errors.As(err, &member):
		return at(http.StatusConflict, "MEMBER", member.Error())
	case errors.As(err, &clash):
		p := at(http.StatusConflict, "CONFLICT", clash.Error())
		p.ExistingID = clash.ExistingID
		return p
	case errors.Is(err, memory.ErrConflict):
		return at(http.StatusConflict, "CONFLICT", err.Error())
	case errors.Is(err, memory.ErrMismatch):
		return at(http.StatusPreconditionFailed, "PRECONDITION_FAILED", "If-Match does not name the current versions")
	case errors.Is(err, memory.ErrTooLarge), errors.Is(err, wire.ErrTooLarge):
		return tooLarge()
	case errors.As(err, &quorum):
		return missed(quorum)
	case errors.As(err, &behind):
		p := at(http.StatusTooEarly, "BEHIND", behind.Error())
		p.Missing, p.RetryAfter = &behind.Missing, 1
		return p
	case errors.Is(err, memory.ErrNoSpace):
		p := at(http.StatusServiceUnavailable, "NO_SPACE", "this node has no space left on its disk")
		p.RetryAfter = 30
		return p
	case errors.Is(err, memory.ErrStopped):
		p := at(http.StatusServiceUnavailable, "STOPPING", "this node is stopping")
		p.RetryAfter = 2
		return p
	case errors.As(err, &status):
		return refused(status)
	case errors.Is(err, memory.ErrNoIndex): // to come again here is of no use
		return at(http.StatusServiceUnavailable, "NO_INDEX", memory.ErrNoIndex.Error())
	case errors.Is(err, memory.ErrUnavailable):
		p := at(http.StatusServiceUnavailable, "UNAVAILABLE", err.Error())
		p.RetryAfter = 1
		return p
	case errors.Is(err, memory.ErrInvalid):
		return at(http.StatusBadRequest, "INVALID", err.Error())
	}
	return explainPeer(err)
}

// explainPeer goes on with what the sync endpoints meet.
func explainPeer(err error) *problem {
	for _, k := range peerErrors {
		if errors.Is(err, k.err) {
			return &problem{Status: k.status, Code: k.code, Text: k.err.Error(), RetryAfter: k.retry}
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return &problem{Status: statusClientGone, Code: "CANCELED", Text: "the request was given up"}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{Status: http.StatusServiceUnavailable, Code: "TIMEOUT", Text: "this node could not answer in time", RetryAfter: 1}
	}
	return &problem{Status: http.StatusInternalServerError, Code: "INTERNAL", Text: "internal server error"}
}

var peerErrors = []struct {
	err    error
	status int
	code   string
	retry  int
}{
	{wire.ErrMalformed, http.StatusBadRequest, "MALFORMED", 0},
	{wire.ErrCorrupt, http.StatusBadRequest, "CORRUPT", 0},
	{wire.ErrTruncated, http.StatusBadRequest, "TRUNCATED", 0},
	{wire.ErrCluster, http.StatusConflict, "CLUSTER_MISMATCH", 0},
	{wire.ErrReconcile, http.StatusGone, "RECONCILE", 0},
	{wire.ErrScope, http.StatusMisdirectedRequest, "SCOPE", 0},
	{wire.ErrBusy, http.StatusTooManyRequests, "BUSY", 1},
	{wire.ErrUnavailable, http.StatusServiceUnavailable, "UNAVAILABLE", 1},
}

// refused is a status that a helper of wire asks for.
func refused(e *wire.StatusError) *problem {
	p := &problem{Status: e.Status, Code: strings.ToUpper(e.Code), Text: e.Message}
	if p.Text == "" {
		p.Text = strings.ToLower(http.StatusText(e.Status))
	}
	if p.Code == "" {
		p.Code = strings.ToUpper(strings.ReplaceAll(http.StatusText(e.Status), " ", "_"))
	}
	if e.RetryAfter > 0 {
		p.RetryAfter = int((e.RetryAfter + time.Second - 1) / time.Second)
	} else if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		p.RetryAfter = 1
	}
	return p
}

// missed is the body of contract 8.3.
func missed(q *memory.QuorumError) *problem {
	p := &problem{Status: http.StatusServiceUnavailable, Code: "QUORUM_NOT_MET", Text: "quorum_not_met", RetryAfter: 2}
	p.quorumProblem = &quorumProblem{Got: q.Got, Needed: q.Needed, Reason: q.Reason, Committed: string(q.Committed), ID: q.ID, Dot: q.Dot}
	if q.Committed == memory.CommittedFalse {
		p.Committed = false
	}
	if dot, err := clock.ParseDot(q.Dot); err == nil {
		p.StatusURL = "/api/v1/writes/" + dot.Origin.String() + "/" + strconv.FormatUint(dot.Counter, 10)
	}
	return p
}

func tooLarge() *problem {
	return &problem{Status: http.StatusRequestEntityTooLarge, Code: "TOO_LARGE", Text: "the request body is too large", Close: true}
}

func invalid(field, text string) error { return &memory.FieldError{Field: field, Problem: text} }

// fault is an error of the node's own making, whatever kind it would be on the way in: it
// hides what it holds from explain.
type fault struct{ err error }

func (f fault) Error() string { return "cannot answer: " + f.err.Error() }

// pushBodyError is explain for a body of frames: a slow one is told from a broken one.
func pushBodyError(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return bodyError(err)
	}
	return err
}
