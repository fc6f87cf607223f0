package node

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/memd/memd/catchup"
	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// Since answers a peer's pull: one page, built in one short read transaction. The door
// has checked that the peer belongs to this cluster.
func (n *Node) Since(_ context.Context, r wire.SinceRequest) (httpapi.Delta, error) {
	n.store.ObserveClock(r.Cursor)
	n.push.Heard(r.Peer)
	page, err := n.allow.since(n.store, r.Peer, storage.SinceRequest{Cursor: r.Cursor, Reserved: r.Reserved, Scope: r.Scope, LimitBytes: r.LimitBytes})
	switch {
	case errors.Is(err, storage.ErrScope):
		return httpapi.Delta{}, &wire.StatusError{Status: http.StatusMisdirectedRequest, Code: "scope", Message: "this node keeps the scope * only"}
	case err != nil:
		return httpapi.Delta{}, err
	case page.NotModified:
		return httpapi.Delta{ClockHash: n.store.ClockHash()}, nil
	}
	return httpapi.Delta{Page: &wire.Page{
		Head: wire.Head{
			Cluster: n.store.Cluster(), Name: n.cfg.Name, Boot: n.boot, Origin: n.store.Origin(),
			Clock: page.Clock, Floor: page.Floor, Scope: wire.ScopeAll, HLC: n.stampNow(), Reconcile: page.Reconcile,
		},
		Rows: page.Rows, Withheld: page.Withheld,
		Tail: wire.Tail{Covers: page.Covers, Complete: page.Complete},
	}}, nil
}

// stampNow is this node's wall clock as a stamp, for peers to compare theirs with.
func (n *Node) stampNow() clock.Stamp { return clock.NewStamp(n.now().UnixMilli(), 0) }

// Greet opens a peer's push stream: it is told what is durable here. A name that was removed
// gets no stream: it would count this node for a write that it counts itself for, too.
func (n *Node) Greet(_ context.Context, h wire.Hello) (wire.Ack, error) {
	if n.members.isRemoved(h.Name) {
		return wire.Ack{}, &wire.StatusError{Status: http.StatusForbidden, Code: "removed", Message: h.Name + " was removed from the cluster"}
	}
	n.push.Heard(h.Name)
	return n.ack(n.store.Clock(), wire.AckOK), nil
}

// ack is an answer to a push. It claims no dot that is held here with other bytes than
// came for it: another process writes under that origin (replication.md B1 c).
func (n *Node) ack(entry clock.Clock, result wire.AckResult) wire.Ack {
	if (n.fenced() || n.isRemoved() && !n.cfg.Mutants.Has(mutant.RemovedCounts)) && result == wire.AckOK {
		result = wire.AckRefused
	}
	if c := n.collided.Load(); c != nil {
		entry = entry.Minus(*c)
	}
	return wire.Ack{Entry: entry, Result: result, Name: n.cfg.Name, ClockHash: n.store.ClockHash()}
}

// Push takes one batch of a peer's own rows: the same apply as a pulled page, answered
// once the disk has it (replication.md B6).
func (n *Node) Push(_ context.Context, from wire.Hello, b *wire.PushBatch, done func(wire.Ack)) {
	if n.members.isRemoved(from.Name) { // what it has is pulled from it
		done(n.ack(clock.Clock{}, wire.AckRefused))
		return
	}
	origin := b.Origin
	answer := func(a storage.Applied, err error) {
		entry := n.store.Clock().Only(origin)
		result := wire.AckOK
		switch {
		case err == nil && a.Collisions > 0:
			n.noteCollided(a.Collided)
			result = wire.AckRefused
		case err == nil && a.Refused > 0:
			result = wire.AckBusy // over the cap of gaps: the pull comes first
		case err == nil:
		case errors.Is(err, storage.ErrReconcile):
			result = wire.AckReconcile
		case errors.Is(err, memory.ErrFrame):
			result = wire.AckRefused
		default: // queue full, no space, stopping
			result = wire.AckBusy
		}
		if base, above := entry.Entry(origin); base < b.Base || len(above) > 0 || a.Refused > 0 {
			n.pull.Gap(from.Name)
		}
		done(n.ack(entry, result))
	}
	n.store.SubmitApply(storage.Batch{From: from.Name, Rows: b.Rows, Floor: b.Floor, Push: true}, answer)
}

// noteCollided runs on the store's writer, so no two at once.
func (n *Node) noteCollided(dots clock.Clock) {
	if c := n.collided.Load(); c != nil {
		dots.Union(*c)
	}
	n.collided.Store(&dots)
}

// Nudge is a peer's word that it has something that a push did not bring.
func (n *Node) Nudge(from wire.Hello, g wire.Nudge) {
	if g.ClockHash != n.store.ClockHash() {
		n.pull.Trigger(from.Name, catchup.TriggerNudge)
	}
}

// sink lets catchup write into the store.
type sink struct{ n *Node }

func (s sink) Clock() clock.Clock { return s.n.store.Clock() }

func (s sink) ApplyPage(ctx context.Context, from string, p *wire.Page) (catchup.Applied, error) {
	a, err := s.n.store.Apply(ctx, storage.Batch{From: from, Rows: p.Rows, Floor: p.Head.Floor, Covers: p.Tail.Covers, Clock: p.Head.Clock})
	return catchup.Applied{New: a.New, Redundant: a.Redundant, Tombs: a.Tombs, Quarantined: a.Quarantined, NewDots: a.NewDots}, err
}

// ObserveHead compares what a peer says of itself with what this node believes.
func (s sink) ObserveHead(h wire.Head, sent, received time.Time) {
	s.n.store.ObserveClock(h.Clock)
	s.n.peerClocks.set(h.Name, h.Clock)
	s.n.skew.observe(h.Name, h.HLC, sent, received)
	s.n.push.Heard(h.Name)
}
