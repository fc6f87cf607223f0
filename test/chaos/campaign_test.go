//go:build chaos && linux

package chaos

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/memd/memd/test/history"
	"github.com/memd/memd/wire"
)

// nemesis is one fault under load: it happens, proves itself, and is over when it returns.
type nemesis struct {
	name string
	do   func(m *mesh, b *burst, n *node, rnd *rand.Rand) error
}

var nemeses = []nemesis{
	{"nothing", func(_ *mesh, b *burst, _ *node, _ *rand.Rand) error { return b.goesOn(300) }},
	{"pause one", func(_ *mesh, b *burst, n *node, rnd *rand.Rand) error {
		return asleep(n, time.Duration(200+rnd.IntN(2500))*time.Millisecond, func() error { return b.goesOn(100) })
	}},
	{"pause one, dark", func(m *mesh, b *burst, n *node, rnd *rand.Rand) error {
		return asleep(n, time.Duration(200+rnd.IntN(2500))*time.Millisecond, func() error {
			m.net.isolate(n.name)
			return b.goesOn(100)
		})
	}},
	{"pause one again and again", func(_ *mesh, b *burst, n *node, _ *rand.Rand) error { // S03
		for range 8 {
			if err := asleep(n, 300*time.Millisecond, func() error { return nil }); err != nil {
				return err
			}
			time.Sleep(50 * time.Millisecond)
		}
		return b.goesOn(50)
	}},
	{"pause all", pauseAll}, // S05
	{"kill one", func(m *mesh, b *burst, n *node, _ *rand.Rand) error {
		if err := n.kill(); err != nil {
			return err
		}
		defer n.start()
		return b.goesOn(150)
	}},
	{"kill all", func(m *mesh, _ *burst, _ *node, _ *rand.Rand) error {
		for _, n := range m.nodes {
			if err := n.kill(); err != nil {
				return err
			}
		}
		for _, n := range m.nodes {
			n.start()
		}
		return nil
	}},
	{"restart in turn", func(m *mesh, b *burst, _ *node, _ *rand.Rand) error {
		for _, n := range m.nodes {
			n.shut()
			if err := b.goesOn(30); err != nil {
				return err
			}
			n.start()
			n.ready()
		}
		return nil
	}},
	{"isolate one", func(m *mesh, b *burst, n *node, _ *rand.Rand) error {
		m.net.isolate(n.name)
		if err := m.unreachable(m.others(n)[0], n); err != nil {
			return err
		}
		return b.goesOn(100)
	}},
	{"one way", func(m *mesh, b *burst, n *node, _ *rand.Rand) error { // S14
		from := m.others(n)[0]
		m.net.part(pair{from.name, n.name})
		if err := m.unreachable(from, n); err != nil {
			return err
		}
		return b.goesOn(200)
	}},
	{"a chain: two cannot see each other", func(m *mesh, b *burst, n *node, _ *rand.Rand) error { // S13
		o := m.others(n)
		m.net.part(pair{o[0].name, o[1].name}, pair{o[1].name, o[0].name})
		if err := m.unreachable(o[0], o[1]); err != nil {
			return err
		}
		return b.goesOn(200)
	}},
	{"all alone", func(m *mesh, b *burst, _ *node, _ *rand.Rand) error {
		for _, n := range m.nodes {
			m.net.isolate(n.name)
		}
		if err := m.unreachable(m.nodes[0], m.nodes[1]); err != nil {
			return err
		}
		time.Sleep(2500 * time.Millisecond) // longer than a quorum's deadline
		return nil
	}},
	{"a flapping link", func(m *mesh, b *burst, n *node, _ *rand.Rand) error { // S22
		for range 8 {
			m.net.isolate(n.name)
			if err := m.unreachable(m.others(n)[0], n); err != nil {
				return err
			}
			time.Sleep(200 * time.Millisecond)
			m.must(m.net.heal())
			time.Sleep(200 * time.Millisecond)
		}
		return b.goesOn(50)
	}},
}

// goesOn waits for so many more acknowledged writes: whoever has a quorum has to serve.
func (b *burst) goesOn(more int64) error { return b.until(b.acked.Load() + more) }

// asleep stops a node for at least so long and does something meanwhile.
func asleep(n *node, length time.Duration, meanwhile func() error) error {
	until := time.Now().Add(length)
	if err := n.pause(); err != nil {
		return err
	}
	defer n.resume()
	if err := meanwhile(); err != nil {
		return err
	}
	time.Sleep(time.Until(until))
	return n.proc().stopped()
}

func pauseAll(m *mesh, _ *burst, _ *node, rnd *rand.Rand) error {
	for _, n := range m.nodes {
		if err := n.pause(); err != nil {
			return err
		}
	}
	time.Sleep(time.Duration(200+rnd.IntN(2500)) * time.Millisecond)
	for _, i := range rnd.Perm(len(m.nodes)) {
		if err := m.nodes[i].proc().stopped(); err != nil {
			return err
		}
		m.nodes[i].resume()
		time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
	}
	return nil
}

// unreachable proves a cut: what calls a node in another one's name is reset or refused.
func (m *mesh) unreachable(from, to *node) error {
	c, err := net.DialTimeout("tcp", to.proxy, time.Second)
	if err != nil {
		return nil
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	fmt.Fprintf(c, "GET /livez HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n\r\n", to.proxy, wire.HeaderNode, from.name)
	if b, err := io.ReadAll(io.LimitReader(c, 1)); err == nil && len(b) > 0 {
		return voidf("%s still reaches %s", from.name, to.name)
	}
	return nil
}

// TestCampaign plays random faults under a load of adds, changes, deletes and reads, and
// judges the whole after each of them. MEMD_CHAOS_SEED and MEMD_CHAOS_ROUNDS choose which
// and how many; the order of faults follows from the seed, what happens in between does not.
func TestCampaign(t *testing.T) {
	seed := number("MEMD_CHAOS_SEED", rand.Uint64()>>1)
	rounds := number("MEMD_CHAOS_ROUNDS", uint64(times(3*len(nemeses), 3)))
	rnd := rand.New(rand.NewPCG(seed, 0))
	t.Logf("MEMD_CHAOS_SEED=%d", seed)
	m := newMesh(t)
	var order []int
	var quiet []time.Duration
	for range rounds {
		if len(order) == 0 {
			order = rnd.Perm(len(nemeses)) // each of them in each lap
		}
		n := nemeses[order[0]]
		order = order[1:]
		took, err := m.under(n, m.nodes[rnd.IntN(3)], rnd)
		if err != nil {
			err = fmt.Errorf("%s (MEMD_CHAOS_SEED=%d): %w", n.name, seed, err)
		} else {
			quiet = append(quiet, took)
		}
		report.round(t, err)
	}
	rep := m.judge()
	report.note(t, "seed %d, %d rounds: %s; equal after healing and the end of the load: %s", seed, rounds, rep, figures(quiet))
}

func number(env string, otherwise uint64) uint64 {
	if v, err := strconv.ParseUint(os.Getenv(env), 10, 64); err == nil {
		return v
	}
	return otherwise
}

// under plays one fault under load and returns how long the nodes took to be equal.
func (m *mesh) under(f nemesis, n *node, rnd *rand.Rand) (time.Duration, error) {
	m.t.Helper()
	start := m.rec.Now()
	b := m.burst(6, m.nodes...)
	readers := m.readers(b)
	err := b.until(60)
	if err == nil {
		err = f.do(m, b, n, rnd)
	}
	m.must(m.net.heal())
	for _, o := range m.nodes {
		if o.stopped {
			o.resume()
		}
		if !o.proc().alive() {
			o.start()
		}
	}
	proof := "proven"
	if err != nil {
		proof = err.Error()
	}
	m.fault(n, start, f.name, proof)
	m.ready()
	if err == nil {
		err = b.goesOn(60) // it serves again
	}
	b.end()
	readers.Wait()
	if err != nil {
		return 0, err
	}
	took := m.quiet(quietLimit)
	m.judge()
	return took, nil
}

// readers read what was written lately, at any node, half of the time with its token.
func (m *mesh) readers(b *burst) *sync.WaitGroup {
	var wg sync.WaitGroup
	for i := range 2 {
		c := m.client(m.name("reader"))
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(rand.Uint64(), uint64(i)))
			for b.going() {
				b.pause(2 * time.Millisecond)
				b.mu.Lock()
				var op history.Op
				if len(b.adds) > 0 {
					op = b.adds[len(b.adds)-1-rnd.IntN(min(len(b.adds), 20))]
				}
				b.mu.Unlock()
				if op.Outcome != history.OK {
					continue
				}
				n := m.nodes[rnd.IntN(3)]
				if !n.proc().alive() || n.isStopped() {
					continue
				}
				after := ""
				if rnd.IntN(2) == 0 {
					after = op.Token
				}
				c.read(n, titleOf(c, op), op.ID, after)
			}
		})
	}
	return &wg
}

// isStopped looks at the process: the node's own fields belong to the test's goroutine.
func (n *node) isStopped() bool {
	s, err := threadState(fmt.Sprintf("/proc/%d/stat", n.proc().pid))
	return err != nil || s == "T"
}
