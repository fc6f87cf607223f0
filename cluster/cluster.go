// Package cluster says who is here. It wraps hashicorp/memberlist: names with
// their addresses and versions, who seems alive, and hints ("digests") about
// how far each node is.
//
// It promises that callbacks come one at a time from Run's goroutine, that a
// healed partition is joined again without help (memberlist alone leaves the
// sides apart for ever), that seeds are retried and their names resolved anew
// as long as it takes, and that a node of another cluster is not let in.
//
// It does not carry memories, does not decide a quorum, and does not say who
// belongs to the cluster: gossip says only who seems to be alive. Nothing in it
// may be needed for correctness.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/internal/mutant"
)

// Known is a member that the caller knows from elsewhere (the registry).
type Known struct{ Name, Gossip string }

// Config of a Cluster. Zero durations take the defaults given.
type Config struct {
	Name          string // unique, 1 to 128 printable bytes
	BindAddr      string // host:port, TCP and UDP; no host = all addresses, port 0 = any
	AdvertiseAddr string // host[:port] that others use; empty = as bound
	Label         string // keeps other memberlist clusters out; empty = "memd"
	Join          []string
	Meta          Meta     // Boot must not be 0
	Keys          [][]byte // 16, 24 or 32 bytes each; the first one encrypts

	// Known, if set, names members to look for besides the seeds, even before
	// gossip has shown them. It is called from time to time and must not block.
	Known func() []Known
	// Allow, if set, is asked for every address that gossip comes from or goes to.
	Allow func(netip.Addr) bool
	// Resolver turns the host of a seed into addresses; nil = the system's.
	Resolver func(ctx context.Context, host string) ([]netip.Addr, error)

	// Callbacks come one at a time, from Run's goroutine; they should be short,
	// and may call any method.
	OnChange   func()                      // Members or Conflict say something new
	OnDigest   func(name string, d Digest) // a living peer is at d
	OnConflict func(Conflict)              // a process was found that uses this node's name

	RejoinInterval   time.Duration // 10s; how often absent members and seeds are tried
	ProbeInterval    time.Duration // 1s
	ProbeTimeout     time.Duration // 500ms
	GossipInterval   time.Duration // 500ms
	PushPullInterval time.Duration // 60s

	Transport  Transport  // tests only; nil = sockets on BindAddr
	Mutants    mutant.Set // tests only
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

const (
	maxName     = 128
	gossipNodes = 3 // peers told in each round

	// streamTimeout bounds a dial and each read or write of a push/pull, and so
	// how long an address that swallows everything holds up the rejoin loop.
	streamTimeout = 3 * time.Second

	// A dead name may come back with another address this soon. Short, because
	// a clone of a living node is still refused, and a doubled origin is
	// impossible anyway: every process stamps with its own.
	reclaimAfter = time.Second
)

// Cluster is this node's view of the others.
type Cluster struct {
	cfg      Config
	log      *slog.Logger
	conf     *memberlist.Config
	guard    *guard
	sockets  *sockets // nil with a Transport of the caller
	addr     string
	metrics  *metrics
	drops    drops
	table    *table
	digests  *digests
	queue    *queue
	rejoiner *rejoiner
	started  atomic.Bool
	kick     chan struct{} // something for Run's loop to do

	mu       sync.Mutex
	ml       *memberlist.Memberlist // while Run runs
	meta     Meta
	metaRaw  []byte // encoded meta
	inbox    inbox
	conflict conflictState
	logged   map[string]bool // see once
}

// inbox is what callbacks of memberlist leave for Run's loop.
type inbox struct {
	changed   bool
	metaDirty bool
	conflicts []conflictReport
	refusals  []refusal
}

// New binds the sockets, so that Addr is true; nothing runs before Run. Without
// a Run it must be closed.
func New(cfg Config) (*Cluster, error) {
	if cfg.Name == "" || len(cfg.Name) > maxName || !printable(cfg.Name) {
		return nil, fmt.Errorf("cluster: name %.140q is not 1 to %d printable bytes", cfg.Name, maxName)
	}
	if cfg.Meta.Boot == 0 {
		return nil, errors.New("cluster: Meta.Boot is needed")
	}
	metaRaw, err := cfg.Meta.encode()
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	cfg.Meta, _ = decodeMeta(metaRaw) // as others will see it
	setDefaults(&cfg)
	c := &Cluster{cfg: cfg, log: cfg.Log, table: newTable(), digests: newDigests(), queue: newQueue(cfg.Mutants), kick: make(chan struct{}, 1),
		meta: cfg.Meta, metaRaw: metaRaw, logged: map[string]bool{}}
	if c.rejoiner, err = newRejoiner(c, cfg.Join); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if err := c.bind(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if c.metrics, err = newMetrics(cfg.Registerer, c.table, c.guard, &c.drops); err != nil {
		_ = c.guard.Shutdown()
		return nil, fmt.Errorf("cluster: metrics: %w", err)
	}
	return c, nil
}

func setDefaults(cfg *Config) {
	if cfg.Label == "" {
		cfg.Label = "memd"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Resolver == nil {
		cfg.Resolver = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&cfg.RejoinInterval, 10 * time.Second},
		{&cfg.ProbeInterval, time.Second},
		{&cfg.ProbeTimeout, 500 * time.Millisecond},
		{&cfg.GossipInterval, 500 * time.Millisecond},
		{&cfg.PushPullInterval, time.Minute},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
}

// bind opens the transport and fills conf.
func (c *Cluster) bind() error {
	conf, err := gossipConfig(c)
	if err != nil {
		return err
	}
	inner := c.cfg.Transport
	if inner == nil {
		ip, port, err := c.resolveOne(c.cfg.BindAddr, 0)
		if err != nil {
			return fmt.Errorf("gossip address %q: %w", c.cfg.BindAddr, err)
		}
		if c.sockets, err = listenSockets(ip, port); err != nil {
			return err
		}
		inner = c.sockets
	}
	c.guard = newGuard(inner, c.cfg.Allow, &c.drops.network)
	if c.cfg.AdvertiseAddr != "" {
		ip, port, err := c.resolveOne(c.cfg.AdvertiseAddr, c.boundPort())
		if err == nil && !ip.IsValid() {
			err = errors.New("no host")
		}
		if err != nil {
			_ = c.guard.Shutdown()
			return fmt.Errorf("advertised gossip address %q: %w", c.cfg.AdvertiseAddr, err)
		}
		conf.AdvertiseAddr, conf.AdvertisePort = ip.String(), port
	}
	ip, port, err := inner.FinalAdvertiseAddr(conf.AdvertiseAddr, conf.AdvertisePort)
	if err != nil {
		_ = c.guard.Shutdown()
		return err
	}
	c.addr = net.JoinHostPort(ip.String(), strconv.Itoa(port))
	conf.Transport, conf.BindPort = c.guard, port // the default port of memberlist's own parsing
	c.conf = conf
	return nil
}

func (c *Cluster) boundPort() int {
	if c.sockets != nil {
		return c.sockets.port()
	}
	return 0
}

// resolveOne turns host[:port] into one address, which is invalid without a host.
func (c *Cluster) resolveOne(addr string, port int) (netip.Addr, int, error) {
	host, port, err := SplitAddr(addr, port)
	if err != nil || host == "" {
		return netip.Addr{}, port, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap(), port, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ips, err := c.cfg.Resolver(ctx, host)
	if err != nil {
		return netip.Addr{}, 0, err
	}
	if len(ips) == 0 {
		return netip.Addr{}, 0, fmt.Errorf("%s has no address", host)
	}
	return ips[0].Unmap(), port, nil
}

// Addr returns the host:port at which others reach this node's gossip.
func (c *Cluster) Addr() string { return c.addr }

// Members returns everybody that gossip has shown, by name, this node included
// once it runs. Members that died stay until Forget.
func (c *Cluster) Members() []Member { return c.table.snapshot() }

// Alive reports whether the name seems alive.
func (c *Cluster) Alive(name string) bool {
	m, ok := c.table.get(name)
	return ok && m.State == StateAlive
}

// Forget stops looking for a member that is not alive and will not come back.
func (c *Cluster) Forget(name string) {
	if m, ok := c.table.get(name); ok && m.State != StateAlive && c.table.drop(name, "") {
		c.note(func(in *inbox) { in.changed = true })
	}
}

// Meta returns what this node says about itself.
func (c *Cluster) Meta() Meta {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.meta
}

// SetMeta changes what this node says about itself and tells the others. Boot
// and Started cannot change.
func (c *Cluster) SetMeta(f func(*Meta)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.meta
	f(&m)
	m.Boot, m.Started = c.meta.Boot, c.meta.Started
	raw, err := m.encode()
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if m != c.meta {
		c.meta, c.metaRaw = m, raw
		c.inbox.metaDirty = true
		c.wake()
	}
	return nil
}

// Announce tells peers how far this node is: soon, not more than five times a
// second, only the newest, and nothing if nothing has changed. Boot is filled in.
func (c *Cluster) Announce(d Digest) {
	d.Boot = c.cfg.Meta.Boot
	if c.digests.announce(d) {
		c.wake()
	}
}

// Rejoin asks seeds, absent members and two living ones now, and announces the
// digest again: for a node that was away without knowing it.
func (c *Cluster) Rejoin() {
	c.digests.again()
	c.wake()
	c.rejoiner.ask()
}

// Close frees the sockets of a Cluster that never ran.
func (c *Cluster) Close() error {
	if !c.started.CompareAndSwap(false, true) {
		return nil
	}
	return c.guard.Shutdown()
}

// note leaves something for Run's loop. It never blocks.
func (c *Cluster) note(f func(*inbox)) {
	c.mu.Lock()
	f(&c.inbox)
	c.mu.Unlock()
	c.wake()
}

func (c *Cluster) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}
