package replication

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"pgregory.net/rapid"
)

func entry(runs ...uint64) clock.Clock {
	var c clock.Clock
	for i := 0; i < len(runs); i += 2 {
		c.AddRange(own, runs[i], runs[i+1])
	}
	return c
}

func tracker(m mutant.Set) *Tracker {
	t := NewTracker("me", m)
	t.SetPeers("b", "c", "d")
	return t
}

func TestWaitCounts(t *testing.T) {
	failed := errors.New("disk")
	for _, c := range []struct {
		name string
		w    int
		do   func(*Tracker, *Wait)
		want string // names; "!" if met
	}{
		{"own fsync alone is W=1", 1, func(_ *Tracker, w *Wait) { w.Local(nil) }, "[me]!"},
		{"W=1 by a peer, before the own fsync", 1, func(k *Tracker, w *Wait) { k.Ack("b", entry(1, 5)) }, "[b]!"},
		{"own fsync and a peer", 2, func(k *Tracker, w *Wait) { w.Local(nil); k.Ack("b", entry(1, 5)) }, "[me b]!"},
		{"two peers without the own fsync", 2, func(k *Tracker, w *Wait) { k.Ack("b", entry(1, 5)); k.Ack("c", entry(1, 9)) }, "[b c]!"},
		{"one peer twice", 2, func(k *Tracker, w *Wait) { k.Ack("b", entry(1, 5)); k.Ack("b", entry(1, 6)) }, "[b]"},
		{"a clone of a peer with less", 2, func(k *Tracker, w *Wait) {
			k.Ack("b", entry(1, 5))
			k.Ack("b", entry(1, 2))
			k.Ack("b", entry(1, 5))
		}, "[b]"},
		{"below", 2, func(k *Tracker, w *Wait) { w.Local(nil); k.Ack("b", entry(1, 4)) }, "[me]"},
		{"a hole at the dot", 2, func(k *Tracker, w *Wait) { w.Local(nil); k.Ack("b", entry(1, 4, 6, 9)) }, "[me]"},
		{"above a hole", 2, func(k *Tracker, w *Wait) { w.Local(nil); k.Ack("b", entry(1, 2, 4, 7)) }, "[me b]!"},
		{"a hole that is filled", 2, func(k *Tracker, w *Wait) {
			w.Local(nil)
			k.Ack("b", entry(1, 4, 6, 9))
			k.Ack("b", entry(1, 9))
		}, "[me b]!"},
		{"not a member", 2, func(k *Tracker, w *Wait) { w.Local(nil); k.Ack("x", entry(1, 5)) }, "[me]"},
		{"removed", 2, func(k *Tracker, w *Wait) { w.Local(nil); k.SetPeers("c"); k.Ack("b", entry(1, 5)) }, "[me]"},
		{"the own name from outside", 2, func(k *Tracker, w *Wait) { k.SetPeers("me", "b"); w.Local(nil); k.Ack("me", entry(1, 5)) }, "[me]"},
		{"the own fsync twice", 2, func(k *Tracker, w *Wait) { w.Local(nil); w.Local(nil) }, "[me]"},
		{"cancelled", 2, func(k *Tracker, w *Wait) { w.Local(nil); w.Cancel(); k.Ack("b", entry(1, 5)) }, "[me]"},
		{"local failure", 1, func(k *Tracker, w *Wait) { w.Local(failed); k.Ack("b", entry(1, 5)) }, "[]"},
		{"local failure after the quorum", 2, func(k *Tracker, w *Wait) {
			k.Ack("b", entry(1, 5))
			k.Ack("c", entry(1, 5))
			w.Local(failed)
		}, "[b c]!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := tracker(0)
			w := k.NewWait(c.w)
			w.Start(dot(5))
			c.do(k, w)
			if got := describe(w); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			w.Cancel()
			k.Ack("d", entry(1, 100))
			for o, f := range k.fifos {
				if f.live != 0 || len(f.q) != 0 {
					t.Errorf("origin %s keeps %d live waits of %d", o, f.live, len(f.q))
				}
			}
		})
	}
}

func describe(w *Wait) string {
	r := w.Result()
	names := r.Names
	if names == nil {
		names = []string{}
	}
	s := fmt.Sprint(names)
	if r.Met {
		s += "!"
	}
	if r.Acks != len(names) || r.LocalDurable != slices.Contains(names, "me") || r.Met && !met(w) {
		s += " inconsistent"
	}
	return s
}

// TestAckBeforeStart: the rows left before the wait knew its dot.
func TestAckBeforeStart(t *testing.T) {
	k := tracker(0)
	w := k.NewWait(2)
	k.Ack("b", entry(1, 5))
	w.Local(nil)
	if met(w) {
		t.Fatal("met without a dot")
	}
	w.Start(dot(5))
	if got := describe(w); got != "[me b]!" {
		t.Error(got)
	}
}

func TestLocalFailureWakes(t *testing.T) {
	k := tracker(0)
	w := k.NewWait(1)
	w.Local(errors.New("disk"))
	select {
	case <-w.Done():
	default:
		t.Fatal("not woken")
	}
	if r := w.Result(); r.Met || r.Err == nil {
		t.Errorf("%+v", r)
	}
	w.Start(dot(1)) // too late: nothing may be left behind
	if len(k.fifos) != 0 {
		t.Error("registered after its end")
	}
	w.Cancel()
}

func TestWaitForSeveralDots(t *testing.T) {
	other := clock.Dot{Origin: 0xb, Counter: 1}
	k := tracker(0)
	w := k.NewWait(2)
	w.Start(dot(4), dot(5), dot(7), dot(5), other)
	w.Local(nil)
	both := entry(1, 7)
	both.Add(other)
	for _, ack := range []clock.Clock{entry(5, 5), entry(4, 5, 7, 7), entry(1, 9)} {
		if k.Ack("b", ack); met(w) {
			t.Fatalf("met by %v", ack)
		}
	}
	if k.Ack("c", both); !met(w) {
		t.Fatal("not met")
	}
	if got := describe(w); got != "[me c]!" {
		t.Error(got)
	}
	w.Cancel()
	for o, f := range k.fifos {
		if len(f.q) != 0 {
			t.Errorf("origin %s: waits are left", o)
		}
	}
}

func TestWaitWithoutDots(t *testing.T) {
	w := tracker(0).NewWait(3)
	w.Start()
	if !met(w) {
		t.Error("a write of nothing waits for somebody")
	}
}

// TestEntryThatWentDown: a restored disk takes back what it acknowledged.
func TestEntryThatWentDown(t *testing.T) {
	k := tracker(0)
	k.Greet("b", entry(1, 9))
	k.Ack("b", entry(1, 12))
	if got := k.AckedBy(dot(11)); !slices.Equal(got, []string{"b"}) {
		t.Fatal(got)
	}
	k.Greet("b", entry(1, 5))
	if got := k.AckedBy(dot(6)); got != nil {
		t.Errorf("still acked by %v", got)
	}
	if w := k.Register(dot(6), 2, "me"); met(w) {
		t.Error("counted what is gone")
	} else if k.Ack("b", entry(1, 6)); !met(w) {
		t.Error("not counted when it came back")
	}
	if got := k.AckedClock("b"); !got.Equal(entry(1, 6)) {
		t.Errorf("acked clock %v", got)
	}
	if got := k.AckedClock("nobody"); !got.Empty() {
		t.Error(got)
	}
}

func TestRetryWaitsForAnOlderDot(t *testing.T) {
	k := tracker(0)
	newer := k.Register(dot(9), 2, "me")
	older := k.Register(dot(3), 2, "me")
	again := k.Register(dot(3), 2, "me")
	k.Ack("b", entry(1, 3))
	if !met(older) || !met(again) || met(newer) {
		t.Error(met(older), met(again), met(newer))
	}
	k.Ack("b", entry(1, 9))
	if !met(newer) {
		t.Error("newer not met")
	}
}

// TestWaitsOfAnOldOrigin: after a pause a new origin is minted; the map of origins does
// not grow with them.
func TestWaitsOfAnOldOrigin(t *testing.T) {
	k := tracker(0)
	for o := clock.Origin(1); o <= 100; o++ {
		d := clock.Dot{Origin: o, Counter: 1}
		w := k.Register(d, 2, "me")
		k.Ack("b", clock.Of(d))
		if !met(w) {
			t.Fatal(o)
		}
		w.Cancel()
	}
	// Waits that were met leave with the next word about their origin.
	if n := len(k.fifos); n > 2 {
		t.Errorf("%d origins kept", n)
	}
	if n := len(k.peer("b").acks); n > keptEntries {
		t.Errorf("%d entries kept", n)
	}
}

// TestMutantsAreCaught: each switch makes a case above fail.
func TestMutantsAreCaught(t *testing.T) {
	k := tracker(mutant.HighestCounterAck)
	if w := k.Register(dot(5), 2, "me"); true {
		if k.Ack("b", entry(1, 4, 6, 9)); !met(w) {
			t.Error("HighestCounterAck changes nothing")
		}
	}
	k = tracker(mutant.AckTwicePerName)
	if w := k.Register(dot(5), 2); true {
		k.Ack("b", entry(1, 5))
		if k.Ack("b", entry(1, 5)); !met(w) {
			t.Error("AckTwicePerName changes nothing")
		}
	}
}

// modelWait and model are the tracker done the slow way: every report is looked at by
// every wait, dot by dot.
type modelWait struct {
	dots    []clock.Dot
	need    int
	names   []string
	over    bool
	started bool
}

type model struct {
	peers map[string]map[clock.Dot]bool
	waits []*modelWait
}

func (m *model) look(name string, w *modelWait) {
	if w.over || !w.started || slices.Contains(w.names, name) {
		return
	}
	for _, d := range w.dots {
		if !m.peers[name][d] {
			return
		}
	}
	m.count(name, w)
}

func (m *model) count(name string, w *modelWait) {
	if w.over || slices.Contains(w.names, name) {
		return
	}
	w.names = append(w.names, name)
	w.over = w.started && len(w.names) >= w.need
}

func TestTrackerAgainstModel(t *testing.T) {
	names := []string{"b", "c", "d", "x"} // x is no member
	rapid.Check(t, func(t *rapid.T) {
		k := NewTracker("me", 0)
		k.SetPeers("b", "c", "d")
		m := &model{peers: map[string]map[clock.Dot]bool{"b": {}, "c": {}, "d": {}}}
		var waits []*Wait
		drawDot := rapid.Custom(func(t *rapid.T) clock.Dot {
			return clock.Dot{Origin: clock.Origin(rapid.IntRange(1, 2).Draw(t, "origin")), Counter: rapid.Uint64Range(1, 12).Draw(t, "counter")}
		})
		report := func(t *rapid.T, greet bool) {
			name := rapid.SampledFrom(names).Draw(t, "name")
			word := clock.Of(rapid.SliceOfN(drawDot, 0, 16).Draw(t, "dots")...)
			has := m.peers[name]
			if greet {
				k.Greet(name, word)
			} else {
				k.Ack(name, word)
			}
			if has == nil {
				return
			}
			told := map[clock.Origin]bool{1: greet, 2: greet}
			for o := range word.Origins() {
				told[o] = true
			}
			for d := range has {
				if told[d.Origin] {
					delete(has, d)
				}
			}
			for o, iv := range word.Ranges() {
				for n := iv.Lo; n <= iv.Hi; n++ {
					has[clock.Dot{Origin: o, Counter: n}] = true
				}
			}
			for _, w := range m.waits {
				m.look(name, w)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				w := &modelWait{need: rapid.IntRange(1, 4).Draw(t, "w"), dots: rapid.SliceOfN(drawDot, 1, 4).Draw(t, "dots")}
				wait := k.NewWait(w.need)
				m.waits, waits = append(m.waits, w), append(waits, wait)
				if rapid.Bool().Draw(t, "early local") {
					wait.Local(nil)
					m.count("me", w)
				}
				wait.Start(w.dots...)
				w.started = true
				w.over = len(w.names) >= w.need
				for name := range m.peers {
					m.look(name, w)
				}
				// Which of several peers came first is not said here.
				if got := wait.Result(); w.over {
					w.names = got.Names
				}
			},
			"ack":   func(t *rapid.T) { report(t, false) },
			"greet": func(t *rapid.T) { report(t, true) },
			"local": func(t *rapid.T) {
				if len(waits) > 0 {
					i := rapid.IntRange(0, len(waits)-1).Draw(t, "wait")
					waits[i].Local(nil)
					m.count("me", m.waits[i])
				}
			},
			"cancel": func(t *rapid.T) {
				if len(waits) > 0 {
					i := rapid.IntRange(0, len(waits)-1).Draw(t, "wait")
					waits[i].Cancel()
					m.waits[i].over = true
				}
			},
			"remove": func(t *rapid.T) {
				name := rapid.SampledFrom(names[:3]).Draw(t, "name")
				delete(m.peers, name)
				var left []string
				for name := range m.peers {
					left = append(left, name)
				}
				k.SetPeers(left...)
			},
			"": func(t *rapid.T) {
				live := map[clock.Origin]int{}
				for i, w := range m.waits {
					got := waits[i].Result()
					if met(waits[i]) != (w.over && len(w.names) >= w.need) || !sameSet(got.Names, w.names) {
						t.Fatalf("wait %d of %v: got %+v, want %v", i, w.dots, got, w.names)
					}
					if !w.over && w.started {
						for _, r := range waits[i].runs {
							live[r.origin] += int(r.hi - r.lo + 1)
						}
					}
				}
				for o, f := range k.fifos {
					if f.live != live[o] {
						t.Fatalf("origin %s: %d live, want %d", o, f.live, live[o])
					}
					if !slices.IsSortedFunc(f.q[f.head:], func(a, b waiting) int { return int(a.counter) - int(b.counter) }) {
						t.Fatal("not in order")
					}
				}
				for name, has := range m.peers {
					var want clock.Clock
					for d := range has {
						want.Add(d)
					}
					if got := k.AckedClock(name); !got.Equal(want) {
						t.Fatalf("%s acked %v, want %v", name, got, want)
					}
				}
			},
		})
	})
}

func sameSet(a, b []string) bool {
	x, y := slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(x, y)
}

func TestRangesAgainstMinus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) clock.Clock {
			var c clock.Clock
			for _, n := range rapid.SliceOfN(rapid.Uint64Range(1, 30), 0, 20).Draw(t, label) {
				c.Add(dot(n))
			}
			return c
		}
		old, now := draw("old"), draw("now")
		oldBase, oldAbove := old.Entry(own)
		base, above := now.Entry(own)
		var got clock.Clock
		last := uint64(0)
		ranges(base, above, oldBase, oldAbove, func(lo, hi uint64) {
			if lo <= last || hi < lo {
				t.Fatalf("%d..%d after %d", lo, hi, last)
			}
			last = hi
			got.AddRange(own, lo, hi)
		})
		if want := now.Minus(old); !got.Equal(want) {
			t.Fatalf("%v minus %v: got %v, want %v", now, old, got, want)
		}
	})
}

// TestFifoStaysSmall: waits that are over do not pile up behind one that is not.
func TestFifoStaysSmall(t *testing.T) {
	k := tracker(0)
	stuck := k.Register(dot(1), 3)
	for n := uint64(2); n < 5000; n++ {
		w := k.Register(dot(n), 2, "me")
		k.Ack("b", entry(2, n))
		if !met(w) {
			t.Fatal(n)
		}
		w.Cancel()
	}
	if f := k.fifos[own]; f.live != 1 || len(f.q) > 200 {
		t.Errorf("%d live, %d kept", f.live, len(f.q))
	}
	if k.Ack("b", entry(1, 5000)); describe(stuck) != "[b]" {
		t.Error(describe(stuck))
	}
}

// TestBarredNames: who was removed acknowledges nothing, even if the set of peers is read
// anew from a list that still has the name; who is admitted again begins with nothing.
func TestBarredNames(t *testing.T) {
	k := tracker(0)
	k.Ack("b", entry(1, 5))
	k.Bar("b")
	w := k.NewWait(2)
	w.Start(clock.Dot{Origin: own, Counter: 5})
	w.Local(nil)
	k.SetPeers("b", "c", "d")
	k.Ack("b", entry(1, 6))
	if r := w.Result(); r.Met || r.Acks != 1 || len(k.AckedBy(clock.Dot{Origin: own, Counter: 5})) > 0 {
		t.Errorf("a removed name counts: %v", r)
	}
	k.Bar()
	k.SetPeers("b", "c", "d")
	if k.Has("b", own, 1, 1) {
		t.Error("its words of before are remembered")
	}
	k.Ack("b", entry(1, 6))
	if r := w.Result(); !r.Met {
		t.Errorf("it is a member again: %v", r)
	}
}
