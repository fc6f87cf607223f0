package replication

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func TestReconcile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b", "c")
		reg := prometheus.NewRegistry()
		r := start(t, net, func(c *Config) { c.Registerer = reg })
		r.write(1, 3)
		soon()
		left := net.remove("b")
		r.Reconcile()
		// Reconcile has waited: nothing of the peer is left.
		if left.mu.Lock(); len(left.streams) != 0 {
			t.Error("its stream is open")
		}
		left.mu.Unlock()
		if got := r.AckedBy(dot(1)); !slices.Equal(got, []string{"c"}) {
			t.Error(got)
		}
		for name, peers := range peerLabels(t, reg) {
			if slices.Contains(peers, "b") {
				t.Errorf("%s still has a series of b", name)
			}
		}
		w := r.write(1, 3)
		soon()
		if r.Reachable() != 1 || met(w) {
			t.Error(r.Reachable(), met(w))
		}
		// It comes back, having missed a row.
		net.mu.Lock()
		net.peers["b"] = left
		net.mu.Unlock()
		r.Reconcile()
		if soon(); !met(w) || !slices.Equal(left.dots(), seq(1, 2)) {
			t.Error(met(w), left.dots())
		}
		r.Heard("nobody")
	})
}

// TestReconcileOfAStuckPeer: leaving does not wait for a peer that does not answer.
func TestReconcileOfAStuckPeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b", "c", "d")
		net.peers["b"].freeze() // in OpenPush
		r := start(t, net)
		r.write(1, 1)
		soon()
		net.peers["c"].freeze() // with frames in flight
		net.peers["d"].down = errReset
		net.peers["d"].cut()
		r.write(1, 1)
		soon()
		before := time.Now()
		for _, name := range []string{"b", "c", "d"} {
			net.remove(name)
		}
		r.Reconcile()
		if took := time.Since(before); took > 0 {
			t.Errorf("took %v", took)
		}
		if len(r.Status()) != 0 {
			t.Error(r.Status())
		}
	})
}

func TestMovedPeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		addr := "old:1"
		r := start(t, net, func(c *Config) {
			c.Peers = func() []wire.Peer {
				return []wire.Peer{{Name: "b", Addr: addr}, {Name: "b", Addr: "twice:1"}, {Name: "me", Addr: "own:1"}, {}}
			}
		})
		if soon(); net.peers["b"].opened() != 1 {
			t.Fatal(net.peers["b"].opened())
		}
		r.Reconcile()
		if soon(); net.peers["b"].opened() != 1 {
			t.Error("connected anew without a reason")
		}
		addr = "new:1"
		r.Reconcile()
		if soon(); net.peers["b"].opened() != 2 || r.status("b").Failures != 0 || len(r.Status()) != 1 {
			t.Errorf("%d opens, %+v", net.peers["b"].opened(), r.Status())
		}
	})
}

func TestReconcileBeforeAndAfterRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		b := New(Config{Self: wire.Self{Name: "me"}, Pusher: net, Peers: net.list})
		b.Reconcile()
		if b.Reachable() != 1 || net.peers["b"].opened() != 0 {
			t.Error("not counted, or started")
		}
		b.Enqueue(1, clock.Clock{}, rows(1, 1))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		if soon(); !slices.Equal(net.peers["b"].dots(), []uint64{1}) {
			t.Error("a row from before Run is not sent")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := b.Run(ctx); err == nil {
			t.Error("ran twice")
		}
		net.mu.Lock()
		net.peers["c"] = newFakePeer("c")
		net.mu.Unlock()
		b.Reconcile()
		b.Enqueue(2, clock.Clock{}, rows(2, 2))
		if soon(); net.peers["c"].opened() != 0 {
			t.Error("started after Run")
		}
		net.remove("b")
		b.Reconcile()
	})
}

// TestDrain: what is queued when Run is told to end still goes out.
func TestDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		net.peers["b"].delay = 100 * time.Millisecond
		r := start(t, net, func(c *Config) { c.FrameRows, c.Window = 1, 1 })
		soon()
		var w *Wait
		for range 5 {
			w = r.write(1, 2)
		}
		synctest.Wait()
		before := time.Now()
		r.stop()
		if took := time.Since(before); took < 490*time.Millisecond || took > 600*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if !met(w) || !slices.Equal(net.peers["b"].dots(), seq(1, 5)) {
			t.Error(met(w), net.peers["b"].dots())
		}
	})
}

func TestDrainIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b", "c", "d", "e")
		net.peers["c"].down = errReset
		net.peers["d"].freeze()
		net.peers["e"].answer = func(wire.PushBatch) wire.AckResult { return wire.AckReconcile }
		r := start(t, net)
		soon()
		net.peers["b"].freeze()
		r.write(3, 1)
		synctest.Wait()
		before := time.Now()
		r.stop()
		if took := time.Since(before); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestOwnPauseBlamesNobody: deadlines that are overdue because this process stood still
// are not judged. Fake time cannot stand still, so the timer's due time is moved back
// to where a stopped process would find it.
func TestOwnPauseBlamesNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		r := start(t, net)
		soon()
		net.peers["b"].freeze()
		r.write(1, 2)
		soon()
		for range 10 {
			r.Broadcaster.mu.Lock()
			s := r.senders[0].session
			s.due = s.due.Add(-time.Second)
			r.Broadcaster.mu.Unlock()
			time.Sleep(2 * time.Second)
		}
		if st := r.status("b"); st.Failures != 0 || st.State != Closed {
			t.Errorf("%+v", st)
		}
		// Resumed does the same when somebody else finds the pause first.
		for range 20 {
			time.Sleep(time.Second)
			r.Resumed()
		}
		if st := r.status("b"); st.Failures > 1 || st.State != Closed {
			t.Errorf("%+v", st)
		}
		net.peers["b"].thaw()
		soon()
		if st := r.status("b"); st.Failures != 0 || st.InFlight != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestOpenInTimeOrNot: a handshake has the same deadline as a frame.
func TestOpenInTimeOrNot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		net.peers["b"].freeze()
		r := start(t, net)
		time.Sleep(2100 * time.Millisecond)
		if st := r.status("b"); st.Failures != 1 || net.peers["b"].opened() != 2 {
			t.Errorf("%+v, %d tries", st, net.peers["b"].opened())
		}
		net.peers["b"].thaw()
		if soon(); !r.status("b").Connected {
			t.Error("not connected though it answers")
		}
	})
}

func TestMetrics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork("b")
		reg := prometheus.NewRegistry()
		r := start(t, net, func(c *Config) { c.Registerer = reg })
		soon()
		w := r.write(2, 2)
		soon()
		w.Cancel()
		w.Cancel() // counted once
		w = r.write(1, 3)
		w.Cancel()
		soon()
		for name, want := range map[string]float64{
			`memd_push_frames_total{peer="b",result="ok"}`: 2,
			`memd_push_rows_total{peer="b"}`:               3,
			`memd_push_bytes_total{peer="b"}`:              float64(3 * len(rows(1, 1)[0].Raw)),
			`memd_push_dropped_rows_total{peer="b"}`:       0,
			`memd_push_opens_total{peer="b",result="ok"}`:  1,
			`memd_push_breaker_state{peer="b"}`:            0,
			`memd_push_queue_rows{peer="b"}`:               0,
			`memd_push_ack_seconds{peer="b"}`:              2,
			`memd_quorum_acks{}`:                           2,
		} {
			if got, ok := sample(t, reg, name); !ok || got != want {
				t.Errorf("%s = %v (there: %v), want %v", name, got, ok, want)
			}
		}
	})
}

func gather(t *testing.T, reg *prometheus.Registry) []*dto.MetricFamily {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// sample is the value of a series, the count of a histogram.
func sample(t *testing.T, reg *prometheus.Registry, name string) (float64, bool) {
	for _, family := range gather(t, reg) {
		for _, m := range family.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+`="`+l.GetValue()+`"`)
			}
			if family.GetName()+"{"+strings.Join(labels, ",")+"}" != name {
				continue
			}
			switch {
			case m.Counter != nil:
				return m.Counter.GetValue(), true
			case m.Gauge != nil:
				return m.Gauge.GetValue(), true
			case m.Histogram != nil:
				return float64(m.Histogram.GetSampleCount()), true
			}
		}
	}
	return 0, false
}

func peerLabels(t *testing.T, reg *prometheus.Registry) map[string][]string {
	found := map[string][]string{}
	for _, family := range gather(t, reg) {
		for _, m := range family.Metric {
			for _, l := range m.Label {
				if l.GetName() == "peer" {
					found[family.GetName()] = append(found[family.GetName()], l.GetValue())
				}
			}
		}
	}
	return found
}
