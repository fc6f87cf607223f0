package catchup

import (
	"context"
	"errors"
	"net"

	"github.com/memd/memd/wire"
)

// errPaused ends the requests that were in flight when this process stood still: their
// answers are from before, if they come at all.
var errPaused = errors.New("this process was paused")

// applyError marks an error of the Sink.
type applyError struct{ error }

func (e applyError) Unwrap() error { return e.error }

// results maps errors to the label of memd_pull_total; the first match counts.
var results = []struct {
	err   error
	label string
}{
	{ErrNoProgress, "no_progress"},
	{wire.ErrTruncated, "truncated"},
	{wire.ErrCorrupt, "corrupt"},
	{wire.ErrWrongPeer, "wrong_peer"},
	{wire.ErrMalformed, "malformed"},
	{wire.ErrReconcile, "reconcile"},
	{wire.ErrCluster, "cluster"},
	{wire.ErrScope, "scope"},
	{wire.ErrBusy, "busy"},
	{wire.ErrUnavailable, "unavailable"},
	{wire.ErrTooLarge, "too_large"},
	{errPaused, "paused"},
	{context.DeadlineExceeded, "timeout"},
	{context.Canceled, "canceled"},
}

// result names how a pull ended: a closed set of labels.
func result(s Summary) string {
	var status *wire.StatusError
	var network net.Error
	var apply applyError
	switch {
	case s.Err == nil && s.NotModified:
		return "not_modified"
	case s.Err == nil:
		return "ok"
	case errors.As(s.Err, &apply):
		return "apply"
	}
	for _, r := range results {
		if errors.Is(s.Err, r.err) {
			return r.label
		}
	}
	switch {
	case errors.As(s.Err, &status):
		return "refused"
	case errors.As(s.Err, &network) && network.Timeout():
		return "timeout"
	}
	return "unreachable"
}

// errCovered ends a search whose object has come.
var errCovered = errors.New("covered")
