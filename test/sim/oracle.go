package sim

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// The oracles that look at one store, after each of its transactions.

// check verifies the store, compares it with the model, and with stores of the same clock.
func (p *process) check() {
	w := p.w
	found, err := p.store.Verify(context.Background())
	if err != nil {
		w.fail("verify", "%s: %v", p.slot, err)
	}
	for _, f := range found {
		w.fail("verify", "%s: %s", p.slot, f)
	}
	if limit := p.slot.latest.Add(clock.MaxSkew + time.Second); p.store.HLC().Time().After(limit) {
		w.fail("stamp", "the HLC of %s is at %s, its wall clock never was above %s", p.slot, p.store.HLC().Time(), p.slot.latest)
	}
	p.checkRecords()
	for _, o := range w.slots {
		if o.proc == nil || o.proc == p || o.proc.stepping || o.proc.store.ClockHash() != p.store.ClockHash() {
			continue
		}
		if len(w.tainted) == 0 && o.proc.store.Digest() != p.store.Digest() {
			w.fail("digest", "%s and %s have equal clocks and other views", p.slot, o)
		}
	}
}

// checkRecords holds every record of the store against what the model says it was told.
func (p *process) checkRecords() {
	w := p.w
	seen := make([]bool, len(w.keys))
	err := p.store.View(func(tx *storage.Tx) error {
		for rec, err := range tx.Records() {
			if err != nil {
				return err
			}
			n := w.number(rec.Key)
			if n < len(seen) {
				seen[n] = true
			}
			p.checkRecord(n, rec)
		}
		return nil
	})
	if err != nil {
		w.fail("error", "%s: %v", p.slot, err)
	}
	for n, known := range p.slot.known {
		if !seen[n] && !known.empty() && !w.tainted[n] {
			w.fail("siblings", "%s was told of %s and has no such record", p.slot, w.record(n))
		}
	}
}

func (p *process) checkRecord(n int, rec memory.Record) {
	w := p.w
	for i := range rec.Versions {
		v := &rec.Versions[i]
		made := w.byDot[v.Dot]
		switch {
		case made == nil:
			w.fail("invented", "%s has %s of %s, which nobody wrote", p.slot, v.Dot, rec.Key)
			return
		case made.sum != v.Sum(rec.Key):
			w.fail("dot", "%s has %s with other bytes than were written", p.slot, made)
			return
		}
	}
	if w.tainted[n] {
		return
	}
	known := p.slot.known.at(n)
	want := w.siblings(known)
	if !slices.EqualFunc(rec.Versions, want, func(v memory.Version, s *write) bool { return v.Dot == s.dot }) {
		oracle := "siblings"
		for i := range rec.Versions {
			if made := w.byDot[rec.Versions[i].Dot]; known.has(made.n) && !slices.Contains(want, made) {
				oracle = "zombie" // known here to be superseded
			}
		}
		w.fail(oracle, "%s shows %v of %s, should show %v", p.slot, rec.Dots(), rec.Key, want)
		return
	}
	for _, s := range want {
		known = known.minus(only(s.n))
	}
	var ctx clock.Clock
	for n := range known.each {
		ctx.Add(w.writes[n].dot)
	}
	if !rec.Context.Equal(ctx) {
		w.fail("context", "%s has context %s of %s, should be %s", p.slot, rec.Context, rec.Key, ctx)
	}
	view, best := rec.View(), winner(want)
	if view.Live != (best != nil) || best != nil && view.Winner.Dot != best.dot {
		w.fail("view", "%s shows %v of %s, should be %v", p.slot, view.Winner, rec.Key, best)
	}
}

func only(n int) (s set) {
	s.add(n)
	return s
}

// checkTitle compares the title index with the model, as of the transaction under way.
func (p *process) checkTitle(title string, keys []memory.Key) {
	w := p.w
	if len(w.tainted) > 0 {
		return
	}
	var got []int
	for _, k := range keys {
		got = append(got, w.number(k))
	}
	slices.Sort(got)
	if want := w.holders(p.draft, title); !slices.Equal(got, want) {
		w.fail("title", "%s finds records %v under %q, should be %v", p.slot, got, title, want)
	}
}

// checkFree: a new memory must not be written over one that lives under another title.
func (p *process) checkFree(key memory.Key) {
	n := p.w.number(key)
	if best := winner(p.w.siblings(p.draft.at(n))); best != nil && !p.w.tainted[n] {
		p.w.fail("title", "%s creates a memory over %s, which lives as %q", p.slot, best, best.title)
	}
}

// checkMade looks at a version inside the transaction that makes it.
func (p *process) checkMade(tx *storage.Tx, made *write, over bool) {
	w := p.w
	rec, _, _, err := tx.Get(w.keys[made.key])
	v := rec.Find(made.dot)
	if err == nil && v == nil && made.deleted && w.cfg.Mutants != 0 {
		w.fail("siblings", "%s deletes and keeps no tombstone", p.slot)
		return
	}
	if err != nil || v == nil {
		w.fail("error", "%s does not find what it put: %v", p.slot, err)
		return
	}
	made.stamp, made.sum = v.Stamp, v.Sum(rec.Key)
	// A token may also name what others superseded since. Nobody can be shown that beside it.
	for _, old := range w.siblings(p.draft.at(made.key).minus(only(made.n))) {
		if made.past.has(old.n) && old.stamp >= made.stamp && !w.tainted[made.key] {
			w.fail("stamp", "%s supersedes %s, whose stamp is not below", made, old)
		}
	}
	w.say("%s writes %s to %s %q (over %v)", p.slot, made, w.record(made.key), made.title, over)
}

// checkQuorum: a 201 means that W distinct registered names had the write durably. A disk that
// had it and was destroyed between its word and the answer had it.
func (w *World) checkQuorum(made *write, quorum int, names []string, slots []int) {
	if distinct := slices.Compact(slices.Sorted(slices.Values(names))); len(distinct) < quorum {
		w.fail("quorum", "%s is acknowledged for W=%d by %v", made, quorum, names)
	}
	for i, name := range names {
		if slots[i] < 0 {
			w.fail("quorum", "%s is acknowledged by %s, which never spoke", made, name)
			continue
		}
		s := w.slots[slots[i]]
		if !s.known.at(made.key).has(made.n) && made.lost&(1<<s.n) == 0 && !w.tainted[made.key] {
			w.fail("quorum", "%s is acknowledged by %s, which does not have it durably", made, name)
		}
	}
}

// checkPage: nothing is sent that the caller has, and nothing is covered that the sender has not.
func (w *World) checkPage(p *process, r wire.SinceRequest, page *storage.Page) {
	if !page.Clock.Covers(page.Covers) {
		w.fail("covers", "%s covers %s and has %s", p.slot, page.Covers, page.Clock)
	}
	for _, raw := range page.Rows {
		env, err := memory.DecodeEnvelope(raw)
		if err != nil {
			w.fail("wire", "row of %s: %v", p.slot, err)
			return
		}
		if r.Cursor.Covers(clock.Of(env.Dots...)) && r.Cursor.Covers(env.Context) {
			w.fail("redundant", "%s sends %s to one that has it", p.slot, env.Key)
		}
	}
}

// checkRedundant: in a quiet heal no row comes that is there already (invariant 21). With
// parallel pulls a state may come from one peer while another one, which has a newer state of
// that record, is sending that, and nobody can know: there only the same state twice is too
// much, or one that was here before.
func (w *World) checkRedundant(l *pull, page *wire.Page, a storage.Applied) {
	if !w.quiet {
		return
	}
	p := l.p
	if !w.together && a.Redundant > 0 {
		w.fail("redundant", "%d of %d rows from %s were at %s already", a.Redundant, len(page.Rows), l.from, p.slot)
	}
	for _, raw := range page.Rows {
		env, err := memory.DecodeEnvelope(raw)
		if err != nil {
			continue
		}
		state := fmt.Sprint(env.Key, env.Dots, env.Context)
		if p.came[state] || p.before.Covers(clock.Of(env.Dots...)) && p.before.Covers(env.Context) {
			w.fail("redundant", "%s %v comes to %s from %s and was there already", env.Key, env.Dots, p.slot, l.from)
		}
		p.came[state] = true
	}
}

// dump is everything of a store that must be equal on nodes of equal clocks.
func (p *process) dump() string {
	var b strings.Builder
	w := p.w
	err := p.store.View(func(tx *storage.Tx) error {
		for rec, err := range tx.Records() {
			if err != nil {
				return err
			}
			if w.tainted[w.number(rec.Key)] {
				continue
			}
			fmt.Fprintf(&b, "%s ctx %s lost %v idem %v ext %x", rec.Key, rec.Context, rec.Lost, rec.Idems, rec.Ext)
			for i := range rec.Versions {
				v := &rec.Versions[i]
				fmt.Fprintf(&b, " [%s %s %s %t]", v.Dot, v.Sum(rec.Key), v.Agent, v.Deleted)
			}
			b.WriteByte('\n')
		}
		if len(w.tainted) > 0 {
			return nil
		}
		for it, err := range tx.List(memory.Filter{Limit: 1000}) {
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "list %s %s %d\n", it.Key, it.View.Winner.Dot, it.View.Conflicts)
		}
		for _, end := range w.keys {
			if end.Kind() != memory.KindMemory {
				continue
			}
			for l, err := range tx.Links(end) {
				if err != nil {
					return err
				}
				fmt.Fprintf(&b, "link %s: %s %s\n", end, l.Key, l.View.Winner.Dot)
			}
		}
		for a, err := range tx.Archive("", 0) {
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "aside %s\n", a.Key)
		}
		for _, title := range w.opt.titles {
			keys, err := tx.ByTitle(namespace, title)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "title %s %v\n", title, keys)
		}
		return nil
	})
	if err != nil {
		w.fail("error", "dump of %s: %v", p.slot, err)
	}
	return b.String()
}

func readFile(b io.Writer, dir string) error {
	f, err := os.Open(filepath.Join(dir, storage.DataFile))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(b, f)
	return err
}
