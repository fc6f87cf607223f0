//go:build chaos && linux

package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/memd/memd/test/history"
)

// nap is one round of the headline: how the sleeper sleeps and who looks at it.
type nap struct {
	dark  bool          // the peers' connections are cut while it sleeps
	sleep time.Duration // at least; 0 = just as long as the writes take
	dead  bool          // until gossip has buried it
	blink bool          // nobody asks it anything in the first 250 ms
	late  bool          // dark only: the network heals after SIGCONT, not before
}

func (n nap) class() string {
	c := "light"
	if n.dark {
		c = "dark"
	}
	switch {
	case n.dead:
		c += ", buried"
	case n.sleep > 0:
		c += ", long"
	default:
		c += ", short"
	}
	if n.blink {
		c += ", untouched"
	}
	return c
}

const (
	napRows  = 20
	longNap  = 1500 * time.Millisecond
	napBound = 5 * time.Second // the only time that is asserted
	blinkFor = 250 * time.Millisecond
	// settle lets the gossip about earlier writes run out, so that a round is about its own.
	settle = 700 * time.Millisecond
)

func naps() []nap {
	if testing.Short() {
		return []nap{
			{sleep: longNap}, {dark: true, sleep: longNap},
			{}, {dark: true, late: true},
			{sleep: longNap, blink: true}, {dark: true, sleep: longNap, blink: true, late: true},
		}
	}
	var all []nap
	for rep := range 10 {
		for _, blink := range []bool{false, true} {
			if blink && rep >= 4 {
				continue // they say whether all is there in time, and the others when
			}
			for _, sleep := range []time.Duration{longNap, 0} {
				for _, dark := range []bool{false, true} {
					all = append(all, nap{dark: dark, sleep: sleep, blink: blink, late: rep%2 == 1})
				}
			}
		}
	}
	return append(all, nap{dead: true}, nap{dark: true, dead: true}, nap{dead: true}, nap{dark: true, dead: true, late: true})
}

// woken is what one round measured.
type woken struct {
	nap         nap
	first, last time.Duration // from SIGCONT to the first and the last row readable there
	quiet       time.Duration // from SIGCONT to equal digests
	pulled      pulled
	atLook      int // rows there at the first look of an untouched round
	writes      []time.Duration
}

// TestSIGSTOP is the headline (S01): a node stands still, twenty memories are written to
// the others, it goes on, and has them all.
func TestSIGSTOP(t *testing.T) {
	m := newMesh(t)
	c := m.client("s01")
	for range 50 { // something to be behind of
		c.add(m.nodes[0], m.name("base"), c.content("base"), options{})
	}
	m.quiet(quietLimit)
	var all []woken
	for i, nap := range naps() {
		w, err := m.sleeper(c, m.nodes[i%3], nap)
		report.round(t, err)
		if err == nil {
			t.Logf("round %d, %s sleeps (%s): first row %s, last %s, digests equal %s, pulled %s", i, m.nodes[i%3].name, nap.class(), ms(w.first), ms(w.last), ms(w.quiet), w.pulled)
			all = append(all, w)
		}
	}
	m.judge()
	reportNaps(t, all)
	m.judgeTheJudge(history.Lost, history.Duplicated, history.Invented, history.Reused, history.Diverged, history.Unread)
}

// sleeper plays one round.
func (m *mesh) sleeper(c *client, s *node, nap nap) (w woken, err error) {
	m.t.Helper()
	w.nap = nap
	time.Sleep(settle)
	before, err := s.pulled()
	if err != nil {
		return w, err
	}
	s.client.CloseIdleConnections() // ours are no peers', and are not to be taken for them
	if err := s.pause(); err != nil {
		return w, err
	}
	defer func() {
		if s.stopped {
			s.resume()
		}
		m.must(m.net.heal())
	}()
	if nap.dark {
		start := m.rec.Now()
		m.net.isolate(s.name)
		if err := m.net.isolated(s.name); err != nil {
			return w, err
		}
		m.fault(s, start, "dark", "no connection is left, new ones are refused")
	}
	began := time.Now()
	ns := *c
	ns.ns += "/" + m.name("round")
	ops, err := m.napWrites(&ns, s, &w)
	if err != nil {
		return w, err
	}
	if err := m.napWait(s, nap, began); err != nil {
		return w, err
	}
	if err := s.proc().stopped(); err != nil { // all the time, since nobody continued it
		return w, err
	}
	if err := m.notAcked(s, ops); err != nil {
		return w, err
	}
	if nap.dark {
		if err := m.net.isolated(s.name); err != nil {
			return w, err
		}
		if !nap.late {
			m.must(m.net.heal())
		}
	}
	woke := time.Now()
	s.resume()
	if nap.dark && nap.late {
		m.must(m.net.heal())
	}
	if err := ns.watch(s, woke, &w); err != nil {
		return w, err
	}
	m.quiet(quietLimit)
	w.quiet = time.Since(woke)
	for _, op := range ops {
		got := ns.read(s, titleOf(&ns, op), op.ID, op.Token)
		if got.Outcome != history.OK || got.Value != op.Value {
			return w, fmt.Errorf("%s shows %q for row %s: %s", s.name, got.Value, op.Key, got.Note)
		}
	}
	after, err := s.pulled()
	if err != nil {
		return w, err
	}
	// A nap shorter than half a second is over before anybody calls it one: pushes go on
	// where they were, and may meet a pull on the way. That is reported, not refused.
	quiet := nap.dark && (nap.dead || nap.sleep > 0)
	w.pulled = after.minus(before)
	switch {
	case quiet && w.pulled.redundant > 0:
		return w, fmt.Errorf("%s (%s) pulled rows that it had already: %s", s.name, nap.class(), w.pulled)
	case quiet && w.pulled.fresh == 0: // the others' queues would have brought them some time, too
		return w, fmt.Errorf("%s (%s) has the rows, and none of them by catching up: %s", s.name, nap.class(), w.pulled)
	}
	return w, nil
}

func titleOf(c *client, op history.Op) string { return op.Key[len(c.ns)+1:] }

// napWrites writes the rows, in turn through the two that are awake.
func (m *mesh) napWrites(c *client, s *node, w *woken) ([]history.Op, error) {
	awake := m.others(s)
	var ops []history.Op
	for i := range napRows {
		title := m.name("row")
		began := time.Now()
		op := c.add(awake[i%2], title, c.content(title), options{})
		w.writes = append(w.writes, time.Since(began))
		if op.Outcome != history.OK || op.Status != 201 {
			return nil, fmt.Errorf("write %d with one of three asleep: %d %s", i, op.Status, op.Note)
		}
		ops = append(ops, op)
	}
	return ops, nil
}

// napWait sleeps on until the nap is long enough.
func (m *mesh) napWait(s *node, nap nap, began time.Time) error {
	if nap.dead {
		for {
			state, _, err := m.others(s)[0].seenAs(s)
			if err != nil || state == "dead" {
				return err
			}
			if time.Since(began) > 60*time.Second {
				return voidf("gossip still calls %s %s", s.name, state)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	time.Sleep(time.Until(began.Add(nap.sleep)))
	return nil
}

// notAcked is the proof that the sleeper has none of the rows, as far as anybody can
// know while it sleeps: both others say that it has acknowledged none.
func (m *mesh) notAcked(s *node, ops []history.Op) error {
	for _, o := range m.others(s) {
		for _, op := range ops {
			names, err := o.ackedBy(op.Dot)
			if err != nil {
				return err
			}
			if slices.Contains(names, s.name) {
				return voidf("%s says that %s, which sleeps, has %s", o.name, s.name, op.Dot)
			}
		}
	}
	return nil
}

// watch looks at the one that woke up until it shows all rows of the namespace.
func (c *client) watch(s *node, woke time.Time, w *woken) error {
	if w.nap.blink {
		time.Sleep(time.Until(woke.Add(blinkFor)))
	}
	var rows []json.RawMessage
	for look := 0; ; look++ {
		var err error
		if rows, err = s.rows(c.ns); err != nil {
			return fmt.Errorf("%s after SIGCONT, with %d of %d rows: %w", s.name, len(rows), napRows, err)
		}
		since := time.Since(woke)
		if look == 0 {
			w.atLook = len(rows)
		}
		if len(rows) > 0 && w.first == 0 {
			w.first = since
		}
		if len(rows) == napRows {
			w.last = since
			return nil
		}
		if since > napBound {
			return fmt.Errorf("%s (%s) has %d of %d rows %s after SIGCONT", s.name, w.nap.class(), len(rows), napRows, since.Round(time.Millisecond))
		}
		time.Sleep(time.Millisecond)
	}
}

func reportNaps(t *testing.T, all []woken) {
	classes := map[string][]woken{}
	var order []string
	put := func(class string, w woken) {
		if classes[class] == nil {
			order = append(order, class)
		}
		classes[class] = append(classes[class], w)
	}
	for _, w := range all {
		if !w.nap.blink {
			if w.nap.dark {
				put("dark", w)
			} else {
				put("light", w)
			}
		}
	}
	for _, w := range all {
		put(w.nap.class(), w)
	}
	var writes []time.Duration
	for _, class := range order {
		var last, quiet []time.Duration
		var p pulled
		looked, there := 0, 0
		for _, w := range classes[class] {
			last, quiet = append(last, w.last), append(quiet, w.quiet)
			p.fresh += w.pulled.fresh
			p.redundant += w.pulled.redundant
			writes = append(writes, w.writes...)
			if w.nap.blink {
				looked++
				if w.atLook == napRows {
					there++
				}
			}
		}
		line := fmt.Sprintf("%-24s last of %d rows after SIGCONT %s; digests equal p50 %s; pulled %v new, %v redundant", class, napRows, figures(last), ms(quantile(quiet, .5)), p.fresh, p.redundant)
		if looked > 0 {
			line += fmt.Sprintf("; all there at the first look after %s in %d of %d", blinkFor, there, looked)
		}
		report.note(t, "%s", line)
	}
	report.note(t, "writes with one asleep: %s", figures(writes))
}

// judgeTheJudge plants faults into the record of this very run: a checker that is blind
// to this harness's histories would have passed it all the same. The history must have a
// place for each of the verdicts.
func (m *mesh) judgeTheJudge(must ...history.Verdict) {
	m.t.Helper()
	ops := m.rec.Ops()
	found := map[history.Verdict]bool{}
	for _, p := range history.Plants() {
		bad, ok := p.Planted(ops, m.names)
		if !ok {
			continue
		}
		if rep := history.Check(bad, m.names); !rep.Has(p.Want) {
			m.t.Errorf("planted %q and the checker did not find it: %v", p.Name, rep.Err())
		}
		found[p.Want] = true
	}
	for _, v := range must {
		if !found[v] {
			m.t.Errorf("this history has no place to plant the verdict %q", v)
		}
	}
}
