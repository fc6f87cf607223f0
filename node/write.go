package node

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/memd/memd/catchup"
	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/replication"
	"github.com/memd/memd/storage"
)

// errHeld ends a transaction function without writing: what the caller asked for is
// already held under these dots, so the caller only waits for its quorum.
type errHeld struct {
	id   string
	dots clock.Clock
}

func (e *errHeld) Error() string { return "already held as " + e.id }

// written is what one changing verb came to.
type written struct {
	token clock.Clock // the dots of this write
	acks  int         // distinct names that had them durably when the quorum was met
	held  *errHeld    // set when nothing new was written
}

// last is the dot that stands for the write in its answer: the only one, or the last.
func (w written) last() clock.Dot {
	var d clock.Dot
	for o, iv := range w.token.Ranges() {
		d = clock.Dot{Origin: o, Counter: iv.Hi}
	}
	return d
}

// change is the one road of every changing verb: admission, then fn in the store's
// next transaction, pushed to peers in parallel with the fsync, answered when w
// distinct names have it (replication.md B6).
//
// It returns a *memory.QuorumError when W was missed, the error of fn when nothing
// was written, and memory.ErrStopped after a commit error.
func (n *Node) change(ctx context.Context, override int, fn func(*storage.Tx) error) (written, error) {
	w, err := n.admit(ctx, override)
	if err != nil {
		return written{}, err
	}
	p := n.submit(ctx, w, fn)
	deadline := time.NewTimer(n.cfg.QuorumTimeout)
	defer deadline.Stop()
	return n.await(ctx, p, w, deadline.C)
}

// pending is a write on its way.
type pending struct {
	wait *replication.Wait
	took atomic.Int32 // who got it first: the store's writer, or a caller that gave up
	// The store's writer sets the rest before it ends the wait or closes done, and the
	// waiting side reads it only after one of them.
	done   chan struct{} // closed when the store is done with it, well or not
	err    error
	staged chan struct{} // closed once dots is set: the write has left for the peers
	dots   clock.Clock
}

// Values of pending.took.
const (
	tookNobody = iota
	tookWriter
	tookBack
)

// errGivenUp ends a transaction function whose caller is gone before it began.
var errGivenUp = errors.New("given up before it began")

// submit hands fn to the store, narrowed to what the principal of ctx may see and say; the
// callbacks run on its writer and do not block.
func (n *Node) submit(ctx context.Context, w int, fn func(*storage.Tx) error) *pending {
	p := &pending{wait: n.push.NewWait(w), done: make(chan struct{}), staged: make(chan struct{})}
	g, err := n.guard(ctx)
	if err != nil {
		return p.refuse(err)
	}
	err = n.store.Submit(storage.Op{
		Fn: func(tx *storage.Tx) error {
			if !p.took.CompareAndSwap(tookNobody, tookWriter) {
				return errGivenUp
			}
			n.pull.CheckPause() // it may have been longer in the queue than it seems
			return fn(tx.Within(g))
		},
		Staged: func(r storage.Result) {
			for _, d := range r.Dots {
				p.dots.Add(d)
			}
			p.wait.Start(r.Dots...)
			close(p.staged)
		},
		Done: func(_ storage.Result, err error) {
			p.err = err
			close(p.done)
			p.wait.Local(err)
		},
	})
	if err != nil { // queue full or store stopped: nothing was written
		return p.refuse(err)
	}
	return p
}

// refuse ends a write that did not get into the store.
func (p *pending) refuse(err error) *pending {
	p.err = err
	close(p.done)
	p.wait.Local(err)
	return p
}

// await waits until p has its quorum, failed, or the deadline passed.
func (n *Node) await(ctx context.Context, p *pending, w int, deadline <-chan time.Time) (written, error) {
	late := false
	select {
	case <-p.wait.Done():
	case <-deadline:
		late = true // a timer says so once
	case <-ctx.Done():
	}
	if !p.took.CompareAndSwap(tookNobody, tookBack) {
		// The writer has it, so its fate is a matter of moments; until then fn may run.
		select {
		case <-p.staged:
		case <-p.done:
		}
	}
	p.wait.Cancel()
	res := p.wait.Result()
	sent, finished := closed(p.staged), closed(p.done)
	var held *errHeld
	switch {
	case sent && res.Met:
		return written{token: p.dots, acks: res.Acks}, nil
	case finished && errors.As(p.err, &held):
		if late {
			gone, cancel := context.WithCancel(ctx)
			cancel()
			ctx = gone
		}
		return n.awaitHeld(ctx, held, w, deadline)
	case finished && p.err != nil && !sent: // fn refused, or the store did before it began
		return written{}, p.err
	case !sent: // taken back
		return written{}, n.refuse("timeout", w)
	}
	miss := &memory.QuorumError{Got: res.Acks, Needed: w, Reason: n.missReason(res.Acks), Committed: memory.CommittedUnknown}
	miss.Dot = written{token: p.dots}.last().String()
	if finished && p.err == nil {
		miss.Committed = memory.CommittedLocal
	}
	return written{token: p.dots, acks: res.Acks}, n.missed(miss)
}

// awaitHeld waits for w names to hold dots that were written before, by this process,
// an earlier one or another node: a retry waits on the same write.
func (n *Node) awaitHeld(ctx context.Context, held *errHeld, w int, deadline <-chan time.Time) (written, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for round := 0; ; round++ {
		acks := len(n.holders(held.dots))
		if acks >= w {
			return written{token: held.dots, acks: acks, held: held}, nil
		}
		if round%5 == 0 {
			n.askPeers() // a pull's answer carries the peer's clock, a push's its entry
		}
		select {
		case <-tick.C:
			continue
		case <-deadline:
		case <-ctx.Done():
		}
		miss := &memory.QuorumError{Got: acks, Needed: w, Reason: n.missReason(acks), Committed: memory.CommittedLocal,
			ID: held.id, Dot: written{token: held.dots}.last().String()}
		if !n.store.Clock().Covers(held.dots) { // of a transaction that is not committed yet
			miss.Committed = memory.CommittedUnknown
		}
		return written{token: held.dots, acks: acks, held: held}, n.missed(miss)
	}
}

// missReason tells a peer that cannot be reached from one that is slow.
func (n *Node) missReason(acks int) string {
	if acks <= 1 && n.push.Reachable() == 0 {
		return "unreachable"
	}
	return "timeout"
}

// admit decides W for one write and whether it may begin. An error means that no dot
// was allocated.
func (n *Node) admit(ctx context.Context, override int) (int, error) {
	if err := n.mayWrite(ctx, override); err != nil {
		return 0, err
	}
	members := n.members.count()
	if n.cfg.Mutants.Has(mutant.QuorumFromGossip) {
		members = n.alive()
	}
	w, err := replication.Needed(n.cfg.QuorumWrites, members, override)
	switch {
	case err != nil && override == 0: // as configured: not for the client to mend
		return 0, n.refuse("unreachable", override)
	case err != nil:
		return 0, err
	}
	if n.push.Reachable()+1 < w {
		return 0, n.missed(&memory.QuorumError{Needed: w, Reason: "unreachable", Committed: memory.CommittedFalse})
	}
	return w, nil
}

// alive counts the members that gossip calls alive, this node included: what N must not be.
func (n *Node) alive() int {
	count := 0
	for _, m := range n.members.list() {
		if m.Name == n.cfg.Name || n.gossip.Alive(m.Name) {
			count++
		}
	}
	return count
}

// holders names the registered members, this one included, that are known to hold
// dots durably.
func (n *Node) holders(dots clock.Clock) []string {
	var names []string
	if n.store.Clock().Covers(dots) {
		names = append(names, n.cfg.Name)
	}
	for _, m := range n.members.list() {
		if m.Name == n.cfg.Name {
			continue
		}
		if n.push.AckedClock(m.Name).Covers(dots) || n.peerClocks.get(m.Name).Covers(dots) {
			names = append(names, m.Name)
		}
	}
	return names
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// askPeers makes this node hear soon what its peers hold.
func (n *Node) askPeers() {
	for _, p := range n.pushPeers() {
		n.pull.Trigger(p.Name, catchup.TriggerToken)
	}
}
