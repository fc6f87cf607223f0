package catchup

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// away makes it look as if the last beat was d ago.
func (l *lab) away(d time.Duration) {
	l.pause.mu.Lock()
	defer l.pause.mu.Unlock()
	l.pause.set(l.pause.read(time.Now().Add(-d)))
}

// pauseFor makes the process believe that it was away, and notice.
func (l *lab) pauseFor(d time.Duration) {
	time.Sleep(7123 * time.Microsecond) // not in the moment of a tick
	l.away(d)
	if !l.CheckPause() {
		l.t.Error("pause not detected")
	}
	if l.CheckPause() {
		l.t.Error("pause reported twice")
	}
}

// 20 rows missed in a pause, on a quiet LAN, come once and within 25 ms, whoever is
// asked first.
func TestPause(t *testing.T) {
	tests := []struct {
		name  string
		peers int
		links func(n *network)
		limit time.Duration
		asked int // requests at most, 304s included
	}{
		{"all well", 2, func(*network) {}, 10 * time.Millisecond, 2},
		{"far away", 3, func(n *network) {
			for _, l := range n.links {
				l.rtt = 80 * time.Millisecond
			}
		}, 300 * time.Millisecond, 4},
		{"first choice dark", 3, func(n *network) { n.links["n1"].dark = true }, 25 * time.Millisecond, 5},
		{"two of four dark", 4, func(n *network) { n.links["n1"].dark, n.links["n2"].dark = true, true }, 45 * time.Millisecond, 8},
		{"first choice answers late", 2, func(n *network) { n.links["n1"].rtt = 100 * time.Millisecond }, 25 * time.Millisecond, 4},
		{"first choice answers just after the hedge", 2, func(n *network) { n.links["n1"].rtt = 15500 * time.Microsecond }, 25 * time.Millisecond, 4},
		{"first choice refuses", 3, func(n *network) { n.links["n1"].refuse = errors.New("refused") }, 10 * time.Millisecond, 9},
		{"first choice dies in the page", 3, func(n *network) { n.links["n1"].cut = 1 }, 20 * time.Millisecond, 9},
		{"first choice stalls in the page", 3, func(n *network) { n.links["n1"].stall = 1 }, 270 * time.Millisecond, 9},
		{"no first bytes", 2, func(n *network) { n.links["n1"].hide, n.links["n2"].hide = true, true }, 10 * time.Millisecond, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				me, peers := cluster(tt.peers, 5)
				me.fsync = 2 * time.Millisecond
				var away time.Duration
				l := start(t, me, peers, func(c *Config) {
					c.Random = keepOrder
					c.OnPause = func(d time.Duration) { away = d }
				})
				l.settle()
				if tt.name == "far away" {
					tt.links(l.net) // and known to be
					l.Trigger("n1", TriggerNudge)
					l.Trigger("n2", TriggerNudge)
					l.Trigger("n3", TriggerNudge)
					l.settle()
				}
				fill(peers, 5, 25)
				tt.links(l.net)
				l.Manager.mu.Lock() // the first choice is n1, the second one n2
				l.Manager.peers["n1"].lastOK = time.Now().Add(2 * time.Hour)
				l.Manager.peers["n2"].lastOK = time.Now().Add(time.Hour)
				l.Manager.mu.Unlock()
				before := l.asked()
				a, _, _ := me.counts()
				l.pauseFor(5 * time.Second)
				if l.Synced() || away < 4*time.Second {
					t.Errorf("synced after a pause of %v", away)
				}
				took := l.until(10*time.Second, l.has(peers[0]))
				if took > tt.limit {
					t.Errorf("took %v, limit %v", took, tt.limit)
				}
				t.Logf("took %v", took)
				if err := l.WaitSynced(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(250 * time.Millisecond)
				if n := l.asked() - before; n > tt.asked {
					t.Errorf("%d requests", n)
				}
				if tt.name == "all well" {
					for _, st := range l.Status() {
						if want := map[string]string{"n1": "ok", "n2": "not_modified"}[st.Name]; st.LastPull.Result != want {
							t.Errorf("%s: %s, want %s", st.Name, st.LastPull.Result, want)
						}
					}
				}
				l.settle()
				l.settle()
				b, _, _ := me.counts()
				if b.New-a.New != 20 || b.Redundant != a.Redundant {
					t.Errorf("%d new, %d redundant", b.New-a.New, b.Redundant-a.Redundant)
				}
			})
		})
	}
}

// A request that was in flight when the process stood still is given up: its answer is
// from before, if it comes at all.
func TestPauseEndsRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(2, 3)
		l := start(t, me, peers)
		l.settle()
		l.net.set("n1", func(l *link) { l.dark = true })
		l.net.set("n2", func(l *link) { l.dark = true })
		l.Trigger("n1", TriggerNudge)
		l.Trigger("n2", TriggerNudge)
		time.Sleep(50 * time.Millisecond)
		l.net.set("n1", func(l *link) { l.dark = false })
		l.net.set("n2", func(l *link) { l.dark = false })
		fill(peers, 3, 6)
		l.pauseFor(3 * time.Second)
		if took := l.until(time.Second, l.has(peers[0])); took > 10*time.Millisecond {
			t.Errorf("took %v", took)
		}
		synctest.Wait()
		for _, st := range l.Status() {
			if st.Failures != 0 {
				t.Errorf("the pause is held against %+v", st)
			}
		}
	})
}

// The ticker notices a pause that no request has noticed.
func TestTickerDetectsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(2, 3)
		n := 0
		l := start(t, me, peers, func(c *Config) { c.OnPause = func(time.Duration) { n++ } })
		time.Sleep(time.Minute)
		if n != 0 {
			t.Fatalf("%d pauses without one", n)
		}
		time.Sleep(pauseTick / 2) // not in the moment of a tick
		l.away(5 * time.Second)
		l.settle()
		if n != 1 || !l.Synced() {
			t.Errorf("%d pauses, synced %v", n, l.Synced())
		}
	})
}

// Of all requests that see a pause, each finds Synced false or waits for whoever makes
// it so.
func TestPauseIsSeenByAllRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(1, 1)
		l := start(t, me, peers)
		l.settle()
		l.net.set("n1", func(l *link) { l.dark = true })
		time.Sleep(pauseTick / 2) // not in the moment of a tick
		l.away(time.Minute)
		var seen, stale int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				paused := l.CheckPause()
				synced := l.Synced()
				mu.Lock()
				defer mu.Unlock()
				if paused {
					seen++
				}
				if synced {
					stale++
				}
			})
		}
		wg.Wait()
		if seen != 1 || stale != 0 {
			t.Errorf("%d saw the pause, %d went on as if nothing was", seen, stale)
		}
	})
}

// A pull that began before the pause proves nothing about now, even if it ends well.
func TestPauseDuringApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(1, 3)
		l := start(t, me, peers)
		l.settle()
		me.set(func(s *store) { s.fsync = 200 * time.Millisecond })
		fill(peers, 3, 6)
		l.Trigger("n1", TriggerNudge)
		time.Sleep(50 * time.Millisecond)
		l.net.set("n1", func(l *link) { l.rtt = 100 * time.Millisecond })
		l.pauseFor(3 * time.Second)
		l.until(time.Second, l.has(peers[0]))
		time.Sleep(50 * time.Millisecond)
		if l.Synced() {
			t.Error("synced by a pull from before the pause")
		}
		l.settle()
		if !l.Synced() {
			t.Error("not synced")
		}
	})
}

// Before the pause the node was cut off for so long that it had given up for half a minute.
func TestPauseEndsBackoffs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(2, 5)
		l := start(t, me, peers)
		l.settle()
		for _, p := range peers {
			l.net.set(p.name, func(l *link) { l.refuse = errors.New("cut off") })
		}
		for range 200 {
			for _, p := range peers {
				l.Trigger(p.name, TriggerNudge)
			}
			time.Sleep(500 * time.Millisecond)
		}
		for _, p := range peers {
			l.net.set(p.name, func(l *link) { l.refuse = nil })
		}
		fill(peers, 5, 25)
		l.pauseFor(time.Minute)
		if took := l.until(time.Minute, l.has(peers[0])); took > 25*time.Millisecond {
			t.Errorf("caught up after %v", took)
		}
	})
}
