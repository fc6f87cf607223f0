package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/memd/memd/cluster"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// loadMembers takes the registry as the store has it at the start.
func (n *Node) loadMembers() error {
	err := n.store.View(func(tx *storage.Tx) error {
		ms, removed, err := tx.Members()
		if err == nil {
			n.membersChanged(ms, removed)
		}
		return err
	})
	n.followMembers()
	return err
}

// membersChanged takes a registry that is durable and that nobody has seen yet: whoever is
// told of a removal must not find that the name counts here for a moment more. It runs on
// the store's writer; what may block is done by runMembers.
func (n *Node) membersChanged(ms []memory.Member, removed []string) {
	if !n.members.set(ms, removed) {
		return
	}
	if !n.cfg.Mutants.Has(mutant.RemovedCounts) {
		n.push.Bar(n.members.left()...)
	}
	select {
	case n.unfollowed <- struct{}{}:
	default:
	}
}

// runMembers lets the loops follow a registry that has changed.
func (n *Node) runMembers(ctx context.Context) error {
	for {
		select {
		case <-n.unfollowed:
			n.followMembers()
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) followMembers() {
	ms := n.members.list()
	n.log.Info("registered members", "n", len(ms), "removed", len(n.members.left()))
	if w := n.cfg.QuorumWrites; w > len(ms) && n.members.ever() >= n.cfg.BootstrapExpect {
		n.log.Warn("quorum-writes is above the number of members: writes are refused until more have joined", "quorum_writes", w, "n", len(ms))
	}
	before := n.saidRemoved
	if n.saidRemoved = n.isRemoved(); n.saidRemoved && !before {
		n.log.Error("this node takes no writes and acknowledges none", "err", n.removedReason())
	}
	n.reconcilePeers()
}

// reconcilePeers lets the per-peer loops follow the set of peers.
func (n *Node) reconcilePeers() {
	for _, g := range n.gossip.Members() {
		if g.Name != n.cfg.Name && g.Boot != 0 {
			n.peerClocks.boot(g.Name, g.Boot)
		}
	}
	for _, name := range n.members.left() {
		n.gossip.Forget(name) // if it is gone: nobody has to look for it any more
	}
	n.push.Reconcile()
	n.pull.Reconcile()
}

// pushPeers are the registered members other than this one: only they count for W, so
// only they are pushed to. The address is what gossip says now, else what is registered.
func (n *Node) pushPeers() []wire.Peer {
	seen := n.gossip.Members()
	var peers []wire.Peer
	for _, m := range n.members.list() {
		if m.Name == n.cfg.Name {
			continue
		}
		p := wire.Peer{Name: m.Name, Addr: m.HTTP}
		for _, g := range seen {
			if g.Name == m.Name && g.HTTP != "" {
				p.Addr, p.Boot = g.HTTP, g.Boot
			}
		}
		peers = append(peers, p)
	}
	if n.cfg.Mutants.Has(mutant.RemovedCounts) {
		for _, g := range seen {
			if n.members.isRemoved(g.Name) && g.HTTP != "" {
				peers = append(peers, wire.Peer{Name: g.Name, Addr: g.HTTP, Boot: g.Boot})
			}
		}
	}
	return peers
}

// seemsAlive asks gossip. No rule may follow it: one that was stopped suspects everyone,
// for its own probes are overdue.
func (n *Node) seemsAlive(name string) bool {
	for _, g := range n.gossip.Members() {
		if g.Name == name {
			return g.State == cluster.StateAlive
		}
	}
	return false
}

// pullPeers are pushPeers and, beyond them, living members of this cluster that gossip shows
// and no record names: a node that has just joined learns the registry from them, and one
// that was removed while it lived may have writes that nobody else has.
func (n *Node) pullPeers() []wire.Peer {
	peers := n.pushPeers()
	if n.cfg.Mutants.Has(mutant.PullFromAliveOnly) {
		peers = slices.DeleteFunc(peers, func(p wire.Peer) bool { return !n.seemsAlive(p.Name) })
	}
	id := n.store.Cluster()
	for _, g := range n.gossip.Members() {
		if g.Name == n.cfg.Name || g.HTTP == "" || id.IsZero() || g.Cluster != cluster.ID(id) || g.State != cluster.StateAlive {
			continue
		}
		if _, ok := n.members.get(g.Name); !ok {
			peers = append(peers, wire.Peer{Name: g.Name, Addr: g.HTTP, Boot: g.Boot})
		}
	}
	return peers
}

// runFormation gives a new store its cluster id, then registers this node, and ends.
// A node without an id holds nothing and answers no sync request.
func (n *Node) runFormation(ctx context.Context) error {
	for n.store.Cluster().IsZero() {
		changed := n.gossipChanged()
		id, err := n.form()
		if err != nil {
			n.log.Error("cannot tell which cluster to join", "err", err)
		}
		if !id.IsZero() {
			if err := n.store.SetCluster(id); err != nil {
				return fmt.Errorf("set cluster id: %w", err)
			}
			n.log.Info("cluster joined", "cluster", id)
			if err := n.gossip.SetMeta(func(m *cluster.Meta) { m.Cluster = cluster.ID(id) }); err != nil {
				return err
			}
			n.reconcilePeers()
			break
		}
		select {
		case <-changed:
		case <-time.After(time.Second): // a failed decision may heal without an event
		case <-ctx.Done():
			return nil
		}
	}
	return n.register(ctx)
}

func (n *Node) form() (memory.ClusterID, error) {
	self := cluster.Member{Name: n.cfg.Name, Meta: n.gossip.Meta()}
	switch d := cluster.Form(self, n.gossip.Members(), n.cfg.BootstrapExpect, len(n.cfg.Join) > 0); d.Formation {
	case cluster.Mint:
		var id memory.ClusterID
		rand.Read(id[:]) // never fails
		n.minted = true
		return id, nil
	case cluster.Adopt:
		return memory.ClusterID(d.ID), nil
	case cluster.Split:
		return memory.ClusterID{}, errors.New(d.Reason)
	default:
		return memory.ClusterID{}, nil
	}
}

// register writes this node's member record when it is missing or another than what
// the node says of itself now. A node that joins a cluster reads the registry first.
func (n *Node) register(ctx context.Context) error {
	want := memory.Member{Name: n.cfg.Name, HTTP: n.httpAdvertise, Gossip: n.gossip.Addr()}
	// What else than a comparison lets it know is rare, and may come an hour later.
	for look := 10 * time.Millisecond; !n.knowsRegistry(); look = min(2*look, time.Second) {
		if have, ok := n.members.get(want.Name); ok && sameMember(have, want) {
			return nil
		}
		if n.isRemoved() { // an old copy may know more of it, but not less
			return nil
		}
		select {
		case <-n.compared:
		case <-time.After(look):
		case <-ctx.Done():
			return nil
		}
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 30*time.Second) {
		err := n.writeMember(ctx, want)
		if errors.Is(err, errRemoved) { // followMembers has said so, or will
			return nil
		}
		if !errors.Is(err, memory.ErrUnavailable) && !errors.Is(err, memory.ErrNoSpace) {
			return err
		}
		n.log.Warn("cannot register this node yet", "err", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// writeMember writes this node's record, unless the registry says the same already.
func (n *Node) writeMember(ctx context.Context, want memory.Member) error {
	_, err := n.store.Commit(ctx, func(tx *storage.Tx) error {
		// What the pull brought may not be in n.members yet.
		have, removed, err := tx.Members()
		if err != nil {
			return err
		}
		if slices.Contains(removed, want.Name) {
			return errRemoved
		}
		if slices.ContainsFunc(have, func(m memory.Member) bool { return sameMember(m, want) }) {
			return errNoop
		}
		_, err = tx.Put(memory.NewKey(memory.KindMember, want.Name), want.Encode(), storage.PutOptions{Agent: "memd:" + want.Name})
		return err
	})
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errNoop) {
		return fmt.Errorf("register %s: %w", want.Name, err)
	}
	return nil
}

// knowsRegistry reports whether the registry that this node holds is the cluster's, as far
// as it can tell: it founded the cluster, or has compared itself with a member since it
// started, or was started to be alone and knows of nobody. One that was told to join others
// is never the whole cluster (cluster.Form), so a store that says so is an old copy, or has
// joined a moment ago and is still empty: alone in its registry it would promise W=1 of N=1.
func (n *Node) knowsRegistry() bool {
	if n.minted || closed(n.compared) {
		return true
	}
	alone := len(n.cfg.Join) == 0 && n.cfg.BootstrapExpect == 1
	return alone && len(n.pullPeers()) == 0
}

// mayWrite says whether this node may take writes at all. An error means that nothing
// was written anywhere.
//
// A node that has peers takes its first write only after one pull has completed: until
// then its registry may be an old one, and its wall clock behind what it superseded once
// (replication.md C 56). Only W=1 is let through after the wait, since it promises
// nothing of the others.
func (n *Node) mayWrite(ctx context.Context, override int) error {
	if n.skew.tooFar() {
		return n.refuse("clock_offset", override)
	}
	if n.isRemoved() {
		return n.refuse("removed", override)
	}
	if n.writable.Load() || n.cfg.Mutants.Has(mutant.WriteBeforePull) {
		return nil
	}
	deadline := time.NewTimer(n.cfg.QuorumTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		_, registered := n.members.get(n.cfg.Name)
		formed := registered && n.members.ever() >= n.cfg.BootstrapExpect
		if formed && n.knowsRegistry() {
			n.writable.Store(true)
			return nil
		}
		select {
		case <-poll.C:
			continue
		case <-ctx.Done():
		case <-deadline.C:
		}
		if formed && (override == 1 || override == 0 && n.cfg.QuorumWrites == 1) {
			return nil
		}
		return n.refuse("unreachable", override)
	}
}

// refuse is the answer to a write that did not begin.
func (n *Node) refuse(reason string, override int) error {
	return n.missed(&memory.QuorumError{Needed: max(override, n.defaultW()), Reason: reason, Committed: memory.CommittedFalse})
}

// missed counts what a write is about to be told.
func (n *Node) missed(q *memory.QuorumError) error {
	n.metrics.quorum.WithLabelValues(q.Reason, string(q.Committed)).Inc()
	return q
}
