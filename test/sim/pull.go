package sim

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/memd/memd/catchup"
	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// pull is one session with a peer.
type pull struct {
	p    *process
	from *slot
	s    *catchup.Session
	req  int // number of the last request
}

var errTimeout = errors.New("timeout")

// pullFrom begins a session.
func (p *process) pullFrom(from *slot) *pull {
	l := &pull{p: p, from: from}
	l.s = catchup.NewSession(catchup.SessionConfig{
		Leases: p.leases, Clock: p.store.Clock, LimitBytes: p.w.opt.page, Mutants: p.w.cfg.Mutants,
	})
	p.pulls = append(p.pulls, l)
	p.w.stats.Pulls++
	p.w.say("%s pulls from %s", p.slot, from)
	return l
}

// ask returns the next request, nil if there is none to send now.
func (l *pull) ask() *message {
	req, ok := l.s.Next(l.p.w.now)
	if !ok {
		return nil
	}
	l.req++
	req.Peer, req.Boot, req.Cluster = l.p.slot.name, uint64(l.p.life), cluster
	return &message{kind: sinceAsk, from: l.p.slot, to: l.from, body: []byte(req.Values().Encode()), life: l.p.life, pull: l, req: l.req}
}

// serve answers a pull, as node and its door do.
func (p *process) serve(m *message) {
	w := p.w
	answer := &message{kind: sincePage, from: p.slot, to: m.from, life: m.life, pull: m.pull, req: m.req}
	values, err := url.ParseQuery(string(m.body))
	if err != nil {
		w.fail("wire", "query: %v", err)
		return
	}
	r, err := wire.ParseSince(values, nil)
	if err != nil || r.Cluster != p.store.Cluster() {
		w.fail("wire", "since: %v", err)
		return
	}
	p.store.ObserveClock(r.Cursor)
	page, err := p.store.Since(storage.SinceRequest{Cursor: r.Cursor, Reserved: r.Reserved, Scope: r.Scope, LimitBytes: r.LimitBytes})
	switch {
	case errors.Is(err, storage.ErrScope):
		answer.refusal = &wire.StatusError{Status: http.StatusMisdirectedRequest}
	case err != nil:
		w.fail("error", "since at %s: %v", p.slot, err)
		return
	case page.NotModified:
		answer.refusal = &wire.NotModified{Name: p.slot.name, ClockHash: p.store.ClockHash()}
	default:
		w.checkPage(p, r, page)
		for _, raw := range page.Rows {
			answer.told = append(answer.told, p.served(raw))
		}
		var b bytes.Buffer
		err := wire.WritePage(&b, &wire.Page{
			Head: wire.Head{
				Cluster: p.store.Cluster(), Name: p.slot.name, Boot: uint64(p.life), Origin: p.store.Origin(), Clock: page.Clock,
				Floor: page.Floor, Scope: wire.ScopeAll, HLC: clock.NewStamp(p.slot.wall().UnixMilli(), 0), Reconcile: page.Reconcile,
			},
			Rows: page.Rows, Withheld: page.Withheld, Tail: wire.Tail{Covers: page.Covers, Complete: page.Complete},
		})
		if err != nil {
			w.fail("wire", "page of %s: %v", p.slot, err)
		}
		answer.body = b.Bytes()
	}
	if page != nil {
		w.say("%s serves %s: %d rows, covers %s, complete %v", p.slot, m.from, len(page.Rows), page.Covers, page.Complete)
	}
	w.send(answer)
}

// served is what a row of a page says: what this disk was told of its record. Bytes that no
// node of this version can read are passed on as they are.
func (p *process) served(raw []byte) told {
	env, err := memory.DecodeEnvelope(raw)
	if err != nil {
		p.w.fail("wire", "row of %s: %v", p.slot, err)
		return told{}
	}
	n := p.w.number(env.Key)
	if _, err := memory.DecodeRecord(raw); err != nil {
		return told{key: n, defect: true}
	}
	return told{key: n, known: p.slot.known.at(n)}
}

// takePage hands an answer to its session.
func (p *process) takePage(m *message) {
	if p.life != m.life || m.pull.req != m.req || !slices.Contains(p.pulls, m.pull) {
		return
	}
	w, l := p.w, m.pull
	if m.refusal != nil {
		l.s.Got(w.now, nil, m.refusal)
		l.finish()
		return
	}
	page, err := wire.ReadPage(bytes.NewReader(m.body), 0)
	if page != nil && (err == nil || len(page.Rows) > 0) {
		p.store.ObserveClock(page.Head.Clock)
		p.heads[page.Head.Name] = head{page.Head.Clock, m.from}
	}
	if page != nil {
		l.tell(page, m.told)
	}
	w.say("%s gets a page of %s: %v", p.slot, m.from, err)
	l.s.Got(w.now, page, err)
	l.finish()
	p.settle()
}

// tell remembers what the rows of a page say until it is applied.
func (l *pull) tell(page *wire.Page, rows []told) {
	l.p.w.pages[page] = rows[:len(page.Rows)]
}

// apply writes the page in hand, if there is one. It reports whether the process lives.
func (l *pull) apply() bool {
	page, ok := l.s.Page()
	if !ok {
		return true
	}
	p, w := l.p, l.p.w
	rows := w.pages[page]
	delete(w.pages, page)
	b := storage.Batch{From: l.from.name, Rows: page.Rows, Floor: page.Head.Floor, Covers: page.Tail.Covers, Clock: page.Head.Clock}
	p.apply(b, rows, func(a storage.Applied, err error) {
		w.stats.Rows += len(page.Rows)
		w.stats.Conflicts += a.Conflicts
		w.checkRedundant(l, page, a)
		w.say("%s applies a page of %s: %d new, %d redundant, clock %s (%v)", p.slot, l.from, a.New, a.Redundant, a.Clock, err)
		l.s.Applied(w.now, catchup.Applied{New: a.New, Redundant: a.Redundant, Tombs: a.Tombs, Quarantined: a.Quarantined, NewDots: a.NewDots}, err)
	})
	alive := p.step()
	if alive {
		l.finish()
	}
	return alive
}

// finish ends the session if it is done.
func (l *pull) finish() {
	if l.s.Done() {
		l.close()
	}
}

func (l *pull) close() {
	p := l.p
	if !slices.Contains(p.pulls, l) {
		return
	}
	sum := l.s.Summary()
	l.s.Close()
	p.pulls = slices.DeleteFunc(p.pulls, func(x *pull) bool { return x == l })
	if sum.Err == nil {
		p.synced = true
		if sum.Owed.Empty() && !sum.Clock.Empty() {
			p.heads[l.from.name] = head{sum.Clock, l.from}
		}
	}
	p.w.say("%s has pulled from %s: %d pages, owed %s (%v)", p.slot, l.from, sum.Pages, sum.Owed, sum.Err)
	p.settle()
}

// abort gives the session up: its lease ends.
func (l *pull) abort() {
	l.s.Abort(errTimeout)
	l.close()
}
