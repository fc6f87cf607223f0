package replication

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

var (
	faultSeed  = flag.Uint64("faultseed", 0, "run TestUnderFaults with this seed only")
	faultSeeds = flag.Uint64("faultseeds", 60, "how many seeds TestUnderFaults runs")
)

// TestUnderFaults lets peers stop, break, lose, forget, be restored and refuse at random
// while rows are written. An ack must always have been true, and once the faults are
// over every peer gets what it lacks: by push if it is recent, else by the pull that it
// was told to make.
func TestUnderFaults(t *testing.T) {
	if *faultSeed != 0 {
		underFaults(t, *faultSeed)
		return
	}
	for s := range *faultSeeds {
		if underFaults(t, s+1); t.Failed() {
			t.Fatalf("replay: go test ./replication -run TestUnderFaults -faultseed %d", s+1)
		}
	}
}

func underFaults(t *testing.T, seed uint64) {
	bubble(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		names := []string{"b", "c", "d"}
		jitter := rand.New(rand.NewPCG(seed, 1))
		net := newNetwork(names...)
		r := start(t, net, func(c *Config) { c.QueueRows = 32; c.FrameRows = 8; c.Random = jitter.Float64 })
		var waits []*Wait
		var dots []clock.Dot
		for range 200 {
			p := net.peers[names[rnd.IntN(3)]]
			switch rnd.IntN(14) {
			case 0:
				p.set(func(p *fakePeer) {
					if !p.frozen {
						p.frozen, p.thawed = true, make(chan struct{})
					}
				})
			case 1, 2:
				p.heal()
			case 3:
				p.cut()
			case 4:
				p.set(func(p *fakePeer) { p.down = errReset })
				p.cut()
			case 5:
				n := rnd.Uint64N(10)
				p.set(func(p *fakePeer) { p.forget = func(d clock.Dot) bool { return d.Counter%10 == n } })
			case 6: // the machine comes back with an older disk
				p.cut()
				keep := rnd.Uint64N(r.next)
				p.set(func(p *fakePeer) { p.has = p.has.Intersect(span(1, keep)) })
			case 7:
				p.set(func(p *fakePeer) { p.delay = time.Duration(rnd.IntN(3000)) * time.Millisecond })
			case 8:
				result := []wire.AckResult{wire.AckBusy, wire.AckReconcile, wire.AckRefused}[rnd.IntN(3)]
				p.set(func(p *fakePeer) { p.answer = func(wire.PushBatch) wire.AckResult { return result } })
			case 9:
				p.set(func(p *fakePeer) { p.mute = true })
				time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
				p.cut()
				p.set(func(p *fakePeer) { p.mute = false })
			case 10:
				r.Heard(p.name)
			case 11:
				r.Resumed()
			default:
				for range rnd.IntN(20) {
					waits = append(waits, r.write(1+rnd.IntN(3), 1+rnd.IntN(4)))
					dots = append(dots, dot(r.next-1))
				}
			}
			time.Sleep(time.Duration(rnd.IntN(700)) * time.Millisecond)
		}
		for i, w := range waits {
			res := w.Result()
			if names := slices.Sorted(slices.Values(res.Names)); len(slices.Compact(names)) != res.Acks || res.Met && res.Acks < w.need {
				t.Errorf("seed %d: acks of %v, needed %d, met %v", seed, res.Names, w.need, res.Met)
			}
			for _, name := range res.Names {
				if p := net.peers[name]; p != nil && !p.everHad(dots[i]) {
					t.Errorf("seed %d: %s is counted for %v and never had it", seed, name, dots[i])
				}
			}
			w.Cancel()
		}
		for _, p := range net.peers {
			p.heal()
		}
		time.Sleep(time.Minute) // beyond every backoff
		for name, p := range net.peers {
			if s := r.status(name); s.State != Closed || !s.Connected || s.InFlight != 0 || s.Queued != 0 {
				t.Errorf("seed %d: %+v", seed, s)
			}
			recent := span(r.next-min(32, r.next-1), r.next-1)
			if has := p.clock(); !has.Covers(recent) {
				t.Errorf("seed %d: %s lacks %v", seed, name, recent.Minus(has))
			}
			if lacks := !p.clock().Covers(span(1, r.next-1)); lacks && (p.nudged() == 0 || !r.status(name).Behind) {
				t.Errorf("seed %d: %s lacks old rows: %d nudges, %+v", seed, name, p.nudged(), r.status(name))
			}
			p.set(func(p *fakePeer) { p.has.AddRange(own, 1, r.next-1) }) // its pull
		}
		w := r.write(1, 4)
		soon()
		if !met(w) {
			t.Errorf("seed %d: healed, and not acknowledged by all", seed)
		}
		for _, s := range r.Status() {
			if s.Behind || s.Failures != 0 {
				t.Errorf("seed %d: %+v", seed, s)
			}
		}
		r.stop()
	})
}

func (p *fakePeer) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen {
		p.frozen = false
		close(p.thawed)
	}
	p.has.Union(p.lost) // the gap, or the nudge, made it pull
	p.ever.Union(p.lost)
	p.down, p.delay, p.forget, p.answer, p.mute = nil, 0, nil, nil, false
}

func (p *fakePeer) everHad(d clock.Dot) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ever.Contains(d)
}
