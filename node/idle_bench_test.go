package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// BenchmarkIdlePull is a pull that finds nothing: its bytes in both directions, headers
// included, must not depend on how much the store holds. The million takes a minute to
// make and runs only without -short.
func BenchmarkIdlePull(b *testing.B) {
	for _, rows := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			if rows > 1_000 && testing.Short() {
				b.Skip("a million rows: left out with -short")
			}
			n := startAlone(b)
			fill(b, n, rows)
			var bytes atomic.Int64
			client := wire.NewClient(wire.Self{Name: "puller", Cluster: n.store.Cluster, Boot: 1}, wire.ClientConfig{
				Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := new(net.Dialer).DialContext(ctx, network, addr)
					return &countingConn{c, &bytes}, err
				},
			})
			defer client.Close()
			peer := wire.Peer{Name: n.Name(), Addr: n.HTTPAddr()}
			req := wire.SinceRequest{Peer: "puller", Cluster: n.store.Cluster(), Cursor: n.store.Clock()}
			b.ResetTimer()
			for range b.N {
				if _, err := client.Since(context.Background(), peer, req); !errors.Is(err, wire.ErrNotModified) {
					b.Fatalf("pull of nothing: %v", err)
				}
			}
			b.ReportMetric(float64(bytes.Load())/float64(b.N), "B/pull")
		})
	}
}

type countingConn struct {
	net.Conn
	n *atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// startAlone runs a cluster of one, without fsync.
func startAlone(b *testing.B) *Node {
	n, err := New(Config{Name: "n1", DataDir: b.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1:0", Version: "bench", NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	waitFor(b, "ready", func() bool { ok, _ := n.Ready(); return ok })
	return n
}

func fill(b *testing.B, n *Node, rows int) {
	content := "a short memory"
	for i := 0; i < rows; i += memory.MaxBulk {
		ds := make([]memory.Draft, min(memory.MaxBulk, rows-i))
		for j := range ds {
			title := fmt.Sprintf("row %d", i+j)
			ds[j] = memory.Draft{Title: &title, Content: &content}
		}
		if out, err := n.CreateAll(context.Background(), ds, httpapi.WriteOptions{Agent: "bench"}); err != nil || len(out.Errors) > 0 {
			b.Fatal(err, out.Errors)
		}
	}
}
