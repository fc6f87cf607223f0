package catchup

import (
	"context"
	"errors"
	"time"

	"github.com/memd/memd/wire"
)

// drive is one session at work: it sends what the session asks for and applies what
// comes, the next page being fetched while the current one is applied.
type drive struct {
	p       *puller
	s       *Session
	answers chan answer
	flying  bool // a request is in flight
	cancel  context.CancelCauseFunc
	turn    *turn // for the first page; nil = not held
	fixed   bool  // overtaken once
	begun   bool  // the first page is here
}

// answer is what a request came to.
type answer struct {
	page      *wire.Page
	err       error
	sent      time.Time
	received  time.Time // first byte
	overtaken bool
}

func newDrive(p *puller, s *Session) *drive {
	return &drive{p: p, s: s, answers: make(chan answer, 1), cancel: func(error) {}}
}

// run ends when the session is done or ctx ends, and leaves nothing behind.
func (d *drive) run(ctx context.Context) {
	defer d.stop()
	for !d.s.Done() {
		if !d.flying && !d.send(ctx) {
			return
		}
		if page, ok := d.s.Page(); ok {
			a, err := d.p.m.cfg.Sink.ApplyPage(ctx, d.p.address().Name, page)
			d.s.Applied(time.Now(), a, err)
			d.p.m.announce()
			continue
		}
		d.receive(ctx, <-d.answers)
	}
}

// send sends the next request if there is one. It returns false if ctx ended.
func (d *drive) send(ctx context.Context) bool {
	if !d.begun && d.turn == nil {
		var err error
		if d.turn, err = d.p.m.gate.enter(ctx, d.p.hedge(), d.fixed); err != nil {
			d.s.Abort(err)
			return false
		}
	}
	req, ok := d.s.Next(time.Now())
	if !ok {
		return true
	}
	var call context.Context
	call, d.cancel = d.p.open(ctx)
	if d.turn != nil {
		d.turn.ask(d.cancel)
	}
	d.flying = true
	go d.fetch(call, req, d.turn)
	return true
}

// receive takes an answer.
func (d *drive) receive(ctx context.Context, a answer) {
	d.landed()
	if a.overtaken && ctx.Err() == nil {
		d.fixed = true
		d.leave()
		d.s.Drop()
		return
	}
	if a.page != nil && (!a.page.Head.Clock.Empty() || len(a.page.Rows) > 0) {
		d.p.m.cfg.Sink.ObserveHead(a.page.Head, a.sent, a.received)
	}
	var same *wire.NotModified
	if errors.As(a.err, &same) && same.HLC != 0 {
		// All that there is of a HEAD: in a healthy mesh no pull brings another one.
		d.p.m.cfg.Sink.ObserveHead(wire.Head{Name: d.p.address().Name, HLC: same.HLC}, a.sent, a.received)
	}
	d.s.Got(time.Now(), a.page, a.err)
	d.p.m.sawClock(d.p, d.s)
	d.begun = true
	// The last page is committed before the next peer is asked: it most often has
	// nothing more then.
	if page, ok := d.s.Page(); !ok || !page.Tail.Complete {
		d.leave()
	}
}

func (d *drive) landed() {
	d.flying = false
	d.cancel(context.Canceled)
	d.p.landed()
}

func (d *drive) leave() {
	if d.turn != nil {
		d.turn.leave()
		d.turn = nil
	}
}

func (d *drive) stop() {
	d.cancel(context.Canceled)
	if d.flying {
		<-d.answers
		d.landed()
	}
	d.leave()
}

// fetch sends one request and delivers what comes of it.
func (d *drive) fetch(ctx context.Context, req wire.SinceRequest, turn *turn) {
	m := d.p.m
	self := m.cfg.Self
	req.Peer, req.Boot, req.IfNoneMatch = self.Name, self.Boot, req.ETag()
	if self.Cluster != nil {
		req.Cluster = self.Cluster()
	}
	began := time.Now()
	first := newFirstByte(func() {
		if turn != nil {
			turn.answer()
		}
		m.answered(d.p, time.Since(began))
	})
	a := answer{sent: m.cfg.Now()}
	a.page, a.err = m.cfg.Source.Since(first.trace(ctx), d.p.address(), req)
	a.received = first.at(m.cfg.Now)
	if a.err != nil {
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, errOvertaken):
			a.overtaken = true
		case errors.Is(cause, errPaused):
			a.err = errPaused
		}
	}
	d.answers <- a
}
