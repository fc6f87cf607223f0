package cluster

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAbsent(t *testing.T) {
	now := time.Now()
	living := func(addrs ...string) (v view) {
		v = view{now: now, interval: 10 * time.Second, self: func(a string) bool { return a == "10.0.0.1:7946" }, at: map[string]bool{}}
		for _, a := range addrs {
			v.living = append(v.living, target{key: "living " + a, addr: a})
			v.at[a] = true
		}
		return v
	}
	ip := func(a string, ok bool) *seed {
		ap := netip.MustParseAddrPort(a)
		return &seed{raw: a, literal: ap.Addr(), addrs: []string{a}, ok: ok}
	}
	name := func(ok bool, age time.Duration, addrs ...string) *seed {
		return &seed{raw: "name", ok: ok, at: now.Add(-age), addrs: addrs}
	}
	dead := func(v view, name, addr string) view { v.dead = map[string]string{name: addr}; return v }
	known := func(v view, name, addr string) view { v.known = []Known{{name, addr}}; return v }
	for _, tt := range []struct {
		what  string
		seeds []*seed
		v     view
		want  string
	}{
		{"nobody to ask", nil, living(), ""},
		{"alone with a seed", []*seed{ip("10.0.0.2:7946", true)}, living(), "seed 10.0.0.2:7946"},
		{"alone, the seed is this node", []*seed{ip("10.0.0.1:7946", false)}, living(), ""},
		{"the seed is alive", []*seed{ip("10.0.0.2:7946", false)}, living("10.0.0.2:7946"), ""},
		{"another seed", []*seed{ip("10.0.0.3:7946", false)}, living("10.0.0.2:7946"), "seed 10.0.0.3:7946"},
		{"a seed that led to others", []*seed{ip("10.0.0.3:7946", true)}, living("10.0.0.2:7946"), ""},
		{"forced", []*seed{ip("10.0.0.3:7946", true)}, func() view { v := living("10.0.0.2:7946"); v.forced = true; return v }(), "seed 10.0.0.3:7946"},
		{"a name never looked up", []*seed{name(false, 1000*time.Hour)}, living("10.0.0.2:7946"), "seed name"},
		{"a name, somebody there alive", []*seed{name(false, 0, "10.0.0.9:1", "10.0.0.2:7946")}, living("10.0.0.2:7946"), ""},
		{"a name, nobody there alive", []*seed{name(false, 0, "10.0.0.9:1")}, living("10.0.0.2:7946"), "seed name"},
		{"a name for this node, alone", []*seed{name(false, 0, "10.0.0.1:7946")}, living(), "seed name"},
		{"a name for this node, not alone", []*seed{name(false, 0, "10.0.0.1:7946")}, living("10.0.0.2:7946"), ""},
		{"a name from time to time", []*seed{name(true, time.Minute, "10.0.0.2:7946")}, living("10.0.0.2:7946"), "seed name"},
		{"a dead member", nil, dead(living("10.0.0.2:7946"), "x", "10.0.0.3:1"), "member x"},
		{"a known member", nil, known(living(), "x", "10.0.0.3:1"), "known x"},
		{"a known member at this address", nil, known(living(), "x", "10.0.0.1:7946"), ""},
		{"a known member without address", nil, known(living(), "x", "x:1"), ""},
		{"dead and known at one address", nil, known(dead(living(), "x", "10.0.0.3:1"), "x", "10.0.0.3:1"), "member x"},
		{"dead and known at two addresses", nil, known(dead(living(), "x", "10.0.0.3:1"), "x", "10.0.0.4:1"), "known x,member x"},
	} {
		var keys []string
		for _, a := range absent(tt.seeds, tt.v) {
			keys = append(keys, a.key)
		}
		slices.Sort(keys)
		if got := strings.Join(keys, ","); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
	}
}

func TestIsSelf(t *testing.T) {
	for _, tt := range []struct {
		bind, host string
		want       bool
	}{
		{"127.0.0.1:0", "127.0.0.1", true},
		{"127.0.0.1:0", "127.0.0.2", false},
		{":0", "127.0.0.1", true},
		{":0", "::1", true},
		{":0", "192.0.2.99", false},
		{":0", "not an address", false},
	} {
		c, err := New(Config{Name: "a", BindAddr: tt.bind, AdvertiseAddr: "198.51.100.1:1", Meta: Meta{Boot: 1},
			Resolver: func(context.Context, string) ([]netip.Addr, error) { return nil, nil }})
		if err != nil {
			t.Fatal(err)
		}
		addr := tt.host
		if ip, err := netip.ParseAddr(tt.host); err == nil {
			addr = hostPort(ip, c.sockets.port())
			if c.isSelf(hostPort(ip, 1)) {
				t.Error("another port is this node")
			}
		}
		if got := c.isSelf(addr); got != tt.want {
			t.Errorf("bound to %s: %s is self: %v", tt.bind, addr, got)
		}
		if !c.isSelf("198.51.100.1:1") {
			t.Error("the advertised address is not this node")
		}
		_ = c.Close()
	}
}
