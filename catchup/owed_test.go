package catchup

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

// landing is a store in which something happens right after one of the readings of its
// clock.
type landing struct {
	*store
	reads int // until it happens
	land  func()
}

func (l *landing) Clock() clock.Clock {
	c := l.store.Clock()
	if l.reads--; l.reads == 0 {
		l.land()
	}
	return c
}

// A pull brings its rows and gives its lease back, at any moment while somebody looks at
// what it had leased: the rows are leased or here, so nobody is to be asked for them.
func TestLeaseEndsWithItsRows(t *testing.T) {
	for _, c := range []struct {
		name string
		look func(m *Manager, p *puller, s *Session)
	}{
		{"beat", func(m *Manager, p *puller, s *Session) {
			p.owed = s.Summary().Owed
			m.collectOwed()
		}},
		{"end of a pull", func(m *Manager, p *puller, s *Session) {
			m.finish(p, attempt{why: TriggerNudge, began: time.Now()}, s)
		}},
		{"gap", func(_ *Manager, p *puller, s *Session) {
			p.agenda.gap = gapWatch{at: time.Now(), holes: s.Summary().Owed}
			if why, pull, _ := p.next(); pull {
				p.post(why, time.Now())
			}
		}},
	} {
		for reads := 1; ; reads++ {
			me, peers := cluster(2, 0)
			fill(peers, 0, 5)
			sink := &landing{store: me}
			reg := prometheus.NewRegistry()
			m := New(Config{Self: wire.Self{Name: "me"}, Sink: sink, Registerer: reg})
			p := &puller{m: m, peer: wire.Peer{Name: "n2"}, wake: make(chan struct{}, 1)}
			m.peers["n2"] = p

			other, s := newSession(me, m.leases, 0), newSession(me, m.leases, 0)
			ask(t, peers[0], other)
			ask(t, peers[1], s)
			s.Close()
			if s.Summary().Owed.Count() != 5 {
				t.Fatalf("owed: %+v", s.Summary())
			}
			landed := false
			sink.reads, sink.land = reads, func() {
				landed = true
				page, _ := other.Page()
				a, err := me.ApplyPage(t.Context(), "n1", page)
				other.Applied(time.Now(), a, err)
				other.Close()
			}
			c.look(m, p, s)
			if !landed {
				if reads == 1 {
					t.Errorf("%s: does not look at the clock", c.name)
				}
				break
			}
			m.collectOwed()
			at := fmt.Sprintf("%s, landed after reading %d", c.name, reads)
			if text := scrape(t, reg); !strings.Contains(text, "memd_reserved_conflicts_total{} 0") {
				t.Errorf("%s: leases were asked for again", at)
			}
			if p.agenda.posted != [numTriggers]time.Time{} {
				t.Errorf("%s: a pull is wanted: %v", at, p.agenda.posted)
			}
			if !p.owed.Empty() {
				t.Errorf("%s: still owed: %v", at, p.owed)
			}
		}
	}
}

// ask sends the request of the session and takes the answer.
func ask(t *testing.T, from *store, s *Session) {
	t.Helper()
	req, ok := s.Next(time.Now())
	if !ok {
		t.Fatal("nothing to ask")
	}
	page, err := from.since(req)
	s.Got(time.Now(), page, err)
}
