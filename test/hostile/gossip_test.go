package hostile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/node"
)

// gossipRows are what strangers send to the port of gossip.
func gossipRows(_ *testing.T, _ *target) []row {
	return []row{{n: 81, name: "seeds that are URLs", do: seedURLs}, {n: 82, name: "random bytes, 64 KiB, and lies", do: gossipNoise},
		{n: 82, name: "of another key, another label, in clear, and once more", do: gossipOfStrangers}}
}

// seedURLs: a seed is host:port. There are no webhooks, and no door takes an address; peers'
// addresses out of gossip are held to --peer-networks, and nothing follows a redirect. That no
// packet leaves is counted in a network namespace: TestNoPacketWherePeersCannotBe of
// test/deploy.
func seedURLs(t *testing.T, _ *target) {
	for _, seed := range []string{"http://169.254.169.254/", "http://[::1]", "http://[::1]:80/", "file:", "file:///etc/passwd", "gopher://127.0.0.1:70", "127.0.0.1", "a@b:1", ":7946", "127.0.0.1:http"} {
		n, err := node.New(node.Config{Name: "n1", DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1:0", Join: []string{seed}})
		if !errors.Is(err, node.ErrConfig) {
			t.Errorf("%q: %v", seed, err)
		}
		if n != nil {
			_ = n.Close()
		}
	}
}

func gossipNoise(t *testing.T, n *target) {
	c, err := net.Dial("udp", n.GossipAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lines := strings.Count(n.log.String(), "\n")
	for i := range 2000 {
		b := make([]byte, 1+i%1400)
		rand.Read(b)
		if i%50 == 0 {
			b = append(make([]byte, 60<<10), canary...)
		}
		copy(b, []byte{byte(i % 15)}) // every type of memberlist's messages
		_, _ = c.Write(b)
	}
	s, err := net.DialTimeout("tcp", n.GossipAddr(), patience)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write([]byte("GET / HTTP/1.1\r\n\r\n" + canary))
	_ = s.Close()
	time.Sleep(300 * time.Millisecond) // nothing says when a datagram was dropped
	if grew := strings.Count(n.log.String(), "\n") - lines; grew > 200 {
		t.Errorf("%d lines of log for 2,000 datagrams", grew)
	}
	if s, err := n.Cluster(t.Context()); err != nil || len(s.Members) != 1 {
		t.Errorf("%+v, %v", s.Members, err)
	}
}

// gossipOfStrangers sends an encrypted cluster what is not of it, and what it has said
// before. Each is dropped and counted by its reason, the log has a line a second at most, and
// the members are who they were. (TestHostilePackets of package cluster does the same on a
// network in memory, kind by kind.)
func gossipOfStrangers(t *testing.T, _ *target) {
	key := bytes.Repeat([]byte{7}, 32)
	tap := newTap(t)
	n := start(t, func(c *node.Config) { c.GossipKeys = [][]byte{key} })
	keys, err := auth.Open(auth.Config{File: n.file})
	if err != nil {
		t.Fatal(err)
	}
	// What n says to the second node comes through the tap.
	second := start(t, func(c *node.Config) {
		c.Name, c.GossipKeys, c.Keys, c.PeerKey = "n2", [][]byte{key}, keys, n.keys["peer"]
		c.Join, c.GossipAddr, c.GossipAdvertise = []string{n.GossipAddr()}, tap.to, tap.addr
	})
	second.keys = n.keys
	await(t, "packets through the tap", func() bool { return len(tap.packets()) > 20 })
	members := func() string {
		s, err := n.Cluster(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, m := range s.Members {
			out = append(out, m.Name+"="+m.State)
		}
		return strings.Join(out, " ")
	}
	before := members()
	c, err := net.Dial("udp", second.GossipAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	label := func(label string, b []byte) []byte {
		return append(append([]byte{244, byte(len(label))}, label...), b...)
	}
	noise := func(size int) []byte {
		b := make([]byte, size)
		rand.Read(b)
		b[0] &= 0x7f // no label by chance
		return b
	}
	counted := func(reason string) float64 {
		v, err := strconv.ParseFloat(second.metric(t, `memd_cluster_dropped_total{reason="`+reason+`"}`), 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	begun, lines := time.Now(), strings.Count(second.log.String(), "\n")
	for _, k := range []struct {
		what, reason string
		packet       func() []byte
	}{
		{"random bytes", "label", func() []byte { return noise(100) }},
		{"60 KiB", "label", func() []byte { return append(noise(60<<10), canary...) }},
		{"random bytes with the label", "key", func() []byte { return label("memd", noise(100)) }},
		{"60 KiB with the label", "key", func() []byte { return label("memd", noise(60<<10)) }},
		{"another label", "label", func() []byte { return label(canary, noise(100)) }},
		{"in clear", "key", func() []byte { return label("memd", []byte{0, 0x82, 0xa5, 'S', 'e', 'q', 'N', 'o', 1}) }},
	} {
		const packets = 50
		had := counted(k.reason)
		for range packets {
			_, _ = c.Write(k.packet())
			time.Sleep(time.Millisecond) // the kernel's queue must not be what drops them
		}
		await(t, k.what+" to be counted", func() bool { return counted(k.reason)-had >= packets*9/10 })
	}
	// What n said to n2 once it is told again: encrypted well, and old.
	for _, p := range tap.packets() {
		_, _ = c.Write(p)
		time.Sleep(time.Millisecond)
	}
	time.Sleep(2 * time.Second) // for what an old word might set off
	if now := members(); now != before {
		t.Errorf("members were %s, and are %s", before, now)
	}
	grew, took := strings.Count(second.log.String(), "\n")-lines, time.Since(begun)
	if limit := int(took/time.Second) + 10; grew > limit {
		t.Errorf("%d lines of log in %s", grew, took)
	}
	second.silent(t)
	n.silent(t)
}

// tap stands between a node and what others say to it: it keeps their packets.
type tap struct {
	addr string // where it listens
	to   string // the same port of another address of this machine
	udp  *net.UDPConn
	tcp  net.Listener
	done sync.WaitGroup

	mu   sync.Mutex
	seen [][]byte
}

func newTap(t *testing.T) *tap {
	t.Helper()
	for range 20 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(tcp.Addr().String())))
		if err != nil {
			_ = tcp.Close()
			continue
		}
		_, port, _ := net.SplitHostPort(tcp.Addr().String())
		p := &tap{addr: tcp.Addr().String(), to: "127.0.0.2:" + port, udp: udp, tcp: tcp}
		p.done.Go(p.packetsIn)
		p.done.Go(p.streamsIn)
		t.Cleanup(func() {
			_ = udp.Close()
			_ = tcp.Close()
			p.done.Wait()
		})
		return p
	}
	t.Fatal("no port that is free for both")
	return nil
}

func (p *tap) packetsIn() {
	b := make([]byte, 64<<10)
	for {
		n, _, err := p.udp.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.seen = append(p.seen, append([]byte(nil), b[:n]...))
		p.mu.Unlock()
		_, _ = p.udp.WriteToUDPAddrPort(b[:n], netip.MustParseAddrPort(p.to))
	}
}

func (p *tap) streamsIn() {
	for {
		in, err := p.tcp.Accept()
		if err != nil {
			return
		}
		out, err := net.DialTimeout("tcp", p.to, time.Second)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.done.Go(func() {
			var both sync.WaitGroup
			both.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
			both.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
			both.Wait()
		})
	}
}

func (p *tap) packets() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([][]byte(nil), p.seen...)
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > patience {
			t.Fatalf("no %s after %s", what, patience)
		}
	}
}
