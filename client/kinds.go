package client

import "github.com/memd/memd/memory"

// What a caller tells apart and hands over, by the names of this package: a program on the
// client needs no other one of memd's.
var (
	ErrInvalid     = memory.ErrInvalid
	ErrTooLarge    = memory.ErrTooLarge
	ErrForbidden   = memory.ErrForbidden
	ErrNotFound    = memory.ErrNotFound
	ErrConflict    = memory.ErrConflict
	ErrAmbiguous   = memory.ErrAmbiguous
	ErrMismatch    = memory.ErrMismatch
	ErrBehind      = memory.ErrBehind
	ErrUnavailable = memory.ErrUnavailable
	ErrQuorum      = memory.ErrQuorum
	ErrNoSpace     = memory.ErrNoSpace
	ErrStopped     = memory.ErrStopped
)

type (
	// FieldError is that of package memory.
	FieldError = memory.FieldError
	// ConflictError is that of package memory.
	ConflictError = memory.ConflictError
	// MemberError is that of package memory.
	MemberError = memory.MemberError
	// AmbiguousError is that of package memory.
	AmbiguousError = memory.AmbiguousError
	// QuorumError is that of package memory.
	QuorumError = memory.QuorumError
	// Filter is that of package memory; see List.
	Filter = memory.Filter
	// Raw is one JSON value, as it was written.
	Raw = memory.Raw
)
