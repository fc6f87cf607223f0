package node

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// runSweep takes away what has expired. Everybody has hidden it long before; what is left
// to do is one delete, which reaches every node like any other. Each node waits for a time
// of its own, so that they do not all look at once.
func (n *Node) runSweep(ctx context.Context) error {
	every := n.cfg.SweepInterval
	timer := time.NewTimer(rand.N(every)) // #nosec G404 -- likewise
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		sum, err := n.sweep(ctx, 0, "memd:"+n.cfg.Name, n.isMine)
		if err != nil && ctx.Err() == nil {
			n.log.Info("what has expired could not be swept", "err", err)
		}
		if sum.Count > 0 {
			n.log.Info("swept what had expired", "memories", sum.Count, "archived", sum.Archived)
		}
		timer.Reset(every*3/4 + rand.N(every/2+1)) // #nosec G404 -- spreads load, keeps no secret
	}
}

// Collect is the sweep by hand: it does what is due, whoever's turn it is.
func (n *Node) Collect(ctx context.Context, opt httpapi.WriteOptions) (httpapi.Removed, error) {
	return n.sweep(ctx, opt.W, opt.Agent, func(memory.Key, time.Duration) bool { return true })
}

// isMine decides whose work a record is that has been due for a while: the members take it
// up in an order that is another one for every record and the same for all of them. The
// first does so when it sees it, and each of the others only after those before it have had
// two turns. So one delete is written and not one per node, and what a member leaves undone
// others do.
func (n *Node) isMine(key memory.Key, due time.Duration) bool {
	before := 0
	own := draw(n.cfg.Name, key)
	for _, m := range n.members.list() {
		if m.Name != n.cfg.Name && draw(m.Name, key) < own {
			before++
		}
	}
	return due >= time.Duration(before)*2*n.cfg.SweepInterval
}

func draw(name string, key memory.Key) uint64 {
	h := sha256.Sum256([]byte(name + "\x00" + string(key)))
	return binary.BigEndian.Uint64(h[:])
}

// meshNow is what time it is by the clocks of the members, as far as they are known: a node
// whose own clock is ahead hides a memory early, and must not delete it for all others. It
// is the median of the clocks or, of two, the earlier.
func (n *Node) meshNow() time.Time {
	offset, ok := n.skew.median()
	if !ok {
		offset = n.skew.behind()
	}
	return n.now().Add(offset)
}

// sweep deletes what has expired by the clocks of the mesh, and links that have lost a
// memory. mine is asked for each record, with how long it has been due.
func (n *Node) sweep(ctx context.Context, w int, agent string, mine func(memory.Key, time.Duration) bool) (httpapi.Removed, error) {
	now := n.meshNow()
	due := func(tx *storage.Tx, key memory.Key) (v memory.View, put storage.PutOptions, ok bool, err error) {
		put.Agent = agent
		rec, _, _, err := tx.Get(key)
		if errors.Is(err, storage.ErrCorrupt) {
			return v, put, false, nil
		}
		if v = rec.View(); err != nil || !v.Live {
			return v, put, false, err
		}
		if rec.OneOrigin() {
			put.Copy = v.Winner // nobody asked for it: what a recall has lengthened elsewhere lives on
		} else {
			put.Match = &v.Token // nothing that was not seen here
		}
		m, err := memory.DecodeMemory(key, v.Winner.Value)
		return v, put, err == nil && m.Expired(now) && mine(key, now.Sub(m.ExpiresAt)), err
	}
	take := func(tx *storage.Tx, part []memory.Key) (count int, err error) {
		for _, key := range part {
			v, put, ok, err := due(tx, key)
			if err == nil && ok {
				if n.cfg.NoArchive {
					_, err = n.remove(tx, key, put)
				} else {
					err = n.setAside(tx, key, v, memory.ReasonExpired, put)
				}
				count++
			}
			if err != nil {
				return 0, err
			}
		}
		return count, nil
	}
	// One walk over the index, however much of it others have to do, in looks that hold no
	// transaction for long.
	var sum httpapi.Removed
	var err error
	for from, more := []byte(nil), true; more && err == nil; more = from != nil {
		var keys []memory.Key
		if err = n.view(ctx, func(tx *storage.Tx) error {
			keys, from, err = tx.Expired(now, from, sweepChunk)
			return err
		}); err == nil {
			var part httpapi.Removed
			part, err = n.inParts(ctx, w, keys, take)
			merge(&sum, part)
		}
	}
	if !n.cfg.NoArchive {
		sum.Archived = sum.Count
	}
	n.metrics.expired.Add(float64(sum.Count))
	if err == nil {
		err = n.sweepLinks(ctx, w, agent, now, mine)
	}
	return sum, err
}

// sweepLinks deletes links of which a memory was deleted: what a delete had not seen, or
// had no room for. A memory that has not arrived here yet is no reason.
func (n *Node) sweepLinks(ctx context.Context, w int, agent string, now time.Time, mine func(memory.Key, time.Duration) bool) error {
	for from, more := memory.Key(""), true; more; {
		var keys []memory.Key
		more = false
		err := n.view(ctx, func(tx *storage.Tx) error {
			looked := 0
			for l, err := range tx.LinksAfter(from) {
				if errors.Is(err, storage.ErrCorrupt) {
					continue
				}
				if err != nil {
					return err
				}
				if looked++; looked > exportRows {
					more = true
					return nil
				}
				from = l.Key
				since, lost, err := lostEnd(tx, l)
				if err != nil {
					return err
				}
				if lost && mine(l.Key, now.Sub(since)) {
					keys = append(keys, l.Key)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		_, err = n.inParts(ctx, w, keys, func(tx *storage.Tx, part []memory.Key) (count int, err error) {
			for _, key := range part {
				l, live, err := tx.Link(key)
				if err != nil || !live {
					continue
				}
				if _, lost, err := lostEnd(tx, l); err != nil || !lost {
					continue
				}
				if _, err := tx.Delete(key, storage.PutOptions{Agent: agent, Match: &l.View.Token}); err != nil {
					return 0, err
				}
				count++
			}
			return count, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lostEnd tells whether a memory at an end of the link was deleted, and when.
func lostEnd(tx *storage.Tx, l storage.Link) (since time.Time, lost bool, err error) {
	for _, end := range []memory.Key{l.Source(), l.Target()} {
		rec, _, found, err := tx.Get(end)
		if errors.Is(err, storage.ErrCorrupt) {
			continue
		}
		if err != nil {
			return since, false, err
		}
		if v := rec.View(); found && v.Winner != nil && !v.Live {
			return v.Winner.Stamp.Time(), true, nil
		}
	}
	return since, false, nil
}
