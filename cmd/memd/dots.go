package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// dots is a clock as a node shows it to people, read back so that it can be counted and
// compared: what one node has and another lacks.
type dots map[string][]span // by origin; sorted, disjoint

type span struct{ lo, hi uint64 }

// parseDots reads "1-20,22" per origin. What it does not understand it leaves out: this is
// for a screen, and a later version may say more.
func parseDots(clock map[string]string) dots {
	d := dots{}
	for origin, text := range clock {
		var spans []span
		for part := range strings.SplitSeq(text, ",") {
			first, last, isRange := strings.Cut(part, "-")
			if !isRange {
				last = first
			}
			lo, err1 := strconv.ParseUint(first, 10, 64)
			hi, err2 := strconv.ParseUint(last, 10, 64)
			if err1 == nil && err2 == nil && lo <= hi {
				spans = append(spans, span{lo, hi})
			}
		}
		if spans = join(spans); len(spans) > 0 {
			d[origin] = spans
		}
	}
	return d
}

// join sorts spans and merges those that touch.
func join(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && s.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, s.hi)
		} else {
			out = append(out, s)
		}
	}
	return out
}

func (d dots) count() (n uint64) {
	for _, spans := range d {
		for _, s := range spans {
			n += s.hi - s.lo + 1
		}
	}
	return n
}

// union is the set of all dots of all sets.
func union(sets ...dots) dots {
	all := dots{}
	for _, d := range sets {
		for origin, spans := range d {
			all[origin] = append(slices.Clip(all[origin]), spans...)
		}
	}
	for origin, spans := range all {
		all[origin] = join(slices.Clone(spans))
	}
	return all
}

// lacks counts what is in other and not in d.
func (d dots) lacks(other dots) uint64 { return union(d, other).count() - d.count() }

// short is a clock for a narrow column: the origins with the most writes by their first
// digits and their highest counter, with "*" where counters below it are missing.
func (d dots) short() string {
	type entry struct {
		origin string
		top    uint64
		gaps   bool
	}
	var entries []entry
	for origin, spans := range d {
		entries = append(entries, entry{origin, spans[len(spans)-1].hi, len(spans) > 1 || spans[0].lo != 1})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.top, a.top), strings.Compare(a.origin, b.origin))
	})
	const shown = 3
	var parts []string
	for _, e := range entries[:min(len(entries), shown)] {
		text := fmt.Sprintf("%s:%d", e.origin[:min(len(e.origin), 4)], e.top)
		if e.gaps {
			text += "*"
		}
		parts = append(parts, text)
	}
	if more := len(entries) - shown; more > 0 {
		parts = append(parts, fmt.Sprintf("+%d", more))
	}
	return orDash(strings.Join(parts, " "))
}
