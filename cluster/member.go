package cluster

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// State of a member as gossip sees it: a hint about who can be reached now,
// never a fact about who belongs to the cluster.
type State int

const (
	// StateAlive members answer probes, or are suspected and may still refute:
	// memberlist tells its users nothing about suspicion.
	StateAlive State = iota
	// StateDead members stopped answering.
	StateDead
	// StateLeft members said goodbye.
	StateLeft
)

func (s State) String() string {
	return [...]string{"alive", "dead", "left"}[s]
}

// Member is one name that gossip has shown.
type Member struct {
	Name   string
	Gossip string // host:port at which it gossips
	Meta
	State State
}

// maxGone bounds how many members that are not alive are remembered, for a
// cluster whose nodes get a new name with every start.
const maxGone = 512

// table remembers every member longer than memberlist does, which forgets the
// dead after half a minute: somebody has to know whom to ask again when a
// partition heals. It is filled from memberlist's callbacks, which hold a lock
// of memberlist, so nothing in here calls back into memberlist.
type table struct {
	mu sync.Mutex
	// Invariant: at most maxGone members are not alive. Test: TestTableBound.
	byName   map[string]*row
	goodbyes map[uint64]time.Time // boots that announced their leaving
}

type row struct {
	Member
	since time.Time // of the state
}

func newTable() *table {
	return &table{byName: map[string]*row{}, goodbyes: map[uint64]time.Time{}}
}

// alive notes a member as it is now.
func (t *table) alive(name, gossip string, meta Meta) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.byName[name]
	if r == nil {
		r = &row{}
		t.byName[name] = r
	}
	if r.State != StateAlive || r.since.IsZero() {
		r.since = time.Now()
	}
	r.Member = Member{Name: name, Gossip: gossip, Meta: meta, State: StateAlive}
}

// gone notes that memberlist gave a member up. It tells its users neither why
// nor whether the member left of its own will; hence the goodbyes.
func (t *table) gone(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.byName[name]
	if r == nil {
		return
	}
	r.State, r.since = StateDead, time.Now()
	if _, ok := t.goodbyes[r.Boot]; ok {
		r.State = StateLeft
	}
	t.trim()
}

// goodbye notes that a process is about to leave, or has left: the message and
// memberlist's own overtake each other freely. False means that it was known,
// or is of no member.
func (t *table) goodbye(boot uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.goodbyes[boot]; ok {
		return false
	}
	member := false
	for _, r := range t.byName {
		if r.Boot == boot {
			member = true
			if r.State == StateDead {
				r.State = StateLeft
			}
		}
	}
	if !member {
		return false
	}
	now := time.Now()
	for b, at := range t.goodbyes {
		if now.Sub(at) > time.Minute {
			delete(t.goodbyes, b)
		}
	}
	t.goodbyes[boot] = now
	return true
}

// drop forgets a member; with an address, only if it is known there.
func (t *table) drop(name, gossip string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.byName[name]
	if r == nil || (gossip != "" && r.Gossip != gossip) {
		return false
	}
	delete(t.byName, name)
	return true
}

// trim needs mu.
func (t *table) trim() {
	gone := 0
	var oldest *row
	for _, r := range t.byName {
		if r.State == StateAlive {
			continue
		}
		gone++
		if oldest == nil || r.since.Before(oldest.since) {
			oldest = r
		}
	}
	if gone > maxGone {
		delete(t.byName, oldest.Name)
	}
}

func (t *table) get(name string) (Member, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.byName[name]; r != nil {
		return r.Member, true
	}
	return Member{}, false
}

// nameOf maps a process to the name of the living member that it is.
func (t *table) nameOf(boot uint64) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, r := range t.byName {
		if r.Boot == boot && r.State == StateAlive {
			return name, true
		}
	}
	return "", false
}

// snapshot returns all members, by name.
func (t *table) snapshot() []Member {
	t.mu.Lock()
	all := make([]Member, 0, len(t.byName))
	for _, r := range t.byName {
		all = append(all, r.Member)
	}
	t.mu.Unlock()
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// count returns how many members are in each state.
func (t *table) count() (n [3]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.byName {
		n[r.State]++
	}
	return n
}
