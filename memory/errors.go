package memory

import (
	"errors"
	"fmt"
	"strings"

	"github.com/memd/memd/clock"
)

// The kinds of error that a door must tell apart. Everything else is the server's own fault: 500, and its detail goes to the log only.
var (
	ErrInvalid     = errors.New("invalid")   // 400: the request cannot be meant as it stands
	ErrTooLarge    = errors.New("too large") // 413
	ErrForbidden   = errors.New("forbidden") // 403
	ErrNotFound    = errors.New("not found") // 404
	ErrNotArchived = fmt.Errorf("%w in archive", ErrNotFound)
	ErrConflict    = errors.New("conflict")               // 409
	ErrAmbiguous   = errors.New("ambiguous ID prefix")    // 400 with this text in it (contract 1.5)
	ErrMismatch    = errors.New("precondition failed")    // 412: If-Match names versions that are not the current ones
	ErrBehind      = errors.New("behind the given token") // 425
	ErrUnavailable = errors.New("unavailable")            // 503 with Retry-After
	ErrQuorum      = errors.New("quorum_not_met")         // 503 with the body of contract 8.3
	ErrNoSpace     = errors.New("no space left")          // 507: refused before anything was written
	ErrStopped     = errors.New("stopped")                // 503: the node is shutting down

	// ErrNoIndex is a recall or search of a node that was told to keep no index: an ErrUnavailable for good.
	ErrNoIndex = fmt.Errorf("%w: this node keeps no index for recall: ask another one", ErrUnavailable)
)

// FieldError says which input is wrong and why. It is an ErrInvalid.
type FieldError struct {
	Field   string // as the client wrote it: "title", "metadata.scope", "limit", "body"
	Problem string // a plain sentence without the client's own text in it
}

func (e *FieldError) Error() string { return e.Field + " " + e.Problem }
func (e *FieldError) Unwrap() error { return ErrInvalid }

func fieldErrorf(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// ConflictError is a create that met a live memory of the same title and namespace.
type ConflictError struct {
	ExistingID string
	Namespace  string
}

func (e *ConflictError) Error() string {
	if e.Namespace == "" {
		return "a memory with this title already exists"
	}
	return "a memory with this title already exists in namespace " + e.Namespace
}
func (e *ConflictError) Unwrap() error { return ErrConflict }

// MemberError is a change of the registry of members that is refused as things are. It is an ErrConflict.
type MemberError struct{ Reason string } // a plain sentence

func (e *MemberError) Error() string { return e.Reason }
func (e *MemberError) Unwrap() error { return ErrConflict }

// AmbiguousError is an id prefix that more than one record has.
type AmbiguousError struct {
	Prefix string
	IDs    []string // some of the matches
}

func (e *AmbiguousError) Error() string {
	return "ambiguous ID prefix: " + e.Prefix + " matches " + strings.Join(e.IDs, ", ")
}
func (e *AmbiguousError) Unwrap() error { return ErrAmbiguous }

// Committed tells the client of a missed quorum what became of its write.
type Committed string

// A missed quorum is never rolled back: peers may hold the row already.
const (
	CommittedLocal   Committed = "local"   // durable here, not yet at W members
	CommittedUnknown Committed = "unknown" // it left this node before the local commit was certain
	CommittedFalse   Committed = "false"   // refused before a dot was given; nothing was written anywhere
)

// QuorumError is a write that fewer than W members acknowledged in time.
type QuorumError struct {
	Got, Needed int
	Reason      string // "unreachable", "timeout", "clock_offset" or "removed"
	Committed   Committed
	ID, Dot     string // empty if Committed is CommittedFalse
}

func (e *QuorumError) Error() string {
	return fmt.Sprintf("quorum_not_met: %d of %d acknowledged (%s), committed: %s", e.Got, e.Needed, e.Reason, e.Committed)
}

// Is makes a QuorumError an ErrQuorum and an ErrUnavailable.
func (e *QuorumError) Is(target error) bool { return target == ErrQuorum || target == ErrUnavailable }

// BehindError is a read or a conditional write whose token this node could not reach in time.
type BehindError struct{ Missing clock.Clock }

func (e *BehindError) Error() string {
	return fmt.Sprintf("this node has not seen %d of the writes named by the token", e.Missing.Count())
}
func (e *BehindError) Unwrap() error { return ErrBehind }

// DefectError is a record whose envelope is sound and whose inside is not: it is kept as bytes and quarantined, its page is fine.
type DefectError struct {
	Dot    clock.Dot // zero if the defect is not in one version
	Reason string
}

func (e *DefectError) Error() string {
	if e.Dot == (clock.Dot{}) {
		return "defective record: " + e.Reason
	}
	return "defective version " + e.Dot.String() + ": " + e.Reason
}
