package httpapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServerConfig of NewServer; zero values are the defaults.
type ServerConfig struct {
	Handler http.Handler
	// Base is the parent of every request's context: when it ends, requests end.
	Base context.Context
	Log  *slog.Logger // nil = discard

	HeaderTimeout time.Duration // to read a header; 0 = 5 s
	ReadTimeout   time.Duration // header and body; 0 = 45 s
	WriteTimeout  time.Duration // from the header read to the answer written; 0 = 75 s
	// IdleTimeout of a kept connection; 0 = 11 min. Longer than a peer's client keeps one,
	// so that a quiet cluster pulls over connections that are open.
	IdleTimeout time.Duration
}

// maxHeader bounds header and request line. net/http adds 4 KiB of its own to it.
const maxHeader = 16 << 10

// NewServer returns a server with a limit on everything that a client could stretch. The
// body of a request is bounded by the handler, which knows the route.
func NewServer(c ServerConfig) *http.Server {
	or := func(d, def time.Duration) time.Duration {
		if d > 0 {
			return d
		}
		return def
	}
	s := &http.Server{
		Handler:                      c.Handler,
		ReadHeaderTimeout:            or(c.HeaderTimeout, 5*time.Second),
		ReadTimeout:                  or(c.ReadTimeout, 45*time.Second),
		WriteTimeout:                 or(c.WriteTimeout, 75*time.Second),
		IdleTimeout:                  or(c.IdleTimeout, 11*time.Minute),
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true, // OPTIONS * is refused like any other unknown
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	// What net/http has to say is about single connections of clients.
	s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	s.ConnContext = withConn
	if c.Base != nil {
		s.BaseContext = func(net.Listener) context.Context { return c.Base }
	}
	return s
}
