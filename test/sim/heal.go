package sim

import (
	"slices"
	"time"
)

// heal ends all faults: every machine that still exists runs and is reachable, what was in
// flight is gone, leases have run out.
func (w *World) heal() {
	w.flight, w.quiet = nil, true
	for _, s := range w.live() {
		s.paused = false
		if s.proc == nil && !s.start() {
			return
		}
		for _, l := range slices.Clone(s.proc.pulls) {
			l.abort()
		}
		s.proc.plan = ""
		s.proc.step() // what had gathered
	}
	w.flight = nil
	w.advance(time.Minute)
	w.say("healed")
}

// hush begins the quiet of a node: no row that it has may come to it from now on.
func (p *process) hush() { p.before, p.came = p.store.Clock().Clone(), map[string]bool{} }

// topology of the healed network: who can pull from whom, and its diameter.
func (w *World) topology(live []*slot) (peers [][]*slot, diameter int) {
	n := len(live)
	peers = make([][]*slot, n)
	shape := w.pick(4)
	w.rng.Shuffle(n, func(i, j int) { live[i], live[j] = live[j], live[i] })
	join := func(i, j int) {
		peers[i] = append(peers[i], live[j])
		peers[j] = append(peers[j], live[i])
	}
	switch {
	case shape > 1 || n < 3: // full mesh
		for i := range n {
			for j := range i {
				join(i, j)
			}
		}
		return peers, 1
	case shape == 0: // a line
		for i := 1; i < n; i++ {
			join(i-1, i)
		}
		return peers, n - 1
	default: // a ring
		for i := range n {
			join(i, (i+1)%n)
		}
		return peers, n / 2
	}
}

// converge pulls until every node has what every other one has, in the bounded number of
// rounds: one along the diameter is enough (invariant 16).
func (w *World) converge() {
	live := w.live()
	if len(live) == 0 {
		return
	}
	peers, diameter := w.topology(live)
	for _, s := range live {
		s.proc.hush()
	}
	for round := range diameter {
		for i, s := range live {
			w.say("round %d of %d: %s", round+1, diameter, s)
			if w.chance(0.5) && len(peers[i]) > 1 {
				w.pullTogether(s, peers[i])
			} else {
				for _, from := range peers[i] {
					w.pullAll(s, from)
				}
			}
			if w.failed() {
				return
			}
		}
	}
	for _, s := range live[1:] {
		if a, b := live[0].proc.store, s.proc.store; !a.Clock().Equal(b.Clock()) {
			w.fail("converge", "after %d rounds %s has %s and %s has %s", diameter, live[0], a.Clock(), s, b.Clock())
			return
		}
	}
	// Nothing is missing anywhere, dead holes and all: nobody has a reason to pull.
	for i, s := range live {
		for _, from := range peers[i] {
			if rows := w.pullAll(s, from); rows > 0 {
				w.fail("loop", "%s still gets rows from %s", s, from)
			}
			if w.failed() {
				return
			}
		}
	}
}

// maxExchange bounds the requests of one pull.
const maxExchange = 300

// pullAll runs one pull to its end and returns the rows that it brought.
func (w *World) pullAll(s, from *slot) int {
	l := s.proc.pullFrom(from)
	for range maxExchange {
		if !w.turn(l) {
			return l.ended(w)
		}
	}
	w.fail("loop", "a pull of %s from %s does not end", s, from)
	return 0
}

// turn takes a pull one request further. It reports whether there is more to do.
func (w *World) turn(l *pull) bool {
	if w.failed() || !slices.Contains(l.p.pulls, l) {
		return false
	}
	m := l.ask()
	if m != nil {
		w.deliver(m)
		if i := slices.IndexFunc(w.flight, func(a *message) bool { return a.pull == l && a.kind == sincePage }); i >= 0 {
			w.deliver(w.take(i))
		}
	}
	// A page in hand may wait while the next one is fetched.
	if m == nil || w.chance(0.5) {
		l.apply()
	}
	return !w.failed() && slices.Contains(l.p.pulls, l)
}

// ended judges a pull of the quiet time.
func (l *pull) ended(w *World) int {
	sum := l.s.Summary()
	if sum.Err != nil {
		w.fail("pull", "%s from %s: %v", l.p.slot, l.from, sum.Err)
	}
	return sum.Rows
}

// pullTogether pulls from all peers at once. The first page of one comes before the next one
// is asked, as the gate of the manager has it; from there on the leases keep them apart.
// What one left out for another is asked for again when that one has ended.
func (w *World) pullTogether(s *slot, peers []*slot) {
	var open []*pull
	w.together = true
	for _, from := range peers {
		l := s.proc.pullFrom(from)
		open = append(open, l)
		w.turn(l)
	}
	for range maxExchange {
		if len(open) == 0 || w.failed() {
			break
		}
		i := w.pick(len(open))
		if !w.turn(open[i]) {
			open[i].ended(w)
			open = slices.Delete(open, i, i+1)
		}
	}
	w.together = false
	if len(open) > 0 {
		w.fail("loop", "parallel pulls of %s do not end", s)
		return
	}
	for _, from := range peers {
		w.pullAll(s, from)
	}
}

// judge holds the end against what was promised to clients, and the stores against one
// another (invariants 16 to 22).
func (w *World) judge() {
	live := w.live()
	if len(live) == 0 {
		return
	}
	var first string
	for i, s := range live {
		dump := s.proc.dump()
		if i == 0 {
			first = dump
		} else if dump != first {
			w.fail("dump", "%s and %s have equal clocks and differ:\n%s---\n%s", live[0], s, first, dump)
		}
		if len(w.tainted) == 0 && s.proc.store.Digest() != live[0].proc.store.Digest() {
			w.fail("digest", "%s and %s have equal clocks and other digests", live[0], s)
		}
		if q := s.proc.store.Quarantined(); !q.Empty() && w.poison.empty() {
			w.fail("quarantine", "%s still has %s", s, q)
		}
	}
	for _, made := range w.writes {
		w.judgeWrite(made, live)
	}
	c := live[0].proc.store.Clock()
	w.stats.DeadHoles += c.Intervals() - c.Only(raggedOrigin).Intervals()
}

func (w *World) judgeWrite(made *write, live []*slot) {
	if w.tainted[made.key] {
		return
	}
	for _, s := range live {
		if s.known.at(made.key).has(made.n) {
			continue
		}
		if made.acked && !made.excused() {
			w.fail("lost", "%s was acknowledged by %v for W=%d and %s was never told of it (lost on %b)", made, made.names, made.w, s, made.lost)
		}
		if made.local && made.lost&(1<<made.maker.slot.n) == 0 {
			w.fail("local", "%s was answered with 503 local, its disk lives, and %s was never told of it", made, s)
		}
	}
	if made.acked && made.excused() {
		w.stats.Excused++
	}
}

// play runs the whole schedule.
func (w *World) play() {
	w.setup()
	if !w.failed() {
		w.open()
	}
	if !w.failed() {
		w.greet()
	}
	for w.stats.Steps < w.opt.steps && !w.failed() {
		w.stats.Steps++
		w.event()
	}
	if w.failed() {
		return
	}
	w.heal()
	if !w.failed() {
		w.converge()
	}
	if !w.failed() {
		w.judge()
	}
}

// end closes what is open.
func (w *World) end() {
	for _, s := range w.slots {
		if s.proc != nil {
			_ = s.proc.store.Close()
			s.proc = nil
		}
	}
}
