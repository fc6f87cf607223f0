package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// setAside puts a memory that is shown into the archive and deletes it, in one
// transaction. What was archived under the id before makes room: there is one for an id.
func (n *Node) setAside(tx *storage.Tx, key memory.Key, v memory.View, reason string, put storage.PutOptions) error {
	a := memory.Archived{ArchivedAt: n.now().UTC(), Reason: reason, Value: v.Winner.Value}
	if _, err := tx.Put(memory.ArchiveKey(key), a.Encode(), storage.PutOptions{Agent: put.Agent, Idem: put.Idem, Content: a.ContentHash()}); err != nil {
		return fmt.Errorf("archive %s: %w", key, err)
	}
	put.Idem = memory.Hash{}
	_, err := n.remove(tx, key, put)
	return err
}

// Archive puts memories aside.
func (n *Node) Archive(ctx context.Context, ids []string, reason string, opt httpapi.WriteOptions) (httpapi.Archived, error) {
	var out httpapi.Archived
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash("archive", opt.IdempotencyKey)}
	done := make(map[string]bool, len(ids))
	keys := make([]memory.Key, len(ids))
	for i, id := range ids {
		keys[i] = memory.NewKey(memory.KindMemory, id)
	}
	sum, err := n.inParts(ctx, opt.W, keys, func(tx *storage.Tx, part []memory.Key) (int, error) {
		wrote := 0
		var held clock.Clock
		for _, key := range part {
			rec, _, _, err := tx.Get(key)
			if err != nil {
				return 0, err
			}
			if v := rec.View(); n.shown(key, v) {
				if err := n.setAside(tx, key, v, reason, put); err != nil {
					return 0, err
				}
				wrote++
				done[key.ID()] = true
				continue
			}
			// The same request has been here before.
			rec, _, _, err = tx.Get(memory.ArchiveKey(key))
			if err != nil {
				return 0, err
			}
			if mark, ok := rec.FindIdem(put.Idem); ok && rec.View().Live {
				held.Add(mark.Dot)
				done[key.ID()] = true
			}
		}
		if wrote == 0 && !held.Empty() {
			return 0, &errHeld{id: part[0].ID(), dots: held}
		}
		return wrote, nil
	})
	out.IDs, out.Missing = []string{}, []string{}
	for _, id := range ids {
		if done[id] {
			out.IDs = append(out.IDs, id)
		} else {
			out.Missing = append(out.Missing, id)
		}
	}
	out.Token, out.Acks = sum.Token, sum.Acks
	return out, err
}

// Archived lists what was put aside, the latest first.
func (n *Node) Archived(ctx context.Context, p httpapi.ArchivePage, opt httpapi.ReadOptions) ([][]byte, error) {
	if err := n.reach(ctx, opt.After); err != nil {
		return nil, err
	}
	var out [][]byte
	err := n.view(ctx, func(tx *storage.Tx) error {
		for a, err := range tx.Archive(p.Namespace, p.Offset) {
			if len(out) == p.Limit {
				return nil
			}
			if errors.Is(err, storage.ErrCorrupt) {
				continue // counted and logged by the store; one bad row must not hide the others
			}
			if err != nil {
				return err
			}
			body, err := a.AppendShown(nil, a.Key.ID(), false)
			if err != nil {
				return err
			}
			out = append(out, body)
		}
		return nil
	})
	return out, err
}

// findArchived reads what was put aside under an id or a unique prefix of one.
func findArchived(tx *storage.Tx, id string) (storage.Archived, error) {
	key, err := tx.ResolvePrefix(memory.KindArchive, id)
	if errors.Is(err, memory.ErrNotFound) {
		return storage.Archived{}, memory.ErrNotArchived
	}
	if err != nil {
		return storage.Archived{}, err
	}
	a, live, err := tx.Archived(memory.ArchivedKey(key))
	if err == nil && !live {
		err = memory.ErrNotArchived
	}
	return a, err
}

// errLive is what a restore meets whose memory is there.
var errLive = fmt.Errorf("%w: a memory with this id is live", memory.ErrConflict)

// Restore brings a memory back from the archive.
func (n *Node) Restore(ctx context.Context, id string, opt httpapi.WriteOptions) (httpapi.Restored, error) {
	var out httpapi.Restored
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash("restore", opt.IdempotencyKey)}
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) (err error) {
		out.ID, out.Dot, err = n.restoreOne(tx, id, put)
		return err
	})
	if err != nil {
		return httpapi.Restored{}, withID(err, out.ID)
	}
	if w.held != nil {
		out.ID, out.Dot = w.held.id, w.last()
	}
	out.Token, out.Acks = w.token, w.acks
	return out, nil
}

func (n *Node) restoreOne(tx *storage.Tx, id string, put storage.PutOptions) (full string, dot clock.Dot, err error) {
	a, err := findArchived(tx, id)
	key := memory.NewKey(memory.KindMemory, id)
	if err == nil {
		key = memory.ArchivedKey(a.Key)
	} else if !errors.Is(err, memory.ErrNotArchived) {
		return "", dot, err
	}
	if held, err := findIdem(tx, put.Idem, func(k memory.Key, _ memory.Hash, _ *memory.Version) bool { return k == key }); err != nil {
		return "", dot, err
	} else if held != nil {
		return "", dot, held
	}
	if err != nil {
		return "", dot, err
	}
	rec, _, _, err := tx.Get(key)
	if err != nil {
		return "", dot, err
	}
	if n.shown(key, rec.View()) {
		return "", dot, errLive
	}
	m := a.Memory
	if err := n.titleFree(tx, m, key); err != nil {
		return "", dot, err
	}
	now := n.now().UTC()
	m.UpdatedAt = now
	if m.Expired(now) { // to bring back what nobody would see is not what was asked for
		m.ExpiresAt, m.Expiry = time.Time{}, ""
		if ttl, ok := memory.TierTTL(m.Tier); ok {
			m.ExpiresAt = now.Add(ttl)
		}
	}
	if _, err = tx.Delete(a.Key, storage.PutOptions{Agent: put.Agent}); err != nil {
		return "", dot, err
	}
	put.Content = m.ContentHash()
	dot, err = tx.Put(key, m.Encode(), put)
	return key.ID(), dot, err
}

// Discard removes one memory from the archive for good.
func (n *Node) Discard(ctx context.Context, id string, opt httpapi.WriteOptions) (httpapi.Deleted, error) {
	var out httpapi.Deleted
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash("discard", opt.IdempotencyKey)}
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		if held, err := findIdem(tx, put.Idem, func(k memory.Key, _ memory.Hash, _ *memory.Version) bool { return k.Kind() == memory.KindArchive }); err != nil {
			return err
		} else if held != nil {
			return held
		}
		a, err := findArchived(tx, id)
		if err != nil {
			return err
		}
		out.ID = a.Key.ID()
		_, err = tx.Delete(a.Key, put)
		return err
	})
	if err != nil {
		return httpapi.Deleted{}, withID(err, out.ID)
	}
	if w.held != nil {
		out.ID = w.held.id
	}
	out.Dot, out.Token, out.Acks = w.last(), w.token, w.acks
	return out, nil
}

// maxYear is later than anything that was archived.
var maxYear = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Purge removes what was put aside longer ago than an age; 0 = everything.
func (n *Node) Purge(ctx context.Context, olderThan time.Duration, opt httpapi.WriteOptions) (httpapi.Removed, error) {
	cut := maxYear
	if olderThan > 0 {
		cut = n.now().Add(-olderThan)
	}
	put := storage.PutOptions{Agent: opt.Agent}
	return n.sweepChunks(func() (keys []memory.Key, err error) {
		err = n.view(ctx, func(tx *storage.Tx) error {
			keys, err = tx.ArchivedBefore(cut, sweepChunk)
			return err
		})
		return keys, err
	}, func(keys []memory.Key) (httpapi.Removed, error) {
		return n.inParts(ctx, opt.W, keys, func(tx *storage.Tx, part []memory.Key) (count int, err error) {
			for _, key := range part {
				a, live, err := tx.Archived(memory.ArchivedKey(key))
				if errors.Is(err, storage.ErrCorrupt) || err == nil && (!live || !a.ArchivedAt.Before(cut)) {
					continue
				}
				if err == nil {
					_, err = tx.Delete(key, put)
				}
				if err != nil {
					return 0, err
				}
				count++
			}
			return count, nil
		})
	})
}

// ArchiveStats counts what is in the archive.
func (n *Node) ArchiveStats(ctx context.Context, opt httpapi.ReadOptions) (httpapi.ArchiveStats, error) {
	out := httpapi.ArchiveStats{ByNamespace: []httpapi.NamespaceCount{}}
	if err := n.reach(ctx, opt.After); err != nil {
		return out, err
	}
	err := n.view(ctx, func(tx *storage.Tx) error {
		s, err := tx.Stats()
		for _, ns := range s.Archived {
			out.Total += ns.Count
			out.ByNamespace = append(out.ByNamespace, httpapi.NamespaceCount{Namespace: ns.Name, Count: ns.Count})
		}
		return err
	})
	return out, err
}
