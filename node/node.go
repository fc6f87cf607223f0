package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memd/memd/catchup"
	"github.com/memd/memd/clock"
	"github.com/memd/memd/cluster"
	"github.com/memd/memd/embed"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/recall"
	"github.com/memd/memd/recall/vector"
	"github.com/memd/memd/replication"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/trust"
	"github.com/memd/memd/wire"
)

// Node is one running memd. What talks to what:
//
//	clients ──► httpapi ──► node (verbs) ──► storage ──► bbolt
//	agents ──► httpapi ──► mcpserver ──► the same verbs
//	                                           │ staged rows, before the fsync
//	peers' httpapi ◄── push streams ◄── replication
//	     │                                     ▲ acks count towards W
//	     └── pages (sync/since) ──► catchup ──► storage (the same apply)
//	peers' cluster ◄── gossip: who is here, digests ──► catchup (triggers)
type Node struct {
	cfg  Config
	log  *slog.Logger
	boot uint64 // tells two processes of one name apart

	files  *trust.Files // nil without TLS
	ring   *keyring
	allow  *allowlist // nil = every peer has everything
	own    *ownKey
	store  *storage.Store
	gossip *cluster.Cluster
	client *wire.Client
	push   *replication.Broadcaster
	pull   *catchup.Manager
	door   *httpapi.Door
	server *http.Server
	index  *recall.Index // nil if this node keeps none
	keep   *keeper

	vectors  *vector.Index // nil without an endpoint for embeddings
	embedder *embed.Client // asks it

	listener      net.Listener
	adminListener net.Listener // nil = metrics are where everything is
	httpAdvertise string

	members     registry
	unfollowed  chan struct{} // capacity 1: members has changed, and the loops do not follow it yet
	saidRemoved bool          // that this node was removed; of followMembers
	peerClocks  clocks
	skew        skew
	expiring    expiring
	metrics     *metrics

	minted   bool        // this process founded the cluster; set before registered
	writable atomic.Bool // mayWrite was true once
	stopping atomic.Bool

	backingUp atomic.Bool

	compared chan struct{} // closed once a pull from some peer has been complete
	compare  sync.Once     // closes it

	collided atomic.Pointer[clock.Clock] // dots that came with other bytes than are held; nil = none

	reread chan struct{} // capacity 1: Reread was called

	changedMu sync.Mutex
	changed   chan struct{} // closed and renewed when gossip shows something new
}

// New opens the store and binds the listeners; nothing runs before Run. Without a Run,
// Close frees what New took.
func New(cfg Config) (_ *Node, err error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	n := &Node{cfg: cfg, log: cfg.Log.With("node", cfg.Name), boot: newBoot(), changed: make(chan struct{}), compared: make(chan struct{}), reread: make(chan struct{}, 1), unfollowed: make(chan struct{}, 1)}
	n.metrics = newMetrics(cfg.Registry)
	n.own = newOwnKey(cfg.PeerKey, cfg.PeerKeyFile, cfg.Keys)
	self := wire.Self{Name: cfg.Name, Cluster: func() memory.ClusterID { return n.store.Cluster() }, Boot: n.boot, Now: n.stampNow}

	if err := n.loadFiles(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if n.store, err = storage.Open(storage.Config{
		Dir: cfg.DataDir, Node: cfg.Name, Now: n.now, Log: n.log, Registerer: cfg.Registry,
		Staged: n.staged, Members: n.membersChanged, NoSync: cfg.NoSync, Mutants: cfg.Mutants,
	}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := n.listen(); err != nil {
		return nil, err
	}
	var gossipKeys [][]byte
	if n.ring, gossipKeys, err = openKeyring(cfg.DataDir, cfg.GossipKeys); err != nil {
		return nil, err
	}
	if n.gossip, err = cluster.New(cluster.Config{
		Name: cfg.Name, BindAddr: cfg.GossipAddr, AdvertiseAddr: cfg.GossipAdvertise, Join: cfg.Join, Keys: gossipKeys, Allow: n.gossipNetworks().allow,
		Meta: cluster.Meta{Cluster: cluster.ID(n.store.Cluster()), Boot: n.boot, Started: time.Now(), HTTP: n.httpAdvertise,
			ProtoMin: wire.Proto, ProtoMax: wire.Proto, Version: cfg.Version},
		Known: n.knownGossip, OnChange: n.gossipNews, OnDigest: n.digestNews, OnConflict: n.nameConflict,
		Transport: cfg.Transport, Mutants: cfg.Mutants, Log: n.log, Registerer: cfg.Registry,
	}); err != nil {
		return nil, err
	}
	n.client = wire.NewClient(self, n.clientConfig())
	n.push = replication.New(replication.Config{
		Self: self, Pusher: pusher{n.client}, Peers: n.pushPeers, Nudge: n.nudge, Behind: n.peerBehind, Hides: n.pushHides(),
		Timeout: cfg.QuorumTimeout, Log: n.log, Registerer: cfg.Registry, Mutants: cfg.Mutants,
	})
	n.pull = catchup.New(catchup.Config{
		Self: self, Source: n.client, Sink: sink{n}, Peers: n.pullPeers, Interval: cfg.CatchupInterval,
		Log: n.log, Registerer: cfg.Registry, Now: n.now, WaitFor: n.store.WaitFor,
		OnSynced: n.synced, OnPause: n.pauseOver, Mono: cfg.PauseClock, Mutants: cfg.Mutants,
	})
	if err := n.openRecall(); err != nil {
		return nil, err
	}
	cfg.Registry.MustRegister(gauges{n})
	n.door = httpapi.New(httpapi.Config{
		Node: n, Self: self, CheckPeer: n.checkPeer, MCP: n.MCP("", "").Handler(), Hosts: n.hosts(),
		Keys: n.keyring(), Limits: httpapi.Limits{Rate: n.cfg.RateLimit}, AdminOnly: n.cfg.AdminAddr != "",
		Registerer: cfg.Registry, Gatherer: cfg.Registry, Log: n.log,
	})
	return n, n.loadMembers()
}

// newBoot is never 0, which means "not heard of".
func newBoot() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) | 1
}

func (n *Node) listen() (err error) {
	if n.listener = n.cfg.Listener; n.listener == nil {
		if n.listener, err = net.Listen("tcp", n.cfg.HTTPAddr); err != nil {
			return fmt.Errorf("listen on http-addr: %w", err)
		}
	}
	if n.httpAdvertise, err = advertised(n.cfg.HTTPAdvertise, n.listener.Addr()); err != nil {
		return err
	}
	return n.listenAdmin()
}

// Name is the node's label.
func (n *Node) Name() string { return n.cfg.Name }

// DataDir is where the store is.
func (n *Node) DataDir() string { return n.cfg.DataDir }

// HTTPAddr is where the door listens; GossipAddr is where others reach its gossip.
func (n *Node) HTTPAddr() string { return n.listener.Addr().String() }

// Door is the handler of the node's HTTP surface, for a server of somebody else's.
func (n *Node) Door() http.Handler { return n.door }

// GossipAddr is the host:port of this node's gossip.
func (n *Node) GossipAddr() string { return n.gossip.Addr() }

// now is this node's wall clock.
func (n *Node) now() time.Time { return time.Now().Add(n.cfg.ClockOffset) }

// staged hands rows of a transaction to the peers' streams while the disk works.
func (n *Node) staged(s storage.Staged) {
	rows := make([]replication.Row, len(s.Rows))
	for i, r := range s.Rows {
		rows[i] = replication.Row{Dot: r.Dot, Raw: r.Raw}
	}
	n.push.Enqueue(s.Base, s.Floor, rows)
}

// pusher gives the client's streams the type that replication asks for.
type pusher struct{ c *wire.Client }

func (p pusher) OpenPush(ctx context.Context, peer wire.Peer) (replication.Stream, error) {
	s, err := p.c.OpenPush(ctx, peer)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// nudge is what a peer that may have missed rows is told.
func (n *Node) nudge() wire.Nudge {
	return wire.Nudge{ClockHash: n.store.ClockHash(), Origin: n.store.Origin(), Counter: n.store.Issued()}
}

// peerBehind: a peer that cannot be kept up by pushes may have something for us too.
func (n *Node) peerBehind(peer string) { n.log.Info("peer is behind", "peer", peer) }

// knownGossip are the registered members' gossip addresses, for joining them again.
func (n *Node) knownGossip() []cluster.Known {
	var known []cluster.Known
	for _, m := range n.members.list() {
		if m.Name != n.cfg.Name && m.Gossip != "" {
			known = append(known, cluster.Known{Name: m.Name, Gossip: m.Gossip})
		}
	}
	return known
}

// gossipNews runs on gossip's goroutine.
func (n *Node) gossipNews() {
	n.changedMu.Lock()
	close(n.changed)
	n.changed = make(chan struct{})
	n.changedMu.Unlock()
	n.reconcilePeers()
}

func (n *Node) gossipChanged() <-chan struct{} {
	n.changedMu.Lock()
	defer n.changedMu.Unlock()
	return n.changed
}

// digestNews is a peer's word on how far it is.
func (n *Node) digestNews(name string, d cluster.Digest) {
	n.pull.Digest(name, catchup.DigestHint{Origin: clock.Origin(d.Origin), Counter: d.Counter, ClockHash: d.ClockHash})
}

// nameConflict: another process uses this node's name. Both take a new origin; the newer
// one gives no acks, so that no clone can fake W (replication.md B1 b).
func (n *Node) nameConflict(c cluster.Conflict) {
	n.log.Error("another process uses this node's name", "other", c.Other, "started", c.Started, "other_started", c.OtherStarted)
	n.store.Mint("name conflict")
}

// fenced reports whether this process must not acknowledge pushes.
func (n *Node) fenced() bool {
	c, ok := n.gossip.Conflict()
	return ok && !c.Started.Before(c.OtherStarted)
}

// synced: the store has all that the peer has, whose durable clock is k.
func (n *Node) synced(peer string, k clock.Clock) {
	n.peerClocks.set(peer, k)
	n.compare.Do(func() { close(n.compared) })
}

// pauseOver runs once per detected pause, before the pulls that it starts.
func (n *Node) pauseOver(away time.Duration) {
	n.log.Warn("this process stood still", "took", away)
	n.store.Mint("pause")
	n.push.Resumed()
	n.gossip.Rejoin()
}
