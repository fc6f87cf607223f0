package history

import (
	"slices"

	"github.com/memd/memd/clock"
)

// Plant puts one known fault into a good history: what a recording would look like if
// the cluster had that bug. A judge that does not find it is worth nothing.
type Plant struct {
	Name string
	Want Verdict
	// Put changes ops, which the caller may share with nobody, and returns false if this
	// history has nothing that the fault could show in.
	Put func(ops []Op, nodes []string) ([]Op, bool)
}

// Planted returns a copy of ops with the fault in it; ok is false if it found no place.
func (p Plant) Planted(ops []Op, nodes []string) (out []Op, ok bool) {
	out = slices.Clone(ops)
	for i := range out {
		out[i].Rows = slices.Clone(out[i].Rows)
	}
	return p.Put(out, nodes)
}

// Plants are the faults that Check has to find.
func Plants() []Plant {
	return []Plant{
		{"one node lacks an acknowledged row", Lost, func(ops []Op, nodes []string) ([]Op, bool) {
			return loseRow(ops, nodes[len(nodes)-1:])
		}},
		{"all nodes lack an acknowledged row", Lost, loseRow},
		{"one node shows what was replaced", Stale, func(ops []Op, nodes []string) ([]Op, bool) {
			return showOld(ops, nodes[:1])
		}},
		{"all nodes show what was replaced", Stale, showOld},
		{"one node shows a deleted row", Resurrected, func(ops []Op, nodes []string) ([]Op, bool) {
			return raise(ops, nodes[len(nodes)-1:])
		}},
		{"all nodes show a deleted row", Resurrected, raise},
		{"a row under a second id", Duplicated, func(ops []Op, nodes []string) ([]Op, bool) {
			return eachRow(ops, nodes, func(e *Op, i int) {
				twin := e.Rows[i]
				twin.ID += "-twin"
				e.Rows = append(e.Rows, twin)
			})
		}},
		{"a row under another id than was answered", Duplicated, func(ops []Op, nodes []string) ([]Op, bool) {
			return eachRow(ops, nodes, func(e *Op, i int) { e.Rows[i].ID += "-else" })
		}},
		{"a retry answered with another id", Duplicated, retryElse},
		{"a value that nobody wrote", Invented, func(ops []Op, nodes []string) ([]Op, bool) {
			return eachRow(ops, nodes, func(e *Op, i int) { e.Rows[i].Value += "-made-up" })
		}},
		{"a row that nobody wrote", Invented, func(ops []Op, nodes []string) ([]Op, bool) {
			for _, e := range finals(ops, nodes) {
				e.Rows = append(e.Rows, Row{ID: "made-up", Key: "made-up", Value: "made-up"})
			}
			return ops, true
		}},
		{"a refused write is there", Invented, refuse},
		{"one dot for two writes", Reused, reuse},
		{"two contents behind one clock", Diverged, func(ops []Op, nodes []string) ([]Op, bool) {
			return eachRow(ops, nodes[:1], func(e *Op, i int) { e.Rows[i].Body += "-other" })
		}},
		{"two digests of one view", Diverged, func(ops []Op, nodes []string) ([]Op, bool) {
			for _, e := range finals(ops, nodes[:1]) {
				e.Digest += "-other"
			}
			return ops, true
		}},
		{"a node that was never looked at", Unread, func(ops []Op, nodes []string) ([]Op, bool) {
			return slices.DeleteFunc(ops, func(o Op) bool { return o.Kind == Export && o.Node == nodes[0] }), true
		}},
		{"a read with a token that shows what was replaced", Stale, staleRead},
		{"a read with a token that misses the row", Stale, missingRead},
		{"a read that shows a deleted row after its token", Resurrected, raisedRead},
	}
}

// finals are the last exports of the nodes.
func finals(ops []Op, nodes []string) []*Op {
	var out []*Op
	for _, n := range nodes {
		for i := len(ops) - 1; i >= 0; i-- {
			if ops[i].Kind == Export && ops[i].Node == n {
				out = append(out, &ops[i])
				break
			}
		}
	}
	return out
}

func rowOf(e *Op, key string) int {
	return slices.IndexFunc(e.Rows, func(r Row) bool { return r.Key == key })
}

func deleted(ops []Op, key string) bool {
	return slices.ContainsFunc(ops, func(o Op) bool { return o.Kind == Delete && o.Key == key })
}

// acked finds the first write of a kind that was answered and that fits.
func acked(ops []Op, k Kind, fits func(*Op) bool) *Op {
	for i := range ops {
		if o := &ops[i]; o.Kind == k && o.Outcome == OK && (fits == nil || fits(o)) {
			return o
		}
	}
	return nil
}

func loseRow(ops []Op, nodes []string) ([]Op, bool) {
	add := acked(ops, Add, func(o *Op) bool { return !deleted(ops, o.Key) })
	if add == nil {
		return ops, false
	}
	for _, e := range finals(ops, nodes) {
		if i := rowOf(e, add.Key); i >= 0 {
			e.Rows = slices.Delete(e.Rows, i, i+1)
		}
	}
	return ops, true
}

// eachRow changes, on each of the nodes, the row of one acknowledged add that nobody
// touched since.
func eachRow(ops []Op, nodes []string, change func(e *Op, i int)) ([]Op, bool) {
	add := untouched(ops, nodes)
	if add == nil {
		return ops, false
	}
	for _, e := range finals(ops, nodes) {
		change(e, rowOf(e, add.Key))
	}
	return ops, true
}

func untouched(ops []Op, nodes []string) *Op {
	return acked(ops, Add, func(o *Op) bool {
		for _, e := range finals(ops, nodes) {
			if i := rowOf(e, o.Key); i < 0 || e.Rows[i].Value != o.Value || e.Rows[i].ID != o.ID {
				return false
			}
		}
		return true
	})
}

// ordered finds an acknowledged add and an acknowledged write of the same key that had
// provably seen it.
func ordered(ops []Op, k Kind) (add, after *Op) {
	after = acked(ops, k, func(o *Op) bool {
		add = acked(ops, Add, func(a *Op) bool {
			if a.Key != o.Key || a.Dot == "" || o.Dot == "" || o.Match == "" || !once(ops, a) {
				return false
			}
			d, err := clock.ParseDot(a.Dot)
			return err == nil && tokens{}.covers(o.Match, clock.Of(d))
		})
		return add != nil
	})
	return add, after
}

func showOld(ops []Op, nodes []string) ([]Op, bool) {
	add, up := ordered(ops, Update)
	if up == nil || deleted(ops, up.Key) {
		return ops, false
	}
	for _, e := range finals(ops, nodes) {
		if i := rowOf(e, up.Key); i >= 0 {
			e.Rows[i].Value, e.Rows[i].Token = add.Value, add.Token
		}
	}
	return ops, true
}

func raise(ops []Op, nodes []string) ([]Op, bool) {
	add, del := ordered(ops, Delete)
	if del == nil {
		return ops, false
	}
	for _, e := range finals(ops, nodes) {
		if i := rowOf(e, del.Key); i >= 0 {
			e.Rows = slices.Delete(e.Rows, i, i+1)
		}
		e.Rows = append(e.Rows, Row{ID: add.ID, Key: add.Key, Value: add.Value, Token: add.Token, Body: "back"})
	}
	return ops, true
}

func retryElse(ops []Op, _ []string) ([]Op, bool) {
	first := acked(ops, Add, func(o *Op) bool { return o.Idem != "" })
	if first == nil {
		return ops, false
	}
	again := *first
	again.ID, again.Dot = again.ID+"-again", ""
	return append(ops, again), true
}

func refuse(ops []Op, nodes []string) ([]Op, bool) {
	add := untouched(ops, nodes)
	if add == nil {
		return ops, false
	}
	key, value := add.Key, add.Value
	for i := range ops {
		if o := &ops[i]; o.Key == key && o.Kind == Add && o.Value == value {
			o.Outcome, o.Status, o.ID, o.Dot, o.Token = Refused, 503, "", "", ""
		}
	}
	return ops, true
}

func reuse(ops []Op, _ []string) ([]Op, bool) {
	first := acked(ops, Add, func(o *Op) bool { return o.Dot != "" })
	if first == nil {
		return ops, false
	}
	second := acked(ops, Add, func(o *Op) bool { return o.Dot != "" && o.Key != first.Key })
	if second == nil {
		return ops, false
	}
	second.Dot = first.Dot
	return ops, true
}

// once: no other op said the same intent again.
func once(ops []Op, o *Op) bool {
	n := 0
	for i := range ops {
		if ops[i].Key == o.Key && ops[i].Idem == o.Idem && ops[i].Kind == o.Kind && (o.Idem != "" || ops[i].Value == o.Value) {
			n++
		}
	}
	return n == 1
}

func staleRead(ops []Op, nodes []string) ([]Op, bool) {
	add, up := ordered(ops, Update)
	if up == nil || deleted(ops, up.Key) {
		return ops, false
	}
	return append(ops, Op{Client: "planted", Node: nodes[0], Start: up.End + 1, End: up.End + 2, Kind: Read, Key: up.Key, ID: add.ID,
		After: up.Token, Outcome: OK, Status: 200, Value: add.Value, Token: add.Token}), true
}

func missingRead(ops []Op, nodes []string) ([]Op, bool) {
	add := acked(ops, Add, func(o *Op) bool { return o.Token != "" && once(ops, o) && !deleted(ops, o.Key) })
	if add == nil {
		return ops, false
	}
	return append(ops, Op{Client: "planted", Node: nodes[0], Start: add.End + 1, End: add.End + 2, Kind: Read, Key: add.Key, ID: add.ID,
		After: add.Token, Outcome: Absent, Status: 404}), true
}

func raisedRead(ops []Op, nodes []string) ([]Op, bool) {
	add, del := ordered(ops, Delete)
	if del == nil {
		return ops, false
	}
	return append(ops, Op{Client: "planted", Node: nodes[0], Start: del.End + 1, End: del.End + 2, Kind: Read, Key: del.Key, ID: add.ID,
		After: del.Token, Outcome: OK, Status: 200, Value: add.Value, Token: add.Token}), true
}
