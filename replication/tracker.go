package replication

import (
	"slices"
	"sync"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
)

// keptEntries bounds the origins that are remembered per peer from its acks. One is in
// use; a process mints another only after a pause.
const keptEntries = 8

// Tracker counts acknowledgements: which of the writes that wait has which name. It is
// safe for concurrent use, starts nothing and knows no time.
type Tracker struct {
	self  string
	exact bool // false in mutant HighestCounterAck
	twice bool // mutant AckTwicePerName
	ended func(Result)

	mu    sync.Mutex
	fifos map[clock.Origin]*fifo
	last  clock.Origin // of the newest write: its empty fifo is kept
	peers []*known     // few, and gone through for every write
	// Invariant: no name of it is among peers. Test: TestBarredNames.
	barred []string
}

// known is what a peer has told that it holds durably.
//
// Invariant: it is the peer's newest word per origin and not the sum of its words: an
// entry may go down (a disk restored from a copy), then what is above is no longer
// there. Guarded by TestEntryThatWentDown.
type known struct {
	name     string
	greeting clock.Clock // first word of the current stream
	acks     []ack       // newer words, newest last
}

type ack struct {
	origin clock.Origin
	entry  clock.Clock // read only, and only at origin
}

// NewTracker returns a tracker that counts self after [Wait.Local] and no other name
// before [Tracker.SetPeers]. Mutants are for tests.
func NewTracker(self string, m mutant.Set) *Tracker {
	return &Tracker{
		self:  self,
		exact: !m.Has(mutant.HighestCounterAck),
		twice: m.Has(mutant.AckTwicePerName),
		ended: func(Result) {},
		fifos: make(map[clock.Origin]*fifo),
	}
}

// SetPeers says which names may acknowledge from now on. What others told is
// forgotten: a member that was removed cannot ack (replication.md B11).
func (t *Tracker) SetPeers(names ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers = slices.DeleteFunc(t.peers, func(k *known) bool { return !slices.Contains(names, k.name) })
	for _, name := range names {
		if name != t.self && t.peer(name) == nil && !slices.Contains(t.barred, name) {
			t.peers = append(t.peers, &known{name: name})
		}
	}
}

// Bar says which names may not acknowledge, whatever SetPeers says now and later; those of
// the call before may again. What they told is forgotten.
func (t *Tracker) Bar(names ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.barred = names
	t.peers = slices.DeleteFunc(t.peers, func(k *known) bool { return slices.Contains(names, k.name) })
}

func (t *Tracker) peer(name string) *known {
	for _, k := range t.peers {
		if k.name == name {
			return k
		}
	}
	return nil
}

// NewWait returns a wait for w distinct names; less than 1 is taken as 1.
func (t *Tracker) NewWait(w int) *Wait {
	wait := &Wait{t: t, need: max(w, 1), done: make(chan struct{})}
	wait.names = wait.few[:0]
	return wait
}

// Register returns a wait for w distinct names to have dot, some of which are known to
// have it.
func (t *Tracker) Register(dot clock.Dot, w int, names ...string) *Wait {
	wait := t.NewWait(w)
	wait.Start(dot)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range names {
		wait.durable = wait.durable || name == t.self
		wait.count(name)
	}
	return wait
}

func (t *Tracker) start(w *Wait, dots []clock.Dot) {
	if w.started || w.over {
		return
	}
	w.started = true
	w.addDots(dots)
	if len(w.runs) == 0 {
		w.met = true
		w.end()
		return
	}
	for _, r := range w.runs {
		f := t.fifos[r.origin]
		if f == nil {
			f = new(fifo)
			t.fifos[r.origin] = f
		}
		for n := r.lo; n <= r.hi; n++ {
			f.add(n, w)
		}
		if before := t.last; before != r.origin {
			t.last = r.origin
			t.tidy(before)
		}
	}
	w.check()
	for _, k := range t.peers {
		if k.all(w.runs) {
			w.count(k.name)
		}
	}
	t.left(w)
}

// Greet takes the first word of a new stream to name: its durable entries, which
// replace everything it said before.
func (t *Tracker) Greet(name string, entry clock.Clock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.peer(name)
	if k == nil {
		return
	}
	k.greeting, k.acks = t.read(entry), nil
	for origin := range t.fifos {
		t.news(k, origin, 0, nil)
	}
}

// Ack takes a later word of name: its durable entry of each origin that it mentions,
// in place of the one before. Names that are not peers are ignored.
func (t *Tracker) Ack(name string, entry clock.Clock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.peer(name)
	if k == nil {
		return
	}
	entry = t.read(entry)
	// All of the new word is in place before any of it counts: a wait may have dots of
	// several origins.
	type before struct {
		origin clock.Origin
		base   uint64
		above  []clock.Interval
	}
	var few [2]before
	all := few[:0]
	for origin := range entry.Origins() {
		was := before{origin: origin}
		if !t.twice {
			was.base, was.above = k.entry(origin)
		}
		all = append(all, was)
	}
	for _, was := range all {
		k.put(was.origin, entry)
	}
	for _, was := range all {
		t.news(k, was.origin, was.base, was.above)
	}
}

// read is where mutant HighestCounterAck takes the highest counter for the entry.
func (t *Tracker) read(entry clock.Clock) clock.Clock {
	if t.exact {
		return entry
	}
	var all clock.Clock
	for o := range entry.Origins() {
		all.AddRange(o, 1, entry.Max(o))
	}
	return all
}

// news counts k for the waits of origin that what it has now brought, compared with
// what it had. Only new dots are looked at, so over the life of a wait each name costs
// one step, and an ack costs its intervals.
func (t *Tracker) news(k *known, origin clock.Origin, oldBase uint64, oldAbove []clock.Interval) {
	f := t.fifos[origin]
	if f == nil || f.live == 0 {
		return
	}
	base, above := k.entry(origin)
	ranges(base, above, oldBase, oldAbove, func(lo, hi uint64) {
		f.each(lo, hi, func(w *Wait) {
			if len(w.runs) > 1 || w.runs[0].lo != w.runs[0].hi {
				if !k.all(w.runs) {
					return
				}
			}
			w.count(k.name)
			if w.over {
				t.left(w)
			}
		})
	})
	t.tidy(origin)
}

// left takes a wait that is over out of the counts; the second call for the same wait
// does nothing.
func (t *Tracker) left(w *Wait) {
	if !w.over || w.gone {
		return
	}
	w.gone = true
	for _, r := range w.runs {
		t.fifos[r.origin].live -= int(r.hi - r.lo + 1)
	}
}

// tidy lets go of waits that are over, and of origins that nobody writes under any
// more.
func (t *Tracker) tidy(origin clock.Origin) {
	f := t.fifos[origin]
	if f == nil {
		return
	}
	f.tidy()
	if f.live == 0 && origin != t.last {
		delete(t.fifos, origin)
	}
}

// Has reports whether peer told that it holds lo..hi of origin durably.
func (t *Tracker) Has(peer string, origin clock.Origin, lo, hi uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.peer(peer)
	return k != nil && k.all([]run{{origin, lo, hi}})
}

// Lacks returns how many of 1..hi of origin peer did not tell that it holds.
func (t *Tracker) Lacks(peer string, origin clock.Origin, hi uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.peer(peer)
	if k == nil {
		return hi
	}
	base, above := k.entry(origin)
	lacks := hi - min(hi, base)
	for _, iv := range above {
		if iv.Lo <= hi {
			lacks -= min(iv.Hi, hi) - iv.Lo + 1
		}
	}
	return lacks
}

// AckedBy returns the peers, sorted, whose newest word covers d. It does not know
// whether this node has it.
func (t *Tracker) AckedBy(d clock.Dot) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for _, k := range t.peers {
		if k.all([]run{{d.Origin, d.Counter, d.Counter}}) {
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	return names
}

// AckedClock returns what peer last told that it holds durably, as far as it told.
func (t *Tracker) AckedClock(peer string) clock.Clock {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.peer(peer)
	if k == nil {
		return clock.Clock{}
	}
	return k.clock()
}

// entry returns the newest word about origin, for reading only.
func (k *known) entry(origin clock.Origin) (base uint64, above []clock.Interval) {
	for i := range k.acks {
		if k.acks[i].origin == origin {
			return k.acks[i].entry.Entry(origin)
		}
	}
	return k.greeting.Entry(origin)
}

func (k *known) put(origin clock.Origin, entry clock.Clock) {
	for i := range k.acks {
		if k.acks[i].origin == origin {
			k.acks[i].entry = entry
			return
		}
	}
	if len(k.acks) == keptEntries {
		k.acks = slices.Delete(k.acks, 0, 1)
	}
	k.acks = append(k.acks, ack{origin, entry})
}

// all reports whether every dot of runs is there.
func (k *known) all(runs []run) bool {
	for _, r := range runs {
		base, above := k.entry(r.origin)
		if r.hi <= base {
			continue
		}
		lo := max(r.lo, base+1)
		i, _ := slices.BinarySearchFunc(above, lo, func(iv clock.Interval, n uint64) int {
			if iv.Hi < n {
				return -1
			}
			return 1
		})
		if i == len(above) || above[i].Lo > lo || above[i].Hi < r.hi {
			return false
		}
	}
	return true
}

func (k *known) clock() clock.Clock {
	c := k.greeting.Clone()
	for _, a := range k.acks {
		c = c.Minus(c.Only(a.origin))
		c.Union(a.entry.Only(a.origin))
	}
	return c
}
