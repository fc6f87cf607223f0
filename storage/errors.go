package storage

import (
	"errors"
	"fmt"

	"github.com/memd/memd/memory"
)

// What a caller may have to tell apart beyond the kinds of package memory.
var (
	// ErrBusy refuses work because the queue is full: nothing of it was or will be done.
	ErrBusy = fmt.Errorf("write queue is full: %w", memory.ErrUnavailable)
	// ErrReconcile refuses a batch whose sender's floor this store's clock does not cover:
	// the rows may rest on knowledge that was pruned there and never arrived here.
	ErrReconcile = errors.New("clock is below the sender's floor: reconcile first")
	// ErrScope is a request for a scope that this store does not keep.
	ErrScope = errors.New("scope not served")
	// ErrCorrupt is a row, or a part of the file, that does not match its checksum.
	ErrCorrupt = errors.New("corrupt")
	// ErrLocked means that another process has the store open.
	ErrLocked = errors.New("store is already open in another process")
	// ErrMissing means that the directory held a store whose data file is gone.
	ErrMissing = errors.New("data file is missing")
	// ErrForeign is a data file that memd did not write.
	ErrForeign = errors.New("not a memd data file")
	// ErrDamaged is a data file that is shorter or otherwise other than what was written.
	ErrDamaged = errors.New("data file is damaged")
	// ErrFormat is a data file of a format that this version does not read.
	ErrFormat = errors.New("unknown data format")
	// ErrCluster refuses a second cluster id.
	ErrCluster = errors.New("store belongs to another cluster")
)

// CorruptError names the row that failed its checksum. It is an ErrCorrupt.
type CorruptError struct {
	Key    memory.Key
	Reason string
}

func (e *CorruptError) Error() string { return "corrupt row " + e.Key.String() + ": " + e.Reason }
func (e *CorruptError) Unwrap() error { return ErrCorrupt }
