package sim

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memd/memd/catchup"
	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// TestDeadHoleIsNoLag holds the pull loop of one node against two peers whose clocks have the
// same hole: a dot that no disk holds. It is neither lag nor a reason to pull (edge case 47).
func TestDeadHoleIsNoLag(t *testing.T) {
	for _, m := range []mutant.Set{0, mutant.DeadHoleIsLag} {
		t.Run(m.String(), func(t *testing.T) {
			r := newRig(t)
			synctest.Test(t, func(t *testing.T) {
				lag, pulls, reasons := holeBound(t, r, m)
				if broken := lag > 0 || pulls > 40 || len(reasons) > 0; broken != (m != 0) {
					t.Errorf("lag %d, %d pulls in an hour, not ready because of %q", lag, pulls, reasons)
				}
			})
		})
	}
}

// holeBound lets a manager live for an hour beside peers that have what it has.
func holeBound(t *testing.T, r *Rig, m mutant.Set) (lag uint64, pulls int64, reasons []string) {
	w := newWorld(r, Config{Seed: 1, Scenario: "dead hole, kept"})
	w.setup()
	defer w.end()
	w.open()
	w.scripted = true
	rec := memory.Record{Key: memory.NewKey(memory.KindMemory, memory.DerivedID(cluster, namespace, "red", 0))}
	d := document("red", "behind a hole", w, w.slots[0])
	rec.Versions = []memory.Version{{Dot: clock.Dot{Origin: 7, Counter: 2}, Stamp: 1, Value: d.Encode(), Content: d.ContentHash()}}
	made := w.enter(write{key: w.number(rec.Key), dot: rec.Versions[0].Dot, stamp: 1, sum: rec.Versions[0].Sum(rec.Key), title: "red", content: d.ContentHash()})
	for i := range w.slots {
		w.foreign(i, rec, told{key: made.key, known: only(made.n)})
	}
	if w.failed() {
		t.Fatal(w.failure)
	}
	s := &holeSource{w: w}
	manager := catchup.New(catchup.Config{
		Self: wire.Self{Name: w.slots[0].name}, Source: s, Sink: s, Mutants: m,
		Peers: func() []wire.Peer { return []wire.Peer{{Name: w.slots[1].name}, {Name: w.slots[2].name}} },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(ctx) }()
	for range 3600 {
		time.Sleep(time.Second)
		manager.Gap(w.slots[1].name) // every push shows the hole again
	}
	lag, reasons = manager.Lag(), manager.Reasons()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return lag, s.pulls.Load(), reasons
}

// holeSource serves pulls of node 0 from the stores of the others.
type holeSource struct {
	w     *World
	pulls atomic.Int64
}

func (s *holeSource) Since(_ context.Context, peer wire.Peer, r wire.SinceRequest) (*wire.Page, error) {
	s.pulls.Add(1)
	for _, o := range s.w.slots[1:] {
		if o.name != peer.Name {
			continue
		}
		page, err := o.proc.store.Since(storage.SinceRequest{Cursor: r.Cursor, Reserved: r.Reserved})
		if err != nil || page.NotModified {
			return nil, &wire.NotModified{Name: peer.Name, ClockHash: o.proc.store.ClockHash()}
		}
		return &wire.Page{Head: wire.Head{Name: peer.Name, Clock: page.Clock}, Rows: page.Rows, Tail: wire.Tail{Covers: page.Covers, Complete: page.Complete}}, nil
	}
	return nil, wire.ErrWrongPeer
}

func (s *holeSource) Clock() clock.Clock { return s.w.proc(0).store.Clock() }

func (s *holeSource) ApplyPage(context.Context, string, *wire.Page) (catchup.Applied, error) {
	return catchup.Applied{}, memory.ErrStopped // nobody has anything for it
}

func (s *holeSource) ObserveHead(wire.Head, time.Time, time.Time) {}
