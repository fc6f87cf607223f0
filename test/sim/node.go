package sim

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/memd/memd/catchup"
	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/replication"
	"github.com/memd/memd/storage"
)

// slot is one machine: a name, a disk, a wall clock, and at most one process. A clone is
// another slot of the same name.
type slot struct {
	w    *World
	n    int
	name string
	dir  string

	known     knowledge // what the disk was told, durably
	proc      *process  // nil: not running
	paused    bool      // stopped: takes no step, what is sent to it waits
	destroyed bool      // for ever
	skew      time.Duration
	latest    time.Time // that the wall clock ever showed to this disk
}

// copied is a copy of a disk, for a restore or a clone.
type copied struct {
	name   string
	image  []byte
	known  knowledge
	latest time.Time
}

func clockAt(t time.Time) func() time.Time { return func() time.Time { return t } }

func (w *World) newSlot(name string) *slot {
	s := &slot{w: w, n: len(w.slots), name: name, latest: epoch}
	w.slots = append(w.slots, s)
	return s
}

func (s *slot) wall() time.Time {
	now := s.w.now.Add(s.skew)
	if now.After(s.latest) {
		s.latest = now
	}
	return now
}

// load puts another data file on the disk. What the one before knew and this one does not
// is lost here.
func (s *slot) load(image []byte, known knowledge) {
	for key, before := range s.known {
		for n := range before.minus(known.at(key)).each {
			s.w.writes[n].lost |= 1 << s.n
		}
	}
	dir, err := s.w.rig.put(s.n, image)
	if err != nil {
		s.w.fail("rig", "%v", err)
	}
	s.dir, s.known = dir, slices.Clone(known)
}

// destroy takes the machine away for ever.
func (s *slot) destroy() {
	s.stop()
	s.load(nil, nil)
	s.destroyed = true
}

// copy is the disk as it is now.
func (s *slot) copy() *copied {
	var b bytes.Buffer
	if s.proc != nil {
		if err := s.proc.store.Snapshot(&b); err != nil {
			s.w.fail("error", "snapshot of %s: %v", s, err)
			return nil
		}
	} else if err := readFile(&b, s.dir); err != nil {
		s.w.fail("rig", "%v", err)
		return nil
	}
	return &copied{name: s.name, image: b.Bytes(), known: slices.Clone(s.known), latest: s.latest}
}

func (s *slot) String() string {
	name := s.name
	if s.n > 0 && slices.ContainsFunc(s.w.slots[:s.n], func(o *slot) bool { return o.name == name }) {
		name += "'"
	}
	return name
}

// process is one life of a node: everything here is gone when it ends.
type process struct {
	w     *World
	slot  *slot
	life  int
	store *storage.Store

	tracker  *replication.Tracker
	log      *replication.Log
	links    []*link
	leases   *catchup.Leases
	pulls    []*pull
	heads    map[string]head // what peers showed of their clocks, by name
	members  []string        // registered, as of registry
	registry set

	before clock.Clock     // what was here when the quiet began
	came   map[string]bool // states of records that were pulled since

	attempts []*attempt
	synced   bool // one pull was complete since the start
	fenced   bool // another process bears the name, and was first

	// What is queued, and the transaction under way.
	fore, back []*item
	paged      bool    // the one before had a page although others waited
	turn       []*item // what it takes, in its order
	base       knowledge
	draft      knowledge
	ran        int // items of turn whose effect is in draft
	stepping   bool
	plan       string // the point at which it will crash; "" = none
	crashing   bool
	rows       map[clock.Dot]told // what is in the log
}

// head is the last word of a peer on its clock.
type head struct {
	clock clock.Clock
	slot  *slot
}

// item is one entry of the store's queue.
type item struct {
	op     *attempt // nil: rows from elsewhere
	rows   []told   // of an op: what it made, once it ran
	failed bool     // not all of the rows were taken
}

var errCrash = errors.New("crash")

// start opens the store. Whatever was under way in the life before is gone.
func (s *slot) start() bool {
	w := s.w
	w.lives++
	p := &process{
		w: w, slot: s, life: w.lives,
		tracker: replication.NewTracker(s.name, w.cfg.Mutants),
		log:     replication.NewLog(w.opt.logRows, 1<<20, 1<<20),
		leases:  catchup.NewLeases(w.cfg.Mutants),
		heads:   map[string]head{}, rows: map[clock.Dot]told{},
	}
	store, err := storage.Open(storage.Config{
		Dir: s.dir, Node: s.name, NoSync: true, Mutants: w.cfg.Mutants, RecentRows: 4,
		Now: s.wall, Random: w.rng.Uint64, Staged: p.staged, Fail: p.point,
	})
	if err != nil {
		w.fail("open", "%s: %v", s, err)
		return false
	}
	p.store = store
	s.proc = p
	w.say("%s starts as life %d, clock %s", s, p.life, store.Clock())
	p.readMembers()
	p.check()
	return !w.failed()
}

// stop ends the process as a crash does: nobody is told.
func (s *slot) stop() {
	p := s.proc
	if p == nil {
		return
	}
	s.proc = nil
	for _, a := range p.attempts {
		a.over("its node died")
	}
	if err := p.store.Close(); err != nil {
		s.w.fail("error", "close %s: %v", s, err)
	}
}

// point is asked by the store between its disk steps.
func (p *process) point(name string) error {
	switch name {
	case "before-commit":
		p.overlap()
	case "after-commit":
		p.finishDraft()
	}
	if p.plan != name || p.w.failed() {
		return nil
	}
	p.crashing = true
	return errCrash
}

// staged is the store's word on what it is about to commit.
func (p *process) staged(st storage.Staged) {
	rows := make([]replication.Row, len(st.Rows))
	for i, r := range st.Rows {
		rows[i] = replication.Row{Dot: r.Dot, Raw: r.Raw}
	}
	p.log.Append(st.Base, st.Floor, rows)
}

// next is what the store will take next, in its order: while something waits in the
// foreground every other transaction begins with a page.
func (p *process) next() []*item {
	var turn []*item
	switch {
	case len(p.fore) == 0:
		turn, p.back, p.paged = p.back, nil, false
	case len(p.back) > 0 && !p.paged:
		turn, p.back, p.paged = p.back[:1:1], p.back[1:], true
	default:
		p.paged = false
	}
	turn = append(turn, p.fore...)
	p.fore = nil
	return turn
}

// tell brings draft up to the first n items of the transaction.
func (p *process) tell(n int) {
	for _, it := range p.turn[p.ran:n] {
		p.ran++
		for _, t := range it.rows {
			if !t.defect {
				p.draft = p.draft.tell(t)
			}
		}
	}
}

func (p *process) finishDraft() {
	p.tell(len(p.turn))
	p.slot.known = p.draft
}

// step commits what is queued. It reports whether the process lives.
func (p *process) step() bool {
	for !p.stepping && len(p.fore)+len(p.back) > 0 {
		if !p.transact() {
			return false
		}
	}
	return true
}

// transact runs one transaction over what is queued. It reports whether the process lives.
func (p *process) transact() bool {
	w := p.w
	p.turn = p.next()
	p.base = p.slot.known
	p.draft, p.ran, p.stepping = slices.Clone(p.base), 0, true
	_, err := p.store.Step()
	p.stepping = false
	w.stats.Commits++
	if err == nil {
		if slices.ContainsFunc(p.turn, func(it *item) bool { return it.failed }) {
			p.retell()
		}
		p.finishDraft()
	}
	p.turn, p.plan = nil, ""
	switch {
	case p.crashing:
		w.stats.Crashes++
		w.say("%s crashes: %v", p.slot, err)
		p.slot.stop()
		return false
	case err != nil:
		w.fail("error", "transaction of %s: %v", p.slot, err)
		return false
	}
	p.readMembers()
	p.check()
	return !w.failed()
}

// retell makes draft anew without what turned out to have been refused.
func (p *process) retell() {
	p.draft, p.ran = slices.Clone(p.base), 0
}

// apply queues rows from elsewhere. done is called with the outcome unless the process dies
// before.
func (p *process) apply(b storage.Batch, rows []told, done func(storage.Applied, error)) {
	it := &item{rows: rows}
	queued := true
	if b.Push {
		p.fore = append(p.fore, it)
	} else {
		p.back = append(p.back, it)
	}
	p.store.SubmitApply(b, func(a storage.Applied, err error) {
		if p.crashing {
			return
		}
		it.failed = err != nil || a.Failed+a.Refused > 0
		if it.failed {
			it.rows = p.taken(rows, err)
		}
		queued = false
		for _, t := range rows {
			if t.defect {
				p.w.taint(t)
			}
		}
		done(a, err)
	})
	if !queued && !p.stepping { // refused at once
		p.fore = slices.DeleteFunc(p.fore, func(x *item) bool { return x == it })
		p.back = slices.DeleteFunc(p.back, func(x *item) bool { return x == it })
	}
}

// taken are the rows that were applied although others of their batch were refused.
func (p *process) taken(rows []told, err error) (out []told) {
	for _, t := range rows {
		var dots clock.Clock
		for _, s := range p.w.siblings(t.known) {
			dots.Add(s.dot)
		}
		if err == nil && p.store.Clock().Covers(dots) {
			out = append(out, t)
		}
	}
	return out
}

// taint marks a record as one whose newest state some nodes cannot read: what they show of
// it depends on what they heard first.
func (w *World) taint(t told) { w.tainted[t.key] = true }

// readMembers follows the registry. A name that is not in it is neither pushed to nor
// counted.
func (p *process) readMembers() {
	var now set
	for key, known := range p.slot.known {
		if p.w.keys[key].Kind() == memory.KindMember {
			now = now.union(known)
		}
	}
	if now == p.registry && p.members != nil {
		return
	}
	p.registry = now
	var names []string
	err := p.store.View(func(tx *storage.Tx) error {
		ms, _, err := tx.Members()
		for _, m := range ms {
			names = append(names, m.Name)
		}
		return err
	})
	if err != nil {
		p.w.fail("error", "members of %s: %v", p.slot, err)
	}
	p.members = names
	p.tracker.SetPeers(names...)
	p.links = slices.DeleteFunc(p.links, func(l *link) bool { return !slices.Contains(names, l.name) })
}

// peers are the registered names but the own one.
func (p *process) peers() (out []string) {
	for _, name := range p.members {
		if name != p.slot.name {
			out = append(out, name)
		}
	}
	return out
}
