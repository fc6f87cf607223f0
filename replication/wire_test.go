package replication

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// overWire gives the wire client the type that this package asks for, as a node does.
type overWire struct{ c *wire.Client }

func (o overWire) OpenPush(ctx context.Context, p wire.Peer) (Stream, error) {
	s, err := o.c.OpenPush(ctx, p)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// wirePeer takes pushes on a real socket.
type wirePeer struct {
	self wire.Self

	mu    sync.Mutex
	has   clock.Clock
	conn  *wire.PushConn
	conns int
}

func (p *wirePeer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := wire.AcceptPush(w, r, p.self)
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		return
	}
	defer func() { _ = conn.Close() }()
	p.mu.Lock()
	p.conn = conn
	p.conns++
	greeting := wire.Ack{Result: wire.AckOK, Name: p.self.Name, Entry: p.has.Clone()}
	p.mu.Unlock()
	if conn.SendAck(greeting) != nil {
		return
	}
	for {
		in, err := conn.Recv()
		if err != nil {
			return
		}
		if in.Batch == nil {
			continue
		}
		p.mu.Lock()
		for _, raw := range in.Batch.Rows {
			if d, err := clock.ParseDot(string(raw)); err == nil {
				p.has.Add(d)
			}
		}
		answer := wire.Ack{Seq: in.Batch.Seq, Result: wire.AckOK, Name: p.self.Name, Entry: p.has.Only(in.Batch.Origin)}
		p.mu.Unlock()
		if conn.SendAck(answer) != nil {
			return
		}
	}
}

// TestOverRealSockets: the streams of package wire keep what [Stream] asks for.
func TestOverRealSockets(t *testing.T) {
	id := func() memory.ClusterID { return memory.ClusterID{1} }
	peer := &wirePeer{self: wire.Self{Name: "b", Cluster: id}}
	server := httptest.NewServer(peer)
	defer server.Close()
	self := wire.Self{Name: "me", Cluster: id}
	client := wire.NewClient(self, wire.ClientConfig{})
	defer client.Close()
	b := New(Config{Self: self, Pusher: overWire{client}, Peers: func() []wire.Peer {
		return []wire.Peer{{Name: "b", Addr: strings.TrimPrefix(server.URL, "http://")}}
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	next := uint64(1)
	for round := range 4 {
		for range 50 {
			w := b.NewWait(2)
			w.Start(dot(next))
			b.Enqueue(next, clock.Clock{}, rows(next, next))
			w.Local(nil)
			next++
			select {
			case <-w.Done():
			case <-time.After(20 * time.Second):
				t.Fatalf("round %d: no ack for %d: %+v", round, next-1, b.Status())
			}
			w.Cancel()
		}
		peer.mu.Lock()
		if peer.conns != round+1 {
			t.Errorf("round %d: %d streams", round, peer.conns)
		}
		_ = peer.conn.Close() // the next write finds it out, or the receiver does
		peer.mu.Unlock()
	}
	if got := b.AckedClock("b"); !got.Equal(span(1, next-1)) {
		t.Error(got)
	}
}
