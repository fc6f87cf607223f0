package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// OpenPush opens a push stream to peer: a POST that is upgraded. The first frame from
// the other side is an Ack that greets with its entry. ctx bounds the opening, as do
// DialTimeout and HeaderTimeout; the stream then lives until Close or an error.
//
// Errors are those of Since; a peer that answers with anything but 101 is a
// [*StatusError].
func (c *Client) OpenPush(ctx context.Context, peer Peer) (*PushStream, error) {
	s, err := c.openPush(ctx, peer)
	if err != nil {
		return nil, fmt.Errorf("open push to %s: %w", peer, err)
	}
	return s, nil
}

func (c *Client) openPush(ctx context.Context, peer Peer) (*PushStream, error) {
	conn, err := c.dial(ctx, peer)
	if err != nil {
		return nil, cause(ctx, err)
	}
	// http.Transport would hand out a body without deadlines, so the handshake is done
	// here and the connection kept.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	r, err := c.handshake(ctx, conn, peer)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	s := &PushStream{stream: newStream(conn, r, c.cfg.SendTimeout)}
	if secured, ok := conn.(*tls.Conn); ok {
		state := secured.ConnectionState()
		s.trusted = func() error { return c.trusted(peer, &state) }
	}
	return s, nil
}

// handshake sends the request and reads the header of the answer. It returns the
// reader that holds what came behind it.
func (c *Client) handshake(ctx context.Context, conn net.Conn, peer Peer) (*bufio.Reader, error) {
	req, err := c.request(ctx, http.MethodPost, c.url(peer, PathPush, ""), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", UpgradeProto)
	if err := conn.SetDeadline(time.Now().Add(c.cfg.HeaderTimeout)); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // the AfterFunc may have come before our deadline
		return nil, ctx.Err()
	}
	var out bytes.Buffer // one write, one packet
	if err := req.Write(&out); err != nil {
		return nil, err
	}
	if _, err := conn.Write(out.Bytes()); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: maxHeaderBytes + maxErrorBody}
	r := bufio.NewReaderSize(limited, 16<<10)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		if limited.N <= 0 {
			return nil, fmt.Errorf("%w: header of the answer", ErrTooLarge)
		}
		return nil, noEOF(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, statusError(resp)
	}
	if !hasToken(resp.Header.Values("Upgrade"), UpgradeProto) {
		return nil, malformed("upgrade to something else")
	}
	if _, err := c.checkHello(peer, resp); err != nil {
		return nil, err
	}
	limited.N = math.MaxInt64
	return r, nil
}

// PushStream is the sending side of a push. One goroutine may send while another one
// receives; Close may be called by any.
type PushStream struct {
	*stream
	trusted func() error // nil without TLS
}

// Send writes one batch with a single write. It fails after SendTimeout if the peer
// does not take it; the stream is of no use then.
func (s *PushStream) Send(p PushBatch) error {
	return s.send(func(b []byte) ([]byte, error) { return AppendBatch(b, &p) })
}

// SendNudge tells the peer what this node has.
func (s *PushStream) SendNudge(n Nudge) error {
	return s.send(func(b []byte) ([]byte, error) { return AppendNudge(b, &n), nil })
}

// Recv waits for the next Ack: for ever, unless SetReadDeadline says otherwise or the
// stream is closed. io.EOF means that the peer closed it in good order.
func (s *PushStream) Recv() (Ack, error) {
	a, err := readAck(s.frames)
	if err == nil && s.trusted != nil {
		err = s.trusted()
	}
	return a, s.readError(err)
}

// stream is what both sides of a push have in common.
type stream struct {
	conn    net.Conn
	frames  *frameReader // used by the receiving goroutine only
	timeout time.Duration
	closed  atomic.Bool

	mu     sync.Mutex // one frame at a time
	buf    []byte
	broken error // a frame was written in part or not at all
}

func newStream(conn net.Conn, r *bufio.Reader, timeout time.Duration) *stream {
	return &stream{conn: conn, frames: newFrameReader(r, math.MaxInt64), timeout: timeout}
}

func (s *stream) send(frame func([]byte) ([]byte, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	b, err := frame(s.buf[:0])
	if err != nil {
		return err // nothing was written: the stream is as good as before
	}
	if cap(b) <= 1<<20 {
		s.buf = b
	}
	err = s.conn.SetWriteDeadline(time.Now().Add(s.timeout))
	if err == nil {
		_, err = s.conn.Write(b)
	}
	if err != nil {
		if s.closed.Load() {
			err = ErrClosed
		}
		s.broken = fmt.Errorf("push stream: %w", err)
	}
	return s.broken
}

func (s *stream) readError(err error) error {
	switch {
	case err == nil || err == io.EOF: //nolint:errorlint // the plain end of the stream
		return err
	case s.closed.Load():
		err = ErrClosed
	}
	return fmt.Errorf("push stream: %w", err)
}

// SetReadDeadline bounds the current and the next Recv; zero lifts it.
func (s *stream) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// Close closes the connection, which ends a Send and a Recv in flight. It may be
// called more than once.
func (s *stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.conn.Close()
}

// hasToken looks for a token in a comma-separated header, ignoring case.
func hasToken(values []string, token string) bool {
	for _, line := range values {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}
