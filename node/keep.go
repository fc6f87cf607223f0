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
// answered and by the road of every other write. It looks at a memory once an hour at most.
type keeper struct {
	mu   sync.Mutex
	seen map[memory.Key]time.Time
	todo []memory.Key
	wake chan struct{}
}

const (
	keepInterval = time.Hour
	maxKept      = 10_000 // memories that are remembered, or wait
	promoteAfter = 5      // accesses on this node
)

func newKeeper() *keeper {
	return &keeper{seen: make(map[memory.Key]time.Time), wake: make(chan struct{}, 1)}
}

// recalled notes an access. It does not block, and with too many at once some are not kept
// longer until they are recalled again.
func (k *keeper) recalled(key memory.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if now.Sub(k.seen[key]) < keepInterval || len(k.todo) >= maxKept {
		return
	}
	if len(k.seen) >= maxKept {
		clear(k.seen) // an hour is a courtesy to the disks, no promise
	}
	k.seen[key] = now
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
			if ctx.Err() != nil {
				return nil
			}
			if err != nil && !errors.Is(err, errNoop) {
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
	_, err = tx.Put(key, longer.Encode(), storage.PutOptions{Agent: v.Winner.Agent, Content: longer.ContentHash(), Match: &v.Token})
	return err
}
