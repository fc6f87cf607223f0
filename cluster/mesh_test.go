package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memd/memd/cluster"
	"github.com/memd/memd/test/clustertest/memnet"
)

// node is one member on a network in memory, and what it was told.
type node struct {
	t    *testing.T
	host *memnet.Host
	c    *cluster.Cluster
	stop func()

	mu        sync.Mutex
	digests   map[string]cluster.Digest
	conflicts []cluster.Conflict
	changes   int
	log       *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var lastBoot uint64

func newNode(t *testing.T, n *memnet.Network, host string, change func(*cluster.Config)) *node {
	t.Helper()
	h := n.Host(host)
	x := &node{t: t, host: h, digests: map[string]cluster.Digest{}, log: &syncBuffer{}}
	lastBoot++
	cfg := cluster.Config{
		Name: host, Transport: h.Transport(), Resolver: n.Lookup,
		Meta:     cluster.Meta{Boot: lastBoot, Started: time.Now(), HTTP: h.Addr(9077), ProtoMax: 2, Version: "test"},
		Log:      slog.New(slog.NewTextHandler(io.MultiWriter(x.log, logTo{t}), nil)).With("node", host),
		OnChange: func() { x.mu.Lock(); x.changes++; x.mu.Unlock() },
		OnDigest: func(name string, d cluster.Digest) { x.mu.Lock(); x.digests[name] = d; x.mu.Unlock() },
		OnConflict: func(c cluster.Conflict) {
			x.mu.Lock()
			x.conflicts = append(x.conflicts, c)
			x.mu.Unlock()
		},
	}
	if change != nil {
		change(&cfg)
	}
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	x.c = c
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	x.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("%s: %v", host, err)
			}
		})
	}
	return x
}

type logTo struct{ t *testing.T }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (x *node) digest(name string) cluster.Digest {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.digests[name]
}

func (x *node) conflictCount() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.conflicts)
}

// sees renders the other members and their states: "n2=alive n3=dead".
func (x *node) sees() string {
	var s []string
	for _, m := range x.c.Members() {
		if m.Name != x.host.Name() {
			s = append(s, m.Name+"="+m.State.String())
		}
	}
	return strings.Join(s, " ")
}

// bubble runs f in fake time and waits for what memberlist leaves behind.
func bubble(t *testing.T, f func(*testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(memnet.Linger)
		f(t)
	})
}

// mesh starts n1..n5 with n1 and n2 as seeds.
func mesh(t *testing.T, n *memnet.Network, size int, change func(*cluster.Config)) []*node {
	var all []*node
	for i := 1; i <= size; i++ {
		all = append(all, newNode(t, n, fmt.Sprintf("n%d", i), func(cfg *cluster.Config) {
			cfg.Join = []string{"n1:7946", "n2:7946"}
			if change != nil {
				change(cfg)
			}
		}))
	}
	return all
}

func stopAll(all []*node) {
	var wg sync.WaitGroup
	for _, x := range all {
		wg.Go(x.stop)
	}
	wg.Wait()
}

// eventually polls in fake time.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(start)
}

func allSee(all []*node, count int) func() bool {
	return func() bool {
		for _, x := range all {
			alive := 0
			for _, m := range x.c.Members() {
				if m.State == cluster.StateAlive {
					alive++
				}
			}
			if alive != count {
				return false
			}
		}
		return true
	}
}

func TestMeshFormKillPartitionHeal(t *testing.T) {
	for _, mode := range []memnet.Mode{memnet.Blackhole, memnet.Reset} {
		bubble(t, func(t *testing.T) {
			n := memnet.New()
			all := mesh(t, n, 5, nil)
			defer stopAll(all)
			t.Logf("formed in %v", eventually(t, 10*time.Second, "form", allSee(all, 5)))
			for _, m := range all[4].c.Members() {
				if m.HTTP != n.Host(m.Name).Addr(9077) || m.Gossip != n.Host(m.Name).Addr(7946) || m.Boot == 0 {
					t.Errorf("member %+v", m)
				}
			}

			n.Partition(mode, []string{"n1", "n2"}, []string{"n3", "n4", "n5"})
			t.Logf("apart in %v", eventually(t, time.Minute, "sides notice", func() bool {
				return allSee(all[:2], 2)() && allSee(all[2:], 3)()
			}))
			time.Sleep(2 * time.Minute)
			if got := all[0].sees(); got != "n2=alive n3=dead n4=dead n5=dead" {
				t.Fatalf("n1 sees %s", got)
			}
			n.Heal()
			t.Logf("rejoined in %v", eventually(t, 20*time.Second, "rejoin", allSee(all, 5)))

			n.Kill("n5")
			t.Logf("death seen in %v", eventually(t, 30*time.Second, "death", allSee(all[:4], 4)))
			if got := all[0].sees(); got != "n2=alive n3=alive n4=alive n5=dead" {
				t.Fatalf("n1 sees %s", got)
			}
			all[4].stop()
			// It comes back with nothing but a seed.
			n.Revive("n5")
			all[4] = newNode(t, n, "n5", func(cfg *cluster.Config) { cfg.Join = []string{"n2:7946"} })
			t.Logf("back in %v", eventually(t, 10*time.Second, "return", allSee(all, 5)))

			all[3].stop()
			eventually(t, 5*time.Second, "leave", func() bool {
				return strings.Contains(all[0].sees(), "n4=left") && strings.Contains(all[1].sees(), "n4=left") &&
					strings.Contains(all[2].sees(), "n4=left") && strings.Contains(all[4].sees(), "n4=left")
			})
		})
	}
}

// Nobody has seeds that lead to the other side, only memories of it; and the
// dead are reaped by memberlist long before the heal.
func TestHealWithoutSeeds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		a := newNode(t, n, "a", nil)
		b := newNode(t, n, "b", func(cfg *cluster.Config) { cfg.Join = []string{"a:7946"} })
		c := newNode(t, n, "c", func(cfg *cluster.Config) { cfg.Join = []string{"a:7946"} })
		all := []*node{a, b, c}
		defer stopAll(all)
		eventually(t, 10*time.Second, "form", allSee(all, 3))
		n.Isolate(memnet.Blackhole, "a")
		time.Sleep(time.Hour)
		n.Heal()
		t.Logf("rejoined in %v", eventually(t, 20*time.Second, "rejoin", allSee(all, 3)))
	})
}

// While everybody is here, the rejoin loop sends nothing: the only streams are
// memberlist's own push/pulls.
func TestQuietWhenComplete(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		all := mesh(t, n, 3, func(cfg *cluster.Config) { cfg.PushPullInterval = 1000 * time.Hour })
		defer stopAll(all)
		eventually(t, 10*time.Second, "form", allSee(all, 3))
		time.Sleep(30 * time.Second)
		var before, after [3]memnet.Traffic
		for i, x := range all {
			before[i] = x.host.Traffic()
		}
		time.Sleep(10 * time.Minute)
		for i, x := range all {
			after[i] = x.host.Traffic()
			if s := after[i].Streams - before[i].Streams; s != 0 {
				t.Errorf("n%d opened %d streams", i+1, s)
			}
			packets, bytes := after[i].Packets-before[i].Packets, after[i].PacketBytes-before[i].PacketBytes
			t.Logf("n%d: %d packets, %d bytes in 10 minutes", i+1, packets, bytes)
			if packets > 1300 { // one ping a second and one ack
				t.Errorf("n%d sent %d packets", i+1, packets)
			}
		}
	})
}

func TestDigests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		all := mesh(t, n, 5, nil)
		defer stopAll(all)
		all[0].c.Announce(cluster.Digest{Counter: 1, ClockHash: 11}) // before anybody is there
		eventually(t, 10*time.Second, "form", allSee(all, 5))
		for i, x := range all {
			x.c.Announce(cluster.Digest{Counter: uint64(i + 100), ClockHash: uint64(i + 1000)})
		}
		everywhere := func() bool {
			for _, x := range all {
				for i, y := range all {
					if d := x.digest(y.host.Name()); x != y && (d.Counter != uint64(i+100) || d.ClockHash != uint64(i+1000) || d.Boot != y.c.Meta().Boot) {
						return false
					}
				}
			}
			return true
		}
		defer func() {
			if t.Failed() {
				for _, x := range all {
					t.Log(x.host.Name(), x.sees())
					for _, y := range all {
						t.Log("  ", y.host.Name(), y.c.Meta().Boot, x.digest(y.host.Name()))
					}
				}
			}
		}()
		t.Logf("digests everywhere in %v", eventually(t, 5*time.Second, "digests", everywhere))

		// A joiner hears all of them with the join.
		late := newNode(t, n, "n6", func(cfg *cluster.Config) { cfg.Join = []string{"n1:7946"} })
		defer late.stop()
		eventually(t, time.Second, "joiner knows all digests", func() bool {
			for i, y := range all {
				if late.digest(y.host.Name()).Counter != uint64(i+100) {
					return false
				}
			}
			return true
		})

		// Nothing changed: nothing is sent, whatever is announced.
		time.Sleep(30 * time.Second)
		before := all[0].host.Traffic().PacketBytes
		for range 600 {
			all[0].c.Announce(cluster.Digest{Counter: 100, ClockHash: 1000})
			time.Sleep(100 * time.Millisecond)
		}
		if got := all[0].host.Traffic().PacketBytes - before; got > 60*2*400 {
			t.Errorf("%d bytes in a minute of unchanged digests", got)
		}
	})
}

func TestOtherClusterIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		in := func(id byte, seeds ...string) func(*cluster.Config) {
			return func(cfg *cluster.Config) { cfg.Meta.Cluster = cluster.ID{id}; cfg.Join = seeds }
		}
		a1 := newNode(t, n, "a1", in(1))
		a2 := newNode(t, n, "a2", in(1, "a1:7946"))
		b1 := newNode(t, n, "b1", in(2))
		b2 := newNode(t, n, "b2", in(2, "b1:7946", "a1:7946")) // a mistake
		fresh := newNode(t, n, "fresh", in(0, "a1:7946"))
		all := []*node{a1, a2, b1, b2, fresh}
		defer stopAll(all)
		time.Sleep(3 * time.Minute)
		for x, want := range map[*node]string{
			a1: "a2=alive fresh=alive", a2: "a1=alive fresh=alive", b1: "b2=alive", b2: "b1=alive", fresh: "a1=alive a2=alive",
		} {
			if got := x.sees(); got != want {
				t.Errorf("%s sees %q, want %q", x.host.Name(), got, want)
			}
		}
		if got := strings.Count(a1.log.String(), "member refused"); got != 2 { // b2, and b1 through it
			t.Errorf("a1 logged %d refusals:\n%s", got, a1.log.String())
		}
		// The fresh one adopts the wrong id: now it is a stranger here.
		if err := fresh.c.SetMeta(func(m *cluster.Meta) { m.Cluster = cluster.ID{2} }); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "the stranger is gone", func() bool {
			return a1.sees() == "a2=alive" && a2.sees() == "a1=alive"
		})
	})
}

func TestSetMetaSpreads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		all := mesh(t, n, 5, nil)
		defer stopAll(all)
		eventually(t, 10*time.Second, "form", allSee(all, 5))
		// As the node does it: every change asks Form.
		id := cluster.ID{42}
		forms := func() bool {
			formed := 0
			for _, x := range all {
				d := cluster.Form(cluster.Member{Name: x.host.Name(), Meta: x.c.Meta()}, x.c.Members(), 5, true)
				switch d.Formation {
				case cluster.Mint:
					d.ID = id
					fallthrough
				case cluster.Adopt:
					if err := x.c.SetMeta(func(m *cluster.Meta) { m.Cluster = d.ID }); err != nil {
						t.Fatal(err)
					}
				case cluster.Formed:
					formed++
				}
			}
			return formed == 5
		}
		t.Logf("one cluster in %v", eventually(t, 5*time.Second, "one id everywhere", forms))
		eventually(t, 5*time.Second, "everybody shows it", func() bool {
			for _, x := range all {
				for _, m := range x.c.Members() {
					if m.Cluster != id {
						return false
					}
				}
			}
			return true
		})
		if err := all[0].c.SetMeta(func(m *cluster.Meta) { m.HTTP = "bad" }); err == nil {
			t.Error("bad meta was taken")
		}
	})
}

func TestNameConflict(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		all := mesh(t, n, 3, nil)
		defer stopAll(all)
		eventually(t, 10*time.Second, "form", allSee(all, 3))
		time.Sleep(10 * time.Second)
		clone := newNode(t, n, "clone", func(cfg *cluster.Config) {
			cfg.Name, cfg.Join = "n3", []string{"n1:7946"}
		})
		defer clone.stop()
		// Both learn of it, the first one only because a peer tells it.
		eventually(t, 10*time.Second, "both know", func() bool { return clone.conflictCount() > 0 && all[2].conflictCount() > 0 })
		got, ok := clone.c.Conflict()
		if !ok || got.Other != all[2].c.Addr() || !got.OtherStarted.Before(got.Started) || got.OtherBoot != all[2].c.Meta().Boot {
			t.Errorf("the clone knows %+v", got)
		}
		got, ok = all[2].c.Conflict()
		if !ok || got.Other != clone.c.Addr() || !got.OtherStarted.After(got.Started) || got.OtherBoot != clone.c.Meta().Boot {
			t.Errorf("n3 knows %+v", got)
		}
		for i, x := range all {
			if got := x.sees(); strings.Contains(got, "dead") {
				t.Errorf("n%d sees %s", i+1, got)
			}
		}
		// It lasts as long as the clone does, and is reported once.
		time.Sleep(2 * time.Minute)
		if _, ok := all[2].c.Conflict(); !ok {
			t.Error("the conflict was forgotten while it lasted")
		}
		if c := all[2].conflictCount(); c != 1 {
			t.Errorf("reported %d times", c)
		}
		clone.stop()
		t.Logf("over in %v", eventually(t, time.Minute, "over", func() bool { _, ok := all[2].c.Conflict(); return !ok }))
	})
}

// A node returns with another address before its death was noticed. It is
// refused for that long, and let in without help then.
func TestReturnWithNewAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		all := mesh(t, n, 3, nil)
		defer stopAll(all)
		eventually(t, 10*time.Second, "form", allSee(all, 3))
		n.Kill("n3")
		all[2].stop()
		moved := newNode(t, n, "elsewhere", func(cfg *cluster.Config) {
			cfg.Name, cfg.Join = "n3", []string{"n1:7946"}
		})
		defer moved.stop()
		took := eventually(t, time.Minute, "n3 at its new address", func() bool {
			for _, x := range all[:2] {
				ok := false
				for _, m := range x.c.Members() {
					ok = ok || (m.Name == "n3" && m.State == cluster.StateAlive && m.Gossip == moved.c.Addr())
				}
				if !ok {
					return false
				}
			}
			return true
		})
		t.Logf("moved in %v, conflicts %d", took, moved.conflictCount())
		t.Logf("clear after %v more", eventually(t, time.Minute, "no conflict any more", func() bool { _, ok := moved.c.Conflict(); return !ok }))
	})
}

// Seeds that nobody answers are tried for ever, and names looked up each time.
func TestSeedsComeLateAndMove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		b := newNode(t, n, "b", func(cfg *cluster.Config) { cfg.Join = []string{"seeds.example:7946", "10.9.9.9:7946"} })
		defer b.stop()
		time.Sleep(20 * time.Minute) // the name does not even exist
		n.SetDNS("seeds.example", "wrong", "b")
		time.Sleep(time.Minute)
		if got := b.sees(); got != "" {
			t.Fatalf("sees %s", got)
		}
		a := newNode(t, n, "a", nil)
		c := newNode(t, n, "c", nil)
		defer a.stop()
		defer c.stop()
		n.SetDNS("seeds.example", "a", "b", "c", "wrong")
		all := []*node{a, b, c}
		t.Logf("joined in %v", eventually(t, 15*time.Second, "all addresses of the name joined", allSee(all, 3)))
		// The seed is replaced by a newcomer that knows nobody.
		a.stop()
		d := newNode(t, n, "d", nil)
		defer d.stop()
		n.SetDNS("seeds.example", "d")
		t.Logf("found in %v", eventually(t, 90*time.Second, "the newcomer is found", allSee([]*node{b, c, d}, 3)))
	})
}

// The registry knows members that gossip has not shown in this life.
func TestKnownMembersAreAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		a := newNode(t, n, "a", nil)
		b := newNode(t, n, "b", func(cfg *cluster.Config) {
			cfg.Known = func() []cluster.Known {
				return []cluster.Known{{"a", a.c.Addr()}, {"b", "10.0.0.2:7946"}, {"gone", "10.7.7.7:7946"}, {"odd", "::"}}
			}
		})
		all := []*node{a, b}
		defer stopAll(all)
		eventually(t, 5*time.Second, "found", allSee(all, 2))
	})
}

// After a pause nobody waits for a timer: the others are asked at once.
func TestRejoinAsksNow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		all := mesh(t, n, 3, func(cfg *cluster.Config) { cfg.PushPullInterval = 1000 * time.Hour })
		defer stopAll(all)
		eventually(t, 10*time.Second, "form", allSee(all, 3))
		n.Isolate(memnet.Blackhole, "n3")
		time.Sleep(10 * time.Minute)
		n.Heal()
		all[2].c.Announce(cluster.Digest{Counter: 7, ClockHash: 7})
		all[2].c.Rejoin()
		t.Logf("rejoined in %v", eventually(t, 3*time.Second, "rejoin", allSee(all, 3)))
		eventually(t, 3*time.Second, "digest", func() bool { return all[0].digest("n3").Counter == 7 && all[1].digest("n3").Counter == 7 })
	})
}

func TestAllowKeepsStrangersOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		stranger := n.Host("stranger").IP()
		all := mesh(t, n, 2, func(cfg *cluster.Config) {
			cfg.Allow = func(ip netip.Addr) bool { return ip != stranger }
		})
		s := newNode(t, n, "stranger", func(cfg *cluster.Config) { cfg.Join = []string{"n1:7946", "n2:7946"} })
		all = append(all, s)
		defer stopAll(all)
		time.Sleep(time.Minute)
		if got := all[0].sees() + "|" + all[1].sees() + "|" + s.sees(); got != "n2=alive|n1=alive|" {
			t.Errorf("they see %s", got)
		}
	})
}

func TestKeysKeepStrangersOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		key1, key2 := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 16)
		a := newNode(t, n, "a", func(cfg *cluster.Config) { cfg.Keys = [][]byte{key1} })
		b := newNode(t, n, "b", func(cfg *cluster.Config) {
			cfg.Keys = [][]byte{key2, key1} // rotating
			cfg.Join = []string{"c:7946", "a:7946"}
		})
		c := newNode(t, n, "c", func(cfg *cluster.Config) { cfg.Keys = [][]byte{key2} })
		plain := newNode(t, n, "plain", func(cfg *cluster.Config) { cfg.Join = []string{"a:7946", "b:7946", "c:7946"} })
		all := []*node{a, b, c, plain}
		defer stopAll(all)
		time.Sleep(30 * time.Second)
		if got := plain.sees(); got != "" {
			t.Errorf("without a key it sees %s", got)
		}
		if got := c.sees(); !strings.Contains(got, "b=alive") || strings.Contains(got, "plain") {
			t.Errorf("c sees %s", got)
		}
	})
}
