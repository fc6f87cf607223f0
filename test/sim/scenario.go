package sim

import (
	"net/url"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// scenario is a script that opens a schedule: what chance would do once in many runs. The rest
// of the schedule is random.
type scenario struct {
	name  string
	cases string // edge cases of the design that it is about
	nodes int    // 0 = 3
	play  func(*World)
}

// open founds the cluster and plays the script that the seed chose, if any.
func (w *World) open() {
	for _, s := range scenarios {
		if s.name != w.cfg.Scenario {
			continue
		}
		w.opt.nodes = max(s.nodes, 3)
		w.found(w.opt.nodes)
		page := w.opt.page
		w.scripted, w.opt.page = true, 1<<20
		if !w.failed() {
			w.say("scenario %s: %s", s.name, s.cases)
			s.play(w)
			w.say("scenario %s is over", s.name)
		}
		w.scripted, w.during, w.opt.page = false, nil, page
		return
	}
	w.found(w.opt.nodes)
}

var scenarios = []scenario{
	{"late", "1, 2: what a slow clock wrote reaches a third node late", 0, func(w *World) {
		w.slots[0].skew = -time.Hour
		w.put(0, "red")
		w.put(2, "green")
		w.pull(1, 2)
		w.pull(1, 0)
		w.pull(2, 1) // has the later stamp, lacks the earlier write
	}},
	{"edge", "4: rows of one instant, more than fit a page", 0, func(w *World) {
		w.opt.page = 1
		for _, title := range []string{"red", "green", "blue", "white"} {
			w.put(0, title)
		}
		w.exchange(w.proc(1).pullFrom(w.slots[0]))
		w.proc(1).pulls[0].apply()
		w.proc(1).pulls[0].abort()
	}},
	{"gap", "5: pushes arrive, one in the middle is lost", 0, func(w *World) {
		w.connect(0, 1)
		w.do(0, &request{verb: create, title: "red", quorum: 2})
		w.hold(0, 1) // and never delivered
		w.put(0, "green")
		w.push(0, 1) // acknowledges the second write, and not the first
	}},
	{"hole", "6: a page ends before the row that superseded what it looked at", 0, func(w *World) {
		w.opt.page = 1
		w.put(0, "green")
		w.put(0, "red")
		w.put(0, "red")
		l := w.proc(1).pullFrom(w.slots[0])
		w.exchange(l)
		l.apply()
		w.slots[0].destroy() // the only holder of the successor
		w.pull(2, 1)
	}},
	{"partial", "7: a crash after the first page of three", 0, func(w *World) {
		w.opt.page = 1
		for _, title := range []string{"red", "green", "blue"} {
			w.put(0, title)
		}
		l := w.proc(1).pullFrom(w.slots[0])
		w.exchange(l)
		l.apply()
		w.restart(1)
	}},
	{"torn", "8: a crash between any two disk steps", 0, func(w *World) {
		for _, point := range []string{"before-commit", "between", "after-commit"} {
			w.crashAt(0, point, &request{verb: upsert, title: "red"}, nil)
			if w.proc(0) == nil {
				w.slots[0].start()
			}
			w.restart(0)
		}
	}},
	{"fsync", "45, B6: an acknowledgement is true when it is given", 0, func(w *World) {
		w.do(0, &request{verb: create, title: "red", quorum: 1})
	}},
	{"overlap", "9, 49: a push overlaps a commit that a crash takes back", 0, func(w *World) {
		w.connect(0, 1)
		w.put(0, "red")
		w.crashAt(0, "before-commit", &request{verb: upsert, title: "red"}, func() { w.push(0, 1) })
		w.slots[0].start()
		w.pull(0, 2)
		w.put(0, "red") // another write: it must not bear the dot that n2 has
		w.put(0, "green")
	}},
	{"restore", "10: a node goes on from an old copy", 0, func(w *World) {
		w.put(0, "red")
		c := w.slots[0].copy()
		w.put(0, "red")
		w.put(0, "green")
		w.mesh()
		w.slots[0].restore(c)
		blue := w.do(0, &request{verb: upsert, title: "blue", quorum: 1}).made
		w.mesh()
		if rec := w.stored(1, blue.key); len(rec.Versions) == 0 {
			w.fail("lost", "the others ignore what the restored node wrote")
		}
	}},
	{"clone", "11: two live nodes of one name", 0, func(w *World) {
		w.connect(0, 1)
		w.do(0, &request{verb: create, title: "red", quorum: 3})
		w.push(0, 1)
		c := w.clone(w.slots[1].copy())
		w.proc(0).connect(c, true)
		w.push(0, c.n)
		w.proc(0).connect(w.slots[1], true)
		w.push(0, 1)
		w.put(1, "green")
		w.put(0, "blue")
	}},
	{"rejoin", "12: a wiped node learns its own old dots and writes on", 0, func(w *World) {
		w.put(0, "red")
		w.put(0, "green")
		w.mesh()
		w.slots[0].wipe()
		w.pull(0, 1)
		w.put(0, "red")
		w.mesh()
	}},
	{"late push", "13, 14: a push arrives after its successor, and again", 0, func(w *World) {
		w.connect(0, 1)
		w.put(0, "red")
		first := w.hold(0, 1)
		w.put(0, "red")
		second := w.hold(0, 1)
		w.deliver(second)
		w.deliver(first)
		w.deliver(second)
		w.pull(2, 1)
		again := *first
		again.to = w.slots[2]
		w.deliver(&again)
	}},
	{"delete", "17, 40, 53: a delete beside an update that it had not seen", 0, func(w *World) {
		red := w.put(0, "red")
		w.mesh()
		w.change(1, update, red, "")
		w.advance(time.Second)
		w.change(0, remove, red, "") // the later stamp
		w.pull(2, 0)
		w.pull(2, 1)
		w.pull(0, 2)
		w.do(2, &request{verb: upsert, title: "red"})
	}},
	{"copies", "B4: one node keeps memories longer, or sees them end, while others delete and change them", 0, func(w *World) {
		red, green, blue := w.put(0, "red"), w.put(0, "green"), w.put(0, "blue")
		w.mesh()
		r, g, b := w.keys[red.key], w.keys[green.key], w.keys[blue.key]
		for _, key := range []memory.Key{r, g, b} {
			w.do(0, &request{verb: keep, key: key})
		}
		w.do(1, &request{verb: remove, key: r})
		w.do(1, &request{verb: update, key: g, content: "c2"})
		w.do(2, &request{verb: expire, key: b})
		w.pull(1, 0)
		w.pull(0, 2)
		w.pull(2, 1)
	}},
	{"kinds", "B4: a node is away while others link, put aside, bring back, enrol and set standards", 0, func(w *World) {
		red, green, blue := w.put(0, "red"), w.put(0, "green"), w.put(0, "blue")
		w.mesh()
		r, g, b := w.keys[red.key], w.keys[green.key], w.keys[blue.key]
		w.do(0, &request{verb: relate, key: r, other: g})
		w.do(1, &request{verb: relate, key: r, other: g}) // the same link, made twice
		w.do(1, &request{verb: relate, key: g, other: r})
		w.do(0, &request{verb: enrol, title: "red"})
		w.do(1, &request{verb: standard, title: "red"})
		w.do(0, &request{verb: archive, key: b})
		w.do(1, &request{verb: archive, key: b})
		w.pull(0, 1)
		w.pull(2, 0)
		w.do(2, &request{verb: restore, key: b})
		w.do(0, &request{verb: unrelate, key: r, other: g}) // and not the way back
		w.do(0, &request{verb: unset, title: "red"})
		w.mesh()
		w.do(2, &request{verb: relate, key: b, other: r})
		w.change(0, remove, red, "") // takes those links along that it knows
		w.mesh()
		w.do(2, &request{verb: archive, key: b})
	}},
	{"torn aside", "B4, 8: a crash between any two disk steps of a transaction that puts aside, and of one that brings back", 0, func(w *World) {
		red := w.put(0, "red")
		w.do(0, &request{verb: relate, key: w.keys[red.key], other: w.keys[w.put(0, "green").key]})
		for _, point := range []string{"before-commit", "between", "after-commit"} {
			for _, v := range []verb{archive, restore} {
				w.crashAt(0, point, &request{verb: v, key: w.keys[red.key]}, nil)
				if w.proc(0) == nil {
					w.slots[0].start()
				}
				w.restart(0)
			}
		}
	}},
	{"two of a title", "18: a create races with a rename onto its title", 0, func(w *World) {
		green := w.put(1, "green")
		w.make(0, "red")
		w.change(1, rename, green, "red")
		w.mesh()
	}},
	{"rename", "19: a title is free again, its derived id is not", 0, func(w *World) {
		red := w.make(0, "red")
		w.change(0, rename, red, "blue")
		w.make(0, "red")
		w.mesh()
		w.make(1, "green")
	}},
	{"fast clock", "20: one wall clock is far ahead", 0, func(w *World) {
		w.slots[0].skew = time.Hour
		w.put(0, "red")
		w.pull(1, 0)
		w.put(1, "green")
	}},
	{"step back", "21: a wall clock steps back between two writes", 0, func(w *World) {
		w.put(0, "red")
		w.slots[0].skew = -time.Hour
		w.put(0, "red")
		w.restart(0)
		w.put(0, "red")
	}},
	{"backlog", "22, 24, 26: what gathered for a stopped node comes at once, with holes", 0, func(w *World) {
		w.connect(0, 2)
		for range 4 {
			w.put(0, "red")
			w.put(0, "green")
		}
		var kept []*message
		for m := w.hold(0, 2); m != nil; m = w.hold(0, 2) {
			kept = append(kept, m)
		}
		for i := len(kept) - 1; i >= 0; i -= 2 {
			w.deliver(kept[i])
		}
		w.advance(time.Minute)
		w.proc(2).store.Mint("pause")
		w.put(2, "red")
		w.pull(2, 0)
	}},
	{"miss", "29: W is missed, the client hears 503, the write stays", 0, func(w *World) {
		a := w.do(0, &request{verb: create, title: "red", idemKey: "k", quorum: 3})
		a.deadline()
		w.again(0, a.req)
		w.pull(1, 0)
		w.again(1, a.req)
	}},
	{"twins", "30, 54: one request on two nodes, one twin is overwritten meanwhile", 0, func(w *World) {
		a := w.do(0, &request{verb: create, title: "red", idemKey: "k"})
		w.again(1, a.req)
		w.pull(2, 0)
		w.pull(2, 1)
		w.change(0, update, a.made, "")
		w.pull(1, 0)
		w.pull(2, 0)
		w.again(2, a.req)
		w.again(0, a.req)
	}},
	{"scope", "32: a pull of less than everything", 0, func(w *World) {
		w.put(0, "red")
		l := w.proc(1).pullFrom(w.slots[0])
		m := l.ask()
		q, err := url.ParseQuery(string(m.body))
		if err != nil {
			w.fail("wire", "query: %v", err)
			return
		}
		q.Set("scope", "ns:elsewhere")
		m.body = []byte(q.Encode())
		w.deliver(m)
		w.deliver(w.take(len(w.flight) - 1))
		l.apply()
		if len(w.proc(1).pulls) > 0 {
			l.abort()
		}
	}},
	{"relay", "33: a relay knows more than it sends", 0, func(w *World) {
		w.opt.page = 1
		w.put(0, "red")
		w.put(0, "green")
		w.pull(1, 0)
		l := w.proc(2).pullFrom(w.slots[1])
		w.exchange(l)
		l.apply()
	}},
	{"poison", "34: a row that nobody here can read, and its relay", 0, func(w *World) {
		w.deliver(w.fromNewer(w.slots[0], w.slots[1], strange, true))
		w.pull(2, 1)
		w.pull(0, 2)
		w.restart(1)
	}},
	{"unknown", "35: fields that nobody here knows", 0, func(w *World) {
		w.put(1, "red")
		w.deliver(w.fromNewer(w.slots[1], w.slots[1], "red", false))
		w.pull(2, 1)
		w.put(2, "red")
		w.pull(0, 2)
	}},
	{"parallel", "36: two pulls at once, one breaks off", 0, func(w *World) {
		w.opt.page = 1
		for _, title := range []string{"red", "green", "blue"} {
			w.put(0, title)
		}
		w.pull(1, 0)
		first := w.proc(2).pullFrom(w.slots[0])
		w.exchange(first)
		second := w.proc(2).pullFrom(w.slots[1])
		w.exchange(second)
		first.apply()
		second.apply() // nothing of what the first one is getting
		first.abort()
		second.abort()
		w.quiet = true
		w.proc(2).hush()
		w.pullTogether(w.slots[2], []*slot{w.slots[0], w.slots[1]})
		w.quiet = false
		if all, has := w.proc(0).store.Clock(), w.proc(2).store.Clock(); !has.Covers(all) {
			w.fail("converge", "n3 has %s after it has pulled from all, n1 has %s", has, all)
		}
	}},
	{"moving", "37: the store changes between two pages, and the caller has rows of its own", 0, func(w *World) {
		w.opt.page = 1
		w.put(1, "white")
		red := w.put(0, "red")
		w.put(0, "green")
		w.put(0, "blue")
		l := w.proc(1).pullFrom(w.slots[0])
		w.exchange(l)
		l.apply()
		w.change(0, update, red, "")
		w.pull(0, 2)
		w.exchange(l)
		l.apply()
		l.abort()
		w.pull(1, 0)
		if missing := w.proc(0).store.Clock().Minus(w.proc(1).store.Clock()); !missing.Empty() {
			w.fail("converge", "a whole pull of n2 from n1 left out %s", missing)
		}
	}},
	{"cut", "43: a page ends in the middle", 0, func(w *World) {
		w.put(0, "red")
		w.put(0, "green")
		l := w.proc(1).pullFrom(w.slots[0])
		w.deliver(l.ask())
		m := w.take(len(w.flight) - 1)
		m.body = m.body[:len(m.body)*3/4]
		w.deliver(m)
		l.apply()
		w.pull(2, 1)
	}},
	{"dead hole", "47, 48: a dot that no disk holds, and comes late after all", 0, func(w *World) {
		w.connect(0, 1)
		var late *message
		p := w.proc(0)
		for _, title := range []string{"red", "green"} {
			req := &request{verb: upsert, title: title, content: title}
			w.requests = append(w.requests, req)
			p.submit(req)
		}
		w.during = func() {
			w.opt.frame = 1
			late = w.hold(0, 1)
			w.push(0, 1) // the second of two
			w.opt.frame = 0
		}
		p.plan = "before-commit"
		p.step()
		w.slots[0].start()
		w.mesh()
		if late == nil {
			w.fail("script", "no push of the first of two writes")
			return
		}
		late.to = w.slots[2]
		w.deliver(late)
		w.pull(1, 2)
	}},
	{"broken lease", "55: x is covered for a successor that is only leased, and the lease breaks", 4, func(w *World) {
		red := w.put(0, "red") // x
		w.pull(1, 0)
		w.put(0, "green")
		w.change(0, update, red, "") // y
		w.pull(3, 0)
		w.opt.page = 1
		one := w.proc(2).pullFrom(w.slots[1]) // leases x
		w.deliver(one.ask())
		w.deliver(w.take(len(w.flight) - 1))
		two := w.proc(2).pullFrom(w.slots[0]) // leases y
		w.deliver(two.ask())
		w.deliver(w.take(len(w.flight) - 1))
		one.abort()
		three := w.proc(2).pullFrom(w.slots[3])
		w.deliver(three.ask())
		w.deliver(w.take(len(w.flight) - 1))
		three.apply()
		two.abort()
	}},
	{"forged", "B1 c: a dot comes with other bytes than the ones held", 0, func(w *World) {
		red := w.put(0, "red")
		w.pull(1, 0)
		rec := w.stored(1, red.key).Clone()
		v := rec.Versions[0]
		m := document("red", "forged", w, w.slots[0])
		forged := memory.Record{Key: rec.Key, Versions: []memory.Version{{
			Dot: v.Dot, Stamp: v.Stamp + 1, Agent: v.Agent, Value: m.Encode(), Content: m.ContentHash(),
		}}}
		w.foreign(1, forged)
	}},
	{"ragged", "B2: a clock of more intervals than the cap", 0, func(w *World) {
		rec, t := w.ragged(raggedOrigin, "ragged", 3, 1100)
		w.foreign(1, rec, t)
		rec, t = w.ragged(raggedOrigin, "ragged too", 5000, 1) // more of it by push is refused, and pulled
		w.foreign(1, rec, t)
		w.foreign(0, rec, t)
		w.pull(1, 0)
	}},
	{"too early", "56: a node with an old disk and a slow clock takes a write before its first pull", 0, func(w *World) {
		old := w.slots[2].copy()
		w.put(0, "red")
		w.mesh()
		w.slots[2].skew = -time.Hour
		w.slots[2].restore(old)
		p := w.proc(2)
		early := p.submit(&request{verb: upsert, title: "red", content: "early"})
		if early != nil {
			p.step()
		}
		w.mesh()
		if early == nil {
			early = w.do(2, &request{verb: upsert, title: "red"})
			w.mesh()
		}
		if view := w.stored(0, early.made.key).View(); view.Winner.Dot != early.made.dot {
			w.fail("view", "%s is the last word in a quiet cluster and not what is shown", early.made)
		}
	}},
	{"split", "28: a node that sees nobody writes on its own", 0, func(w *World) {
		w.slots[1].paused, w.slots[2].paused = true, true
		a := w.do(0, &request{verb: create, title: "red"})
		if !a.ended {
			a.deadline()
		}
		w.slots[0].destroy()
	}},
	{"doubled", "B1 a: one memory image of a process is resumed twice", 0, func(w *World) {
		red := w.put(0, "red")
		// The other resumed process goes on under the same origin.
		next := clock.Dot{Origin: red.dot.Origin, Counter: red.dot.Counter + 1}
		m := document("green", "doubled", w, w.slots[0])
		key := memory.NewKey(memory.KindMemory, memory.DerivedID(cluster, namespace, "green", 0))
		rec := memory.Record{Key: key, Versions: []memory.Version{{
			Dot: next, Stamp: red.stamp + 1, Value: m.Encode(), Content: m.ContentHash(),
		}}}
		made := w.enter(write{
			key: w.number(key), dot: next, stamp: red.stamp + 1, sum: rec.Versions[0].Sum(key), title: "green",
			content: m.ContentHash(), maker: w.proc(0),
		})
		row := told{key: made.key, known: only(made.n)}
		w.foreign(1, rec, row)
		w.pull(0, 1)
		w.put(0, "blue") // must not be the second to bear that dot
	}},
}
