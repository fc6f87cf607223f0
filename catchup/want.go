package catchup

import (
	"context"
	"errors"
	"time"

	"github.com/memd/memd/clock"
)

// Between two rounds through all peers for one token, and between two looks at the
// clock when there is no Config.WaitFor.
const (
	minRound = 100 * time.Millisecond
	maxRound = time.Second
	pollWant = 5 * time.Millisecond
)

// Want pulls until the durable clock covers wanted, which a reader has seen elsewhere:
// from the peer that is known to have most of it, then from the others, again and again.
// It returns nil when the clock covers it, else the error of ctx.
func (m *Manager) Want(ctx context.Context, wanted clock.Clock) error {
	if m.cfg.Sink.Clock().Covers(wanted) {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.covered(ctx, wanted); err == nil {
			cancel(errCovered)
		}
	}()
	for pause := minRound; ctx.Err() == nil; pause = min(2*pause, maxRound) {
		m.send(ctx, m.newErrand(TriggerToken), TriggerToken, wanted)
		wait(ctx, nil, time.Now().Add(pause))
	}
	<-done
	if errors.Is(context.Cause(ctx), errCovered) {
		return nil
	}
	defer cancel(nil)
	if m.cfg.Sink.Clock().Covers(wanted) {
		return nil
	}
	return ctx.Err()
}

// covered blocks until the clock covers wanted.
func (m *Manager) covered(ctx context.Context, wanted clock.Clock) error {
	if m.cfg.WaitFor != nil {
		return m.cfg.WaitFor(ctx, wanted)
	}
	for !m.cfg.Sink.Clock().Covers(wanted) {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		wait(ctx, changed, time.Now().Add(pollWant))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// WaitSynced blocks until Synced or until ctx ends, whose error it returns then.
func (m *Manager) WaitSynced(ctx context.Context) error {
	for {
		m.mu.Lock()
		ok, changed := m.isSynced(), m.changed
		m.mu.Unlock()
		if ok {
			return nil
		}
		wait(ctx, changed, time.Time{})
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
