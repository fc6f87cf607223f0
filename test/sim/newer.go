package sim

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// newerOrigin stamps what a node of a newer version writes. It is not in the registry; its
// pushes appear, and it is never seen.
const newerOrigin clock.Origin = 0xbeef

// doNewer pushes a record of a newer version to one node: with fields that nobody here
// knows, or with a value that nobody here can read.
func (w *World) doNewer() {
	nodes := w.running()
	if len(nodes) == 0 || len(w.writes) == maxWrites {
		return
	}
	title := one(w, w.opt.titles)
	defect := w.chance(0.3)
	if defect && w.chance(0.5) {
		title = strange
	}
	if m := w.fromNewer(one(w, nodes), one(w, nodes), title, defect); m != nil {
		w.send(m)
	}
}

// strange is the title of a memory that only newer nodes write.
const strange = "strange"

// fromNewer is a push to a node, of a record that had, before, the state that base has.
func (w *World) fromNewer(base, to *slot, title string, defect bool) *message {
	key := memory.NewKey(memory.KindMemory, memory.DerivedID(cluster, namespace, title, 0))
	n := w.number(key)
	rec := memory.Record{Key: key}
	err := base.proc.store.View(func(tx *storage.Tx) error {
		have, _, found, err := tx.Get(key)
		if found {
			rec = have
		}
		return err
	})
	if err != nil {
		w.fail("error", "%s: %v", base, err)
		return nil
	}
	known := base.known.at(n)
	m := document(title, "new"+strconv.Itoa(len(w.writes)), w, base)
	counter := uint64(1)
	for w.byDot[clock.Dot{Origin: newerOrigin, Counter: counter}] != nil {
		counter++
	}
	v := memory.Version{
		Dot:   clock.Dot{Origin: newerOrigin, Counter: counter},
		Stamp: max(rec.MaxStamp()+1, clock.NewStamp(w.now.UnixMilli(), 0)),
		Agent: "newer", Value: m.Encode(), Content: m.ContentHash(), Ext: unknownField(9, counter),
	}
	if defect {
		v.Value = []byte(`{"tier":"eternal"}`)
	}
	merged, err := rec.Supersede(v, nil)
	if err != nil {
		w.fail("error", "newer: %v", err)
		return nil
	}
	made := w.enter(write{key: n, dot: v.Dot, past: known, stamp: v.Stamp, title: title, content: v.Content})
	if made == nil {
		return nil
	}
	state := merged.Record
	made.sum = state.Find(v.Dot).Sum(key)
	if len(state.Ext) == 0 {
		state.Ext = unknownField(11, 1)
	}
	row := told{key: n, known: known.union(only(made.n)), defect: defect}
	if defect {
		w.poison.add(made.n)
		w.taint(row)
	}
	body, err := wire.AppendBatch(nil, &wire.PushBatch{Seq: 1, Origin: newerOrigin, Base: counter - 1, Rows: [][]byte{state.Append(nil)}})
	if err != nil {
		w.fail("wire", "newer: %v", err)
	}
	w.say("a newer node pushes %s of %q to %s, readable %v", made, title, to, !defect)
	return &message{kind: pushRows, from: w.elsewhere(), to: to, body: body, told: []told{row}}
}

// elsewhere is a machine that is only ever a sender.
func (w *World) elsewhere() *slot { return &slot{w: w, n: -1, name: "newer"} }

// unknownField is one field that this version does not know.
func unknownField(number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), value)
}
