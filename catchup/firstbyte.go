package catchup

import (
	"context"
	"net/http/httptrace"
	"sync"
	"time"
)

// firstByte learns when an answer begins, from the transport: long before a page is
// whole it tells that the peer lives.
type firstByte struct {
	note func()

	mu   sync.Mutex
	when time.Time
}

func newFirstByte(note func()) *firstByte { return &firstByte{note: note} }

// trace returns a context whose request reports its first byte. Called again after a
// retry on another connection, the transport reports again; only the first counts.
func (f *firstByte) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() {
		f.mu.Lock()
		again := !f.when.IsZero()
		if !again {
			f.when = time.Now()
		}
		f.mu.Unlock()
		if !again {
			f.note()
		}
	}})
}

// at returns the time of the first byte on the clock now, or now if there was none.
func (f *firstByte) at(now func() time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.when.IsZero() {
		return now()
	}
	return now().Add(-time.Since(f.when))
}
