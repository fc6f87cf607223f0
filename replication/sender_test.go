package replication

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

func seq(lo, hi uint64) []uint64 {
	var all []uint64
	for ; lo <= hi; lo++ {
		all = append(all, lo)
	}
	return all
}

func TestRowsReachPeersAndAcksReachWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b", "c")
		r := start(t, net)
		w := r.write(3, 3)
		soon()
		if got := w.Result(); !got.Met || got.Acks != 3 || !got.LocalDurable {
			t.Fatalf("%+v", got)
		}
		w.Cancel()
		for name, p := range net.peers {
			if got := p.dots(); !slices.Equal(got, seq(1, 3)) {
				t.Errorf("%s got %v", name, got)
			}
			if b := p.batches()[0]; b.Origin != own || b.Base != 3 || b.Seq != 1 {
				t.Errorf("%s got %+v", name, b)
			}
			if s := r.status(name); s.State != Closed || !s.Connected || s.Queued != 0 || s.InFlight != 0 || s.LastAck.IsZero() || s.Behind {
				t.Errorf("%+v", s)
			}
		}
		if got := r.AckedBy(dot(3)); !slices.Equal(got, []string{"b", "c"}) {
			t.Error(got)
		}
		if got := r.AckedClock("b"); !got.Equal(span(1, 3)) {
			t.Error(got)
		}
	})
}

// TestAckedAtConnect: the greeting is an ack.
func TestAckedAtConnect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		net.peers["b"].has = span(1, 4)
		r := start(t, net)
		if w := r.write(4, 2); !met(w) {
			t.Error("the peer said that it has it")
		}
		soon()
		if got := net.peers["b"].dots(); !slices.Equal(got, seq(1, 4)) {
			t.Error(got) // enqueued after the greeting: not compared, and harmless
		}
	})
}

func TestSlowPeerDelaysNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b", "c")
		net.peers["b"].delay = time.Second
		r := start(t, net)
		for range 50 {
			w := r.write(1, 2)
			if soon(); !met(w) {
				t.Fatal("waits for the slow peer")
			}
			w.Cancel()
		}
		if s := r.status("b"); s.State != Closed {
			t.Errorf("a peer that answers in time: %+v", s)
		}
		// Rows gather while its window is full: four frames, then one with all the rest.
		time.Sleep(10 * time.Second)
		var sizes []int
		for _, b := range net.peers["b"].batches() {
			sizes = append(sizes, len(b.Rows))
		}
		if len(sizes) > 6 || !slices.Equal(net.peers["b"].dots(), seq(1, 50)) {
			t.Errorf("frames of %v", sizes)
		}
	})
}

// TestPersistentlyLatePeer: answers that all come too late do not count as alive.
func TestPersistentlyLatePeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		net.peers["b"].delay = 3 * time.Second
		r := start(t, net)
		for range 4 {
			r.write(1, 1)
			soon()
		}
		time.Sleep(5900 * time.Millisecond)
		if s := r.status("b"); s.State != Closed || s.Failures != 2 {
			t.Errorf("before the third: %+v", s)
		}
		time.Sleep(90 * time.Millisecond)
		if s := r.status("b"); s.State != Open {
			t.Errorf("%+v", s)
		}
		// It greets in time, but is on probation, and the backoff grows.
		before, closed := net.peers["b"].opened(), 0
		for range 600 {
			r.write(1, 1)
			time.Sleep(100 * time.Millisecond)
			if r.status("b").State == Closed {
				closed++
			}
		}
		if n := net.peers["b"].opened() - before; n > 15 || closed > 300 {
			t.Errorf("%d streams, closed for %d of 600 looks", n, closed)
		}
	})
}

func TestStoppedPeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b", "c")
		stopped := net.peers["b"]
		r := start(t, net)
		r.write(1, 3)
		soon()
		stopped.freeze()
		began := time.Now()
		var opened time.Duration
		tries := 0
		for time.Since(began) < 5*time.Minute {
			w := r.write(1, 2)
			soon()
			if !met(w) {
				t.Fatal("a write waits for the stopped peer")
			}
			w.Cancel()
			if opened == 0 && r.status("b").State != Closed {
				opened, tries = time.Since(began), stopped.opened()
			}
			time.Sleep(90 * time.Millisecond)
		}
		// Three deadlines of 2 s.
		if opened < 6*time.Second || opened > 7*time.Second {
			t.Errorf("opened after %v", opened)
		}
		if got := r.fellBehind(); !slices.Equal(got, []string{"b"}) {
			t.Error(got)
		}
		// 100 ms to 30 s with jitter 0.5, each try 2 s: not a connection per write.
		if n := stopped.opened() - tries; n < 5 || n > 30 {
			t.Errorf("%d tries in five minutes", n)
		}
		if r.Reachable() != 1 {
			t.Error(r.Reachable())
		}
		if s := r.status("b"); s.Queued != 0 || s.InFlight != 0 || !s.Behind {
			t.Errorf("%+v", s)
		}

		// It goes on: something is heard of it, and it is connected without the backoff.
		stopped.thaw()
		synctest.Wait()
		before := time.Now()
		r.Heard("b")
		soon()
		if s := r.status("b"); s.State != Closed || !s.Connected || time.Since(before) > 20*time.Millisecond {
			t.Errorf("%+v", s)
		}
		if stopped.nudged() != 1 {
			t.Error("not told to pull")
		}
		// Until it had time to pull, it gets new rows only.
		w := r.write(1, 3)
		if soon(); !met(w) {
			t.Error("back, and gives no acks")
		}
		if got := stopped.dots(); got[len(got)-1] != r.next-1 || len(got) > 20 {
			t.Errorf("%d rows, last %d", len(got), got[len(got)-1])
		}
		// It pulls: as long as that goes on, nothing is pushed as well. What it does not
		// get in the end is pushed.
		before2 := len(stopped.dots())
		for _, to := range []uint64{r.next / 2, r.next - 10} {
			stopped.set(func(p *fakePeer) { p.has.AddRange(own, 1, to) })
			time.Sleep(250 * time.Millisecond)
		}
		if got := stopped.dots(); len(got) != before2 {
			t.Errorf("pushed %v beside the pull", got[before2:])
		}
		time.Sleep(300 * time.Millisecond)
		if got := stopped.clock(); !got.Equal(span(1, r.next-1)) {
			t.Error(got)
		}
		got := stopped.dots()
		if tail := got[len(got)-8:]; !slices.Equal(tail, seq(r.next-9, r.next-2)) {
			t.Errorf("sent again: %v", tail)
		}
		if s := r.status("b"); s.Behind || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestSendBlocks: the socket of a stopped peer is full, so Send does not return.
func TestSendBlocks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b", "c")
		net.peers["b"].socket = 2
		r := start(t, net)
		soon()
		net.peers["b"].freeze()
		for range 1000 {
			w := r.write(1, 2)
			if soon(); !met(w) {
				t.Fatal("waits")
			}
		}
		if s := r.status("b"); s.State == Closed || s.Queued != 0 || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestShortStopGoesOnFromTheSocket: a stop below three deadlines keeps the stream.
func TestShortStopGoesOnFromTheSocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		r := start(t, net)
		net.peers["b"].freeze()
		for range 20 {
			r.write(1, 1)
			soon()
		}
		time.Sleep(5 * time.Second)
		net.peers["b"].thaw()
		soon()
		if p := net.peers["b"]; p.opened() != 1 || !slices.Equal(p.dots(), seq(1, 20)) {
			t.Error(p.opened(), p.dots())
		}
	})
}

func TestHoleIsNotAcked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		net.peers["b"].forget = func(d clock.Dot) bool { return d == dot(2) }
		r := start(t, net)
		var waits []*Wait
		for range 4 {
			waits = append(waits, r.write(1, 2))
			soon()
		}
		for i, w := range waits {
			if want := i != 1; met(w) != want {
				t.Errorf("dot %d: met %v", i+1, met(w))
			}
		}
		if got := r.AckedBy(dot(2)); got != nil {
			t.Error(got)
		}
		net.peers["b"].set(func(p *fakePeer) { p.has.Add(dot(2)) }) // it pulled
		r.write(1, 2)
		if soon(); !met(waits[1]) {
			t.Error("filled, and not counted")
		}
	})
}

// TestReconnectResumesFromTheGreeting: what was under way is sent again as far as the
// peer says that it lacks it, whatever it had acknowledged.
func TestReconnectResumesFromTheGreeting(t *testing.T) {
	for _, c := range []struct {
		name string
		lost func(*fakePeer) // between the streams
		want []uint64        // sent again
	}{
		{"nothing arrived", func(p *fakePeer) { p.has = span(1, 10) }, seq(11, 20)},
		{"all arrived, acks lost", func(p *fakePeer) { p.has = span(1, 20) }, nil},
		{"a part arrived", func(p *fakePeer) { p.has = entry(1, 10, 13, 14, 20, 20) }, []uint64{11, 12, 15, 16, 17, 18, 19}},
		{"restored disk", func(p *fakePeer) { p.has = entry(1, 4) }, seq(5, 20)},
		{"wiped disk", func(p *fakePeer) { p.has = clock.Clock{} }, seq(1, 20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork("b")
				p := net.peers["b"]
				r := start(t, net)
				r.write(10, 2)
				soon()
				p.set(func(p *fakePeer) { p.mute = true })
				w := r.write(10, 2)
				soon()
				p.set(func(p *fakePeer) { p.mute = false; c.lost(p); p.got = nil })
				p.cut()
				soon()
				if got := p.dots(); !slices.Equal(got, c.want) {
					t.Errorf("sent again %v, want %v", got, c.want)
				}
				if !met(w) || p.opened() != 2 || p.nudged() != 0 {
					t.Errorf("met %v, %d opens, %d nudges", met(w), p.opened(), p.nudged())
				}
				if got := r.AckedClock("b"); !got.Equal(span(1, 20)) {
					t.Error(got)
				}
			})
		})
	}
}

// TestShortRefusalIsNotPulledToo: a peer that refused for a moment, long enough to open
// the breaker, gets the rows by push and is not told to pull them as well.
func TestShortRefusalIsNotPulledToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		p := net.peers["b"]
		r := start(t, net, func(c *Config) { c.Random = func() float64 { return 0 } })
		r.write(1, 2)
		soon()
		p.set(func(p *fakePeer) { p.down = errReset })
		p.cut()
		w := r.write(10, 2)
		time.Sleep(250 * time.Millisecond)
		if s := r.status("b"); s.State == Closed || !s.Behind {
			t.Fatalf("refused for a quarter of a second: %+v", s)
		}
		p.set(func(p *fakePeer) { p.down = nil })
		time.Sleep(150 * time.Millisecond)
		if got := p.dots(); !slices.Equal(got, seq(1, 11)) || p.nudged() != 0 || !met(w) {
			t.Errorf("got %v, %d nudges, met %v", got, p.nudged(), met(w))
		}
		if s := r.status("b"); s.State != Closed || s.Behind {
			t.Errorf("%+v", s)
		}
	})
}

func TestAckedClockGoesDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		r := start(t, net, func(c *Config) { c.QueueRows = 4 })
		for range 10 {
			r.write(1, 1)
			soon()
		}
		p := net.peers["b"]
		p.set(func(p *fakePeer) { p.has, p.got = span(1, 2), nil })
		p.cut()
		soon()
		// 7..10 are here, 3..6 can only be pulled: nudge, and the rest a little later.
		if got := r.AckedBy(dot(5)); got != nil || p.nudged() != 1 || len(p.dots()) != 0 {
			t.Error(got, p.nudged(), p.dots())
		}
		if s := r.status("b"); !s.Behind {
			t.Errorf("%+v", s)
		}
		time.Sleep(300 * time.Millisecond)
		if got := p.dots(); !slices.Equal(got, seq(7, 10)) {
			t.Error(got)
		}
		p.set(func(p *fakePeer) { p.has.AddRange(own, 1, 6) })
		r.write(1, 1)
		if soon(); r.status("b").Behind {
			t.Error("still behind")
		}
	})
}

func TestQueueOverflow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b", "c")
		net.peers["b"].freeze()
		r := start(t, net, func(c *Config) { c.QueueRows = 16 })
		synctest.Wait()
		net.peers["b"].thaw()
		soon()
		net.peers["b"].delay = time.Second
		for range 100 {
			w := r.write(1, 2)
			if soon(); !met(w) {
				t.Fatal("waits")
			}
		}
		s := r.status("b")
		if !s.Behind || s.Queued > 16 || s.State != Closed {
			t.Errorf("%+v", s)
		}
		if got := r.fellBehind(); !slices.Equal(got, []string{"b"}) {
			t.Error(got)
		}
		time.Sleep(10 * time.Second)
		if got := net.peers["b"].dots(); len(got) < 16 || got[len(got)-1] != 100 || len(got) > 60 {
			t.Error(got)
		}
		if net.peers["b"].nudged() != 1 {
			t.Error(net.peers["b"].nudged())
		}
	})
}

func TestConnectionRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		p := net.peers["b"]
		p.down = errors.New("refused")
		r := start(t, net)
		if soon(); p.opened() != 2 {
			t.Errorf("%d tries, want one and one at once", p.opened())
		}
		time.Sleep(time.Minute)
		if s := r.status("b"); s.State != Open || p.opened() > 15 {
			t.Errorf("%+v, %d tries", s, p.opened())
		}
		p.set(func(p *fakePeer) { p.down = nil })
		time.Sleep(30 * time.Second)
		if s := r.status("b"); s.State != Closed || !s.Connected {
			t.Errorf("%+v", s)
		}
	})
}

// TestFlappingStream: a peer that greets and then breaks each stream is not connected
// in a loop.
func TestFlappingStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		p := net.peers["b"]
		start(t, net)
		stop := time.Now().Add(time.Minute)
		for time.Now().Before(stop) {
			p.cut()
			soon()
		}
		if p.opened() > 20 {
			t.Errorf("%d streams in a minute", p.opened())
		}
	})
}

// TestStreamThatStoodIsForgiven: rare losses do not add up.
func TestStreamThatStoodIsForgiven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		r := start(t, net)
		for i := range 10 {
			time.Sleep(time.Hour)
			net.peers["b"].cut()
			if soon(); net.peers["b"].opened() != i+2 || r.status("b").State != Closed {
				t.Fatalf("loss %d: %d opens, %+v", i, net.peers["b"].opened(), r.status("b"))
			}
		}
	})
}

func TestBusyIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		p := net.peers["b"]
		until := time.Now().Add(time.Second)
		p.answer = func(wire.PushBatch) wire.AckResult {
			if time.Now().Before(until) {
				return wire.AckBusy
			}
			return wire.AckOK
		}
		r := start(t, net)
		var last *Wait
		for range 5 {
			last = r.write(1, 2)
			soon()
		}
		if met(last) || r.Reachable() != 1 {
			t.Error("busy is an ack, or lets writes fail")
		}
		time.Sleep(5 * time.Second)
		if !met(last) || !p.clock().Equal(span(1, 5)) || p.opened() != 1 || r.status("b").Failures != 0 {
			t.Errorf("met %v, has %v, %d opens", met(last), p.clock(), p.opened())
		}
		if n := len(p.batches()); n > 12 {
			t.Errorf("%d frames: asked all the time", n)
		}
	})
}

func TestReconcileStopsRows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		p := net.peers["b"]
		p.answer = func(wire.PushBatch) wire.AckResult { return wire.AckReconcile }
		r := start(t, net)
		w := r.write(1, 2)
		soon()
		time.Sleep(10 * time.Second)
		for range 20 {
			r.write(1, 1)
		}
		time.Sleep(10 * time.Second)
		// One frame with a row; after it only questions.
		if got := p.dots(); !slices.Equal(got, []uint64{1}) {
			t.Errorf("pushed %v", got)
		}
		if n := len(p.batches()); n < 8 || n > 40 {
			t.Errorf("asked %d times in 20 s", n)
		}
		if met(w) || r.AckedBy(dot(1)) != nil || r.Reachable() != 0 || p.nudged() != 1 {
			t.Error(met(w), r.AckedBy(dot(1)), r.Reachable(), p.nudged())
		}
		if got := r.fellBehind(); !slices.Equal(got, []string{"b"}) {
			t.Error(got)
		}
		p.set(func(p *fakePeer) { p.answer = nil; p.has = span(1, 5) })
		time.Sleep(3 * time.Second)
		if got := p.clock(); !got.Equal(span(1, 21)) || r.Reachable() != 1 || !met(w) {
			t.Error(got, r.Reachable(), met(w))
		}
	})
}

// TestReconciledByItsOwnWord: an ok that answers nothing ends the pause at once.
func TestReconciledByItsOwnWord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		p := net.peers["b"]
		p.answer = func(wire.PushBatch) wire.AckResult { return wire.AckReconcile }
		r := start(t, net)
		r.write(1, 2)
		time.Sleep(10 * time.Second) // questions are 1 s and more apart
		p.set(func(p *fakePeer) {
			p.answer = nil
			for s := range p.streams {
				s.acks <- wire.Ack{Result: wire.AckOK, Name: "b"}
			}
		})
		if soon(); !p.clock().Equal(span(1, 1)) {
			t.Error(p.clock())
		}
	})
}

func TestRefusedNeverCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		p := net.peers["b"]
		p.hello, p.has = wire.AckRefused, span(1, 9)
		p.answer = func(wire.PushBatch) wire.AckResult { return wire.AckRefused }
		r := start(t, net)
		w := r.write(3, 2)
		time.Sleep(20 * time.Second)
		if met(w) || r.AckedBy(dot(1)) != nil || r.Reachable() != 0 {
			t.Error("the clone counts")
		}
		p.set(func(p *fakePeer) { p.answer = nil })
		time.Sleep(3 * time.Second)
		if !met(w) {
			t.Error("not taken back")
		}
	})
}

// TestAnotherNodeAnswers: an ack of another name is none of this name.
func TestAnotherNodeAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		net.peers["b"].name = "c"
		r := start(t, net)
		w := r.write(1, 2)
		time.Sleep(time.Minute)
		if met(w) || r.status("b").State == Closed {
			t.Errorf("%+v", r.status("b"))
		}
	})
}

func TestFramesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		net.peers["b"].delay = 10 * time.Millisecond
		r := start(t, net, func(c *Config) { c.FrameRows = 7; c.Window = 2 })
		r.write(50, 1)
		time.Sleep(time.Second)
		var last uint64
		for _, b := range net.peers["b"].batches() {
			if len(b.Rows) > 7 || b.Seq != last+1 {
				t.Errorf("frame %d of %d rows", b.Seq, len(b.Rows))
			}
			last = b.Seq
		}
		if got := net.peers["b"].dots(); !slices.Equal(got, seq(1, 50)) {
			t.Error(got)
		}
	})
}
