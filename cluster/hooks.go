package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/hashicorp/memberlist"
)

// hooks are memberlist's callbacks. Most are called with a lock of memberlist
// held, so they copy what they need into this package's own tables and leave
// the rest to Run's loop; none blocks, talks or calls memberlist.
type hooks struct{ c *Cluster }

var (
	_ memberlist.Delegate         = (*hooks)(nil)
	_ memberlist.EventDelegate    = (*hooks)(nil)
	_ memberlist.AliveDelegate    = (*hooks)(nil)
	_ memberlist.MergeDelegate    = (*hooks)(nil)
	_ memberlist.ConflictDelegate = (*hooks)(nil)
)

// Reasons for which a member is not let in.
const (
	refusedCluster = "cluster" // it belongs to another one
	refusedMeta    = "meta"    // it does not say what a memd says
	refusedName    = "name"
	refusedNetwork = "network" // its address is outside the allowed networks
)

type refusal struct {
	name, addr, reason string
	err                error
	cluster            ID
}

var errRefused = errors.New("refused")

// NodeMeta is what goes out with an alive message.
func (h *hooks) NodeMeta(int) []byte {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.c.metaRaw
}

// NotifyAlive decides whether a node is let in, for every message that says
// that it is alive, our own included.
func (h *hooks) NotifyAlive(n *memberlist.Node) error {
	c := h.c
	meta, err := decodeMeta(n.Meta)
	r := refusal{name: n.Name, addr: n.Address(), cluster: meta.Cluster, err: err}
	ip, ok := netip.AddrFromSlice(n.Addr)
	switch {
	case n.Name == "" || len(n.Name) > maxName || !printable(n.Name):
		r.name, r.reason = "", refusedName
	case err != nil:
		r.reason = refusedMeta
	case c.foreign(meta.Cluster):
		r.reason = refusedCluster
	case c.cfg.Allow != nil && n.Name != c.cfg.Name && (!ok || !c.cfg.Allow(ip.Unmap())):
		r.reason = refusedNetwork
	default:
		return nil
	}
	c.metrics.refused.WithLabelValues(r.reason).Inc()
	// It may have been let in before it showed its colours.
	changed := r.name != "" && c.table.drop(r.name, r.addr)
	c.note(func(in *inbox) {
		in.changed = in.changed || changed
		if len(in.refusals) < 64 {
			in.refusals = append(in.refusals, r)
		}
	})
	return fmt.Errorf("%w: %s", errRefused, r.reason)
}

// foreign reports whether an id is of another cluster than this node's.
func (c *Cluster) foreign(id ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !id.IsZero() && !c.meta.Cluster.IsZero() && id != c.meta.Cluster
}

// NotifyMerge sees all that a peer knows, before a join mixes it with ours.
func (h *hooks) NotifyMerge(peers []*memberlist.Node) error {
	for _, p := range peers {
		if p.State != memberlist.StateAlive {
			continue
		}
		if m, err := decodeMeta(p.Meta); err == nil && h.c.foreign(m.Cluster) {
			h.c.metrics.refused.WithLabelValues(refusedCluster).Inc()
			h.c.note(func(in *inbox) {
				if len(in.refusals) < 64 {
					in.refusals = append(in.refusals, refusal{name: p.Name, addr: p.Address(), reason: refusedCluster, cluster: m.Cluster})
				}
			})
			return fmt.Errorf("%w: %s belongs to cluster %s", errRefused, p.Name, m.Cluster)
		}
	}
	return nil
}

// once reports whether the key is new, to log a thing once and not with every
// packet that shows it again.
func (c *Cluster) once(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logged[key] {
		return false
	}
	if len(c.logged) >= 1024 {
		clear(c.logged)
	}
	c.logged[key] = true
	return true
}

// logRefusal logs each member and cluster once.
func (c *Cluster) logRefusal(r refusal) {
	if !c.once(r.name + "\x00" + r.reason + "\x00" + r.cluster.String()) {
		return
	}
	own := c.Meta().Cluster
	attrs := []any{"peer", r.name, "gossip", r.addr, "reason", r.reason}
	if r.reason == refusedCluster {
		attrs = append(attrs, "its_cluster", r.cluster.String(), "our_cluster", own.String())
	}
	if r.err != nil {
		attrs = append(attrs, "err", r.err)
	}
	c.log.Warn("member refused", attrs...)
}

func (h *hooks) NotifyJoin(n *memberlist.Node)   { h.seen(n) }
func (h *hooks) NotifyUpdate(n *memberlist.Node) { h.seen(n) }

func (h *hooks) NotifyLeave(n *memberlist.Node) {
	h.c.table.gone(n.Name)
	h.c.note(func(in *inbox) { in.changed = true })
}

func (h *hooks) seen(n *memberlist.Node) {
	meta, err := decodeMeta(n.Meta)
	if err != nil {
		return // NotifyAlive has refused it
	}
	h.c.table.alive(n.Name, n.Address(), meta)
	h.c.note(func(in *inbox) { in.changed = true })
}

// NotifyConflict: two addresses claim one name. Every node that hears of both
// gets here.
func (h *hooks) NotifyConflict(existing, other *memberlist.Node) {
	meta, err := decodeMeta(other.Meta)
	if err != nil {
		return
	}
	h.c.metrics.conflicts.Inc()
	h.c.noteConflict(conflictReport{name: existing.Name, existing: existing.Address(), addr: other.Address(), meta: meta, raw: append([]byte(nil), other.Meta...)})
}

// NotifyMsg takes a message of ours off gossip. The bytes are memberlist's.
func (h *hooks) NotifyMsg(b []byte) {
	if len(b) == 0 {
		return
	}
	c, body := h.c, b[1:]
	switch b[0] {
	case msgDigest:
		if d, ok := decodeDigest(body); ok && c.hear(d) && c.table.count()[StateAlive] > gossipNodes+1 {
			// Its sender reaches only some; with few members it reaches all.
			c.queue.spread(d)
		}
	case msgGoodbye:
		if len(body) >= 8 {
			c.goodbye(binary.BigEndian.Uint64(body))
		}
	case msgConflict:
		if r, ok := decodeConflict(body); ok && r.name == c.cfg.Name {
			c.noteConflict(r)
		}
	}
}

// hear takes in the digest of a living peer; false means that it is no news.
func (c *Cluster) hear(d numbered) bool {
	if d.Boot == c.cfg.Meta.Boot {
		return false
	}
	if _, ok := c.table.nameOf(d.Boot); !ok || !c.digests.hear(d) {
		return false
	}
	c.metrics.digests.WithLabelValues("received").Inc()
	c.wake()
	return true
}

func (c *Cluster) goodbye(boot uint64) {
	if boot == c.cfg.Meta.Boot || !c.table.goodbye(boot) {
		return
	}
	c.sayGoodbye(boot)
	c.note(func(in *inbox) { in.changed = true })
}

func (c *Cluster) sayGoodbye(boot uint64) {
	c.queue.add(fmt.Sprintf("goodbye %016x", boot), binary.BigEndian.AppendUint64([]byte{msgGoodbye}, boot))
}

// GetBroadcasts fills the room that a packet has left.
func (h *hooks) GetBroadcasts(overhead, limit int) [][]byte {
	return h.c.queue.take(overhead, limit, func() int { return h.c.table.count()[StateAlive] })
}

// LocalState rides on push/pull: a few dozen bytes.
func (h *hooks) LocalState(bool) []byte { return encodeState(h.c.digests.known()) }

// MergeRemoteState comes after the members of the same push/pull.
func (h *hooks) MergeRemoteState(b []byte, _ bool) {
	ds, err := decodeState(b)
	if err != nil {
		return
	}
	for _, d := range ds {
		h.c.hear(d)
	}
}
