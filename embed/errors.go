package embed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
)

// Reason is the kind of a failure.
type Reason string

// Reasons.
const (
	Unreachable Reason = "unreachable" // no connection, or it broke
	Timeout     Reason = "timeout"
	Refused     Reason = "refused" // 4xx: the key, the model, the path
	Input       Reason = "input"   // 400, 413, 422: perhaps these texts, such as one that is too long
	Busy        Reason = "busy"    // 429
	Server      Reason = "server"  // 5xx
	Redirect    Reason = "redirect"
	TooLarge    Reason = "too_large"  // more than the vectors could be
	Invalid     Reason = "invalid"    // not JSON, not a vector for each text, not finite
	Dimensions  Reason = "dimensions" // vectors of another length
)

// Reasons are all of them, for who counts.
func Reasons() []Reason {
	return []Reason{Unreachable, Timeout, Refused, Input, Busy, Server, Redirect, TooLarge, Invalid, Dimensions}
}

// Error is a failure of the endpoint.
type Error struct {
	Reason Reason
	Status int // of HTTP; 0 = none came
	What   string
}

func (e *Error) Error() string {
	s := "embeddings: " + string(e.Reason)
	if e.Status != 0 {
		s += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.What != "" {
		s += ": " + e.What
	}
	return s
}

// ReasonOf is the kind of an error of Embed.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return Unreachable
}

func invalid(format string, args ...any) error {
	return &Error{Reason: Invalid, What: fmt.Sprintf(format, args...)}
}

// broken is a call, or the reading of its answer, that failed on the way. Only errors of the
// network and of certificates are repeated: others may quote what came, or an address with a
// password in it.
func broken(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	var slow net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &slow) && slow.Timeout() {
		return &Error{Reason: Timeout}
	}
	e := &Error{Reason: Unreachable, What: "the connection broke"}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		e.What = op.Error()
	} else if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.What = cert.Error()
	}
	return e
}
