package cluster_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/cluster"
	"github.com/memd/memd/test/clustertest/memnet"
)

// ear is a Transport that keeps a copy of what arrives, as somebody on the way could.
type ear struct {
	memberlist.Transport
	once    sync.Once
	packets chan *memberlist.Packet
	done    chan struct{}

	mu    sync.Mutex
	heard [][]byte
}

func listenIn(inner memberlist.Transport) *ear {
	return &ear{Transport: inner, packets: make(chan *memberlist.Packet), done: make(chan struct{})}
}

func (e *ear) PacketCh() <-chan *memberlist.Packet {
	e.once.Do(func() {
		go func() {
			for {
				select {
				case p := <-e.Transport.PacketCh():
					e.mu.Lock()
					if len(e.heard) < 1000 {
						e.heard = append(e.heard, bytes.Clone(p.Buf))
					}
					e.mu.Unlock()
					select {
					case e.packets <- p:
					case <-e.done:
						return
					}
				case <-e.done:
					return
				}
			}
		}()
	})
	return e.packets
}

func (e *ear) Shutdown() error {
	close(e.done)
	return e.Transport.Shutdown()
}

// TestHostilePackets (reliability.md F 82): what strangers send to gossip is dropped and
// counted, changes nothing, and does not fill the log.
func TestHostilePackets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		key := gossipKey(1)
		regs := map[string]*prometheus.Registry{}
		var tap *ear
		secure := func(name string) func(*cluster.Config) {
			regs[name] = prometheus.NewRegistry()
			return func(c *cluster.Config) {
				c.Keys, c.Join, c.Registerer = [][]byte{key}, []string{"n1"}, regs[name]
				if name == "n1" {
					tap = listenIn(c.Transport)
					c.Transport = tap
				}
			}
		}
		n1 := newNode(t, n, "n1", secure("n1"))
		defer n1.stop()
		n2 := newNode(t, n, "n2", secure("n2"))
		defer n2.stop()
		n3 := newNode(t, n, "n3", secure("n3"))
		time.Sleep(10 * time.Second)
		n3.stop() // its last words are heard too
		time.Sleep(5 * time.Second)
		before := n1.sees()
		if before != "n2=alive n3=left" {
			t.Fatalf("n1 sees %s", before)
		}

		stranger := n.Host("stranger")
		from := stranger.Transport()
		defer from.Shutdown()
		send := func(b []byte) {
			if _, err := from.WriteTo(b, n1.c.Addr()); err != nil {
				t.Error(err)
			}
		}
		label := func(label string, b []byte) []byte {
			return append(append([]byte{244, byte(len(label))}, label...), b...)
		}
		noise := func(size int) []byte {
			b := make([]byte, size)
			rand.Read(b)
			b[0] &= 0x7f // no label by chance
			return b
		}
		counted := func(reason string) float64 { return gathered(t, regs["n1"], "memd_cluster_dropped_total", reason) }
		start := time.Now()
		quiet := len(n1.log.String())
		for _, c := range []struct {
			what, reason string
			packet       func() []byte
		}{
			{"random bytes", "label", func() []byte { return noise(100) }},
			{"64 KiB", "label", func() []byte { return noise(65507) }},
			{"random bytes with the label", "key", func() []byte { return label("memd", noise(100)) }},
			{"64 KiB with the label", "key", func() []byte { return label("memd", noise(65000)) }},
			{"a wrong label", "label", func() []byte { return label("other", noise(100)) }},
			{"a label that ends", "label", func() []byte { return []byte{244, 200, 'm'} }},
			{"a ping in clear", "key", func() []byte { return label("memd", []byte{0, 0x82, 0xa5, 'S', 'e', 'q', 'N', 'o', 1}) }},
		} {
			seen := counted(c.reason)
			for range 100 {
				send(c.packet())
				time.Sleep(5 * time.Millisecond)
			}
			synctest.Wait()
			if got := counted(c.reason) - seen; got != 100 {
				t.Errorf("%s: %v of 100 are counted as %q", c.what, got, c.reason)
			}
		}
		// What was said once is said again: memberlist knows by its counters that it is old.
		tap.mu.Lock()
		heard := tap.heard
		tap.mu.Unlock()
		if len(heard) < 20 {
			t.Fatalf("only %d packets were heard", len(heard))
		}
		for _, p := range heard {
			send(p)
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		if now := n1.sees(); now != before {
			t.Errorf("n1 saw %s, and now %s", before, now)
		}
		if now := n2.sees(); now != "n1=alive n3=left" {
			t.Errorf("n2 sees %s", now)
		}
		if log := n1.log.String()[quiet:]; !strings.Contains(log, "from="+stranger.IP().String()+":") {
			t.Errorf("the log does not say where they come from: %.2000s", log)
		}
		lines := strings.Count(n1.log.String()[quiet:], "\n")
		if limit := int(time.Since(start)/time.Second) + 5; lines > limit {
			t.Errorf("%d lines of log in %s", lines, time.Since(start))
		}
	})
}

// TestHostileStreams is the same for what comes over TCP.
func TestHostileStreams(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		reg := prometheus.NewRegistry()
		n1 := newNode(t, n, "n1", func(c *cluster.Config) { c.Keys, c.Registerer = [][]byte{gossipKey(1)}, reg })
		defer n1.stop()
		time.Sleep(time.Second)
		stranger := n.Host("stranger")
		for what, b := range map[string][]byte{
			"nothing":        {},
			"random bytes":   bytes.Repeat([]byte{0x5a}, 100_000),
			"in clear":       append([]byte{244, 4, 'm', 'e', 'm', 'd'}, 6, 0x80),
			"a wrong label":  append([]byte{244, 5, 'o', 't', 'h', 'e', 'r'}, 6, 0x80),
			"a huge promise": append([]byte{244, 4, 'm', 'e', 'm', 'd'}, 10, 0xff, 0xff, 0xff, 0xff, 0),
		} {
			conn, err := stranger.DialContext(t.Context(), "tcp", n1.c.Addr())
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			_, _ = conn.Write(b)
			if _, err := io.ReadAll(conn); err != nil {
				if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // as it comes
					t.Errorf("%s: the stream stands", what)
				}
			}
			_ = conn.Close()
		}
		total := 0.0
		for _, reason := range []string{"key", "label", "malformed"} {
			total += gathered(t, reg, "memd_cluster_dropped_total", reason)
		}
		if total < 4 {
			t.Errorf("%v streams are counted", total)
		}
		if got := n1.sees(); got != "" {
			t.Errorf("n1 sees %s", got)
		}
	})
}

// gathered is the value of a counter whose label has the value.
func gathered(t *testing.T, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == label {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	t.Fatalf("no %s of %s", name, label)
	return 0
}
