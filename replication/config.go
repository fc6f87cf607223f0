package replication

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/wire"
	"github.com/prometheus/client_golang/prometheus"
)

// Pusher opens push streams; [wire.Client] is one, behind an adapter of its type.
type Pusher interface {
	// OpenPush connects to p and returns once it agreed to the protocol. ctx covers
	// the opening, and may cover the stream: it is not cancelled before Close.
	OpenPush(ctx context.Context, p wire.Peer) (Stream, error)
}

// Stream is one push stream. One goroutine sends, another one receives; Close may be
// called by any, at any time and more than once, and ends what is blocked.
//
// The first thing to receive is the greeting: an ack with sequence number 0 and the
// peer's durable entries. Every batch, one without rows too, is answered in order; an
// answer may stand for several.
type Stream interface {
	Send(wire.PushBatch) error // must not keep Rows after it has returned
	SendNudge(wire.Nudge) error
	Recv() (wire.Ack, error)
	Close() error
}

// Config of a [Broadcaster]. Pusher, Peers and Self are needed; zero elsewhere takes
// the default.
type Config struct {
	Self   wire.Self
	Pusher Pusher
	// Peers returns the registered members without this one. It is asked by Run and by
	// every Reconcile. A name that comes twice counts once.
	Peers func() []wire.Peer
	// Nudge returns what a peer that may have missed rows is told of this node.
	Nudge func() wire.Nudge
	// Hides tells that a row must not be sent to a peer; nil = none. It is called with locks
	// held and must not block. The peer is left to pull, which tells it what is withheld.
	Hides func(peer string, raw []byte) bool
	// Behind is called when a peer can no longer be kept up by pushes alone: it has to
	// pull. It must not block; it may be called on the storage writer.
	Behind func(peer string)

	Timeout         time.Duration // to answer a frame or a handshake; default 2 s
	Window          int           // frames in flight per peer; default 4
	FrameRows       int           // rows per frame; default 512
	FrameBytes      int           // bytes of rows per frame, one row at least; default 256 KiB
	QueueRows       int           // rows kept for peers that are not up to date; default 4096
	QueueBytes      int           // bytes of them; default 8 MiB
	BreakerFailures int           // in a row that open the breaker; default 3
	MinBackoff      time.Duration // default 100 ms
	MaxBackoff      time.Duration // default 30 s
	// ResumeGrace is how long a peer that was away is left to pull, before it gets by
	// push what it still lacks: both at once would bring every row twice. Default 250 ms.
	ResumeGrace time.Duration
	Drain       time.Duration // for rows still queued when Run is told to end; default 1 s

	Log        *slog.Logger
	Registerer prometheus.Registerer
	Random     func() float64 // in [0,1), for jitter, one call at a time; default math/rand/v2
	Mutants    mutant.Set     // tests only
}

const (
	// overdue is how late a timer must fire to mean that the whole process stood still
	// (B9), and how long a stream must have been away for the peer to notice its own
	// standing still, and pull, by the same rule.
	overdue = 500 * time.Millisecond
	// maxHold is the longest time between two questions to a peer that answers, but
	// takes no rows.
	maxHold = 2 * time.Second
	// maxRow leaves room for the rest of a PUSH frame.
	maxRow = wire.MaxFrame - wire.MaxMeta
)

func (c Config) failures() int {
	if c.Mutants.Has(mutant.NoBreaker) {
		return math.MaxInt
	}
	return c.BreakerFailures
}

func (c Config) withDefaults() Config {
	if c.Pusher == nil || c.Peers == nil || c.Self.Name == "" {
		panic("replication: Config needs Self.Name, Pusher and Peers")
	}
	if c.Nudge == nil {
		c.Nudge = func() wire.Nudge { return wire.Nudge{} }
	}
	if c.Behind == nil {
		c.Behind = func(string) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	orElse(&c.Timeout, 2*time.Second)
	orElse(&c.Window, 4)
	orElse(&c.FrameRows, 512)
	orElse(&c.FrameBytes, 256<<10)
	orElse(&c.QueueRows, 4096)
	orElse(&c.QueueBytes, 8<<20)
	orElse(&c.BreakerFailures, 3)
	orElse(&c.MinBackoff, 100*time.Millisecond)
	orElse(&c.MaxBackoff, 30*time.Second)
	orElse(&c.ResumeGrace, 250*time.Millisecond)
	orElse(&c.Drain, time.Second)
	c.FrameRows = min(c.FrameRows, wire.MaxPushRows)
	return c
}

func orElse[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
