package catchup

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

// store is a reference node: the rules of the protocol over plain sets, with no regard
// to speed. A row is its sibling dots and its context; values do not matter here.
type store struct {
	name   string
	origin clock.Origin

	mu       sync.Mutex
	clock    clock.Clock
	counter  uint64
	rows     map[string]*row
	keys     map[clock.Dot]string // of every dot, live or superseded
	withheld map[string]bool      // keys that are hidden from everyone
	perPage  int                  // rows, 0 = no limit
	strict   bool                 // answers with an empty page, not 304, if all that is missing is reserved
	repeat   bool                 // a broken server: covers what is known, is never complete
	asked    int                  // requests served
	sent     int                  // rows served

	fsync    time.Duration // of ApplyPage
	applyErr error
	ignore   bool // a broken sink: takes nothing and says it did
	total    Applied
	heads    int
	applying map[string]int // now, by peer
	crowded  bool           // two pulls from one peer at once
}

type row struct {
	Siblings []clock.Dot
	Context  clock.Clock
}

type sentRow struct {
	Key      string
	Siblings []string
	Context  string
}

func newStore(name string, origin clock.Origin) *store {
	return &store{
		name: name, origin: origin, rows: map[string]*row{}, keys: map[clock.Dot]string{},
		withheld: map[string]bool{}, applying: map[string]int{},
	}
}

func (s *store) Clock() clock.Clock {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.Clone()
}

// write is a local write that supersedes what is here.
func (s *store) write(key string) clock.Dot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counter++
	d := clock.Dot{Origin: s.origin, Counter: s.counter}
	next := &row{Siblings: []clock.Dot{d}}
	if old := s.rows[key]; old != nil {
		next.Context.Union(old.Context)
		for _, sib := range old.Siblings {
			next.Context.Add(sib)
		}
	}
	s.put(key, next)
	s.clock.Add(d)
	return d
}

// skip burns a counter: a dead hole, a dot that no disk has.
func (s *store) skip() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counter++
}

func (s *store) put(key string, r *row) {
	s.rows[key] = r
	for _, d := range r.Siblings {
		s.keys[d] = key
	}
	for o, iv := range r.Context.Ranges() {
		for n := iv.Lo; n <= iv.Hi; n++ {
			s.keys[clock.Dot{Origin: o, Counter: n}] = key
		}
	}
}

// since answers a pull, B7.
func (s *store) since(req wire.SinceRequest) (*wire.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	missing := s.clock.Minus(req.Cursor)
	if missing.Empty() || !s.strict && missing.Minus(req.Reserved).Empty() {
		return nil, &wire.NotModified{Name: s.name, ClockHash: s.clock.Hash()}
	}
	p := &wire.Page{Head: wire.Head{Proto: wire.Proto, Name: s.name, Origin: s.origin, Clock: s.clock.Clone(), Scope: "*"}}
	if s.repeat {
		p.Tail.Covers = req.Cursor
		return p, nil
	}
	var leftOut clock.Clock
	emitted := map[string]bool{}
	full := false
	for o, iv := range missing.Minus(req.Reserved).Ranges() {
		for n := iv.Lo; n <= iv.Hi && !full; n++ {
			d := clock.Dot{Origin: o, Counter: n}
			key := s.keys[d]
			r := s.rows[key]
			switch {
			case s.withheld[key]:
				p.Withheld.Add(d)
			case emitted[key]:
				p.Tail.Covers.Add(d)
			case all(r.Siblings, req.Cursor.Contains):
				p.Tail.Covers.Add(d)
			case all(r.Siblings, func(d clock.Dot) bool { return req.Cursor.Contains(d) || req.Reserved.Contains(d) }):
				leftOut.Add(d)
			case s.perPage > 0 && len(p.Rows) == s.perPage:
				full = true
			default:
				emitted[key] = true
				p.Rows = append(p.Rows, s.encode(key))
				s.sent++
				p.Tail.Covers.Add(d)
				p.Tail.Covers.Union(r.Context)
			}
		}
	}
	if !full {
		p.Tail.Complete = true
		p.Tail.Covers = s.clock.Minus(req.Reserved).Minus(leftOut).Minus(p.Withheld)
	}
	return p, nil
}

func all(ds []clock.Dot, ok func(clock.Dot) bool) bool {
	return !slices.ContainsFunc(ds, func(d clock.Dot) bool { return !ok(d) })
}

func (s *store) encode(key string) []byte {
	r := s.rows[key]
	out := sentRow{Key: key, Context: r.Context.Token()}
	for _, d := range r.Siblings {
		out.Siblings = append(out.Siblings, d.String())
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return b
}

func (s *store) ObserveHead(wire.Head, time.Time, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heads++
}

// ApplyPage merges, B4, and covers, in one step.
func (s *store) ApplyPage(_ context.Context, from string, p *wire.Page) (Applied, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applying[from]++
	s.crowded = s.crowded || s.applying[from] > 1
	defer func() { s.applying[from]-- }()
	if s.fsync > 0 {
		s.mu.Unlock()
		time.Sleep(s.fsync)
		s.mu.Lock()
	}
	if s.applyErr != nil || s.ignore {
		return Applied{}, s.applyErr
	}
	a, before := Applied{}, s.clock.Count()
	for _, b := range p.Rows {
		if s.mergeRow(b) {
			a.New++
		} else {
			a.Redundant++
		}
	}
	s.clock.Union(p.Tail.Covers)
	a.NewDots = int(s.clock.Count() - before)
	s.total.New += a.New
	s.total.Redundant += a.Redundant
	s.total.NewDots += a.NewDots
	return a, nil
}

// mergeRow reports whether the row had a sibling that was not seen.
func (s *store) mergeRow(b []byte) bool {
	var in sentRow
	if err := json.Unmarshal(b, &in); err != nil {
		panic(err)
	}
	ctx, err := clock.ParseToken(in.Context)
	if err != nil {
		panic(err)
	}
	var theirs []clock.Dot
	for _, text := range in.Siblings {
		d, err := clock.ParseDot(text)
		if err != nil {
			panic(err)
		}
		theirs = append(theirs, d)
	}
	local := s.rows[in.Key]
	if local == nil {
		local = &row{}
	}
	next := &row{Context: local.Context.Clone()}
	next.Context.Union(ctx)
	for _, d := range local.Siblings {
		if slices.Contains(theirs, d) || !ctx.Contains(d) {
			next.Siblings = append(next.Siblings, d)
		}
	}
	fresh := false
	for _, d := range theirs {
		fresh = fresh || !s.clock.Contains(d)
		if !slices.Contains(local.Siblings, d) && !s.clock.Contains(d) && !local.Context.Contains(d) {
			next.Siblings = append(next.Siblings, d)
		}
	}
	slices.SortFunc(next.Siblings, clock.Dot.Compare)
	s.put(in.Key, next)
	for _, d := range theirs {
		s.clock.Add(d)
	}
	s.clock.Union(ctx)
	return fresh
}

// push hands one row over, as replication does.
func (s *store) push(to *store, key string) {
	s.mu.Lock()
	b := s.encode(key)
	s.mu.Unlock()
	to.mu.Lock()
	defer to.mu.Unlock()
	to.mergeRow(b)
}

// verify checks invariant 1: a dot in the clock has a row behind it.
func (s *store) verify() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for o, iv := range s.clock.Ranges() {
		for n := iv.Lo; n <= iv.Hi; n++ {
			d := clock.Dot{Origin: o, Counter: n}
			r := s.rows[s.keys[d]]
			if r == nil || !slices.Contains(r.Siblings, d) && !r.Context.Contains(d) {
				return fmt.Errorf("%s claims %s and holds nothing of it", s.name, d)
			}
		}
	}
	return nil
}

func (s *store) dump() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := ""
	for _, key := range slices.Sorted(maps.Keys(s.rows)) {
		out += fmt.Sprint(key, s.rows[key].Siblings, "\n")
	}
	return out
}

func (s *store) counts() (total Applied, asked, sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, s.asked, s.sent
}

func (s *store) set(f func(*store)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}
