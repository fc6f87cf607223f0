package node

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

func TestNetworks(t *testing.T) {
	configured, err := ParseNetworks([]string{"10.1.0.0/16", "fd00::/8", "192.0.2.7", "169.254.10.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ip                      string
		anywhere, local, inside bool
	}{
		{"10.1.2.3", true, true, true},
		{"::ffff:10.1.2.3", true, true, true},
		{"10.2.0.1", true, true, false},
		{"192.0.2.7", true, true, true},
		{"192.0.2.8", true, true, false},
		{"fd00::1", true, true, true},
		{"2001:db8::1", true, true, false},
		{"127.0.0.1", false, true, false},
		{"::1", false, true, false},
		{"::ffff:127.0.0.1", false, true, false},
		{"169.254.169.254", false, false, false},
		{"::ffff:169.254.169.254", false, false, false},
		{"169.254.10.1", false, false, true}, // somebody says that peers are there
		{"fe80::1", false, false, false},
		{"fe80::1%eth0", false, false, false},
		{"fd00:ec2::254", false, false, true},
		{"100.100.100.200", false, false, false},
		{"0.0.0.0", false, false, false},
		{"::", false, false, false},
		{"224.0.0.1", false, false, false},
	} {
		ip := netip.MustParseAddr(c.ip)
		for _, n := range []struct {
			n    networks
			want bool
			what string
		}{{networks{}, c.anywhere, "without networks"}, {networks{local: true}, c.local, "on loopback"}, {networks{inside: configured, local: true}, c.inside, "with networks"}} {
			if n.n.allow(ip) != n.want {
				t.Errorf("%s %s: %t", c.ip, n.what, !n.want)
			}
		}
	}
	for _, bad := range []string{"", "10.0.0.0/33", "example.org", "http://10.0.0.1/"} {
		if _, err := ParseNetworks([]string{bad}); err == nil {
			t.Errorf("%q is taken for a network", bad)
		}
	}
}

// TestPeerAddresses (reliability.md F 81): no packet goes where no peer may be, whatever
// name leads there and wherever an answer points to.
func TestPeerAddresses(t *testing.T) {
	var called atomic.Int32
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { called.Add(1) }))
	defer inner.Close()
	_, port, err := net.SplitHostPort(inner.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := func(n networks) *wire.Client {
		c := wire.NewClient(wire.Self{Name: "n1", Cluster: func() memory.ClusterID { return memory.ClusterID{1} }}, wire.ClientConfig{Dial: n.dial(nil)})
		t.Cleanup(c.Close)
		return c
	}
	away := client(networks{})
	for _, addr := range []string{"127.0.0.1:" + port, "localhost:" + port, "[::ffff:127.0.0.1]:" + port, "169.254.169.254:80", "[fe80::1]:80"} {
		if _, err := away.Since(t.Context(), wire.Peer{Name: "n2", Addr: addr}, wire.SinceRequest{}); err == nil || !strings.Contains(err.Error(), "--peer-networks") {
			t.Errorf("pull from %s: %v", addr, err)
		}
		if _, err := away.OpenPush(t.Context(), wire.Peer{Name: "n2", Addr: addr}); err == nil || !strings.Contains(err.Error(), "--peer-networks") {
			t.Errorf("push to %s: %v", addr, err)
		}
	}
	if n := called.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
	redirecting := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusTemporaryRedirect))
	defer redirecting.Close()
	if _, err := client(networks{local: true}).Since(t.Context(), wire.Peer{Name: "n2", Addr: redirecting.Listener.Addr().String()}, wire.SinceRequest{}); err == nil {
		t.Error("a redirect is an answer")
	}
	if n := called.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
	for _, join := range []string{"http://169.254.169.254/", "http://[::1]", "file:///etc/passwd"} {
		if n, err := New(Config{Name: "n1", DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1:0", Join: []string{join}}); err == nil {
			t.Errorf("a node joins %s", join)
			_ = n.Close()
		}
	}
}
