package node

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// RegisterAgent writes what an agent says of itself, by the one road of every verb.
func (n *Node) RegisterAgent(ctx context.Context, a memory.Agent, opt httpapi.WriteOptions) (httpapi.Registered, error) {
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash("agent", opt.IdempotencyKey)}
	now := n.now().UTC()
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		key := a.Key()
		rec, _, _, err := tx.Get(key)
		if err != nil {
			return err
		}
		next := a
		next.RegisteredAt, next.LastSeenAt = now, now
		if v := rec.View(); v.Live {
			old, err := memory.DecodeAgent(v.Winner.Value)
			if err != nil {
				return err
			}
			next.RegisteredAt, next.Extra = old.RegisteredAt, old.Extra
		}
		put.Content = next.ContentHash()
		if held, err := findIdem(tx, put.Idem, func(k memory.Key, content memory.Hash, _ *memory.Version) bool {
			return k == key && content == put.Content
		}); err != nil {
			return err
		} else if held != nil {
			return held
		}
		_, err = tx.Put(key, next.Encode(), put)
		return err
	})
	if err != nil {
		return httpapi.Registered{}, withID(err, a.ID)
	}
	return httpapi.Registered{Dot: w.last(), Token: w.token, Acks: w.acks}, nil
}

// Agents lists the registered agents.
func (n *Node) Agents(ctx context.Context, opt httpapi.ReadOptions) ([]memory.Agent, error) {
	if err := n.reach(ctx, opt.After); err != nil {
		return nil, err
	}
	list := []memory.Agent{}
	err := n.view(ctx, func(tx *storage.Tx) error {
		for rec, err := range tx.Each(memory.KindAgent) {
			if errors.Is(err, storage.ErrCorrupt) {
				continue // counted and logged by the store; one bad row must not hide the others
			}
			if err != nil {
				return err
			}
			if v := rec.View(); v.Live {
				a, err := memory.DecodeAgent(v.Winner.Value)
				if err != nil {
					return err
				}
				list = append(list, a)
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b memory.Agent) int { return cmp.Compare(a.ID, b.ID) })
	return list, err
}
