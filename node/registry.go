package node

import (
	"cmp"
	"slices"
	"sync"

	"github.com/memd/memd/memory"
)

// registry is the set of registered members and of the names that were removed: what the
// KindMember records say. N of the quorum is the number of members, never the number that
// gossip calls alive (replication.md B6).
type registry struct {
	mu      sync.Mutex
	members []memory.Member // sorted by name
	removed []string        // sorted
}

func (r *registry) set(ms []memory.Member, removed []string) (changed bool) {
	slices.SortFunc(ms, func(a, b memory.Member) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(removed)
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.EqualFunc(r.members, ms, sameMember) && slices.Equal(r.removed, removed) {
		return false
	}
	r.members, r.removed = ms, removed
	return true
}

func sameMember(a, b memory.Member) bool {
	return a.Name == b.Name && a.HTTP == b.HTTP && a.Gossip == b.Gossip
}

func (r *registry) list() []memory.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members // never changed in place
}

func (r *registry) count() int { return len(r.list()) }

// left are the names that were removed.
func (r *registry) left() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.removed // never changed in place
}

func (r *registry) isRemoved(name string) bool {
	_, ok := slices.BinarySearch(r.left(), name)
	return ok
}

// ever counts the names that were registered once. It is what --bootstrap-expect waits for:
// a cluster that has shrunk since is not a new one.
func (r *registry) ever() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.members) + len(r.removed)
}

func (r *registry) get(name string) (memory.Member, bool) {
	ms := r.list()
	i, ok := slices.BinarySearchFunc(ms, name, func(m memory.Member, name string) int { return cmp.Compare(m.Name, name) })
	if !ok {
		return memory.Member{}, false
	}
	return ms[i], true
}
