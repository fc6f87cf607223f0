package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/memd/memd/memory"
)

// Error is a server's answer that is not what was asked for. Its kind, if memd has one for
// it, is found with errors.Is (memory.ErrNotFound, ErrConflict, ErrInvalid, ErrMismatch,
// ErrUnavailable …) and errors.As (*memory.QuorumError, *memory.ConflictError,
// *memory.AmbiguousError, *memory.FieldError, *BehindError, *NotReadyError).
type Error struct {
	Server     string // base URL
	Status     int
	Code       string // "NOT_FOUND", …; "" if the answer was not memd's
	Message    string
	RetryAfter time.Duration // 0 = the server did not say

	kind error // nil = none of memd's
}

func (e *Error) Error() string {
	if e.kind == nil {
		return fmt.Sprintf("%s answered %d: %s", e.Server, e.Status, e.Message)
	}
	return e.Message
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.kind }

// elsewhere reports whether another server could do better: this one is in trouble, or
// not as far as the token. A write that a quorum did not acknowledge is for the caller to
// repeat, unless it was refused before it began.
func (e *Error) elsewhere() bool {
	if quorum, ok := errors.AsType[*memory.QuorumError](e.kind); ok {
		return quorum.Committed == memory.CommittedFalse
	}
	return e.Status >= 500 || e.Status == http.StatusTooEarly || e.Status == http.StatusTooManyRequests
}

// BehindError is a read whose token no server could reach in time. It is a
// memory.ErrBehind. (The type of package memory holds a clock, which the wire shows for
// people only.)
type BehindError struct {
	Missing map[string]string // origin to counters, "3-7,9"
}

func (e *BehindError) Error() string { return memory.ErrBehind.Error() }
func (e *BehindError) Unwrap() error { return memory.ErrBehind }

// NotReadyError is a node that would answer from the past or take no writes. It is a
// memory.ErrUnavailable.
type NotReadyError struct {
	Reasons []string // in words for people
}

func (e *NotReadyError) Error() string {
	if len(e.Reasons) == 0 {
		return "not ready"
	}
	return "not ready: " + strings.Join(e.Reasons, "; ")
}
func (e *NotReadyError) Unwrap() error { return memory.ErrUnavailable }

// allFailed is what is left when no server could answer.
type allFailed struct{ errs []error }

func (e *allFailed) Error() string {
	texts := make([]string, len(e.errs))
	for i, err := range e.errs {
		texts[i] = err.Error()
	}
	return "no server could answer: " + strings.Join(texts, "; ")
}
func (e *allFailed) Unwrap() []error { return e.errs }

// unreachable is a server that gave no whole answer: a memory.ErrUnavailable, and what
// the transport said.
func unreachable(server string, err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		err = at.Err // without method and URL, which the caller knows
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w: no answer in time: %w", server, memory.ErrUnavailable, context.DeadlineExceeded)
	}
	return fmt.Errorf("%s: %w: %w", server, memory.ErrUnavailable, err)
}

// errorBody is what memd says when it does not do what was asked.
type errorBody struct {
	Error *string `json:"error"`
	Code  string  `json:"code"`
	Field string  `json:"field"`

	ExistingID string            `json:"existing_id"`
	IDs        []string          `json:"ids"`
	Missing    map[string]string `json:"missing"`
	Reasons    []string          `json:"reasons"`

	Got       int        `json:"got"`
	Needed    int        `json:"needed"`
	Reason    string     `json:"reason"`
	Committed memory.Raw `json:"committed"` // "local", "unknown" or false
	ID        string     `json:"id"`
	Dot       string     `json:"dot"`
}

func decodeError(server string, res *http.Response, body []byte) *Error {
	e := &Error{Server: server, Status: res.StatusCode}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	var b errorBody
	if err := memory.ParseJSON(body, &b); err != nil || b.Error == nil {
		e.Message = http.StatusText(res.StatusCode) + " (not an answer of memd)"
		if e.Status >= 500 || e.Status == http.StatusTooManyRequests { // something on the way
			e.kind = memory.ErrUnavailable
			e.Message = fmt.Sprintf("%s: unavailable: answered %d", server, e.Status)
		}
		return e
	}
	e.Code, e.Message = b.Code, *b.Error
	e.kind = b.kind(res.StatusCode)
	_, quorum := errors.AsType[*memory.QuorumError](e.kind)
	_, notReady := errors.AsType[*NotReadyError](e.kind)
	if quorum || notReady { // the kind says more than the text
		e.Message = e.kind.Error()
	}
	return e
}

func (b *errorBody) kind(status int) error {
	switch {
	case b.Code == "QUORUM_NOT_MET" || *b.Error == memory.ErrQuorum.Error():
		q := &memory.QuorumError{Got: b.Got, Needed: b.Needed, Reason: b.Reason, Committed: memory.CommittedUnknown, ID: b.ID, Dot: b.Dot}
		switch string(b.Committed) {
		case `"local"`:
			q.Committed = memory.CommittedLocal
		case `false`, `"false"`:
			q.Committed = memory.CommittedFalse
		}
		return q
	case b.Code == "NOT_READY":
		return &NotReadyError{b.Reasons}
	case b.Code == "MEMBER":
		return &memory.MemberError{Reason: *b.Error}
	case b.Code == "AMBIGUOUS":
		return &memory.AmbiguousError{IDs: b.IDs}
	case b.Code == "NO_SPACE":
		return memory.ErrNoSpace
	case b.Code == "STOPPING":
		return memory.ErrStopped
	case b.Code == "NOT_ARCHIVED":
		return memory.ErrNotArchived
	case b.Code == "NO_INDEX":
		return memory.ErrNoIndex
	}
	switch status {
	case http.StatusBadRequest:
		if b.Field != "" {
			return &memory.FieldError{Field: b.Field, Problem: strings.TrimPrefix(*b.Error, b.Field+" ")}
		}
		return memory.ErrInvalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return memory.ErrForbidden
	case http.StatusNotFound:
		return memory.ErrNotFound
	case http.StatusConflict:
		return &memory.ConflictError{ExistingID: b.ExistingID}
	case http.StatusPreconditionFailed:
		return memory.ErrMismatch
	case http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return memory.ErrTooLarge // the two others: a filter or a token that nobody can have meant
	case http.StatusTooEarly:
		return &BehindError{b.Missing}
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return memory.ErrUnavailable
	}
	return nil
}
