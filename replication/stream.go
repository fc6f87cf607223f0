package replication

import (
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/wire"
)

// step is what the sending goroutine does next.
type step struct {
	what  what
	batch wire.PushBatch
	until time.Time // wait no longer than this; zero for no limit
}

type what uint8

const (
	leave what = iota
	wait
	pushRows
	sendNudge
)

// send ships rows until the stream is over.
func (p *sender) send(s *session) {
	b := p.b
	timer := time.NewTimer(0)
	defer timer.Stop()
	var frame Frame
	for {
		next := p.next(s, &frame, time.Now())
		var err error
		switch next.what {
		case leave:
			return
		case wait:
			var passed <-chan time.Time
			if !next.until.IsZero() {
				timer.Reset(time.Until(next.until))
				passed = timer.C
			}
			select {
			case <-p.kick:
			case <-passed:
			}
		case sendNudge:
			p.m.nudges.Inc()
			err = s.stream.SendNudge(b.cfg.Nudge())
		case pushRows:
			p.m.rows.Add(float64(len(frame.Rows)))
			p.m.bytes.Add(float64(frame.Bytes))
			err = s.stream.Send(next.batch)
		}
		if err != nil {
			p.broke(s, err)
			return
		}
	}
}

// next decides what to send. What it returns is already booked as sent, since its
// answer may come before Send has returned.
func (p *sender) next(s *session, frame *Frame, now time.Time) step {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	p.parked = atWork
	inFlight := s.flight.Len()
	switch {
	case s.over || p.stopped:
		s.counted = s.counted || p.stopped
		return step{what: leave}
	case p.nudge:
		p.nudge = false
		return step{what: sendNudge}
	case s.hold.on:
		switch {
		case inFlight > 0:
			return p.park(forAnswer, time.Time{})
		case b.draining:
			return step{what: leave}
		case now.Before(s.hold.until):
			return p.park(forAnswer, s.hold.until)
		case s.hold.ask:
			return p.ask(s, frame, now)
		}
		s.trial = true
		if s.hold.again {
			p.queue.Rewind()
			s.resume, s.question = time.Time{}, 0
		}
		s.hold = hold{step: s.hold.step}
	}
	switch {
	case s.flight.Full() || s.trial && inFlight > 0:
		return p.park(forAnswer, time.Time{})
	case !s.resume.IsZero() && s.question == 0 && !now.Before(s.resume) && !b.draining:
		next := p.ask(s, frame, now)
		s.question = s.seq
		return next
	case p.queue.Take(frame, b.cfg.FrameRows, b.cfg.FrameBytes, p.has):
		return p.book(s, frame, now)
	case b.draining && inFlight == 0:
		return step{what: leave}
	case b.draining:
		return p.park(forAnswer, time.Time{})
	case s.question == 0:
		return p.park(forRows, s.resume)
	}
	return p.park(forRows, time.Time{})
}

// ask sends a frame without rows: its answer says what the peer has, and whether it
// takes rows. The frame claims nothing, so that it cannot look like a lost push.
func (p *sender) ask(s *session, frame *Frame, now time.Time) step {
	*frame = Frame{Rows: frame.Rows[:0], Origin: p.b.origin, Floor: p.b.log.Floor()}
	return p.book(s, frame, now)
}

// book enters a frame into the window.
func (p *sender) book(s *session, frame *Frame, now time.Time) step {
	s.seq++
	s.flight.Sent(s.seq, len(frame.Rows), now)
	p.arm(s, now)
	return step{what: pushRows, batch: wire.PushBatch{
		Seq: s.seq, Origin: frame.Origin, Base: frame.Base, Floor: frame.Floor, Rows: frame.Rows,
	}}
}

func (p *sender) park(why parked, until time.Time) step {
	p.parked = why
	return step{what: wait, until: until}
}

// greeted decides what the peer gets first, and reports whether the stream is to be
// used. What was in flight when the last stream broke may have arrived or not, and the
// disk behind the name may be another one: only the greeting counts.
func (p *sender) greeted(s *session, hello wire.Ack) bool {
	b, now := p.b, time.Now()
	entry := hello.Entry
	if hello.Result != wire.AckOK {
		entry = clock.Clock{}
	}
	b.tracker.Greet(p.name, entry)
	b.mu.Lock()
	defer b.mu.Unlock()
	p.opening = nil
	if p.stopped || b.draining {
		return false
	}
	p.session, s.born = s, now
	p.result = hello.Result
	p.breaker.Connected()
	p.queue.Skip()
	older, missing := p.lacksOld(), p.lacking(p.queue.next)
	p.nudge = p.behind || older
	p.behind = older
	switch away := now.Sub(p.cutAt); {
	case missing == 0:
	case away < overdue && !older || b.cfg.Mutants.Has(mutant.PushBacklog):
		p.nudge = false // it gets all of it now: told to pull, it would get it twice
		p.queue.Rewind()
	default:
		// It was away for so long that it knows, and pulls, or is told to. What it pulls
		// is not pushed as well: a little later see what it still lacks.
		p.nudge = true
		s.resume, s.resumeTo, s.lacked = now.Add(b.cfg.ResumeGrace), p.queue.next, missing
	}
	if hello.Result != wire.AckOK {
		p.held(s, hello.Result, now)
	}
	b.recount()
	b.cfg.Log.Info("push stream open", "peer", p.name, "lacks", missing, "result", hello.Result.String())
	return true
}

// receive takes answers until the stream ends. Those that come too late count as well.
func (p *sender) receive(s *session) {
	for {
		a, err := s.stream.Recv()
		if err == nil {
			err = p.identify(a)
		}
		if err != nil {
			p.broke(s, err)
			return
		}
		if a.Result == wire.AckOK {
			p.b.tracker.Ack(p.name, a.Entry)
		}
		if p.answered(s, a) {
			p.b.tellBehind(p.name)
		}
	}
}

// answered draws the conclusions from an answer, beside the counting of acks, and
// reports whether the peer fell behind by it.
func (p *sender) answered(s *session, a wire.Ack) (tell bool) {
	b, now := p.b, time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	frames := 0
	if s.flight.Acked(a.Seq, now, func(took time.Duration) {
		frames++
		p.m.latency.Observe(took.Seconds())
	}) {
		p.breaker.Good()
	}
	p.m.answered(a.Result, frames)
	if p.result != a.Result {
		p.result = a.Result
		b.recount()
	}
	if a.Result == wire.AckOK {
		p.lastAck = now
		p.taken(s, a.Seq, now)
	} else {
		tell = p.held(s, a.Result, now)
	}
	// A sender without rows is not woken by answers, unless one gives it something to do:
	// a hold to time, or rows to send again.
	if p.parked == forAnswer || p.parked == forRows && (s.hold.on || !s.resume.IsZero() || p.queue.Len() > 0) {
		p.wake()
	}
	return tell
}

// taken follows from an ok.
func (p *sender) taken(s *session, seq uint64, now time.Time) {
	if !s.hold.on {
		s.trial, s.hold.step = false, 0
	} else if s.hold.ask {
		// Its own word, or the answer to the question: it takes rows again. They follow
		// when nothing is in flight, so that none is sent twice.
		s.hold.ask, s.hold.until = false, now
	}
	if s.question > 0 && seq >= s.question {
		s.question = 0
		if lacks := p.lacking(s.resumeTo); lacks > 0 && lacks < s.lacked {
			s.resume, s.lacked = now.Add(p.b.cfg.ResumeGrace), lacks // it is pulling
		} else {
			p.queue.RewindTo(s.resumeTo)
			s.resume = time.Time{}
		}
	}
	if p.behind && s.resume.IsZero() && !p.lacksOld() {
		p.behind = false
	}
}

// held follows from an answer that is no ack: rows rest for a while. It is called with
// the Broadcaster's mu held.
func (p *sender) held(s *session, result wire.AckResult, now time.Time) (tell bool) {
	h := &s.hold
	if !h.on || !h.until.After(now) { // else one more answer to the same burst
		h.until = now.Add(backoff(h.step, p.b.cfg.MinBackoff, maxHold, p.b.cfg.Random()))
		h.step++
	}
	h.on = true
	switch result {
	case wire.AckBusy:
		h.again = true
		return false
	case wire.AckRefused:
		h.ask = true // what was refused is not repeated
	default: // reconcile; what later versions may say is no ack either
		h.ask, h.again = true, true
	}
	return p.fallBehind()
}
