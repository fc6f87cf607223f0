package history

import "fmt"

// judgeShown looks for a reason why a value should not be shown by a node that must know
// of the given writes.
func (r *record) judgeShown(value string, known func(i int) bool) (Verdict, string) {
	candidates := r.value[value]
	if len(candidates) == 0 {
		return Invented, fmt.Sprintf("nobody wrote the value %s", value)
	}
	verdict, why := Fine, ""
	for _, s := range candidates {
		if r.writes[s].outcome == Refused {
			verdict, why = Invented, "its write was refused"
			continue
		}
		v, y := r.replaced(s, known)
		if v == Fine {
			return Fine, ""
		}
		verdict, why = v, y
	}
	return verdict, why
}

// replaced reports whether a write that the node must know of had seen s.
func (r *record) replaced(s int, known func(i int) bool) (Verdict, string) {
	verdict, why := Fine, ""
	for i, w := range r.writes {
		if !r.under[i].has(s) || !known(i) {
			continue
		}
		if !w.live() {
			return Resurrected, "deleted by " + r.describe(i)
		}
		verdict, why = Stale, "replaced by "+r.describe(i)
	}
	return verdict, why
}

// judgeAbsent looks for a write, out of those that must be known, that nothing can have
// removed.
func (r *record) judgeAbsent(known func(i int) bool, toks tokens) (Verdict, string) {
	for i, w := range r.writes {
		if !w.live() || !known(i) {
			continue
		}
		removed := false
		for d, del := range r.writes {
			if !del.live() && r.mayRemove(d, i, toks) {
				removed = true
				break
			}
		}
		if !removed {
			return Lost, r.describe(i) + " was there, and nothing can have removed it"
		}
	}
	return Fine, ""
}

// mayRemove reports whether some order of events lets delete d have removed write i, or
// what had taken its place.
func (r *record) mayRemove(d, i int, toks tokens) bool {
	del, w := r.writes[d], r.writes[i]
	if del.outcome == Refused || r.under[i].has(d) {
		return false
	}
	for _, try := range del.tries {
		switch {
		case try.Outcome == Refused:
		case try.Match == "":
			if try.Outcome == Unknown || try.End >= w.start() {
				return true
			}
		default:
			for j, u := range r.writes {
				mayBe := j == i || u.live() && u.outcome != Refused && !r.under[i].has(j)
				if mayBe && (u.dots.Empty() || toks.touches(try.Match, u.dots)) {
					return true
				}
			}
		}
	}
	return false
}

func (r *record) describe(i int) string {
	w := r.writes[i]
	t := w.tries[len(w.tries)-1]
	for _, try := range w.tries {
		if try.Outcome == w.outcome {
			t = try
		}
	}
	return fmt.Sprintf("%s %s at %s (%s, dot %s, token %s, answered %.3f s)", w.kind, w.value, t.Node, w.outcome, orDash(t.Dot), orDash(t.Token), float64(t.End)/1e9)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
