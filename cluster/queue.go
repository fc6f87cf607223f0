package cluster

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"github.com/memd/memd/internal/mutant"
)

// A message is sent this many times, times the decimal logarithm of the members
// (at least 1). Receivers are random: of five members, 4 leaves one without the
// message every now and then, 8 practically never.
const retransmit = 8

// queue holds messages that wait for room in gossip packets; a newer one takes
// the place of an older one of the same name.
//
// memberlist has a TransmitLimitedQueue for this. Version 0.7.0 restarts its
// counter of ids while messages are still on their way back into its tree, so
// that messages of equal length, as digests are, displace each other.
type queue struct {
	mutants mutant.Set // tests only

	mu     sync.Mutex
	byName map[string]*queued
}

type queued struct {
	name string
	msg  []byte
	sent int
}

func newQueue(m mutant.Set) *queue { return &queue{mutants: m, byName: map[string]*queued{}} }

func (q *queue) add(name string, msg []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.byName[name] = &queued{name: name, msg: msg}
}

// take fills a packet of limit bytes, in which each message costs overhead
// besides its length, with those sent least often so far.
func (q *queue) take(overhead, limit int, members func() int) [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.byName) == 0 {
		return nil
	}
	most := retransmit * int(math.Ceil(math.Log10(float64(members()+1))))
	all := make([]*queued, 0, len(q.byName))
	for _, m := range q.byName {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *queued) int {
		return cmp.Or(cmp.Compare(a.sent, b.sent), cmp.Compare(a.name, b.name))
	})
	var msgs [][]byte
	for _, m := range all {
		if need := overhead + len(m.msg); need <= limit {
			limit -= need
			msgs = append(msgs, m.msg)
			if m.sent++; m.sent >= most {
				delete(q.byName, m.name)
			}
		}
	}
	return msgs
}
