package sim

import (
	"strconv"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// What scripts are made of. Nodes go by their number, from 0. Nothing here is left to chance.

func (w *World) proc(i int) *process { return w.slots[i].proc }

// do sends a request to a node and lets it commit.
func (w *World) do(i int, req *request) *attempt {
	if req.content == "" {
		req.content = "s" + strconv.Itoa(len(w.requests))
	}
	w.requests = append(w.requests, req)
	return w.again(i, req)
}

// again is a retry, there or elsewhere.
func (w *World) again(i int, req *request) *attempt {
	p := w.proc(i)
	a := p.submit(req)
	if a == nil {
		w.fail("script", "%s takes no %s", w.slots[i], req.verb)
		return nil
	}
	p.step()
	return a
}

func (w *World) put(i int, title string) *write {
	return w.do(i, &request{verb: upsert, title: title}).made
}

func (w *World) make(i int, title string) *write {
	return w.do(i, &request{verb: create, title: title}).made
}

// change is an update, rename or deletion of the memory that another write is a version of.
func (w *World) change(i int, v verb, of *write, title string) *write {
	return w.do(i, &request{verb: v, title: title, key: w.keys[of.key]}).made
}

func (w *World) connect(i, j int) { w.proc(i).connect(w.slots[j], false) }

// hold takes the next frame from a stream and keeps it from arriving.
func (w *World) hold(i, j int) *message {
	return w.proc(i).flush(w.proc(i).link(w.slots[j].name))
}

// push delivers all that waits in a stream, and the answers.
func (w *World) push(i, j int) {
	for m := w.hold(i, j); m != nil; m = w.hold(i, j) {
		w.deliver(m)
		w.answers()
	}
}

// answers delivers all acks in flight.
func (w *World) answers() {
	for i := 0; i < len(w.flight); {
		if w.flight[i].kind == pushAck {
			w.deliver(w.take(i))
			continue
		}
		i++
	}
}

// pull runs a whole pull.
func (w *World) pull(i, j int) { w.pullAll(w.slots[i], w.slots[j]) }

// mesh brings all to the same state.
func (w *World) mesh() {
	for i := range w.slots {
		for j := range w.slots {
			if i != j && w.proc(i) != nil && w.proc(j) != nil {
				w.pull(i, j)
			}
		}
	}
}

// exchange sends the next request of a pull and hands the answer over; nothing is applied.
func (w *World) exchange(l *pull) {
	m := l.ask()
	if m == nil {
		return
	}
	w.deliver(m)
	if n := len(w.flight) - 1; n >= 0 && w.flight[n].pull == l {
		w.deliver(w.take(n))
	}
}

// crashAt lets a node crash at a point of the transaction of a request.
func (w *World) crashAt(i int, point string, req *request, during func()) {
	w.during = during
	w.proc(i).plan = point
	w.do(i, req)
	w.during = nil
}

func (w *World) restart(i int) {
	w.slots[i].stop()
	w.slots[i].start()
	// One pull from someone, before it takes writes.
	for j := range w.slots {
		if j != i && w.proc(j) != nil && !w.proc(i).synced {
			w.pull(i, j)
		}
	}
}

// foreign pushes a record that no node made, as one frame.
func (w *World) foreign(to int, rec memory.Record, rows ...told) {
	origin := rec.Versions[0].Dot.Origin
	body, err := wire.AppendBatch(nil, &wire.PushBatch{Seq: 1, Origin: origin, Rows: [][]byte{rec.Append(nil)}})
	if err != nil {
		w.fail("wire", "foreign: %v", err)
		return
	}
	w.deliver(&message{kind: pushRows, from: w.elsewhere(), to: w.slots[to], body: body, told: rows})
}

// stored is a record as a node has it.
func (w *World) stored(i, key int) (rec memory.Record) {
	err := w.proc(i).store.View(func(tx *storage.Tx) (err error) {
		rec, _, _, err = tx.Get(w.keys[key])
		return err
	})
	if err != nil {
		w.fail("error", "%s: %v", w.slots[i], err)
	}
	return rec
}

const raggedOrigin clock.Origin = 0xa1

// ragged is a record whose one version superseded every other dot of an origin, up to a
// number of them: whoever takes it has a clock of so many intervals. What those dots were
// nobody knows; the model is told to leave the record alone.
func (w *World) ragged(origin clock.Origin, title string, from, intervals uint64) (memory.Record, told) {
	key := memory.NewKey(memory.KindMemory, memory.DerivedID(cluster, namespace, title, 0))
	m := document(title, "ragged", w, w.slots[0])
	rec := memory.Record{Key: key}
	for i := range intervals {
		rec.Context.Add(clock.Dot{Origin: origin, Counter: from + 2*i})
	}
	v := memory.Version{
		Dot: clock.Dot{Origin: origin, Counter: from + 2*intervals}, Stamp: clock.NewStamp(w.now.UnixMilli(), 0),
		Value: m.Encode(), Content: m.ContentHash(),
	}
	made := w.enter(write{key: w.number(key), dot: v.Dot, stamp: v.Stamp, sum: v.Sum(key), title: title, content: v.Content})
	if made == nil {
		return rec, told{}
	}
	rec.Versions = []memory.Version{v}
	t := told{key: made.key, known: only(made.n)}
	w.taint(t)
	return rec, t
}
