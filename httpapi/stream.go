package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// How much of one stream may be on its way to the disk. The sender's own window is
// smaller; these bounds are for one that keeps none.
const (
	streamFrames = 16
	streamBytes  = 8 << 20 // of rows; one frame beyond it may be held
	maxStreams   = 512
)

// waiting is one batch whose ack is not there yet.
type waiting struct {
	seq  uint64
	size int64
	ack  chan wire.Ack // holds one: done never blocks, whoever has given up
}

func newWaiting(b *wire.PushBatch) waiting {
	w := waiting{seq: b.Seq, ack: make(chan wire.Ack, 1)}
	for _, row := range b.Rows {
		w.size += int64(len(row))
	}
	w.size = min(w.size, streamBytes)
	return w
}

func (w waiting) done(a wire.Ack) {
	a.Seq = w.seq
	w.ack <- a
}

func (w waiting) wait(ctx context.Context) (wire.Ack, error) {
	select {
	case a := <-w.ack:
		return a, nil
	case <-ctx.Done():
		return wire.Ack{}, ctx.Err()
	}
}

// pushStream serves one push stream until the peer closes it, the connection breaks, or
// the door or the server's context ends it.
func (c *call) pushStream() error {
	if !wire.IsPushUpgrade(c.r) {
		c.Header().Set("Upgrade", wire.UpgradeProto)
		return &problem{Status: http.StatusUpgradeRequired, Code: "UPGRADE_REQUIRED", Text: "only an upgrade to " + wire.UpgradeProto + " is served here"}
	}
	from, err := c.caller()
	if err != nil {
		return err
	}
	greeting, err := c.door.Node.Greet(c.context(), from)
	if err != nil {
		return err
	}
	// Not the request's deadline: a stream lives as long as the server's context.
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	leave, err := c.door.streams.enter(cancel)
	if err != nil {
		return err
	}
	defer leave()
	conn, err := wire.AcceptPush(c, c.r, c.door.Self)
	if refusal(err) {
		return err
	}
	c.hijacked, c.status = true, http.StatusSwitchingProtocols
	if err != nil {
		return nil // the connection broke under the upgrade
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	c.door.metrics.streams.Inc()
	defer c.door.metrics.streams.Dec()
	s := &stream{door: c.door, trusted: func() error { return c.stillPeer(from.Name) }, conn: conn, cancel: cancel, room: semaphore.NewWeighted(streamBytes)}
	if err := s.serve(ctx, greeting); err != nil && ctx.Err() == nil {
		c.door.Log.Info("push stream broke", "peer", from.Name, "err", err)
	}
	return nil
}

// refusal tells an error of AcceptPush that is to be answered from one that means that
// the connection is gone.
func refusal(err error) bool {
	var status *wire.StatusError
	var field *memory.FieldError
	return errors.As(err, &status) || errors.As(err, &field)
}

// stream is one push stream at work: the handler's goroutine receives, another one
// writes the acks in the order of the frames.
type stream struct {
	door    *Door
	conn    *wire.PushConn
	trusted func() error // the peer still is who it was
	cancel  context.CancelFunc
	room    *semaphore.Weighted
}

func (s *stream) serve(ctx context.Context, greeting wire.Ack) error {
	if err := s.conn.SendAck(greeting); err != nil {
		return err
	}
	sent := make(chan waiting, streamFrames)
	var acked error
	var acker sync.WaitGroup
	acker.Go(func() {
		if acked = s.acknowledge(ctx, sent); acked != nil {
			s.cancel() // ends the receiving side, too
		}
	})
	err := s.receive(ctx, sent)
	close(sent)
	acker.Wait()
	if errors.Is(err, io.EOF) {
		err = nil // the peer closed in good order
	}
	if acked != nil && !errors.Is(acked, context.Canceled) {
		return fmt.Errorf("send ack: %w", acked)
	}
	return err
}

// receive hands the peer's frames over until there are no more. It stops reading, and so
// makes the peer stop sending, while too much is on its way.
func (s *stream) receive(ctx context.Context, sent chan<- waiting) error {
	from := s.conn.Peer
	for {
		f, err := s.conn.Recv()
		if err != nil {
			return err
		}
		if err := s.trusted(); err != nil {
			return err
		}
		s.door.Node.Beat() // after a pause the buffered frames come first
		if f.Nudge != nil {
			s.door.Node.Nudge(from, *f.Nudge)
			continue
		}
		s.door.metrics.pushFrames.Inc()
		w := newWaiting(f.Batch)
		if err := s.room.Acquire(ctx, w.size); err != nil {
			return err
		}
		select {
		case sent <- w:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.door.Node.Push(ctx, from, f.Batch, w.done)
	}
}

// acknowledge writes one ack for each batch, in order, until sent is closed and empty.
func (s *stream) acknowledge(ctx context.Context, sent <-chan waiting) error {
	for w := range sent {
		a, err := w.wait(ctx)
		if err != nil {
			return err
		}
		s.room.Release(w.size)
		if err := s.conn.SendAck(a); err != nil {
			return err
		}
	}
	return nil
}

// streams are the open ones of a door: a server's Shutdown does not know connections that
// were taken over.
type streams struct {
	mu     sync.Mutex
	closed bool
	next   int
	open   map[int]context.CancelFunc

	all sync.WaitGroup
}

// enter registers a stream; cancel ends it. leave must be called when its handler is done.
func (s *streams) enter(cancel context.CancelFunc) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, memory.ErrStopped
	}
	if len(s.open) >= maxStreams {
		return nil, wire.ErrBusy
	}
	if s.open == nil {
		s.open = make(map[int]context.CancelFunc)
	}
	id := s.next
	s.next++
	s.open[id] = cancel
	s.all.Add(1)
	return func() {
		s.mu.Lock()
		delete(s.open, id)
		s.mu.Unlock()
		s.all.Done()
	}, nil
}

func (s *streams) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *streams) close() {
	s.mu.Lock()
	s.closed = true
	for _, cancel := range s.open {
		cancel()
	}
	s.mu.Unlock()
	s.all.Wait()
}
