package replication

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/memd/memd/wire"
)

// session is one stream to a peer, from the try to open it to its end.
type session struct {
	cancel context.CancelFunc
	timers sync.WaitGroup // callbacks of timer that are due or run

	mu     sync.Mutex
	closed bool
	stream Stream // written once, before other goroutines know the session

	// The rest is guarded by the Broadcaster's mu.

	flight   *Flight
	born     time.Time
	seq      uint64
	missed   int         // deadlines
	over     bool        // it is to be left, or has been
	counted  bool        // its end needs no further failure: the breaker opened, or the peer moved
	err      error       // why it broke, if it did
	timer    *time.Timer // judges deadlines
	due      time.Time   // when timer fires; zero while it is not set
	hold     hold
	trial    bool      // one frame at a time until one is taken
	resume   time.Time // when to ask what is still lacking of the rows before resumeTo; zero if need not
	resumeTo uint64
	lacked   uint64 // of them, when it was last known
	question uint64 // the frame that asks; 0 if none does
}

// hold is a pause in pushing, because the peer answers but takes no rows.
type hold struct {
	on    bool
	until time.Time
	ask   bool // then ask by a frame without rows; else just try
	again bool // then send again what it has not acknowledged
	step  int  // of the backoff
}

// close ends everything that the stream blocks. Anyone may call it, on nil too.
func (s *session) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	first, st := !s.closed, s.stream
	s.closed = true
	s.mu.Unlock()
	if first {
		s.cancel()
		if st != nil {
			_ = st.Close()
		}
	}
}

// attach gives the session its stream, which ends at once if close came first.
func (s *session) attach(st Stream) {
	s.mu.Lock()
	s.stream = st
	closed := s.closed
	s.mu.Unlock()
	if closed {
		_ = st.Close()
	}
}

var (
	errSlow   = errors.New("no answer in time")
	errPaused = errors.New("this process stood still meanwhile")
)

// open connects and takes the greeting, both within the timeout. A failure is counted
// here.
func (p *sender) open() (*session, wire.Ack, error) {
	b := p.b
	ctx, cancel := context.WithCancel(p.ctx)
	s := &session{cancel: cancel, flight: NewFlight(b.cfg.Window, b.cfg.Timeout)}
	b.mu.Lock()
	p.opening = s
	peer := p.peer
	b.mu.Unlock()

	began := time.Now()
	fired := make(chan struct{})
	deadline := time.AfterFunc(b.cfg.Timeout, func() {
		defer close(fired)
		s.close()
	})
	hello, err := p.shake(ctx, s, peer)
	inTime := deadline.Stop()
	if !inTime {
		<-fired
	}
	if err == nil && inTime {
		p.m.opens.Inc()
		return s, hello, nil
	}
	// The Pusher's own deadlines may be late too, so the clock decides, not who fired.
	switch {
	case time.Since(began) > b.cfg.Timeout+overdue:
		err = errPaused
	case !inTime:
		err = errSlow
	}
	err = fmt.Errorf("open push stream to %s: %w", p.name, err)
	s.close()
	p.m.openErrors.Inc()
	tell := false
	b.mu.Lock()
	p.opening = nil
	if errors.Is(err, errPaused) {
		p.breaker.Again(time.Now())
	} else {
		tell = p.failed(time.Now())
	}
	b.mu.Unlock()
	if tell {
		b.tellBehind(p.name)
	}
	return nil, hello, err
}

func (p *sender) shake(ctx context.Context, s *session, peer wire.Peer) (wire.Ack, error) {
	st, err := p.b.cfg.Pusher.OpenPush(ctx, peer)
	if err != nil {
		return wire.Ack{}, err
	}
	s.attach(st)
	hello, err := st.Recv()
	if err != nil {
		return wire.Ack{}, err
	}
	return hello, p.identify(hello)
}

// identify refuses answers of another node: an ack counts a name.
func (p *sender) identify(a wire.Ack) error {
	if a.Name != "" && a.Name != p.name {
		return fmt.Errorf("%w: %s", wire.ErrWrongPeer, a.Name)
	}
	return nil
}

// serve works on a stream until it ends, and returns when all that worked on it has
// ended too.
func (p *sender) serve(s *session, hello wire.Ack) {
	if p.greeted(s, hello) {
		var receiver sync.WaitGroup
		receiver.Go(func() { p.receive(s) })
		p.send(s)
		s.close()
		receiver.Wait()
		p.left(s)
	}
	s.close()
	s.timers.Wait()
}

// left settles a stream that has ended.
func (p *sender) left(s *session) {
	b, now := p.b, time.Now()
	b.mu.Lock()
	s.over = true // no timer is set from here on
	if s.timer != nil && s.timer.Stop() {
		s.timers.Done()
	}
	p.session = nil
	p.m.lost.Add(float64(s.flight.Len()))
	p.cutAt = now
	if at, ok := s.flight.Oldest(); ok {
		p.cutAt = at
	}
	tell := false
	if !s.counted {
		if s.missed == 0 && now.Sub(s.born) > b.cfg.Timeout {
			p.breaker.Good() // it stood for a while: its loss is the first of a new row
		}
		tell = p.failed(now)
		b.cfg.Log.Info("push stream lost", "peer", p.name, "err", s.err)
	}
	b.mu.Unlock()
	if tell {
		b.tellBehind(p.name)
	}
}

// broke is told that a stream cannot be used any more.
func (p *sender) broke(s *session, err error) {
	p.b.mu.Lock()
	if !s.over {
		s.over, s.err = true, err
	}
	p.wake()
	p.b.mu.Unlock()
	s.close()
}

// arm sets the timer for the next deadline. It is called with the Broadcaster's mu
// held. Under load the timer fires once per timeout, not once per frame.
func (p *sender) arm(s *session, now time.Time) {
	at, some := s.flight.Deadline()
	if !some || s.over || !s.due.IsZero() {
		return
	}
	s.due = at
	s.timers.Add(1)
	if s.timer == nil {
		s.timer = time.AfterFunc(at.Sub(now), func() {
			defer s.timers.Done()
			p.judge(s)
		})
		return
	}
	s.timer.Reset(at.Sub(now))
}

// judge looks for a missed deadline.
func (p *sender) judge(s *session) {
	b, now := p.b, time.Now()
	tell, opened := false, false
	b.mu.Lock()
	due := s.due
	s.due = time.Time{}
	at, some := s.flight.Deadline()
	switch {
	case !some || s.over:
	case now.Sub(due) > overdue:
		// Not the peer, this process stood still (B9): the answers may lie in the socket,
		// and are read first.
		s.flight.Restart(now)
	case now.Before(at):
	default:
		s.missed++
		s.flight.Restart(now)
		p.m.timeouts.Inc()
		if opened = p.breaker.Missed(now, b.cfg.Random()); opened {
			s.over, s.counted, s.err = true, true, errSlow
			tell = p.opened()
			p.wake()
		}
	}
	p.arm(s, now)
	b.mu.Unlock()
	if opened {
		s.close()
	}
	if tell {
		b.tellBehind(p.name)
	}
}
