package wire

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/memd/memd/clock"
)

// What a reader of bytes found. Test with errors.Is.
var (
	// ErrMalformed: the bytes are intact but not what the protocol allows.
	ErrMalformed = errors.New("malformed message")
	// ErrCorrupt: a checksum does not match; nothing of it is usable.
	ErrCorrupt = errors.New("corrupt message")
	// ErrTruncated: the message ended, or stalled, before its end.
	ErrTruncated = errors.New("truncated message")
	// ErrTooLarge: a limit of this package would be passed.
	ErrTooLarge = errors.New("message too large")
)

// What a peer answered. Test with errors.Is; a [*StatusError] carries the details.
var (
	ErrNotModified = errors.New("nothing new")                            // 304
	ErrCluster     = errors.New("other cluster or protocol version")      // 409
	ErrReconcile   = errors.New("reconcile required")                     // 410
	ErrScope       = errors.New("scope not served")                       // 421
	ErrBusy        = errors.New("busy")                                   // 429
	ErrUnavailable = errors.New("cannot serve now")                       // 503
	ErrWrongPeer   = errors.New("another node answers at this address")   // its name differs
	ErrClosed      = errors.New("stream closed on this side")             // by Close
	ErrUpgrade     = errors.New("push stream upgrade required or failed") // 426
)

// NotModified is the ErrNotModified that [Client.Since] returns: the peer has nothing
// that the cursor lacks.
type NotModified struct {
	Name string
	// ClockHash is the hash of the peer's durable clock; it differs from the cursor's
	// if the peer is behind.
	ClockHash uint64
	HLC       clock.Stamp // the peer's wall clock; 0 = not said
}

func (e *NotModified) Error() string { return ErrNotModified.Error() }

// Is makes errors.Is(err, ErrNotModified) true.
func (e *NotModified) Is(target error) bool { return target == ErrNotModified }

// maxRetryAfter keeps a confused or hostile peer from being forgotten for a day.
const maxRetryAfter = 5 * time.Minute

// StatusError is a refusal with an HTTP status: what a peer answered to the client,
// or what a server-side helper of this package wants the front door to answer.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // 0 = not said; at most 5 minutes
	Code       string        // machine-readable, from or for the body {"error","code"}
	Message    string        // for people; cut short when it came from a peer
}

func (e *StatusError) Error() string {
	msg := e.Message
	if msg == "" {
		msg = http.StatusText(e.Status)
	}
	return fmt.Sprintf("%d %s", e.Status, msg)
}

// Is relates the status to the errors of this package.
func (e *StatusError) Is(target error) bool {
	switch e.Status {
	case http.StatusConflict:
		return target == ErrCluster
	case http.StatusGone:
		return target == ErrReconcile
	case http.StatusMisdirectedRequest:
		return target == ErrScope
	case http.StatusTooManyRequests:
		return target == ErrBusy
	case http.StatusServiceUnavailable:
		return target == ErrUnavailable
	case http.StatusUpgradeRequired:
		return target == ErrUpgrade
	case http.StatusRequestEntityTooLarge:
		return target == ErrTooLarge
	}
	return false
}

// RetryAfter returns how long the peer asked to be left alone, if it did.
func RetryAfter(err error) (time.Duration, bool) {
	var se *StatusError
	if errors.As(err, &se) && se.RetryAfter > 0 {
		return se.RetryAfter, true
	}
	return 0, false
}

// parseRetryAfter reads both forms of RFC 9110, 10.2.3.
func parseRetryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	if secs, err := strconv.ParseUint(v, 10, 32); err == nil {
		return min(time.Duration(secs)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, min(at.Sub(now), maxRetryAfter))
	}
	return 0
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
