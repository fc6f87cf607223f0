package memnet

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// streamBuffer is what a stream holds in each direction before a writer waits,
// as the socket buffers of a kernel do. net.Pipe has none, which lets two ends
// that both write first wait for each other for ever.
const streamBuffer = 256 << 10

// pair is one stream; its two ends share a lock because every change at one
// end may wake the other.
type pair struct {
	mu   sync.Mutex
	cut  bool // a blackhole lies between the ends
	dead bool // reset
	ends [2]*conn
}

type conn struct {
	*pair
	host          *Host
	side          int
	local, remote net.Addr

	// guarded by pair.mu
	wake   *sync.Cond   // of pair.mu: something this end may wait for has changed
	in     bytes.Buffer // sent by the other end, not yet read here
	eof    bool         // the other end sends no more
	closed bool
	rd, wd deadline
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newPair(a, b *Host, aAddr, bAddr net.Addr) (*conn, *conn) {
	p := &pair{}
	p.ends[0] = &conn{pair: p, host: a, side: 0, local: aAddr, remote: bAddr, wake: sync.NewCond(&p.mu)}
	p.ends[1] = &conn{pair: p, host: b, side: 1, local: bAddr, remote: aAddr, wake: sync.NewCond(&p.mu)}
	return p.ends[0], p.ends[1]
}

func (p *pair) broadcast() {
	p.ends[0].wake.Broadcast()
	p.ends[1].wake.Broadcast()
}

func (p *pair) setCut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	p.broadcast()
}

func (p *pair) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	p.broadcast()
}

func (c *conn) peer() *conn { return c.ends[1-c.side] }

func (c *conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Read waits for bytes, the other end's close, a reset or the deadline.
func (c *conn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.fail("read", net.ErrClosed)
		case c.rd.passed():
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		case c.dead:
			return 0, c.fail("read", os.NewSyscallError("read", syscall.ECONNRESET))
		case len(b) == 0:
			return 0, nil
		case !c.cut && c.in.Len() > 0:
			n, _ := c.in.Read(b)
			c.peer().wake.Broadcast()
			return n, nil
		case !c.cut && c.eof:
			return 0, io.EOF
		}
		c.wake.Wait()
	}
}

// Write fills the buffer of the stream, also while it is cut: the sender of a
// real stream does not notice either.
func (c *conn) Write(b []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peer()
	for {
		switch {
		case c.closed || p.eof:
			return n, c.fail("write", net.ErrClosed)
		case c.wd.passed():
			return n, c.fail("write", os.ErrDeadlineExceeded)
		case c.dead || (p.closed && !c.cut):
			return n, c.fail("write", os.NewSyscallError("write", syscall.ECONNRESET))
		case len(b) == 0:
			return n, nil
		}
		if room := streamBuffer - p.in.Len(); room > 0 {
			m := min(room, len(b))
			p.in.Write(b[:m])
			n, b = n+m, b[m:]
			c.host.streamBytes.Add(int64(m))
			p.wake.Broadcast()
			continue
		}
		c.wake.Wait()
	}
}

// CloseWrite ends the stream in this direction.
func (c *conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer().eof = true
	c.broadcast()
	return nil
}

// Close ends the stream in both directions; the other end still reads what was
// sent before.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.peer().eof = true
	both := c.peer().closed
	for _, d := range []*deadline{&c.rd, &c.wd} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	c.broadcast()
	c.mu.Unlock()
	if both {
		c.host.net.forget(c.pair)
	}
	return nil
}

func (n *Network) forget(p *pair) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pairs, p)
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arm(&c.rd, t)
	c.arm(&c.wd, t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arm(&c.rd, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arm(&c.wd, t)
	return nil
}

// arm sets a deadline; waiters are woken when it passes. It needs mu.
func (c *conn) arm(d *deadline, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if !t.IsZero() && !c.closed {
		if wait := time.Until(t); wait > 0 {
			d.timer = time.AfterFunc(wait, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.wake.Broadcast()
			})
		}
	}
	c.wake.Broadcast()
}
