package catchup

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/wire"
)

// Source asks a peer for a page. [wire.Client] is one. The errors are those of its
// Since; a page may come along with [wire.ErrTruncated].
//
// A Source bounds its calls in time by itself. It should report the first byte of an
// answer through net/http/httptrace, as every [net/http.Transport] does: a Source that
// does not is taken for silent until the whole page is there.
type Source interface {
	Since(ctx context.Context, p wire.Peer, r wire.SinceRequest) (*wire.Page, error)
}

// Sink is the local store as a puller sees it.
type Sink interface {
	// Clock is what is durable here. The result is only read. It neither blocks nor calls
	// back: it is read with the manager's mutex held.
	Clock() clock.Clock
	// ApplyPage merges the rows and adds their dots and Tail.Covers to the clock, in one
	// commit. Its error means that nothing of the page is claimed.
	ApplyPage(ctx context.Context, from string, p *wire.Page) (Applied, error)
	// ObserveHead sees the head of every page before the page is applied: for the
	// fences, the hybrid clock and the offset of the peer's wall clock, which read
	// h.HLC between sent and received.
	ObserveHead(h wire.Head, sent, received time.Time)
}

// Applied says what became of the rows of a page.
type Applied struct {
	New, Redundant, Tombs, Quarantined int
	NewDots                            int // by which the clock grew
}

// Limits and defaults of this package.
const (
	// MaxSessions is how many pulls run at once. Two pages each are in memory: one being
	// applied, one being fetched.
	MaxSessions = 3
	// urgentSessions of them are kept for pauses, tokens and gaps: timers, joins and
	// digests may not take them.
	urgentSessions = 1

	// DefaultHedge is how long the first page of one pull may hold up the first page of
	// another one without a byte of an answer. See gate.
	DefaultHedge = 15 * time.Millisecond
	maxHedge     = 100 * time.Millisecond // with a peer known to be far away
	// stall is how long a first page may take from its first byte to its commit before
	// the next pull stops waiting for it.
	stall = 250 * time.Millisecond
	// patience is how long a lease lasts while only the peer can renew it: one that takes
	// longer over a page shares what it was asked for with the others.
	patience = 500 * time.Millisecond
	// holdTime is how long it lasts while a page is being applied, which is our doing.
	holdTime = 30 * time.Second
	// pageTimeout bounds one call of the Source, should the Source itself not do so.
	pageTimeout = 30 * time.Second

	gapAge         = 50 * time.Millisecond  // a hole younger than this is a push under way
	digestAge      = 200 * time.Millisecond // the same for a difference seen by gossip
	digestInterval = 2 * time.Second        // between two digest pulls of one peer
	joinJitter     = 250 * time.Millisecond
	tokenInterval  = 50 * time.Millisecond // after a token pull that brought nothing
	maxInterval    = 5 * time.Minute       // of the timer, while nothing changes
)

// Config of a Manager. Self, Source, Sink and Peers are required.
type Config struct {
	Self   wire.Self
	Source Source
	Sink   Sink
	// Peers returns everyone to pull from, without self, alive or not. Called at the
	// start of Run and after Reconcile.
	Peers func() []wire.Peer

	Interval   time.Duration // of the timer, mean; 0 = triggers only
	Hedge      time.Duration // 0 = DefaultHedge
	LimitBytes int           // of a page; 0 = wire.DefaultLimitBytes

	Log        *slog.Logger          // nil = discard
	Registerer prometheus.Registerer // nil = a private one
	Now        func() time.Time      // stamps for people and for ObserveHead; nil = time.Now
	Random     func(n int64) int64   // in [0,n), n > 0, from any goroutine; nil = math/rand

	// OnSynced is called after a pull that left nothing which the peer has and this store
	// lacks. serverClock is the peer's durable clock, exactly; empty if the peer did not
	// say it, which means that it is a part of ours. It runs on the puller and must not
	// block.
	OnSynced func(peer string, serverClock clock.Clock)
	// OnPause is called once per pause that was detected, with how long this process was
	// away, before the pulls begin: on the request path or in Run. It must not block.
	OnPause func(away time.Duration)
	// WaitFor blocks until the durable clock covers c or ctx ends. nil = Want polls.
	WaitFor func(ctx context.Context, c clock.Clock) error

	// For tests only.

	Mono    func() time.Time // what the pause detector reads; nil = time.Now
	Mutants mutant.Set
}

func (c Config) withDefaults() Config {
	if c.Hedge <= 0 {
		c.Hedge = DefaultHedge
	}
	if c.LimitBytes <= 0 {
		c.LimitBytes = wire.DefaultLimitBytes
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Mono == nil {
		c.Mono = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Int64N
	}
	if c.OnSynced == nil {
		c.OnSynced = func(string, clock.Clock) {}
	}
	if c.OnPause == nil {
		c.OnPause = func(time.Duration) {}
	}
	return c
}
