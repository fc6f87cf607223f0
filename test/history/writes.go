package history

import (
	"math"
	"slices"

	"github.com/memd/memd/clock"
)

// write is one intent of a client: a single request, or all tries with one idempotency
// key.
type write struct {
	kind  Kind
	value string
	tries []*Op
	// outcome is the best of the tries: a write that was answered once stands.
	outcome Outcome
	dots    clock.Clock // under which it may stand; empty if nobody said
	ids     []string    // that were answered, without repetition
	// stands is set when it must be there at the end: it was acknowledged by more than one
	// disk, or a node had it and no disk went back since.
	stands bool
}

func (w *write) live() bool { return w.kind != Delete }

// start is the earliest moment at which it can have happened, end the latest.
func (w *write) start() int64 {
	first := int64(math.MaxInt64)
	for _, t := range w.tries {
		first = min(first, t.Start)
	}
	return first
}

func (w *write) end() int64 {
	last := int64(0)
	for _, t := range w.tries {
		if t.Outcome == Unknown {
			return math.MaxInt64
		}
		last = max(last, t.End)
	}
	return last
}

// versions reports how many tries may have made a version each: two tries at two nodes
// that had not heard of each other make two of the same content, and who saw one of them
// need not have seen the other. told is set when the dot of each is known.
func (w *write) versions() (n int, told bool) {
	told = true
	for _, t := range w.tries {
		if t.Outcome != Refused {
			n++
			told = told && t.Dot != ""
		}
	}
	return n, told
}

func (w *write) add(op *Op) error {
	w.tries = append(w.tries, op)
	if op.Outcome == OK || op.Outcome == Unknown && w.outcome == Refused {
		w.outcome = op.Outcome
	}
	if op.Outcome == OK && op.Acks != 1 {
		w.stands = true
	}
	if op.Outcome != Refused && op.Dot != "" {
		d, err := clock.ParseDot(op.Dot)
		if err != nil {
			return err
		}
		w.dots.Add(d)
	}
	if op.Outcome == OK && op.ID != "" && !slices.Contains(w.ids, op.ID) {
		w.ids = append(w.ids, op.ID)
	}
	return nil
}

// record is the history of one key.
type record struct {
	key    string
	writes []*write
	reads  []*Op // single reads, in the order of the history
	value  map[string][]int
	known  []knowledge
	// under[i] has bit j if write i had seen write j: once i is there, j is shown nowhere.
	under []bits
}

// histories are the records by key, and the keys in the order of their first op.
type histories struct {
	keys []string
	of   map[string]*record
	toks tokens
}

// collect sorts ops by key and joins the tries of each write.
func collect(ops []Op) (*histories, error) {
	h := &histories{of: map[string]*record{}, toks: tokens{}}
	type intent struct {
		key, idem, value string
		kind             Kind
	}
	intents := map[intent]*write{}
	for i := range ops {
		switch op := &ops[i]; {
		case op.write():
			in := intent{op.Key, op.Idem, op.Value, op.Kind}
			w := intents[in]
			if w == nil || op.Idem == "" {
				w = &write{kind: op.Kind, value: op.Value, outcome: Refused}
				intents[in] = w
				h.at(op.Key).put(w)
			}
			if err := w.add(op); err != nil {
				return nil, err
			}
		case op.Kind == Read:
			r := h.at(op.Key)
			r.reads = append(r.reads, op)
		case op.Kind == Export:
			for _, row := range op.Rows {
				h.at(row.Key)
			}
		}
	}
	return h, nil
}

func (h *histories) at(key string) *record {
	r, ok := h.of[key]
	if !ok {
		r = &record{key: key, value: map[string][]int{}}
		h.of[key] = r
		h.keys = append(h.keys, key)
	}
	return r
}

func (r *record) put(w *write) {
	if w.live() {
		r.value[w.value] = append(r.value[w.value], len(r.writes))
	}
	r.writes = append(r.writes, w)
}

// tokens parses each token once.
type tokens map[string]clock.Clock

func (t tokens) parse(token string) clock.Clock {
	c, ok := t[token]
	if !ok && token != "" {
		c, _ = clock.ParseToken(token) // one that is none covers nothing
		t[token] = c
	}
	return c
}

func (t tokens) covers(token string, dots clock.Clock) bool {
	return token != "" && !dots.Empty() && t.parse(token).Covers(dots)
}

// touches: a token names at least one of the dots. Several deletes may share the work.
func (t tokens) touches(token string, dots clock.Clock) bool {
	return token != "" && !t.parse(token).Intersect(dots).Empty()
}
