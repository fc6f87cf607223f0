package catchup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

func TestStartPullsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(3, 20)
		l := start(t, me, peers)
		if l.Synced() {
			t.Error("synced before the first pull")
		}
		if took := l.until(time.Second, l.has(peers[0])); took > 10*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if err := l.WaitSynced(t.Context()); err != nil || !l.Synced() || l.Reasons() != nil {
			t.Errorf("not synced: %v %v", err, l.Reasons())
		}
		l.settle()
		if a, _, _ := me.counts(); a.New != 20 || a.Redundant != 0 {
			t.Errorf("applied %+v", a)
		}
	})
}

// Several peers pulled at once for reasons of their own bring everything once.
func TestParallelPullsBringNoRowTwice(t *testing.T) {
	for _, fsync := range []time.Duration{0, 3 * time.Millisecond, 30 * time.Millisecond, 700 * time.Millisecond} {
		t.Run(fsync.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				me, peers := cluster(4, 0)
				me.fsync = fsync
				l := start(t, me, peers)
				l.settle()
				fill(peers, 0, 200)
				for i, p := range peers { // what only one of them has
					p.perPage = 10
					if i > 0 {
						p.write(p.name)
					}
				}
				for i, p := range peers {
					l.Trigger(p.name, triggers[i])
				}
				for _, p := range peers {
					l.until(time.Minute, l.has(p))
				}
				l.settle()
				if text := scrape(t, l.reg); !strings.Contains(text, "memd_reserved_conflicts_total{} 0") {
					t.Error("leases were asked for again")
				}
				if a, _, _ := me.counts(); a.New != 203 || a.Redundant != 0 {
					t.Errorf("applied %+v", a)
				}
				sent := 0
				for _, p := range peers {
					_, _, n := p.counts()
					sent += n
				}
				if sent != 203 {
					t.Errorf("%d rows were sent", sent)
				}
			})
		})
	}
}

// A peer that stops in the middle of a long pull hands what it had leased to others.
func TestStalledPeerHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(3, 100)
		for _, p := range peers {
			p.perPage = 10
		}
		l := start(t, me, peers, func(c *Config) { c.Random = keepOrder })
		l.net.set("n1", func(l *link) { l.stall = 3 })
		if took := l.until(10*time.Second, l.has(peers[1])); took > 1200*time.Millisecond {
			t.Errorf("took %v", took)
		}
		l.settle()
		if a, _, _ := me.counts(); a.New != 100 || a.Redundant > 0 {
			t.Errorf("applied %+v", a)
		}
	})
}

func TestSlowPeersDelayNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(3, 0)
		l := start(t, me, peers)
		l.settle()
		l.net.set("n1", func(l *link) { l.rtt = 1900 * time.Millisecond })
		l.net.set("n2", func(l *link) { l.dark = true })
		fill(peers, 0, 10)
		for _, p := range peers[:2] {
			l.Trigger(p.name, TriggerTimer)
		}
		time.Sleep(50 * time.Millisecond)
		l.Trigger("n3", TriggerGap)
		if took := l.until(10*time.Second, l.has(peers[2])); took > 25*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

// A peer that never gets anywhere is left alone more and more; so is a dead one.
func TestFailuresBackOff(t *testing.T) {
	for name, setup := range map[string]func(l *lab, p *store){
		"no progress": func(_ *lab, p *store) { p.set(func(p *store) { p.repeat = true }) },
		"dark":        func(l *lab, _ *store) { l.net.set("n1", func(l *link) { l.dark = true }) },
		"refusing":    func(l *lab, _ *store) { l.net.set("n1", func(l *link) { l.refuse = errors.New("refused") }) },
		"disk":        func(l *lab, _ *store) { l.me.set(func(s *store) { s.applyErr = errors.New("disk") }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				me, peers := cluster(1, 0)
				l := start(t, me, peers)
				l.settle()
				setup(l, peers[0])
				fill(peers, 0, 10)
				before := l.asked()
				l.Trigger("n1", TriggerNudge)
				time.Sleep(20 * time.Minute)
				n := l.asked() - before
				if n < 40 || n > 150 {
					t.Errorf("%d requests in 20 minutes", n)
				}
				st := l.Status()[0]
				if st.Failures < 40 || st.LastErr == "" || !l.Synced() {
					t.Errorf("status %+v", st)
				}
				peers[0].set(func(p *store) { p.repeat = false })
				me.set(func(s *store) { s.applyErr = nil })
				l.net.set("n1", func(l *link) { *l = link{} })
				time.Sleep(3 * time.Second) // the attempt under way may still fail
				l.Trigger("n1", TriggerNudge)
				l.until(100*time.Millisecond, l.has(peers[0]))
				synctest.Wait()
				if st := l.Status()[0]; st.Failures != 0 || st.LastErr != "" || st.MissingDots != 0 || st.LagSeconds != 0 {
					t.Errorf("status after success %+v", st)
				}
			})
		})
	}
}

// A storm of triggers cuts a backoff short once, not every time.
func TestTriggersDoNotDefeatBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(1, 0)
		l := start(t, me, peers)
		l.settle()
		l.net.set("n1", func(l *link) { l.refuse = errors.New("refused") })
		before := l.asked()
		for range 600 * 100 {
			l.Trigger("n1", TriggerNudge)
			time.Sleep(10 * time.Millisecond)
		}
		if n := l.asked() - before; n > 150 {
			t.Errorf("%d requests in 10 minutes", n)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(1, 0)
		l := start(t, me, peers)
		l.settle()
		l.net.set("n1", func(l *link) {
			l.refuse = &wire.StatusError{Status: http.StatusTooManyRequests, RetryAfter: 20 * time.Second}
		})
		before := l.asked()
		for range 50 {
			l.Trigger("n1", TriggerNudge)
			time.Sleep(100 * time.Millisecond)
		}
		if n := l.asked() - before; n != 1 {
			t.Errorf("%d requests", n)
		}
		if r := l.Status()[0].LastPull.Result; r != "busy" {
			t.Errorf("result %s", r)
		}
		time.Sleep(16 * time.Second)
		if n := l.asked() - before; n != 2 {
			t.Errorf("%d requests after the time was up", n)
		}
	})
}

func TestTruncatedPagesGetThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(2, 30)
		l := start(t, me, peers)
		l.net.set("n1", func(l *link) { l.cut = 3 })
		l.net.set("n2", func(l *link) { l.cut = 3 })
		l.until(20*time.Second, l.has(peers[0]))
		l.settle()
		if a, _, _ := me.counts(); a.New != 30 || a.Redundant != 0 {
			t.Errorf("applied %+v", a)
		}
	})
}

func TestReconcile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(3, 5)
		l := start(t, me, peers[:2], func(c *Config) { c.Interval = 10 * time.Second })
		l.net.mu.Lock()
		l.net.nodes["n3"], l.net.links["n3"] = peers[2], &link{}
		l.net.mu.Unlock()
		l.settle()
		// n2 leaves in the middle of a pull; n3 joins.
		fill(peers, 5, 10)
		l.net.set("n2", func(l *link) { l.dark = true })
		l.Trigger("n2", TriggerNudge)
		time.Sleep(10 * time.Millisecond)
		before := l.asked("n2")
		l.setPeers(wire.Peer{Name: "n1"}, wire.Peer{Name: "n3"}, wire.Peer{Name: "me"})
		l.until(time.Second, l.has(peers[2]))
		time.Sleep(10 * time.Minute)
		if n := l.asked("n2") - before; n != 0 {
			t.Errorf("%d requests to a peer that left", n)
		}
		if st := l.Status(); len(st) != 2 || st[0].Name != "n1" || st[1].Name != "n3" || l.asked("n3") == 0 {
			t.Errorf("status %+v", st)
		}
		if text := scrape(t, l.reg); strings.Contains(text, `"n2"`) || !strings.Contains(text, `"n3"`) {
			t.Errorf("series of the wrong peers:\n%s", text)
		}
		// It comes back while its old puller is still applying, and at another address.
		me.fsync = 3 * time.Second
		l.net.set("n2", func(l *link) { l.dark = false })
		fill(peers, 10, 15)
		l.Trigger("n1", TriggerNudge)
		time.Sleep(time.Second)
		l.setPeers(wire.Peer{Name: "n3"})
		time.Sleep(time.Millisecond)
		l.setPeers(wire.Peer{Name: "n1"}, wire.Peer{Name: "n2"}, wire.Peer{Name: "n3"})
		l.until(time.Minute, l.has(peers[0]))
		l.net.set("n1", func(l *link) { l.refuse = errors.New("refused") })
		for range 600 { // the cut of the backoff is used up
			l.Trigger("n1", TriggerNudge)
			time.Sleep(100 * time.Millisecond)
		}
		l.net.set("n1", func(l *link) { l.refuse = nil })
		l.setPeers(wire.Peer{Name: "n1", Addr: "elsewhere"})
		time.Sleep(2 * joinJitter)
		if st := l.Status()[0]; st.Failures != 0 || st.LastTrigger != TriggerJoin {
			t.Errorf("after the move: %+v", st)
		}
		l.setPeers()
		synctest.Wait()
		if !l.Synced() || len(l.Status()) != 0 || l.Lag() != 0 {
			t.Error("alone and not synced")
		}
	})
}

// Edge 47: a hole that no disk has is neither lag nor a reason to pull for ever.
func TestDeadHoleDoesNotLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(2, 3)
		l := start(t, me, peers)
		l.settle()
		peers[0].skip()
		fill(peers, 3, 4)
		peers[0].push(me, "row3") // 3 is missing below it, and dead
		before := l.asked()
		for i := range 10000 {
			l.Gap(peers[i%2].name)
			if i%10 == 0 {
				c := peers[0].Clock()
				l.Digest("n1", DigestHint{1001, c.Max(1001), c.Hash()})
			}
			time.Sleep(time.Millisecond)
		}
		if n := l.asked() - before; n < 1 || n > 2 {
			t.Errorf("%d pulls for a dead hole", n)
		}
		if l.Lag() != 0 || len(l.Reasons()) != 0 || !l.Synced() {
			t.Errorf("dead hole counts: lag %d, %v", l.Lag(), l.Reasons())
		}
		// Another hole is another matter.
		fill(peers[:1], 4, 6)
		peers[0].push(me, "row5")
		before = l.asked("n1")
		l.Gap("n1")
		time.Sleep(gapAge / 2)
		if l.asked("n1") != before {
			t.Error("pulled before the push had its time")
		}
		if took := l.until(time.Second, l.has(peers[0])); took > gapAge {
			t.Errorf("took %v", took)
		}
		// And one that closes by itself is none.
		fill(peers[:1], 6, 8)
		peers[0].push(me, "row7")
		before = l.asked()
		l.Gap("n1")
		time.Sleep(gapAge / 2)
		peers[0].push(me, "row6")
		l.settle()
		if l.asked() != before {
			t.Error("pulled for a hole that had closed")
		}
	})
}

func TestDigests(t *testing.T) {
	hint := func(s *store) DigestHint {
		c := s.Clock()
		return DigestHint{s.origin, c.Max(s.origin), c.Hash()}
	}
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(2, 3)
		l := start(t, me, peers)
		l.settle()
		before := l.asked()
		l.Digest("n1", hint(peers[0]))
		l.Digest("nobody", hint(peers[0]))
		l.settle()
		if n := l.asked() - before; n != 0 {
			t.Errorf("%d pulls for equal clocks", n)
		}
		// A write that is not pushed.
		peers[0].write("a")
		l.Digest("n1", hint(peers[0]))
		if l.Lag() != 1 {
			t.Errorf("lag %d", l.Lag())
		}
		if took := l.until(time.Second, l.has(peers[0])); took < digestAge || took > digestAge+10*time.Millisecond {
			t.Errorf("took %v", took)
		}
		// A relayed one: not of the peer's own origin.
		other := newStore("other", 5)
		other.write("b")
		time.Sleep(digestInterval)
		other.push(peers[0], "b")
		l.Digest("n1", hint(peers[0]))
		if took := l.until(time.Second, l.has(other)); took < digestAge || took > digestAge+10*time.Millisecond {
			t.Errorf("took %v", took)
		}
		// The peer is behind us and stays so: one look is enough.
		me.write("mine")
		l.settle()
		before = l.asked()
		for range 100 {
			l.Digest("n1", hint(peers[0]))
			l.Digest("n2", hint(peers[1]))
			time.Sleep(200 * time.Millisecond)
		}
		if n := l.asked() - before; n > 2 {
			t.Errorf("%d pulls from peers that are behind", n)
		}
		// Steady load with pushes that arrive: nothing to pull. Without pushes: one pull
		// per digestInterval.
		before = l.asked()
		for i := range 600 {
			key := fmt.Sprint("load", i)
			peers[0].write(key)
			l.Digest("n1", hint(peers[0]))
			time.Sleep(5 * time.Millisecond)
			peers[0].push(me, key)
			time.Sleep(45 * time.Millisecond)
		}
		if n := l.asked() - before; n > 0 {
			t.Errorf("%d pulls under load", n)
		}
		before = l.asked()
		for i := range 400 { // 20 s
			peers[0].write(fmt.Sprint("silent", i))
			l.Digest("n1", hint(peers[0]))
			time.Sleep(50 * time.Millisecond)
		}
		if n := l.asked() - before; n < 9 || n > 11 {
			t.Errorf("%d pulls in 20 s", n)
		}
	})
}

func TestTimerVisitsEveryoneAndSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(4, 3)
		l := start(t, me, peers, func(c *Config) { c.Interval = 30 * time.Second })
		l.settle()
		before := l.asked()
		time.Sleep(24 * time.Hour)
		if n := l.asked() - before; n < 200 || n > 400 { // every 5 minutes: 288
			t.Errorf("%d ticks on an idle day", n)
		}
		// Something new on one peer only, which nobody tells us of.
		peers[2].write("x")
		l.until(4*maxInterval*3/2, l.has(peers[2]))
		before = l.asked()
		time.Sleep(2 * time.Minute)
		if n := l.asked() - before; n < 2 {
			t.Errorf("%d ticks in 2 minutes after a change", n)
		}
	})
}

func TestWant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(3, 3)
		me.fsync = time.Millisecond
		l := start(t, me, peers)
		l.settle()
		if err := l.Want(t.Context(), me.Clock()); err != nil {
			t.Error(err)
		}
		// Only n3 has it; the others are asked in vain, or are dark.
		d := peers[2].write("x")
		began := time.Now()
		if err := l.Want(t.Context(), clock.Of(d)); err != nil || time.Since(began) > 50*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		l.net.set("n1", func(l *link) { l.dark = true })
		l.net.set("n2", func(l *link) { l.dark = true })
		d = peers[2].write("y")
		began = time.Now()
		if err := l.Want(t.Context(), clock.Of(d)); err != nil || time.Since(began) > 60*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		// Nobody has it yet; then it is pushed.
		l.net.set("n1", func(l *link) { l.dark = false })
		l.net.set("n2", func(l *link) { l.dark = false })
		l.settle()
		l.settle()
		late := newStore("late", 99)
		d = late.write("z")
		go func() {
			time.Sleep(300 * time.Millisecond)
			late.push(me, "z")
		}()
		before := l.asked()
		if err := l.Want(t.Context(), clock.Of(d)); err != nil {
			t.Error(err)
		}
		if n := l.asked() - before; n > 12 {
			t.Errorf("%d requests while waiting", n)
		}
		// Nobody ever has it. A hundred readers ask no more often than one.
		before = l.asked()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		errs := make(chan error)
		for range 100 {
			go func() { errs <- l.Want(ctx, clock.Of(clock.Dot{Origin: 55, Counter: 1})) }()
			time.Sleep(time.Millisecond)
		}
		for range 100 {
			if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v", err)
			}
		}
		if n := l.asked() - before; n > 3*25 {
			t.Errorf("%d requests for 100 readers in a second", n)
		}
	})
}

func TestOnSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(1, 3)
		var seen []clock.Clock
		l := start(t, me, peers, func(c *Config) {
			c.OnSynced = func(peer string, c clock.Clock) { seen = append(seen, c) }
		})
		l.settle()
		l.Trigger("n1", TriggerNudge)
		l.settle()
		me.write("own")
		l.Trigger("n1", TriggerNudge)
		l.settle()
		n := len(seen)
		if n < 3 || !seen[0].Equal(peers[0].Clock()) || !seen[n-2].Equal(peers[0].Clock()) || !seen[n-1].Empty() {
			t.Errorf("seen %v", seen)
		}
	})
}

func TestReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(2, 0)
		peers[0].perPage = 1
		fill(peers[:1], 0, 50)
		me.fsync = 100 * time.Millisecond
		l := start(t, me, peers[:1])
		time.Sleep(2500 * time.Millisecond)
		why := strings.Join(l.Reasons(), "; ")
		if !strings.Contains(why, "since the start") || !strings.Contains(why, "dots behind n1") {
			t.Errorf("reasons: %s", why)
		}
		if st := l.Status()[0]; !st.Pulling || st.MissingDots == 0 || st.LagSeconds < 2 || st.LastTrigger != TriggerStart {
			t.Errorf("status %+v", st)
		}
		l.until(time.Minute, l.has(peers[0]))
		l.settle()
		if why := l.Reasons(); why != nil {
			t.Errorf("reasons at the end: %v", why)
		}
		l.net.set("n1", func(l *link) { l.dark = true })
		l.pauseFor(5 * time.Second)
		if why := l.Reasons(); len(why) != 1 || !strings.Contains(why[0], "paused") {
			t.Errorf("reasons after a pause: %v", why)
		}
	})
}

// What only a dead peer has is not waited for. That all are dead is more likely this node's
// own trouble, and gossip shows that there is something to be had.
func TestReasonsOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(2, 5)
		l := start(t, me, peers)
		l.settle()
		l.net.set("n1", func(l *link) { l.refuse = errors.New("dead") })
		l.Digest("n1", DigestHint{1001, 9, 4711})
		time.Sleep(5 * time.Second)
		if why := l.Reasons(); why != nil {
			t.Errorf("n1 dead: %v", why)
		}
		l.net.set("n2", func(l *link) { l.refuse = errors.New("dead") })
		l.Trigger("n2", TriggerJoin)
		time.Sleep(5 * time.Second)
		if why := l.Reasons(); len(why) != 1 || !strings.Contains(why[0], "behind n1") {
			t.Errorf("both dead: %v", why)
		}
		l.net.set("n2", func(l *link) { l.refuse = nil })
		l.until(time.Minute, func() bool { return l.Reasons() == nil })
	})
}

// What a peer withholds is neither missing nor asked for again and again.
func TestWithheld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(1, 5)
		peers[0].withheld["row2"] = true
		l := start(t, me, peers)
		l.settle()
		before := l.asked()
		for range 100 {
			c := peers[0].Clock()
			l.Digest("n1", DigestHint{1001, 5, c.Hash()})
			l.Gap("n1")
			time.Sleep(100 * time.Millisecond)
		}
		if n := l.asked() - before; n > 1 {
			t.Errorf("%d pulls for what is withheld", n)
		}
		if st := l.Status()[0]; st.WithheldDots != 1 || st.MissingDots != 0 || l.Lag() != 0 || !l.Synced() {
			t.Errorf("status %+v", st)
		}
	})
}

// Run ends only when everything that it started has.
func TestRunWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me, peers := cluster(3, 3)
		l := start(t, me, peers)
		l.settle()
		l.net.deaf = 2 * time.Second
		for _, p := range peers {
			l.net.set(p.name, func(l *link) { l.dark = true })
			l.Trigger(p.name, TriggerGap)
		}
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		l.stop()
		if took := time.Since(began); took < 2*time.Second {
			t.Errorf("Run ended after %v", took)
		}
	})
}
