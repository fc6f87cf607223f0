package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// openPush opens a stream from "n2" to a door before f.
func openPush(t *testing.T, f *fake) (*Door, *wire.PushStream) {
	t.Helper()
	d, _ := newDoor(t, f)
	addr, _ := listen(t, d)
	client := wire.NewClient(wire.Self{Name: "n2", Cluster: func() memory.ClusterID { return testCluster }}, wire.ClientConfig{})
	t.Cleanup(client.Close)
	s, err := client.OpenPush(t.Context(), wire.Peer{Name: "n1", Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	_ = s.SetReadDeadline(time.Now().Add(10 * time.Second))
	if a, err := s.Recv(); err != nil || a.Seq != 0 || a.Result != wire.AckOK || !a.Entry.Equal(testToken) {
		t.Fatalf("greeting %+v, %v", a, err)
	}
	return d, s
}

func batch(seq uint64, size int) wire.PushBatch {
	return wire.PushBatch{Seq: seq, Origin: 9, Rows: [][]byte{make([]byte, size)}}
}

// TestAcksKeepTheirOrder: batches are handed over without waiting, and whatever order the
// disk finishes them in, the acks come in the order of the frames.
func TestAcksKeepTheirOrder(t *testing.T) {
	const n = 8
	var mu sync.Mutex
	var held []func(wire.Ack)
	f := &fake{push: func(_ *wire.PushBatch, done func(wire.Ack)) {
		mu.Lock()
		defer mu.Unlock()
		held = append(held, done)
		if len(held) == n { // all of them, the last one first
			for i := n - 1; i >= 0; i-- {
				held[i](wire.Ack{Result: wire.AckOK})
			}
		}
	}}
	_, s := openPush(t, f)
	for i := range uint64(n) {
		if err := s.Send(batch(i+1, 10)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(n) {
		if a, err := s.Recv(); err != nil || a.Seq != i+1 {
			t.Fatalf("ack %d: %+v, %v", i, a, err)
		}
	}
	if err := s.SendNudge(wire.Nudge{Counter: 5}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		return get(f, func() bool { return len(f.nudges) == 1 && f.nudges[0].Counter == 5 && f.beats >= n })
	})
}

// TestUnackedIsBounded: a sender without a window of its own is held up, by frames and by
// bytes.
func TestUnackedIsBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		size int
		most int
	}{
		{"frames", 1, streamFrames + 2}, // one in the acker's hand, one at the door
		{"bytes", streamBytes / 4, 4},
		{"one large frame", streamBytes + 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			var held []func(wire.Ack)
			f := &fake{push: func(_ *wire.PushBatch, done func(wire.Ack)) {
				mu.Lock()
				defer mu.Unlock()
				held = append(held, done)
			}}
			pushed := func() int { mu.Lock(); defer mu.Unlock(); return len(held) }
			_, s := openPush(t, f)
			total := c.most + 4
			sent := make(chan error, 1)
			go func() {
				for i := range total {
					if err := s.Send(batch(uint64(i+1), c.size)); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			eventually(t, func() bool { return pushed() >= c.most-1 })
			time.Sleep(100 * time.Millisecond) // for more to come, if it can
			if n := pushed(); n > c.most {
				t.Errorf("%d batches on their way to the disk, want at most %d", n, c.most)
			}
			go func() { // now the disk gets on
				for i := 0; i < total; {
					mu.Lock()
					for ; i < len(held); i++ {
						held[i](wire.Ack{Result: wire.AckOK})
					}
					mu.Unlock()
					time.Sleep(time.Millisecond)
				}
			}()
			for i := range total {
				if a, err := s.Recv(); err != nil || a.Seq != uint64(i+1) {
					t.Fatalf("ack %d: %+v, %v", i, a, err)
				}
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCloseEndsStreams: also one whose batch the disk never finishes, and new ones are
// refused.
func TestCloseEndsStreams(t *testing.T) {
	late := make(chan func(wire.Ack), 1)
	f := &fake{push: func(_ *wire.PushBatch, done func(wire.Ack)) { late <- done }}
	d, s := openPush(t, f)
	if err := s.Send(batch(1, 10)); err != nil {
		t.Fatal(err)
	}
	done := <-late
	d.Close()
	if _, err := s.Recv(); err == nil {
		t.Error("an ack for what was never done")
	}
	done(wire.Ack{Result: wire.AckOK}) // nobody listens, and nothing blocks

	w := serve(d, pushRequest())
	if w.Code != 503 || !isError(w.Body.Bytes()) {
		t.Errorf("after Close: %d %s", w.Code, w.Body)
	}
}

func TestPeerClosesStream(t *testing.T) {
	f := new(fake)
	d, s := openPush(t, f)
	if err := s.Send(batch(1, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	eventually(t, func() bool { d.streams.mu.Lock(); defer d.streams.mu.Unlock(); return len(d.streams.open) == 0 })
}

// TestBrokenFrameEndsStream: what came before it is acknowledged.
func TestBrokenFrameEndsStream(t *testing.T) {
	d, _ := newDoor(t, new(fake))
	addr, _ := listen(t, d)
	conn := dial(t, addr)
	r := pushRequest()
	r.Host = addr
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	b := batch(1, 10)
	frame, err := wire.AppendBatch(nil, &b)
	if err != nil {
		t.Fatal(err)
	}
	second := bytes.Clone(frame)
	second[len(second)-1] ^= 1
	_, _ = conn.Write(append(frame, second...))
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, r)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	acks, err := wire.ReadAcks(in)
	if err != nil || len(acks) != 2 || acks[1].Seq != 1 {
		t.Errorf("acks %+v, %v", acks, err)
	}
}

func TestStreamRefused(t *testing.T) {
	f := &fake{err: wire.ErrUnavailable}
	d, _ := newDoor(t, f)
	addr, _ := listen(t, d)
	client := wire.NewClient(wire.Self{Name: "n2", Cluster: func() memory.ClusterID { return testCluster }}, wire.ClientConfig{})
	t.Cleanup(client.Close)
	if _, err := client.OpenPush(t.Context(), wire.Peer{Name: "n1", Addr: addr}); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("a node that refuses: %v", err)
	}
	f.err = nil
	for range maxStreams {
		leave, err := d.streams.enter(func() {})
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	if _, err := client.OpenPush(t.Context(), wire.Peer{Name: "n1", Addr: addr}); !errors.Is(err, wire.ErrBusy) {
		t.Errorf("one stream too many: %v", err)
	}
}

// TestManyStreams is for the race detector.
func TestManyStreams(t *testing.T) {
	d, _ := newDoor(t, new(fake))
	addr, _ := listen(t, d)
	client := wire.NewClient(wire.Self{Name: "n2", Cluster: func() memory.ClusterID { return testCluster }}, wire.ClientConfig{})
	t.Cleanup(client.Close)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := client.OpenPush(t.Context(), wire.Peer{Name: "n1", Addr: addr})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			var sender sync.WaitGroup
			sender.Go(func() {
				for i := range uint64(50) {
					if err := s.Send(batch(i+1, 100)); err != nil {
						t.Error(err)
					}
				}
			})
			defer sender.Wait()
			for i := range uint64(51) {
				if a, err := s.Recv(); err != nil || a.Seq != i {
					t.Errorf("ack %d: %+v, %v", i, a, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func pushRequest() *http.Request {
	r := request("POST", wire.PathPush, "", "Content-Type", "-", "Connection", "Upgrade", "Upgrade", wire.UpgradeProto)
	wire.Self{Name: "n2", Cluster: func() memory.ClusterID { return testCluster }}.Hello().Set(r.Header)
	r.Body, r.ContentLength = nil, 0
	return r
}

func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came true")
		}
	}
}

var _ io.Writer = new(call)
