package node

import (
	"context"
	"fmt"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/replication"
	"github.com/memd/memd/storage"
)

// Version of the program.
func (n *Node) Version() string { return n.cfg.Version }

// Federated reports whether this node has, or expects, other members.
func (n *Node) Federated() bool {
	return n.members.count() > 1 || n.cfg.BootstrapExpect > 1 || len(n.cfg.Join) > 0
}

// Ready reports whether reads, recalls among them, are served from a caught-up state and
// writes taken. It touches no disk.
func (n *Node) Ready() (bool, []string) {
	var why []string
	add := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if n.stopping.Load() {
		add("stopping")
	}
	if err := n.store.Err(); err != nil {
		add("the store has stopped: %v", err)
	}
	if n.store.Cluster().IsZero() {
		add("no cluster yet")
	} else if n.isRemoved() {
		why = append(why, n.removedReason())
	} else if have := n.members.ever(); have < n.cfg.BootstrapExpect {
		add("%d of %d members are registered", have, n.cfg.BootstrapExpect)
	} else if _, ok := n.members.get(n.cfg.Name); !ok {
		add("this node is not registered yet")
	}
	if len(n.pullPeers()) > 0 {
		why = append(why, n.pull.Reasons()...)
	} else if len(why) == 0 && !n.knowsRegistry() {
		add("this node was told to join others and has met none since the start")
	}
	if o, _ := n.skew.median(); n.skew.tooFar() {
		add("the wall clock is %s off its peers'", -o.Round(time.Second))
	}
	if n.fenced() {
		add("another process uses the name %s", n.cfg.Name)
	}
	if s := n.indexing(); s != "" {
		add("%s", s)
	}
	return len(why) == 0, why
}

// Beat notices a pause before a write or a peer's call is served.
func (n *Node) Beat() { n.pull.CheckPause() }

// Admit notices a pause before a read and holds the read until this node has compared
// clocks with one peer; one that cannot in time is served marked as stale
// (replication.md B12, policy wait).
func (n *Node) Admit(ctx context.Context) (stale bool, err error) {
	n.pull.CheckPause()
	if n.pull.Synced() {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, stalePatience)
	defer cancel()
	return n.pull.WaitSynced(ctx) != nil, nil
}

// stalePatience is how long a read after a pause waits for a comparison with a peer.
const stalePatience = 250 * time.Millisecond

// Cluster is how this node sees the cluster.
func (n *Node) Cluster(context.Context) (httpapi.ClusterStatus, error) {
	ready, reasons := n.Ready()
	own := n.store.Clock()
	s := httpapi.ClusterStatus{
		Name: n.cfg.Name, Version: n.cfg.Version, Boot: n.boot, Ready: ready, Reasons: append([]string{}, reasons...),
		Quorum: httpapi.Quorum{N: n.members.count(), W: n.defaultW(), Reachable: n.push.Reachable() + 1},
		Clock:  own, ClockHash: hex16(own.Hash()), Digest: n.store.Digest(), Members: []httpapi.Member{},
		Removed: append([]string{}, n.members.left()...),
	}
	if id := n.store.Cluster(); !id.IsZero() {
		s.ClusterID = id.String()
	}
	if o := n.store.Origin(); o != 0 {
		s.Origin = o.String()
	}
	err := n.store.View(func(tx *storage.Tx) error {
		st, err := tx.Stats()
		s.Conflicts, s.Quarantined = int(st.Conflicts), int(st.Quarantined)
		return err
	})
	if err != nil {
		return s, err
	}
	pushes := map[string]replication.PeerStatus{}
	for _, p := range n.push.Status() {
		pushes[p.Name] = p
	}
	states := map[string]string{}
	addrs := map[string]string{}
	for _, g := range n.gossip.Members() {
		states[g.Name], addrs[g.Name] = g.State.String(), g.HTTP
	}
	for _, m := range n.members.list() {
		s.Members = append(s.Members, n.memberStatus(m, states[m.Name], addrs[m.Name], pushes[m.Name]))
	}
	return s, nil
}

func (n *Node) memberStatus(m memory.Member, state, addr string, p replication.PeerStatus) httpapi.Member {
	out := httpapi.Member{Name: m.Name, State: state, Addr: m.HTTP}
	if addr != "" {
		out.Addr = addr
	}
	if state == "" {
		out.State = "unknown"
	}
	if m.Name == n.cfg.Name {
		out.State, out.Addr, out.ClockHash, out.Breaker = "self", n.httpAdvertise, hex16(n.store.ClockHash()), "closed"
		out.Acked = n.store.Clock().Only(n.store.Origin()).Count()
		return out
	}
	out.Breaker = p.State.String()
	if k := n.peerClocks.get(m.Name); !k.Empty() {
		out.ClockHash = hex16(k.Hash())
	}
	out.Acked = n.push.AckedClock(m.Name).Only(n.store.Origin()).Count()
	for _, c := range n.pull.Status() {
		if c.Name != m.Name {
			continue
		}
		out.LagDots, out.LagSeconds, out.WithheldDots = c.MissingDots, c.LagSeconds, c.WithheldDots
		if !c.LastOK.IsZero() {
			at := c.LastOK
			out.LastSuccess = &at
		}
	}
	return out
}

func (n *Node) defaultW() int {
	w, err := replication.Needed(n.cfg.QuorumWrites, n.members.count(), 0)
	if err != nil {
		return n.cfg.QuorumWrites
	}
	return w
}

func hex16(h uint64) string { return clock.Origin(h).String() }
