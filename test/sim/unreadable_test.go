package sim

import (
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// TestUnreadableSuccessor: one node hears of a version and then of its successor, which
// nobody here can read; another one hears of them the other way round. Their clocks meet,
// both hold the successor's bytes and both verify. What they show until it can be read is not
// the same: the first one still shows the version, the second one has never seen it. A
// readable successor ends that.
func TestUnreadableSuccessor(t *testing.T) {
	w := newWorld(newRig(t), Config{Seed: 1, Scenario: "random"})
	defer w.end()
	w.setup()
	w.opt.nodes = 3
	w.open()
	w.scripted = true
	w.connect(0, 1)
	w.connect(0, 2)
	red := w.put(0, "red")
	late := w.hold(0, 2)
	w.push(0, 1)
	unread := w.fromNewer(w.slots[0], w.slots[1], "red", true)
	w.deliver(unread)
	again := *unread
	again.to = w.slots[2]
	w.deliver(&again)
	w.deliver(late)

	a, b := w.proc(1), w.proc(2)
	if !a.store.Clock().Equal(b.store.Clock()) || !a.store.Quarantined().Equal(b.store.Quarantined()) || b.store.Quarantined().Count() != 1 {
		t.Errorf("clocks %s and %s, quarantined %s and %s", a.store.Clock(), b.store.Clock(), a.store.Quarantined(), b.store.Quarantined())
	}
	first, second := w.stored(1, red.key).View().Live, w.stored(2, red.key).View().Live
	if !first || second {
		t.Errorf("they show %t and %t: if they agree now, say so above and in the oracles", first, second)
	}

	// A successor that can be read.
	bad := w.writes[len(w.writes)-1]
	m := document("red", "readable", w, w.slots[0])
	rec := memory.Record{Key: w.keys[red.key], Context: clock.Of(red.dot, bad.dot)}
	rec.Versions = []memory.Version{{
		Dot: clock.Dot{Origin: newerOrigin, Counter: bad.dot.Counter + 1}, Stamp: bad.stamp + 1, Value: m.Encode(), Content: m.ContentHash(),
	}}
	made := w.enter(write{key: red.key, dot: rec.Versions[0].Dot, stamp: bad.stamp + 1, sum: rec.Versions[0].Sum(rec.Key), title: "red", content: m.ContentHash()})
	for _, i := range []int{1, 2} {
		w.foreign(i, rec, told{key: red.key, known: only(made.n)})
		if got := w.stored(i, red.key); got.View().Winner == nil || got.View().Winner.Dot != made.dot || !w.proc(i).store.Quarantined().Empty() {
			t.Errorf("%s shows %v, quarantined %s", w.slots[i], got.Dots(), w.proc(i).store.Quarantined())
		}
	}
	if w.failed() {
		t.Fatal(w.failure)
	}
}
