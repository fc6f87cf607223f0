package history

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/memd/memd/clock"
)

// model is a cluster that keeps memd's promises, as small as can be: what it does is
// allowed by definition, so Check must not blame it, whatever the order of events.
type model struct {
	rnd   *rand.Rand
	nodes []*modelNode
	ops   []Op
	now   int64
	next  int // of everything that needs a name of its own
}

type modelNode struct {
	name    string
	origin  clock.Origin
	issued  uint64
	clock   clock.Clock
	records map[string]*modelRecord
	old     map[string]*modelRecord // a backup
}

type modelRecord struct {
	siblings map[clock.Dot]modelVersion
	context  clock.Clock // every dot that ever was a sibling
}

type modelVersion struct {
	value   string
	deleted bool
	idem    string
}

func newModel(seed uint64) *model {
	m := &model{rnd: rand.New(rand.NewPCG(seed, 1))}
	for i := range 3 {
		m.nodes = append(m.nodes, &modelNode{name: fmt.Sprintf("n%d", i+1), origin: clock.Origin(i + 1), records: map[string]*modelRecord{}})
	}
	return m
}

func (r *modelRecord) clone() *modelRecord {
	return &modelRecord{siblings: maps.Clone(r.siblings), context: r.context.Clone()}
}

// merge is the observed-remove rule: a sibling stays if the other side has it too or
// never saw it.
func (n *modelNode) merge(key string, o *modelRecord) {
	r := n.at(key)
	for d := range r.siblings {
		if _, ok := o.siblings[d]; !ok && o.context.Contains(d) {
			delete(r.siblings, d)
		}
	}
	for d, v := range o.siblings {
		if !r.context.Contains(d) {
			r.siblings[d] = v
		}
	}
	r.context.Union(o.context)
	n.clock.Union(o.context)
}

func (n *modelNode) at(key string) *modelRecord {
	r, ok := n.records[key]
	if !ok {
		r = &modelRecord{siblings: map[clock.Dot]modelVersion{}}
		n.records[key] = r
	}
	return r
}

func (r *modelRecord) view() (shown modelVersion, token clock.Clock, live bool) {
	var best clock.Dot
	for d, v := range r.siblings {
		token.Add(d)
		if !v.deleted && (!live || d.Compare(best) > 0) {
			shown, best, live = v, d, true
		}
	}
	return shown, token, live
}

func (m *model) tick() int64 { m.now += 1 + m.rnd.Int64N(5); return m.now }

func (m *model) node() *modelNode { return m.nodes[m.rnd.IntN(len(m.nodes))] }

func (m *model) name(prefix string) string {
	m.next++
	return fmt.Sprintf("%s%d", prefix, m.next)
}

// sync brings everything of one node to another one.
func (m *model) sync(from, to *modelNode) {
	for key, r := range from.records {
		to.merge(key, r)
	}
}

// step does one random thing.
func (m *model) step(keys []string) {
	key := keys[m.rnd.IntN(len(keys))]
	switch p := m.rnd.IntN(100); {
	case p < 45:
		m.write(key)
	case p < 70:
		m.read(key)
	case p < 90:
		m.sync(m.node(), m.node())
	case p < 94:
		m.retry()
	case p < 97:
		n := m.node()
		m.ops = append(m.ops, Op{Node: n.name, Start: m.tick(), End: m.tick(), Kind: Fault, Note: Crash})
	case p < 98:
		n := m.node()
		n.old = map[string]*modelRecord{}
		for k, r := range n.records {
			n.old[k] = r.clone()
		}
	default:
		m.rollback(m.node())
	}
}

// rollback puts an old copy back, or empties the disk. The node comes back under a new
// origin and takes part again only when it has caught up with the others.
func (m *model) rollback(n *modelNode) {
	start := m.tick()
	n.records, n.old, n.clock = n.old, nil, clock.Clock{}
	if n.records == nil {
		n.records = map[string]*modelRecord{}
	}
	for _, r := range n.records {
		n.clock.Union(r.context)
	}
	n.origin, n.issued = clock.Origin(100+len(m.ops)), 0
	for _, o := range m.nodes {
		if o != n {
			m.sync(o, n)
		}
	}
	m.ops = append(m.ops, Op{Node: n.name, Start: start, End: m.tick(), Kind: Fault, Note: Rollback})
}

func (m *model) write(key string) {
	n := m.node()
	r := n.at(key)
	_, token, live := r.view()
	op := Op{Client: "c", Node: n.name, Start: m.tick(), Key: key, ID: "id-" + key}
	v := modelVersion{value: m.name("v")}
	switch {
	case !live:
		op.Kind = Add
		op.Idem = m.name("idem")
		v.idem = op.Idem
	case m.rnd.IntN(3) == 0:
		op.Kind = Delete
		v = modelVersion{deleted: true}
	default:
		op.Kind = Update
	}
	op.Value = v.value
	replaced := maps.Clone(r.siblings)
	if op.Kind != Add && m.rnd.IntN(2) == 0 {
		op.Match = token.Token()
		if m.rnd.IntN(3) == 0 { // read long ago: a part of what is there now
			for d := range replaced {
				if m.rnd.IntN(2) == 0 {
					token.Remove(d)
				}
			}
			if token.Empty() {
				return
			}
			op.Match = token.Token()
			for d, s := range replaced {
				if !s.deleted && !token.Contains(d) {
					delete(replaced, d)
				}
			}
		}
	}
	m.apply(n, r, op, v, replaced)
}

// apply carries a write out and answers in one of the ways that a client may see.
func (m *model) apply(n *modelNode, r *modelRecord, op Op, v modelVersion, replaced map[clock.Dot]modelVersion) {
	fate := m.rnd.IntN(10)
	if fate == 0 { // refused
		op.End, op.Outcome, op.Status, op.ID = m.tick(), Refused, 503, ""
		m.ops = append(m.ops, op)
		return
	}
	if fate != 1 { // 1: the request is lost, nothing happens
		n.issued++
		d := clock.Dot{Origin: n.origin, Counter: n.issued}
		for s := range replaced {
			delete(r.siblings, s)
		}
		r.siblings[d] = v
		r.context.Add(d)
		n.clock.Add(d)
		op.Dot, op.Token = d.String(), clock.Of(d).Token()
	}
	op.End = m.tick()
	switch fate {
	case 1, 2: // no answer, or none that came back
		op.Outcome, op.Dot, op.Token, op.ID = Unknown, "", "", ""
	case 3:
		op.Outcome, op.Status, op.Local = Unknown, 503, true
	default:
		m.sync(n, m.nodes[(slices.Index(m.nodes, n)+1)%len(m.nodes)]) // the quorum
		op.Outcome, op.Status, op.Acks = OK, 201, 2
	}
	m.ops = append(m.ops, op)
}

// retry says an add again, at any node: the one that knows its key answers as before,
// another one that has the title cannot take it, and one that knows nothing does it.
func (m *model) retry() {
	var tries []Op
	for _, o := range m.ops {
		if o.Kind == Add && o.Idem != "" && o.Outcome != Refused {
			tries = append(tries, o)
		}
	}
	if len(tries) == 0 {
		return
	}
	first := tries[m.rnd.IntN(len(tries))]
	n := m.node()
	r := n.at(first.Key)
	op := Op{Client: "c", Node: n.name, Start: m.tick(), Kind: Add, Key: first.Key, ID: "id-" + first.Key, Value: first.Value, Idem: first.Idem}
	for d, v := range r.siblings {
		if v.idem == first.Idem {
			op.End, op.Outcome, op.Status, op.Dot, op.Token = m.tick(), OK, 201, d.String(), clock.Of(d).Token()
			m.ops = append(m.ops, op)
			m.sync(n, m.nodes[(slices.Index(m.nodes, n)+1)%len(m.nodes)])
			return
		}
	}
	if !r.context.Empty() || first.Outcome == OK {
		return // a real node keeps the keys of what was replaced; this one does not try
	}
	m.apply(n, r, op, modelVersion{value: op.Value, idem: op.Idem}, maps.Clone(r.siblings))
}

func (m *model) read(key string) {
	n := m.node()
	op := Op{Client: "r", Node: n.name, Start: m.tick(), Kind: Read, Key: key, ID: "id-" + key}
	if m.rnd.IntN(2) == 0 {
		var acked []Op
		for _, o := range m.ops {
			if o.Key == key && o.write() && o.Token != "" {
				acked = append(acked, o)
			}
		}
		if len(acked) > 0 {
			op.After = acked[m.rnd.IntN(len(acked))].Token
		}
	}
	if after, _ := clock.ParseToken(op.After); op.After != "" && !n.clock.Covers(after) {
		op.End, op.Outcome, op.Status = m.tick(), Behind, 425
		m.ops = append(m.ops, op)
		return
	}
	v, token, live := n.at(key).view()
	op.End, op.Outcome, op.Status = m.tick(), Absent, 404
	if live {
		op.Outcome, op.Status, op.Value, op.Token = OK, 200, v.value, token.Token()
	}
	m.ops = append(m.ops, op)
}

// quiesce heals everything and exports all nodes.
func (m *model) quiesce() []string {
	for range 2 {
		for _, a := range m.nodes {
			for _, b := range m.nodes {
				m.sync(a, b)
			}
		}
	}
	var names []string
	for _, n := range m.nodes {
		names = append(names, n.name)
		e := Op{Node: n.name, Start: m.tick(), Kind: Export, Digest: fmt.Sprintf("%x", n.clock.Hash())}
		for _, key := range slices.Sorted(maps.Keys(n.records)) {
			if v, token, live := n.records[key].view(); live {
				e.Rows = append(e.Rows, Row{ID: "id-" + key, Key: key, Value: v.value, Token: token.Token(), Body: "body of " + v.value})
			}
		}
		e.End = m.tick()
		m.ops = append(m.ops, e)
	}
	return names
}

// run plays a random history to its quiet end.
func run(seed uint64, steps int) (ops []Op, nodes []string) {
	m := newModel(seed)
	var keys []string
	for i := range 1 + m.rnd.IntN(8) {
		keys = append(keys, fmt.Sprintf("k%d", i))
	}
	for range steps {
		m.step(keys)
	}
	nodes = m.quiesce()
	return m.ops, nodes
}
