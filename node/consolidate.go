package node

import (
	"context"
	"errors"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// Consolidate puts one memory in the place of several, in one transaction. Errors beside
// those of change: *memory.FieldError, memory.ErrNotFound (one of the ids),
// *memory.ConflictError (the title is that of a memory that stays).
func (n *Node) Consolidate(ctx context.Context, s httpapi.Consolidation, opt httpapi.WriteOptions) (httpapi.Consolidated, error) {
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash("consolidate", opt.IdempotencyKey)}
	if s.Draft.AgentID != nil {
		put.Agent = *s.Draft.AgentID
	}
	now := n.now()
	// What the body says is judged before anything is looked up.
	if _, err := memory.Consolidate(s.Draft, nil, now, opt.Agent); err != nil {
		return httpapi.Consolidated{}, asSummary(err)
	}
	var m memory.Memory
	var dot clock.Dot
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		held, err := findIdem(tx, put.Idem, func(k memory.Key, _ memory.Hash, v *memory.Version) bool {
			if v == nil {
				return k.Kind() == memory.KindMemory
			}
			var err error
			m, err = memory.DecodeMemory(k, v.Value)
			return err == nil && m.StandsFor(s.IDs)
		})
		if err != nil {
			return err
		} else if held != nil {
			return held
		}
		var keys []memory.Key
		var from []memory.Memory
		for _, id := range s.IDs {
			key := memory.NewKey(memory.KindMemory, id)
			rec, _, _, err := tx.Get(key)
			if err != nil {
				return err
			}
			v := rec.View()
			if !n.shown(key, v) {
				return memory.ErrNotFound
			}
			one, err := memory.DecodeMemory(key, v.Winner.Value)
			if err != nil {
				return err
			}
			keys, from = append(keys, key), append(from, one)
		}
		if m, err = memory.Consolidate(s.Draft, from, now, opt.Agent); err != nil {
			return asSummary(err)
		}
		if err := n.titleFree(tx, m, keys...); err != nil {
			return err
		}
		key, err := tx.FreeKey(m.Namespace, m.Title)
		if err != nil {
			return err
		}
		m.ID, put.Content = key.ID(), m.ContentHash()
		if dot, err = tx.Put(key, m.Encode(), put); err != nil {
			return err
		}
		for _, key := range keys {
			if _, err := n.remove(tx, key, storage.PutOptions{Agent: put.Agent}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return httpapi.Consolidated{}, withID(err, m.ID)
	}
	out := httpapi.Consolidated{Consolidated: len(s.IDs)}
	out.Created = httpapi.Created{
		ID: m.ID, Tier: m.Tier, Namespace: m.Namespace, Title: m.Title, Agent: m.Agent(), Dot: dot, Token: w.token, Acks: w.acks,
	}
	if w.held != nil {
		out.ID, out.Dot, out.Existing = w.held.id, w.last(), true
	} else {
		n.metrics.created.Inc()
		n.metrics.deleted.Add(float64(len(s.IDs)))
	}
	return out, nil
}

// asSummary names the field as the client wrote it.
func asSummary(err error) error {
	if f, ok := errors.AsType[*memory.FieldError](err); ok && f.Field == "content" {
		return &memory.FieldError{Field: "summary", Problem: f.Problem}
	}
	return err
}
