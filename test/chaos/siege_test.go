//go:build chaos && linux

package chaos

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSiege: one node of three is given 500 connections that never finish a header, noise on
// its gossip port, and 5 % of a processor. The others answer; it is back soon after, and
// keeps nothing of it.
func TestSiege(t *testing.T) {
	m := newMesh(t)
	m.whole(3)
	report.round(t, m.besiege(m.nodes[2], time.Duration(times(60, 10))*time.Second))
	m.judge()
}

func (m *mesh) besiege(n *node, length time.Duration) error {
	m.t.Helper()
	warm := m.load(writesPerSecond)
	err := warm.goesOn(400)
	if _, failed := warm.end(); err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	m.quiet(quietLimit)
	before := map[string]int{}
	for _, o := range m.nodes {
		before[o.name] = o.restingFDs()
	}

	start := m.rec.Now()
	s := lay(n)
	held, err := starve(n.proc())
	if err != nil {
		s.end()
		return err
	}
	l := m.loadThrough(writesPerSecond, m.others(n))
	time.Sleep(length)
	proof, standing := s.proof(), s.fewest.Load() // it ends one by one
	during := n.proc().fds()
	figures, failed := l.end() // while it lasts: writes are counted that met the siege
	s.end()
	if err := held.end(); err != nil {
		return err
	}
	over := time.Now()
	m.fault(n, start, "siege", proof)
	if standing < loris*9/10 || s.cut.Load() == 0 || s.packets.Load() < int64(length.Seconds())*100 {
		return voidf("%s", proof)
	}
	if err := errors.Join(l.answered(0.99), failed); err != nil {
		return err
	}

	// Back: ready, and with all rows.
	const limit = 10 * time.Second
	m.quiet(quietLimit)
	back := time.Since(over)
	if back > limit {
		return fmt.Errorf("%s was back after %s, want %s", n.name, ms(back), limit)
	}
	after := map[string]int{}
	m.eventually(quietLimit, func() error { // connections that were cut on one side only end by their deadlines
		for _, o := range m.nodes {
			if after[o.name] = o.restingFDs(); after[o.name] > before[o.name]+fdsOfLife {
				return fmt.Errorf("%s had %d file descriptors before and has %d", o.name, before[o.name], after[o.name])
			}
		}
		return nil
	})
	if during < before[n.name]+loris/2 {
		return voidf("%s had %d file descriptors before and %d under siege", n.name, before[n.name], during)
	}
	report.note(m.t, "%s for %s, %s: through the others %s", proof, length, held.how, figures)
	report.note(m.t, "through the others %.2f %% answered at the first try; %s back in %s; its fds %d before, %d during, %d after",
		100*l.share(), n.name, ms(back), before[n.name], during, after[n.name])
	return nil
}

const (
	loris = 500
	// fdsOfLife may come and go in a mesh at rest: a pull, a gossip exchange, the test itself.
	fdsOfLife = 12
)

// restingFDs are a node's file descriptors without those that the test's own client keeps.
func (n *node) restingFDs() int {
	n.client.CloseIdleConnections()
	last := n.proc().fds()
	for range 50 { // until it has noticed
		time.Sleep(10 * time.Millisecond)
		now := n.proc().fds()
		if now == last {
			break
		}
		last = now
	}
	return last
}

// siege is what strangers do to one node.
type siege struct {
	n       *node
	stop    chan struct{}
	wg      sync.WaitGroup
	open    atomic.Int64 // connections that stand
	fewest  atomic.Int64 // of them, once all were there
	opened  atomic.Int64
	cut     atomic.Int64 // by the node
	packets atomic.Int64
	streams atomic.Int64
}

func lay(n *node) *siege {
	s := &siege{n: n, stop: make(chan struct{})}
	for range loris {
		s.wg.Go(s.drip)
	}
	s.wg.Go(s.noise)
	for range 4 {
		s.wg.Go(s.babble)
	}
	// The siege begins once it stands.
	for deadline := time.Now().Add(10 * time.Second); s.open.Load() < loris && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	s.fewest.Store(s.open.Load())
	s.wg.Go(func() {
		for s.rest(200 * time.Millisecond) {
			s.fewest.Store(min(s.fewest.Load(), s.open.Load()))
		}
	})
	return s
}

func (s *siege) end() {
	close(s.stop)
	s.wg.Wait()
}

func (s *siege) proof() string {
	return fmt.Sprintf("at least %d connections open at once, %d opened and %d cut by the node; %d packets and %d streams of noise",
		s.fewest.Load(), s.opened.Load(), s.cut.Load(), s.packets.Load(), s.streams.Load())
}

// rest waits; false means that the siege is over.
func (s *siege) rest(d time.Duration) bool {
	select {
	case <-s.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// drip keeps one connection in the middle of its header, a byte at a time, and opens
// another one as soon as it is cut.
func (s *siege) drip() {
	wait := time.Duration(mrand.IntN(4000)) * time.Millisecond // not all at once, nor cut all at once
	for ; s.rest(wait); wait = 10 * time.Millisecond {
		c, err := net.DialTimeout("tcp", s.n.http, 5*time.Second)
		if err != nil {
			continue
		}
		s.opened.Add(1)
		s.open.Add(1)
		_, err = fmt.Fprintf(c, "GET /api/v1/memories HTTP/1.1\r\nHost: %s\r\nX-Slow: ", s.n.http)
		cut := make(chan struct{})
		go func() {
			defer close(cut)
			_, _ = io.Copy(io.Discard, c)
		}()
		for err == nil {
			select {
			case <-s.stop:
				err = net.ErrClosed
			case <-cut:
				s.cut.Add(1)
				err = io.EOF
			case <-time.After(500 * time.Millisecond):
				_, err = io.WriteString(c, "a")
			}
		}
		s.open.Add(-1)
		_ = c.Close()
		<-cut
	}
}

// noise sends packets of random bytes to the gossip port, some thousand a second.
func (s *siege) noise() {
	c, err := net.Dial("udp", s.n.gossip)
	if err != nil {
		return
	}
	defer c.Close()
	b := make([]byte, 60<<10)
	for s.rest(2 * time.Millisecond) {
		for range 4 {
			size := 1 + mrand.IntN(1400)
			if mrand.IntN(50) == 0 {
				size = len(b)
			}
			rand.Read(b[:size])
			if mrand.IntN(2) == 0 {
				b[0] = byte(mrand.IntN(16)) // what may be a kind of message
			}
			if _, err := c.Write(b[:size]); err == nil {
				s.packets.Add(1)
			}
		}
	}
}

// babble opens streams to the gossip port, says something, and goes or stays a while.
func (s *siege) babble() {
	b := make([]byte, 4<<10)
	for s.rest(5 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", s.n.gossip, time.Second)
		if err != nil {
			continue
		}
		s.streams.Add(1)
		rand.Read(b)
		b[0] = byte(mrand.IntN(16))
		_, _ = c.Write(b[:1+mrand.IntN(len(b)-1)])
		if mrand.IntN(10) == 0 {
			s.rest(300 * time.Millisecond)
		}
		_ = c.Close()
	}
}
