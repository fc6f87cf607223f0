package history

import "math"

// knowledge says that a node held a write, or what had taken its place, from a moment on.
type knowledge struct {
	node       string
	start, end int64 // of the op that shows it: not so before start for sure, certainly so after end
	write      int
	served     bool // the node had shown it, so its own disk had it
	all        bool // all versions of the write, if it may have more than one
}

// forgets reports whether a fault between two moments may have taken from a node what it
// knew.
func forgets(faults []*Op, k knowledge, until int64) bool {
	for _, f := range faults {
		if f.Node == k.node && f.End >= k.start && f.Start <= until && (f.Note == Rollback || !k.served) {
			return true
		}
	}
	return false
}

// learn finds out what each node knew when, and which write had seen which.
func (h *histories) learn(ops []Op) {
	var faults []*Op
	for i := range ops {
		op := &ops[i]
		switch {
		case op.Kind == Fault && (op.Note == Crash || op.Note == Rollback):
			faults = append(faults, op)
		case op.Kind == Read && op.Outcome == OK:
			h.of[op.Key].shown(op, op.Value, op.Token, h.toks)
		case op.Kind == Export:
			for j := range op.Rows {
				row := &op.Rows[j]
				h.of[row.Key].shown(op, row.Value, row.Token, h.toks)
			}
		}
	}
	for _, r := range h.of {
		r.learnAnswers(h.toks)
		for _, k := range r.known {
			if !forgets(faults, k, math.MaxInt64) {
				r.writes[k.write].stands = true
			}
		}
		r.order(faults, h.toks)
	}
}

// shown takes in that a node showed a value: its write happened there, and the token
// names it.
func (r *record) shown(op *Op, value, token string, toks tokens) {
	shown := r.value[value]
	if len(shown) != 1 {
		return // nobody wrote it, or several did and we cannot tell which
	}
	w := r.writes[shown[0]]
	if c := toks.parse(token); w.dots.Empty() && c.Count() == 1 {
		w.dots = c.Clone()
	}
	n, _ := w.versions()
	r.known = append(r.known, knowledge{op.Node, op.Start, op.End, shown[0], true, n <= 1})
}

// learnAnswers takes in what the answers to writes and to reads with a token say. A
// record's dots are all known by now.
func (r *record) learnAnswers(toks tokens) {
	for i, w := range r.writes {
		n, told := w.versions()
		for _, t := range w.tries {
			if t.Outcome == OK || t.Local {
				r.known = append(r.known, knowledge{t.Node, t.Start, t.End, i, t.Local, n == 1})
			}
		}
		for _, op := range r.reads {
			if op.Outcome != OK && op.Outcome != Absent {
				continue
			}
			if toks.covers(op.After, w.dots) || toks.covers(op.Token, w.dots) {
				r.known = append(r.known, knowledge{op.Node, op.Start, op.End, i, true, n == 1 || told})
			}
		}
	}
}

// order fills under: first what is told directly, then what follows from it.
func (r *record) order(faults []*Op, toks tokens) {
	n := len(r.writes)
	r.under = make([]bits, n)
	for i := range r.under {
		r.under[i] = make(bits, (n+63)/64)
	}
	for i, w := range r.writes {
		if w.outcome == Refused {
			continue
		}
		for j := range r.writes {
			if i != j && r.sawDirectly(i, j, faults, toks) {
				r.under[i].set(j)
			}
		}
	}
	r.close()
	for i := range r.writes {
		if j, ok := r.onlyBase(i); ok {
			r.under[i].set(j)
		}
	}
	r.close()
}

// close: who has seen a write has seen what that one had seen.
func (r *record) close() {
	for k := range r.writes {
		for i := range r.writes {
			if r.under[i].has(k) {
				r.under[i].or(r.under[k])
			}
		}
	}
}

// sawDirectly reports whether every try of write i that may have happened had seen
// write j: by If-Match, which names what it replaces, or else because its node held j.
func (r *record) sawDirectly(i, j int, faults []*Op, toks tokens) bool {
	n, told := r.writes[j].versions()
	for _, try := range r.writes[i].tries {
		if try.Outcome == Refused {
			continue
		}
		saw := false
		if try.Match != "" {
			saw = (n == 1 || told) && toks.covers(try.Match, r.writes[j].dots)
		} else {
			for _, k := range r.known {
				if k.write == j && k.all && k.node == try.Node && k.end < try.Start && !forgets(faults, k, try.End) {
					saw = true
					break
				}
			}
		}
		if !saw {
			return false
		}
	}
	return true
}

// onlyBase: an update or delete that was answered well has found the record. If only one
// write can have made it so, that is the one it replaced.
func (r *record) onlyBase(i int) (base int, ok bool) {
	w := r.writes[i]
	if w.kind == Add || w.outcome != OK {
		return 0, false
	}
	for _, t := range w.tries {
		if t.Match != "" {
			return 0, false // sawDirectly knows better
		}
	}
	for j, b := range r.writes {
		if j == i || !b.live() || b.outcome == Refused || b.start() > w.end() || r.under[j].has(i) {
			continue
		}
		if ok {
			return 0, false
		}
		base, ok = j, true
	}
	if !ok {
		return 0, false
	}
	n, _ := r.writes[base].versions()
	return base, n == 1
}

type bits []uint64

func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) or(c bits) {
	for i := range b {
		b[i] |= c[i]
	}
}
