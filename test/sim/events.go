package sim

import (
	"slices"
	"strconv"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// What may happen in one step. Each does nothing when there is nothing to do it to.

// threaten lets the next transaction of a process end in a crash, now and then.
func (w *World) threaten(p *process) {
	p.plan = ""
	if w.chance(w.opt.crash) {
		p.plan = one(w, []string{"before-commit", "after-commit", "between"})
	}
}

// submitAt sends a request to a node and lets it be written, at once or with what follows.
func (w *World) submitAt(p *process, req *request) {
	a := p.submit(req)
	if a == nil {
		return
	}
	w.say("%s takes %s %q", p.slot, req.verb, req.title)
	if w.chance(w.opt.gather) {
		return
	}
	w.threaten(p)
	if !p.step() {
		return
	}
	for _, l := range slices.Clone(p.links) {
		if w.chance(0.5) {
			if m := p.flush(l); m != nil {
				w.send(m)
			}
		}
	}
}

func (w *World) doWrite() {
	nodes := w.running()
	if len(nodes) == 0 {
		return
	}
	p := one(w, nodes).proc
	req := &request{
		verb:  one(w, []verb{create, create, upsert, upsert, upsert, update, update, rename, remove}),
		title: one(w, w.opt.titles), content: "c" + strconv.Itoa(len(w.requests)),
	}
	if w.chance(0.2) {
		req.content = "same"
	}
	if w.chance(0.5) {
		req.idemKey = "k" + strconv.Itoa(len(w.requests))
	}
	if w.chance(0.2) {
		req.quorum = 1 + w.pick(max(1, len(p.members)))
	}
	if req.verb == update || req.verb == rename || req.verb == remove {
		key, ok := w.someMemory(p)
		if !ok {
			return
		}
		req.key = key
		if w.chance(0.5) {
			req.token = w.someToken(p, key)
		}
	}
	w.requests = append(w.requests, req)
	w.submitAt(p, req)
}

// someMemory is a record that the node has been told of.
func (w *World) someMemory(p *process) (memory.Key, bool) {
	var keys []memory.Key
	for n, known := range p.slot.known {
		if !known.empty() && w.keys[n].Kind() == memory.KindMemory {
			keys = append(keys, w.keys[n])
		}
	}
	if len(keys) == 0 {
		return "", false
	}
	return one(w, keys), true
}

// someToken is what a reader of the record may have got, here or elsewhere, now or before:
// all siblings of some moment, or one; with a copy what it is a copy of, as a view has it.
func (w *World) someToken(p *process, key memory.Key) *clock.Clock {
	n := w.number(key)
	var tokens []*clock.Clock
	for _, r := range w.requests {
		if r.token != nil && r.key == key {
			tokens = append(tokens, r.token)
		}
	}
	for _, s := range w.live() {
		var all clock.Clock
		for _, sibling := range w.siblings(s.known.at(n)) {
			all.Add(sibling.dot)
			all.Add(sibling.origin().dot)
		}
		if !all.Empty() {
			tokens = append(tokens, &all)
		}
	}
	for seen := range p.slot.known.at(n).each {
		c := clock.Of(w.writes[seen].dot, w.writes[seen].origin().dot)
		tokens = append(tokens, &c)
	}
	return one(w, tokens)
}

func (w *World) doRetry() {
	nodes := w.running()
	var again []*request
	for _, r := range w.requests {
		if r.idemKey != "" {
			again = append(again, r)
		}
	}
	if len(nodes) == 0 || len(again) == 0 {
		return
	}
	w.stats.Retries++
	// The latest are the likeliest.
	req := again[len(again)-1-w.pick(min(3, len(again)))]
	w.submitAt(one(w, nodes).proc, req)
}

// doRead lets a client see what a node shows: a list, whose order and views the model checks at
// the end; here it is the access statistics that must stay local.
func (w *World) doRead() {
	nodes := w.running()
	if len(nodes) == 0 {
		return
	}
	p := one(w, nodes).proc
	if key, ok := w.someMemory(p); ok {
		p.store.Touch(key)
	}
}

func (w *World) doFlush() {
	var open []*link
	var of []*process
	for _, s := range w.running() {
		for _, l := range s.proc.links {
			if l.up && l.queue.Len() > 0 {
				open, of = append(open, l), append(of, s.proc)
			}
		}
	}
	if len(open) == 0 {
		return
	}
	i := w.pick(len(open))
	if m := of[i].flush(open[i]); m != nil {
		w.send(m)
	}
}

func (w *World) doConnect() {
	nodes := w.running()
	if len(nodes) < 2 {
		return
	}
	s := one(w, nodes)
	to := one(w, nodes)
	if to.name == s.name {
		return
	}
	if l := s.proc.link(to.name); l != nil && l.to == to && l.life == to.proc.life && w.chance(0.8) {
		return // it stands
	}
	s.proc.connect(to, w.chance(0.7))
}

// ready are the messages that can arrive now.
func (w *World) ready() (out []int) {
	for i, m := range w.flight {
		if m.to.proc == nil || !m.to.paused {
			out = append(out, i)
		}
	}
	return out
}

func (w *World) doDeliver() {
	for range 1 + w.pick(4) {
		ready := w.ready()
		if len(ready) == 0 || w.failed() {
			return
		}
		i := ready[0]
		if w.chance(0.4) {
			i = one(w, ready) // reordered
		}
		m := w.take(i)
		if m.kind == pushRows && m.to.proc != nil {
			w.threaten(m.to.proc)
		}
		w.deliver(m)
	}
}

func (w *World) doDrop() {
	if len(w.flight) > 0 {
		m := w.take(w.pick(len(w.flight)))
		w.say("the network drops a message of %s to %s", m.from, m.to)
	}
}

func (w *World) doDouble() {
	if len(w.flight) > 0 && len(w.flight) < 200 {
		m := *one(w, w.flight)
		w.flight = append(w.flight, &m)
	}
}

// doDamage cuts a page short, or flips a bit of it.
func (w *World) doDamage() {
	for _, i := range w.rng.Perm(len(w.flight)) {
		m := w.flight[i]
		if m.kind != sincePage || len(m.body) == 0 {
			continue
		}
		m.body = slices.Clone(m.body)
		if w.chance(0.7) {
			cut := w.pick(len(m.body))
			if w.chance(0.5) {
				cut = len(m.body) - 1 - cut/8 // only the end is missing
			}
			m.body = m.body[:cut]
			w.say("a page of %s to %s is cut", m.from, m.to)
		} else {
			m.body[w.pick(len(m.body))] ^= 1 << w.pick(8)
			w.say("a page of %s to %s is damaged", m.from, m.to)
		}
		return
	}
}

// maxPulls of one node run at once.
const maxPulls = 3

func (w *World) doPull() {
	nodes := w.running()
	if len(nodes) == 0 {
		return
	}
	s := one(w, nodes)
	// Who has just started pulls first.
	for _, o := range nodes {
		if !o.proc.synced && w.chance(0.7) {
			s = o
		}
	}
	from := one(w, w.live())
	if from == s || len(s.proc.pulls) >= maxPulls || slices.ContainsFunc(s.proc.pulls, func(l *pull) bool { return l.from == from }) {
		return
	}
	if m := s.proc.pullFrom(from).ask(); m != nil {
		w.send(m)
	}
}

// somePull is a pull under way at a node that runs.
func (w *World) somePull() *pull {
	var all []*pull
	for _, s := range w.running() {
		all = append(all, s.proc.pulls...)
	}
	if len(all) == 0 {
		return nil
	}
	return one(w, all)
}

// doTurn applies the page in hand of a pull, or sends its next request.
func (w *World) doTurn() {
	l := w.somePull()
	if l == nil {
		return
	}
	if w.chance(0.5) {
		if m := l.ask(); m != nil {
			w.send(m)
			return
		}
	}
	if _, inHand := l.s.Page(); inHand {
		w.threaten(l.p)
		l.apply()
		return
	}
	if m := l.ask(); m != nil {
		w.send(m)
	}
}

func (w *World) doTimeout() {
	if l := w.somePull(); l != nil {
		l.abort()
	}
}

func (w *World) doDeadline() {
	for _, s := range w.running() {
		p := s.proc
		if p == nil || !p.step() { // it may have crashed while another one committed
			continue
		}
		if s.proc == p && len(p.attempts) > 0 && w.chance(0.5) {
			one(w, p.attempts).deadline()
			p.settle()
		}
	}
}

// doTime lets leases run out.
func (w *World) doTime() { w.advance(time.Duration(100+w.pick(1000)) * time.Millisecond) }

func (w *World) doPause() {
	if nodes := w.running(); len(nodes) > 1 {
		s := one(w, nodes)
		s.paused = true
		w.say("%s is stopped", s)
	}
}

func (w *World) doResume() {
	for _, s := range w.slots {
		if s.paused && w.chance(0.5) {
			s.paused = false
			w.say("%s goes on", s)
			if s.proc != nil && w.chance(0.7) {
				s.proc.store.Mint("pause") // if it notices
			}
		}
	}
}

func (w *World) doCrash() {
	if nodes := w.running(); len(nodes) > 0 {
		s := one(w, nodes)
		w.say("%s is killed", s)
		w.stats.Crashes++
		s.stop()
	}
}

func (w *World) doReopen() {
	for _, s := range w.live() {
		if s.proc == nil && !s.paused && w.chance(0.5) && !s.start() {
			return
		}
	}
}

func (w *World) doCopy() {
	if live := w.live(); len(live) > 0 && len(w.copies) < 6 {
		if c := one(w, live).copy(); c != nil {
			w.copies = append(w.copies, c)
			w.say("a copy of %s is taken", c.name)
		}
	}
}

// restore sets a machine back to a copy of its own disk.
func (s *slot) restore(c *copied) bool {
	s.stop()
	s.load(c.image, c.known)
	s.latest = c.latest
	s.w.say("%s is set back to a copy", s)
	return s.start()
}

func (w *World) doRestore() {
	live := w.live()
	if len(live) == 0 || len(w.copies) == 0 {
		return
	}
	c := one(w, w.copies)
	for _, s := range live {
		if s.name == c.name && !s.paused {
			s.restore(c)
			return
		}
	}
}

// wipe gives a machine an empty disk.
func (s *slot) wipe() bool {
	s.stop()
	s.load(s.w.rig.empty, nil)
	s.latest = epoch
	s.w.say("the disk of %s is wiped", s)
	return s.start()
}

func (w *World) doWipe() {
	if live := w.live(); len(live) > 1 {
		if s := one(w, live); !s.paused {
			s.wipe()
		}
	}
}

// clone starts a second live store of the same name from a copy.
func (w *World) clone(c *copied) *slot {
	s := w.newSlot(c.name)
	s.load(c.image, c.known)
	s.latest = c.latest
	w.say("a clone of %s appears", c.name)
	s.start()
	return s
}

func (w *World) doClone() {
	if len(w.slots) >= maxSlots {
		return
	}
	live := w.live()
	if len(live) == 0 {
		return
	}
	if c := one(w, live).copy(); c != nil {
		w.clone(c)
	}
}

// doNotice is gossip that reports two processes of one name: both take a new origin, and the
// newer one acknowledges nothing from then on.
func (w *World) doNotice() {
	for _, s := range w.running() {
		for _, o := range w.running() {
			if s.name == o.name && s.proc.life < o.proc.life && !o.proc.fenced {
				s.proc.store.Mint("name conflict")
				o.proc.store.Mint("name conflict")
				o.proc.fenced = true
				w.say("%s and its clone notice one another", s)
			}
		}
	}
}

func (w *World) doDestroy() {
	if live := w.live(); len(live) > 2 || len(live) == 2 && w.chance(0.1) {
		s := one(w, live)
		w.say("%s is destroyed", s)
		s.destroy()
	}
}

func (w *World) doJoin() {
	if len(w.slots) >= maxSlots {
		return
	}
	s := w.newSlot("j" + strconv.Itoa(len(w.slots)))
	s.load(w.rig.empty, nil)
	w.say("%s joins", s)
	s.start()
}

// doRegister lets nodes that have pulled and are not in the registry enter themselves.
func (w *World) doRegister() {
	for _, s := range w.running() {
		if p := s.proc; p != nil && p.synced && !slices.Contains(p.members, s.name) {
			w.submitAt(p, &request{verb: register, content: "-", quorum: 1})
		}
	}
}

// doSkew steps a wall clock.
func (w *World) doSkew() {
	s := one(w, w.slots)
	switch w.pick(8) {
	case 0:
		s.skew = 10 * 365 * 24 * time.Hour
	case 1, 2:
		s.skew = 0
	default:
		s.skew = time.Duration(w.pick(7200)-3600) * time.Second
	}
	w.say("the clock of %s is off by %s", s, s.skew)
}
