package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// keeper lets memories that are recalled live longer (contract 1.2), after the recall has
// answered and by the road of every other write. It writes a memory once an hour at most, and
// as a copy (memory.Kept): nobody asked for it, so it undoes no deletion and is no conflict.
type keeper struct {
	mu   sync.Mutex
	seen [2]map[memory.Key]time.Time // of this hour and the one before
	turn time.Time                   // when seen[0] was begun
	todo []memory.Key
	wake chan struct{}
}

const (
	keepInterval = time.Hour
	maxKept      = 100_000 // memories in an hour; what is recalled above that is kept later
	promoteAfter = 5       // accesses on this node
)

func newKeeper() *keeper {
	return &keeper{seen: [2]map[memory.Key]time.Time{{}, {}}, wake: make(chan struct{}, 1)}
}

// want notes a memory that is to be kept longer, unless it was within the hour. It does not
// block.
func (k *keeper) want(key memory.Key, now time.Time) {
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
	k.todo = append(k.todo, key)
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) take() []memory.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	todo := k.todo
	k.todo = nil
	return todo
}

// recalled is called for each memory that a recall has returned.
func (n *Node) recalled(r *ranked) {
	if _, longer := r.m.Recalled(r.local.AccessCount+1 >= promoteAfter, n.now()); longer && r.view.Conflicts == 0 {
		n.keep.want(r.key, time.Now())
	}
}

// runKeeper writes what recalls have lengthened.
func (n *Node) runKeeper(ctx context.Context) error {
	for {
		select {
		case <-n.keep.wake:
		case <-ctx.Done():
			return nil
		}
		for _, key := range n.keep.take() {
			_, err := n.change(ctx, 0, func(tx *storage.Tx) error { return n.keepLonger(tx, key) })
			switch {
			case ctx.Err() != nil:
				return nil
			case err == nil:
				n.metrics.kept.Inc()
			case !errors.Is(err, errNoop):
				n.log.Debug("a recalled memory could not be kept longer", "key", key, "err", err)
			}
		}
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
	_, err = tx.Put(key, longer.Encode(), storage.PutOptions{Agent: v.Winner.Agent, Copy: v.Winner, Until: longer.ExpiresAt})
	return err
}
