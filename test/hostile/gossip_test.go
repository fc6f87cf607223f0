package hostile

import (
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/node"
)

// gossipRows are what strangers send to the port of gossip.
func gossipRows(_ *testing.T, _ *target) []row {
	return []row{{n: 81, name: "seeds that are URLs", do: seedURLs}, {n: 82, name: "random bytes, 64 KiB, and lies", do: gossipNoise}}
}

// seedURLs: a seed is host:port. There are no webhooks, and no door takes an address; peers'
// addresses out of gossip are held to --peer-networks, and nothing follows a redirect.
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
