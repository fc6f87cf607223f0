package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/replication"
	"github.com/memd/memd/storage"
)

// keeper lets memories that are recalled live longer (contract 1.2), after the recall has
// answered and by the road of every other write. It writes a memory once an hour at most.
//
// Its write is one that nobody asked for: beside a deletion that it has not seen the memory
// would live on, and beside an update it would be a conflict. Who recalls a memory often
// changes or deletes it next, at any node. So it waits until that has had time to arrive,
// and writes only where it would arrive.
type keeper struct {
	after time.Duration // between a recall and its write

	mu   sync.Mutex
	seen [2]map[memory.Key]time.Time // of this hour and the one before
	turn time.Time                   // when seen[0] was begun
	todo []keeping                   // the first due first
	wake chan struct{}
}

// keeping is a memory that is to be kept longer, and when.
type keeping struct {
	key memory.Key
	due time.Time
}

const (
	keepInterval = time.Hour
	keepAfter    = 5 * time.Second
	maxKept      = 100_000 // memories in an hour; what is recalled above that is kept later
	promoteAfter = 5       // accesses on this node
)

func newKeeper(after time.Duration) *keeper {
	if after == 0 {
		after = keepAfter
	}
	return &keeper{after: after, seen: [2]map[memory.Key]time.Time{{}, {}}, wake: make(chan struct{}, 1)}
}

// want notes a memory that is to be kept longer, unless it was within the hour. left is how
// long it has to live: what would be gone meanwhile is not waited for. It does not block.
func (k *keeper) want(key memory.Key, now time.Time, left time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.turn) >= keepInterval {
		k.seen[0], k.seen[1], k.turn = map[memory.Key]time.Time{}, k.seen[0], now
	}
	for _, seen := range k.seen {
		if at, ok := seen[key]; ok && now.Sub(at) < keepInterval {
			return
		}
	}
	if len(k.seen[0]) >= maxKept {
		return
	}
	k.seen[0][key] = now
	if left < 2*k.after {
		k.todo = slices.Insert(k.todo, 0, keeping{key, now})
	} else {
		k.todo = append(k.todo, keeping{key, now.Add(k.after)})
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// next is the memory whose turn it is; "" if there is none, and then how long until there is
// one, 0 = nobody knows.
func (k *keeper) next(now time.Time) (key memory.Key, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.todo) == 0 {
		k.todo = nil
		return "", 0
	}
	first := k.todo[0]
	if wait := first.due.Sub(now); wait > 0 {
		return "", wait
	}
	k.todo = k.todo[1:]
	return first.key, 0
}

// forget lets the next recall of a memory ask again.
func (k *keeper) forget(key memory.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.seen[0], key)
	delete(k.seen[1], key)
}

// recalled is called for each memory that a recall has returned.
func (n *Node) recalled(r *ranked) {
	now := n.now()
	if _, longer := r.m.Recalled(r.local.AccessCount+1 >= promoteAfter, now); longer && r.view.Conflicts == 0 {
		n.keep.want(r.key, time.Now(), r.m.ExpiresAt.Sub(now))
	}
}

// runKeeper writes what recalls have lengthened.
func (n *Node) runKeeper(ctx context.Context) error {
	for {
		key, wait := n.keep.next(time.Now())
		if key != "" {
			n.keepOne(ctx, key)
			if ctx.Err() != nil {
				return nil
			}
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-n.keep.wake:
		case <-due:
		case <-ctx.Done():
			return nil
		}
	}
}

// keepOne does it for one memory, unless this node may not know what has become of it: after
// a pause, or on the smaller side of a split.
func (n *Node) keepOne(ctx context.Context, key memory.Key) {
	if stale, err := n.Admit(ctx); err != nil || stale || n.push.Reachable()+1 < replication.Majority(n.members.count()) {
		n.keep.forget(key)
		return
	}
	_, err := n.change(ctx, 0, func(tx *storage.Tx) error { return n.keepLonger(tx, key) })
	switch {
	case err == nil:
		n.metrics.kept.Inc()
	case ctx.Err() == nil && !errors.Is(err, errNoop):
		n.log.Debug("a recalled memory could not be kept longer", "key", key, "err", err)
	}
}

// keepLonger moves the expiry of a memory that was just recalled, never to an earlier time,
// and makes a lasting one of what is recalled again and again.
func (n *Node) keepLonger(tx *storage.Tx, key memory.Key) error {
	rec, local, found, err := tx.Get(key)
	if err != nil {
		return err
	}
	v := rec.View()
	if !found || !n.shown(key, v) || v.Conflicts > 0 { // a machine does not decide a conflict
		return errNoop
	}
	m, err := memory.DecodeMemory(key, v.Winner.Value)
	if err != nil {
		return err
	}
	longer, ok := m.Recalled(local.AccessCount >= promoteAfter, n.now())
	if !ok {
		return errNoop
	}
	_, err = tx.Put(key, longer.Encode(), storage.PutOptions{Agent: v.Winner.Agent, Content: longer.ContentHash(), Match: &v.Token})
	return err
}
