package replication

import (
	"context"
	"io"
	"sync"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

// instant is a peer that acknowledges at once what the sender's base says.
type instant struct{}

type instantStream struct {
	acks   chan wire.Ack
	closed chan struct{}
	once   sync.Once
	name   string
}

func (instant) OpenPush(_ context.Context, p wire.Peer) (Stream, error) {
	s := &instantStream{acks: make(chan wire.Ack, 16), closed: make(chan struct{}), name: p.Name}
	s.acks <- wire.Ack{Result: wire.AckOK, Name: s.name}
	return s, nil
}

func (s *instantStream) Send(b wire.PushBatch) error {
	var c clock.Clock
	c.AddRange(b.Origin, 1, b.Base)
	s.acks <- wire.Ack{Seq: b.Seq, Entry: c, Result: wire.AckOK, Name: s.name}
	return nil
}

func (s *instantStream) SendNudge(wire.Nudge) error { return nil }

func (s *instantStream) Recv() (wire.Ack, error) {
	select {
	case a := <-s.acks:
		return a, nil
	case <-s.closed:
		return wire.Ack{}, io.EOF
	}
}

func (s *instantStream) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// BenchmarkWrites is what the replication of a write costs beside its storage: 64
// writers that wait, a store that commits whatever has come together, in no time, and
// two peers that acknowledge at once.
func BenchmarkWrites(b *testing.B) {
	for _, w := range []int{2, 3} {
		b.Run(map[int]string{2: "W=2", 3: "W=3"}[w], func(b *testing.B) { benchWrites(b, 64, w) })
	}
	b.Run("W=2/writers=1", func(b *testing.B) { benchWrites(b, 1, 2) })
}

func benchWrites(b *testing.B, writers, w int) {
	peers := []wire.Peer{{Name: "b", Addr: "b:1"}, {Name: "c", Addr: "c:1"}}
	r := New(Config{Self: wire.Self{Name: "me"}, Pusher: instant{}, Peers: func() []wire.Peer { return peers }})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })

	type put struct {
		wait *Wait
		raw  []byte
	}
	puts := make(chan put, 2*writers)
	running.Go(func() { // the store's writer
		var batch []put
		var rows []Row
		n, commits := uint64(0), 0
		for {
			batch, rows = batch[:0], rows[:0]
			p, ok := <-puts
			for ok {
				batch = append(batch, p)
				n++
				rows = append(rows, Row{dot(n), p.raw})
				p.wait.Start(dot(n))
				select {
				case p, ok = <-puts:
					continue
				default:
				}
				break
			}
			if len(batch) == 0 {
				b.ReportMetric(float64(n)/float64(max(1, commits)), "writes/commit")
				return
			}
			commits++
			r.Enqueue(n, clock.Clock{}, rows)
			for _, p := range batch {
				p.wait.Local(nil)
			}
		}
	})
	raw := make([]byte, 400)
	b.ReportAllocs()
	b.ResetTimer()
	var clients sync.WaitGroup
	for i := range writers {
		clients.Go(func() {
			for range b.N/writers + min(1, max(0, b.N%writers-i)) {
				wait := r.NewWait(w)
				puts <- put{wait, raw}
				<-wait.Done()
				if res := wait.Result(); !res.Met {
					b.Error("not met")
				}
				wait.Cancel()
			}
		})
	}
	clients.Wait()
	b.StopTimer()
	close(puts)
	stop()
	running.Wait()
}

// BenchmarkAck is one ack that brings n waits their quorum.
func BenchmarkAck(b *testing.B) {
	b.ReportAllocs()
	k := tracker(0)
	n := uint64(0)
	for b.Loop() {
		var waits [16]*Wait
		for i := range waits {
			n++
			waits[i] = k.NewWait(2)
			waits[i].Start(dot(n))
			waits[i].Local(nil)
		}
		k.Ack("b", span(1, n))
		k.Ack("c", span(1, n))
		for _, w := range waits {
			w.Cancel()
		}
	}
}
