package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/cluster"
)

// onLoopback starts a node on a loopback port of its own.
func onLoopback(t testing.TB, name string, change func(*cluster.Config)) (c *cluster.Cluster, stop func()) {
	t.Helper()
	cfg := cluster.Config{
		Name: name, BindAddr: "127.0.0.1:0",
		Meta: cluster.Meta{Boot: uint64(len(name))<<32 + uint64(name[len(name)-1]), Started: time.Now(), HTTP: "127.0.0.1:9077", ProtoMax: 2},
	}
	if change != nil {
		change(&cfg)
	}
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	return c, func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func alive(c *cluster.Cluster) (n int) {
	for _, m := range c.Members() {
		if m.State == cluster.StateAlive {
			n++
		}
	}
	return n
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestSockets(t *testing.T) {
	var mu sync.Mutex
	heard := map[string]uint64{}
	reg := prometheus.NewPedanticRegistry()
	key := bytes.Repeat([]byte{7}, 32)
	a, stopA := onLoopback(t, "a", func(cfg *cluster.Config) {
		cfg.Keys, cfg.Registerer = [][]byte{key}, reg
		cfg.Allow = func(ip netip.Addr) bool { return ip.IsLoopback() }
		cfg.OnDigest = func(name string, d cluster.Digest) { mu.Lock(); heard[name] = d.Counter; mu.Unlock() }
	})
	defer stopA()
	_, port, _ := net.SplitHostPort(a.Addr())
	join := func(cfg *cluster.Config) {
		cfg.Keys, cfg.Join = [][]byte{key}, []string{"127.0.0.1:1", "localhost:" + port, cfg.Name + ".invalid:7946"}
	}
	b, stopB := onLoopback(t, "b", join)
	defer stopB()
	c, stopC := onLoopback(t, "c", join)
	defer stopC()
	soon(t, "three of three", func() bool { return alive(a) == 3 && alive(b) == 3 && alive(c) == 3 })

	b.Announce(cluster.Digest{Counter: 5})
	c.Announce(cluster.Digest{Counter: 6})
	soon(t, "digests", func() bool { mu.Lock(); defer mu.Unlock(); return heard["b"] == 5 && heard["c"] == 6 })

	start := time.Now()
	stopB()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("leaving took %v", took)
	}
	soon(t, "b has left", func() bool {
		for _, m := range a.Members() {
			if m.Name == "b" {
				return m.State == cluster.StateLeft
			}
		}
		return false
	})
	if a.Alive("b") || !a.Alive("c") || !a.Alive("a") || a.Alive("x") {
		t.Error("Alive")
	}
	a.Forget("b")
	a.Forget("c")
	if len(a.Members()) != 2 {
		t.Error("Forget")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{"memd_cluster_members alive": 2, "memd_cluster_members left": 0,
		"memd_cluster_digests_total received": 2, "memd_cluster_name_conflicts_total": 0, "memd_cluster_refused_total cluster": 0} {
		if got, ok := values[name]; !ok || got != want {
			t.Errorf("%s = %v, %v", name, got, ok)
		}
	}
	if values["memd_cluster_gossip_bytes_total in"] < 500 || values["memd_cluster_gossip_bytes_total out"] < 500 {
		t.Errorf("%v", values)
	}
}

func TestStopWhileDialling(t *testing.T) {
	// A listener that never answers: joins hang until their deadline.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, stop := onLoopback(t, "a", func(cfg *cluster.Config) { cfg.Join = []string{l.Addr().String()} })
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	stop()
	if took := time.Since(start); took > time.Second {
		t.Errorf("stopping took %v", took)
	}
}

func TestNewRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	ok := cluster.Config{Name: "a", BindAddr: "127.0.0.1:0", Meta: cluster.Meta{Boot: 1}}
	for i, f := range []func(*cluster.Config){
		func(c *cluster.Config) { c.Name = "" },
		func(c *cluster.Config) { c.Name = "a\nb" },
		func(c *cluster.Config) { c.Meta.Boot = 0 },
		func(c *cluster.Config) { c.Meta.HTTP = "nonsense" },
		func(c *cluster.Config) { c.Join = []string{":7946"} },
		func(c *cluster.Config) { c.Join = []string{"host:port"} },
		func(c *cluster.Config) { c.Keys = [][]byte{{1, 2, 3}} },
		func(c *cluster.Config) { c.BindAddr = "127.0.0.1:99999" },
		func(c *cluster.Config) { c.BindAddr = "192.0.2.1:0" }, // not of this machine
		func(c *cluster.Config) { c.AdvertiseAddr = ":7946" },
		func(c *cluster.Config) { c.AdvertiseAddr = "no.such.name.invalid:7946" },
		func(c *cluster.Config) { c.Label = string(make([]byte, 300)) },
	} {
		cfg := ok
		cfg.Resolver = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
		f(&cfg)
		if c, err := cluster.New(cfg); err == nil {
			t.Errorf("case %d was taken", i)
			_ = c.Close()
		}
	}
	cfg := ok
	cfg.BindAddr = taken.Addr().String()
	if _, err := cluster.New(cfg); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port in use: %v", err)
	}
	reg := prometheus.NewRegistry()
	cfg = ok
	cfg.Registerer = reg
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.BindAddr = c.Addr()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Run(t.Context()); err == nil {
		t.Error("ran after Close")
	}
	cfg.Registerer = prometheus.NewRegistry()
	if c, err = cluster.New(cfg); err != nil {
		t.Fatalf("the port is not free after Close: %v", err)
	}
	_ = c.Close()
}

func TestAddr(t *testing.T) {
	lookup := func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "me.example" {
			return nil, fmt.Errorf("asked for %s", host)
		}
		return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil
	}
	for _, tt := range []struct{ bind, advertise, want string }{
		{"127.0.0.1:0", "192.0.2.1:7000", "192.0.2.1:7000"},
		{"127.0.0.1:0", "[2001:db8::1]:7000", "[2001:db8::1]:7000"},
		{"127.0.0.1:0", "me.example:7000", "192.0.2.7:7000"},
		{":0", "me.example:7000", "192.0.2.7:7000"},
		{"0.0.0.0:0", "127.0.0.1:7000", "127.0.0.1:7000"},
	} {
		c, err := cluster.New(cluster.Config{Name: "a", BindAddr: tt.bind, AdvertiseAddr: tt.advertise, Resolver: lookup,
			Meta: cluster.Meta{Boot: 1}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Errorf("%v: %v", tt, err)
			continue
		}
		if c.Addr() != tt.want {
			t.Errorf("%v: %s", tt, c.Addr())
		}
		_ = c.Close()
	}
}

// BenchmarkIdle runs three idle nodes on loopback for half a minute and reports
// what they cost together: go test -bench Idle -benchtime 1x ./cluster
func BenchmarkIdle(b *testing.B) {
	for b.Loop() {
		var all []*cluster.Cluster
		var regs []*prometheus.Registry
		for _, name := range []string{"n1", "n2", "n3"} {
			reg := prometheus.NewRegistry()
			regs = append(regs, reg)
			c, stop := onLoopback(b, name, func(cfg *cluster.Config) {
				cfg.Registerer = reg
				if len(all) > 0 {
					cfg.Join = []string{all[0].Addr()}
				}
			})
			defer stop()
			all = append(all, c)
		}
		for alive(all[0])+alive(all[1])+alive(all[2]) != 9 {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		cpu, sent, start := cpuTime(b), gossipOut(b, regs), time.Now()
		time.Sleep(30 * time.Second)
		perMin := float64(time.Minute) / float64(time.Since(start))
		b.ReportMetric((cpuTime(b)-cpu).Seconds()*perMin, "CPU-s/min")
		b.ReportMetric((gossipOut(b, regs)-sent)*perMin/1024, "payload-KiB/min")
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func gossipOut(b *testing.B, regs []*prometheus.Registry) (sum float64) {
	for _, reg := range regs {
		fs, err := reg.Gather()
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range fs {
			if f.GetName() == "memd_cluster_gossip_bytes_total" {
				for _, m := range f.GetMetric() {
					if m.GetLabel()[0].GetValue() == "out" {
						sum += m.GetCounter().GetValue()
					}
				}
			}
		}
	}
	return sum
}
