package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"

	"golang.org/x/time/rate"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// strangers says in the log who was not let in, so that an operator finds the client or the
// node that still has the old key. One line a second, whoever they are and however many:
// the counters have all of them.
type strangers struct {
	log *slog.Logger

	mu    sync.Mutex
	allow *rate.Limiter
	left  int // out, since the last line
}

func newStrangers(log *slog.Logger) *strangers {
	return &strangers{log: log, allow: rate.NewLimiter(1, 5)}
}

// say writes a line unless there were too many. Nothing secret may be in it.
func (s *strangers) say(what string, attrs ...slog.Attr) {
	s.mu.Lock()
	if !s.allow.Allow() {
		s.left++
		s.mu.Unlock()
		return
	}
	left := s.left
	s.left = 0
	s.mu.Unlock()
	if left > 0 {
		attrs = append(attrs, slog.Int("others_left_out", left))
	}
	s.log.LogAttrs(context.Background(), slog.LevelWarn, what, attrs...)
}

// wrongKey tells of a key that nobody has, by its public part, or of a node without one. Who
// shows none at all is a visitor, and not worth a line.
func (s *strangers) wrongKey(r *http.Request, key string) {
	attrs := about(r)
	switch id := auth.KeyID(key); {
	case id != "":
		attrs = append(attrs, slog.String("key_id", id))
	case key == "" && len(attrs) < 2:
		return
	}
	s.say("a caller has no valid API key", attrs...)
}

// wrongPeer tells of a node that is not the one that it says it is.
func (s *strangers) wrongPeer(r *http.Request, why error) {
	s.say("a caller is not the node that it says it is", append(about(r), slog.Any("err", why))...)
}

// about is where a request comes from, and the node that it says it is.
func about(r *http.Request) []slog.Attr {
	attrs := []slog.Attr{slog.String("from", r.RemoteAddr)}
	if name := r.Header.Get(wire.HeaderNode); name != "" && memory.ValidateNodeName(name) == nil {
		attrs = append(attrs, slog.String("says_it_is", name))
	}
	return attrs
}

// Handshake counts a connection whose handshake failed, and says so: a node whose certificate
// has ended, or one of another authority. Who leaves before it has said anything, as probes
// do, is not counted.
func (d *Door) Handshake(from net.Addr, err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ECONNRESET) {
		return
	}
	d.metrics.refused.WithLabelValues("tls").Inc()
	if bad, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		err = errors.New(bad.Msg) // without what was sent
	}
	d.strangers.say("TLS handshake failed", slog.String("from", from.String()), slog.Any("err", err))
}
