package sim

import (
	"bytes"
	"errors"
	"slices"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/replication"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

type kind uint8

const (
	pushRows kind = iota + 1
	pushAck
	sinceAsk
	sincePage
)

// message is something in flight: the bytes as they would be on the wire, and beside them,
// for the model only, what they say.
type message struct {
	kind     kind
	from, to *slot
	body     []byte
	told     []told

	link *link // of pushes and acks
	life int   // the process that an answer is for
	// Of pulls:
	pull    *pull
	req     int // the request that a page answers
	refusal error
}

func (w *World) send(m *message) { w.flight = append(w.flight, m) }

// take removes message i from the flight.
func (w *World) take(i int) *message {
	m := w.flight[i]
	w.flight = slices.Delete(w.flight, i, i+1)
	return m
}

// deliver hands a message over. One for a node that is not running is lost.
func (w *World) deliver(m *message) {
	p := m.to.proc
	if p == nil || p.stepping {
		return
	}
	switch m.kind {
	case pushRows:
		p.takePush(m)
	case pushAck:
		p.takeAck(m)
	case sinceAsk:
		p.serve(m)
	case sincePage:
		p.takePage(m)
	}
}

// link is one push stream to a peer, from its greeting on.
type link struct {
	name  string
	to    *slot
	life  int // the process that greeted
	seq   uint64
	queue *replication.Queue
	up    bool
}

func (p *process) link(name string) *link {
	for _, l := range p.links {
		if l.name == name {
			return l
		}
	}
	return nil
}

// voucher is the machine whose words the tracker has under that name; -1 if it heard none.
func (p *process) voucher(name string) int {
	if name == p.slot.name {
		return p.slot.n
	}
	if l := p.link(name); l != nil {
		return l.to.n
	}
	return -1
}

// connect opens a stream: the peer's greeting is its durable clock, and replaces what it said
// before. resend says whether rows that it lacks are pushed again or left to its own pull.
func (p *process) connect(to *slot, resend bool) {
	if to.proc == nil || to.proc == p || !slices.Contains(p.peers(), to.name) {
		return
	}
	acks, err := sendAck(to.proc.ack(to.proc.store.Clock(), wire.AckOK, 0))
	if err != nil {
		p.w.fail("wire", "greeting: %v", err)
		return
	}
	p.links = slices.DeleteFunc(p.links, func(l *link) bool { return l.name == to.name })
	l := &link{name: to.name, to: to, life: to.proc.life, queue: replication.NewQueue(p.log), up: true}
	p.links = append(p.links, l)
	entry := acks.Entry
	if acks.Result != wire.AckOK {
		entry = clock.Clock{}
	}
	p.tracker.Greet(to.name, entry)
	if resend {
		l.queue.Rewind()
	}
	p.w.say("%s opens a stream to %s, which has %s", p.slot, to, entry)
	p.settle()
}

// sendAck puts an answer through its codec.
func sendAck(a wire.Ack) (wire.Ack, error) {
	var b bytes.Buffer
	if err := wire.WriteAcks(&b, []wire.Ack{a}); err != nil {
		return a, err
	}
	acks, err := wire.ReadAcks(&b)
	if err != nil || len(acks) != 1 {
		return a, errors.Join(err, errors.New("not one ack"))
	}
	return acks[0], nil
}

// has is what the peer told that it holds.
func (p *process) has(name string) func(clock.Origin, uint64, uint64) bool {
	return func(o clock.Origin, lo, hi uint64) bool { return p.tracker.Has(name, o, lo, hi) }
}

// flush sends the next frame of a stream, nil if there is nothing to send.
func (p *process) flush(l *link) *message {
	var f replication.Frame
	rows := p.w.opt.frame
	if rows == 0 {
		rows = 1 + p.w.pick(4)
	}
	if !l.up || !l.queue.Take(&f, rows, 64<<10, p.has(l.name)) {
		return nil
	}
	l.seq++
	m := &message{kind: pushRows, from: p.slot, to: l.to, link: l, life: p.life}
	for _, raw := range f.Rows {
		m.told = append(m.told, p.toldBy(raw, f.Origin))
	}
	batch := wire.PushBatch{Seq: l.seq, Origin: f.Origin, Base: f.Base, Floor: f.Floor, Rows: f.Rows}
	var err error
	if m.body, err = wire.AppendBatch(nil, &batch); err != nil {
		p.w.fail("wire", "push: %v", err)
	}
	p.w.say("%s pushes %d rows to %s", p.slot, len(f.Rows), l.to)
	return m
}

// toldBy is what an own row in the log says: it is known by its dot.
func (p *process) toldBy(raw []byte, origin clock.Origin) (t told) {
	env, err := memory.DecodeEnvelope(raw)
	if err != nil {
		p.w.fail("wire", "own row: %v", err)
		return told{}
	}
	for _, d := range env.Dots { // ascending: the newest of the own ones made this state
		if row, ok := p.rows[d]; ok && d.Origin == origin {
			t = row
		}
	}
	return t
}

// ack is what this node answers to a push, as node does.
func (p *process) ack(entry clock.Clock, result wire.AckResult, seq uint64) wire.Ack {
	if p.fenced && result == wire.AckOK {
		result = wire.AckRefused
	}
	return wire.Ack{Seq: seq, Entry: entry, Result: result, Name: p.slot.name, ClockHash: p.store.ClockHash()}
}

// takePush applies pushed rows and answers. A push may be late or come twice; one that was
// sent to an earlier process of this machine is applied and answered to nobody.
func (p *process) takePush(m *message) {
	w := p.w
	pushed, err := wire.ReadPushBody(bytes.NewReader(m.body))
	if err != nil || len(pushed) != 1 || pushed[0].Batch == nil {
		w.fail("wire", "push to %s: %d frames, %v", p.slot, len(pushed), err)
		return
	}
	b := pushed[0].Batch
	w.say("%s gets a push of %d rows from %s", p.slot, len(b.Rows), m.from)
	p.apply(storage.Batch{From: m.from.name, Rows: b.Rows, Floor: b.Floor, Push: true}, m.told, func(a storage.Applied, err error) {
		result := wire.AckOK
		switch {
		case err == nil && a.Refused > 0:
			result = wire.AckBusy
		case err == nil:
		case errors.Is(err, storage.ErrReconcile):
			result = wire.AckReconcile
		case errors.Is(err, memory.ErrFrame):
			result = wire.AckRefused
		default:
			result = wire.AckBusy
		}
		ack := p.ack(p.store.Clock().Only(b.Origin), result, b.Seq)
		p.answer(m, ack)
	})
	if w.chance(w.opt.gather) {
		return // the next transaction takes it along
	}
	p.step()
}

// answer sends an ack back to the process that pushed.
func (p *process) answer(m *message, ack wire.Ack) {
	if m.link == nil || m.link.life != p.life {
		return
	}
	var b bytes.Buffer
	if err := wire.WriteAcks(&b, []wire.Ack{ack}); err != nil {
		p.w.fail("wire", "ack: %v", err)
	}
	p.w.send(&message{kind: pushAck, from: p.slot, to: m.from, body: b.Bytes(), link: m.link, life: m.life})
}

// takeAck counts an answer, if its stream is still the one in use.
func (p *process) takeAck(m *message) {
	if p.life != m.life || p.link(m.link.name) != m.link {
		return
	}
	acks, err := wire.ReadAcks(bytes.NewReader(m.body))
	if err != nil {
		p.w.fail("wire", "acks: %v", err)
		return
	}
	for _, a := range acks {
		p.w.say("%s hears from %s: %s, %s", p.slot, m.from, a.Result, a.Entry)
		if a.Result == wire.AckOK {
			p.tracker.Ack(m.link.name, a.Entry)
		}
	}
	p.settle()
}

// overlap lets pushes leave, and even be answered, while the disk works on the transaction
// that makes their rows.
func (p *process) overlap() {
	w := p.w
	if w.scripted {
		if f := w.during; f != nil {
			w.during = nil
			f()
		}
		return
	}
	if w.quiet || !w.chance(w.opt.overlap) && p.plan == "" {
		return
	}
	for _, l := range slices.Clone(p.links) {
		if w.chance(0.5) {
			continue
		}
		m := p.flush(l)
		switch {
		case m == nil:
		case w.chance(w.opt.eager) && !l.to.paused && l.to.proc != nil && !l.to.proc.stepping:
			before := len(w.flight)
			w.deliver(m)
			// Its answer comes at once, too; a crash there is its own affair.
			for i := len(w.flight) - 1; i >= before; i-- {
				if a := w.flight[i]; a.kind == pushAck && a.to == p.slot {
					w.take(i)
					p.takeAck(a)
				}
			}
		default:
			w.send(m)
		}
	}
}
