package catchup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// Nodes that write, lose pushes, go dark, cut pages and stand still converge once that
// ends, with nothing claimed that is not there, and stop talking.
func TestClusterConverges(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { converge(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func converge(t *testing.T, r *rand.Rand) {
	const n = 4
	var stores []*store
	for i := range n {
		s := newStore(fmt.Sprint("n", i), clock.Origin(100+i))
		s.perPage = r.IntN(20)
		s.fsync = time.Duration(r.IntN(5)) * time.Millisecond
		stores = append(stores, s)
	}
	var labs []*lab
	for i, me := range stores {
		var peers []*store
		for j, p := range stores {
			if j != i {
				peers = append(peers, p)
			}
		}
		labs = append(labs, start(t, me, peers, func(c *Config) { c.Interval = 30 * time.Second }))
	}
	push := func(from, to int, key string) {
		stores[from].push(stores[to], key)
		if !holes(stores[to].Clock()).Empty() {
			labs[to].Gap(stores[from].name)
		}
	}
	gossip := func() {
		for i, s := range stores {
			c := s.Clock()
			for j, l := range labs {
				if j != i && r.IntN(2) == 0 {
					l.Digest(s.name, DigestHint{s.origin, c.Max(s.origin), c.Hash()})
				}
			}
		}
	}
	for range 600 {
		at := r.IntN(n)
		if r.IntN(50) == 0 {
			stores[at].skip()
		}
		key := fmt.Sprint("k", r.IntN(200))
		stores[at].write(key)
		for to := range n {
			if to != at && r.IntN(3) > 0 {
				push(at, to, key)
			}
		}
		if r.IntN(10) == 0 {
			gossip()
		}
		l, peer := labs[r.IntN(n)], stores[r.IntN(n)].name
		switch r.IntN(40) {
		case 0:
			if peer != l.me.name {
				l.net.set(peer, func(l *link) { l.dark = !l.dark })
			}
		case 1:
			if peer != l.me.name {
				l.net.set(peer, func(l *link) { l.cut = 2 })
			}
		case 2:
			if peer != l.me.name {
				l.net.set(peer, func(l *link) { l.stall = 1 })
			}
		case 3:
			l.pauseFor(2 * time.Second)
		case 4:
			l.me.set(func(s *store) { s.applyErr = errors.New("disk") })
		case 5, 6:
			l.me.set(func(s *store) { s.applyErr = nil })
		}
		time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
		if err := l.me.verify(); err != nil {
			t.Fatal(err)
		}
	}
	for i, l := range labs {
		stores[i].set(func(s *store) { s.applyErr = nil })
		for name := range l.net.links {
			l.net.set(name, func(l *link) { *l = link{} })
		}
	}
	began := time.Now()
	equal := func() bool {
		for _, s := range stores[1:] {
			if !s.Clock().Equal(stores[0].Clock()) {
				return false
			}
		}
		return true
	}
	for !equal() {
		if time.Since(began) > time.Minute {
			for _, l := range labs {
				t.Logf("%s %v %+v", l.me.name, l.me.Clock(), l.Status())
			}
			t.Fatal("no convergence")
		}
		gossip()
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("equal after %v", time.Since(began))
	for i, s := range stores {
		if s.dump() != stores[0].dump() {
			t.Errorf("equal clocks, other rows at %s", s.name)
		}
		if err := s.verify(); err != nil {
			t.Error(err)
		}
		if lag := labs[i].Lag(); lag != 0 {
			t.Errorf("%s lags %d", s.name, lag)
		}
	}
	time.Sleep(40 * time.Second) // backoffs end
	before := 0
	for _, l := range labs {
		before += l.asked()
	}
	for range 600 {
		gossip()
		time.Sleep(time.Second)
	}
	after := 0
	for _, l := range labs {
		after += l.asked()
		if why := l.Reasons(); why != nil {
			t.Errorf("%s: %v", l.me.name, why)
		}
	}
	t.Logf("%d requests in 10 idle minutes", after-before)
	if after-before > n*30 {
		t.Errorf("%d requests in 10 idle minutes", after-before)
	}
}

// The real client over real HTTP: first bytes are reported, pages and refusals come
// through.
func TestOverHTTP(t *testing.T) {
	id := memory.ClusterID{1}
	me, peers := cluster(2, 0)
	for i := range 300 {
		key := fmt.Sprint("row", i, strings.Repeat("x", 100))
		peers[0].write(key)
		peers[0].push(peers[1], key)
	}
	cfg := Config{Sink: me, Self: wire.Self{Name: "me", Cluster: func() memory.ClusterID { return id }}}
	var list []wire.Peer
	for _, p := range peers {
		p.perPage = 50
		self := wire.Self{Name: p.name, Cluster: cfg.Self.Cluster}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			req, err := wire.ReadSince(r)
			if err != nil || req.Peer != "me" || r.Header.Get("If-None-Match") != req.ETag() {
				t.Errorf("request %+v: %v", req, err)
			}
			page, err := p.since(req)
			if err != nil {
				wire.RespondNotModified(w, self, req, p.Clock().Hash())
				return
			}
			page.Head.Cluster = id
			if _, err := wire.RespondPage(w, r, self, page); err != nil {
				t.Errorf("respond: %v", err)
			}
		}))
		defer server.Close()
		list = append(list, wire.Peer{Name: p.name, Addr: server.Listener.Addr().String()})
	}
	client := wire.NewClient(cfg.Self, wire.ClientConfig{})
	defer client.Close()
	cfg.Source, cfg.Peers = client, func() []wire.Peer { return list }
	m := New(cfg)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	defer func() { cancel(); <-done }()
	if err := m.WaitSynced(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.Want(ctx, peers[1].Clock()); err != nil {
		t.Fatal(err)
	}
	m.Trigger("n1", TriggerNudge)
	m.Trigger("n2", TriggerNudge)
	deadline := time.Now().Add(10 * time.Second)
	for ok := false; !ok; {
		if time.Now().After(deadline) {
			t.Fatalf("status %+v", m.Status())
		}
		time.Sleep(time.Millisecond)
		ok = true
		for _, st := range m.Status() {
			ok = ok && st.RTT > 0 && !st.LastOK.IsZero() && st.Failures == 0
		}
	}
	if a, _, _ := me.counts(); a.New != 300 || a.Redundant > 0 {
		t.Errorf("applied %+v", a)
	}
	if st := m.Status()[0]; st.MissingDots != 0 || m.Lag() != 0 {
		t.Errorf("status %+v", st)
	}
}
