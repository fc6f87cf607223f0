package node

import (
	"context"
	"strings"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// PromoteTo copies a memory into a namespace above its own, so that more agents find it,
// and links the copy to it as derived from it, in one transaction. It stays where it is.
// Errors beside those of change: memory.ErrNotFound, *memory.AmbiguousError,
// memory.ErrMismatch, *memory.ConflictError (the title is taken there), *memory.FieldError.
func (n *Node) PromoteTo(ctx context.Context, id, ns string, opt httpapi.WriteOptions) (httpapi.Ascended, error) {
	if err := n.reachMatch(ctx, opt.Match); err != nil {
		return httpapi.Ascended{}, err
	}
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash("promote to", opt.IdempotencyKey)}
	out := httpapi.Ascended{Namespace: ns}
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		t, err := n.findTarget(tx, id, storage.PutOptions{Match: opt.Match}, nil)
		if err != nil {
			return err
		}
		m, err := memory.DecodeMemory(t.key, t.base.Value)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(m.Namespace, ns+"/") {
			return &memory.FieldError{Field: "to_namespace", Problem: "must be above the namespace of the memory, " + m.Namespace}
		}
		out.SourceID = t.key.ID()
		// A copy of it that is there is the answer, to a retry and to anybody who asks again.
		holders, err := n.titleHolders(tx, ns, m.Title)
		if err != nil {
			return err
		}
		for _, h := range holders {
			l := memory.Link{SourceID: h.ID(), Relation: "derived_from", TargetID: out.SourceID}
			held, live, err := tx.Link(l.Key())
			if err != nil {
				return err
			}
			if live {
				rec, _, _, err := tx.Get(h)
				if err != nil {
					return err
				}
				dots := clock.Of(held.View.Winner.Dot)
				dots.Union(rec.View().Token)
				out.CloneID = h.ID()
				return &errHeld{id: h.ID(), dots: dots}
			}
		}
		if held, err := findIdem(tx, put.Idem, func(k memory.Key, _ memory.Hash, v *memory.Version) bool {
			old, err := memory.Memory{}, error(nil)
			if v != nil {
				old, err = memory.DecodeMemory(k, v.Value)
			}
			return k.Kind() == memory.KindMemory && err == nil && (v == nil || old.Namespace == ns && old.Title == m.Title)
		}); err != nil {
			return err
		} else if held != nil { // the copy or the link is gone since
			out.CloneID = held.id
			return held
		}
		now := n.now().UTC()
		m.Namespace, m.CreatedAt, m.UpdatedAt = ns, now, now
		if err := n.titleFree(tx, m); err != nil {
			return err
		}
		key, err := tx.FreeKey(m.Namespace, m.Title)
		if err != nil {
			return err
		}
		m.ID = key.ID()
		put.Content = m.ContentHash()
		if _, err := tx.Put(key, m.Encode(), put); err != nil {
			return err
		}
		out.CloneID = m.ID
		return n.putLink(tx, memory.Link{SourceID: m.ID, Relation: "derived_from", TargetID: out.SourceID, CreatedAt: now}, storage.PutOptions{Agent: opt.Agent})
	})
	if err != nil {
		return httpapi.Ascended{}, withID(err, out.CloneID)
	}
	if out.Existing = w.held != nil; !out.Existing {
		n.metrics.created.Inc()
	}
	out.Dot, out.Token, out.Acks = w.last(), w.token, w.acks
	return out, nil
}
