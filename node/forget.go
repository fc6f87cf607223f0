package node

import (
	"context"
	"errors"
	"math"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/recall"
	"github.com/memd/memd/storage"
)

// Forget deletes what a selection means; with archiving on it is put aside first. What a
// pattern means is judged by the memories themselves: an index that lags, or that another
// node ranks in another way, must not decide over a delete.
func (n *Node) Forget(ctx context.Context, s httpapi.Selection, opt httpapi.WriteOptions) (httpapi.Removed, error) {
	sel := selection{n: n, Selection: s, words: recall.Words(s.Pattern)}
	if s.Pattern != "" && len(sel.words) == 0 {
		return httpapi.Removed{}, &memory.FieldError{Field: "pattern", Problem: "has no word to look for"}
	}
	keys, err := sel.keys(ctx)
	if err != nil {
		return httpapi.Removed{}, err
	}
	if s.DryRun {
		return httpapi.Removed{Count: len(keys)}, nil
	}
	put := storage.PutOptions{Agent: opt.Agent}
	sum, err := n.inParts(ctx, opt.W, keys, func(tx *storage.Tx, part []memory.Key) (count int, err error) {
		for _, key := range part {
			v, ok, err := sel.means(tx, key)
			if err != nil {
				return 0, err
			}
			if !ok {
				continue
			}
			if n.cfg.NoArchive {
				_, err = n.remove(tx, key, put)
			} else {
				err = n.setAside(tx, key, v, memory.ReasonForgot, put)
			}
			if err != nil {
				return 0, err
			}
			count++
		}
		return count, nil
	})
	if !n.cfg.NoArchive {
		sum.Archived = sum.Count
	}
	n.metrics.deleted.Add(float64(sum.Count))
	return sum, err
}

type selection struct {
	n *Node
	httpapi.Selection
	words []string
}

// keys are the memories that are meant now.
func (s *selection) keys(ctx context.Context) ([]memory.Key, error) {
	var keys []memory.Key
	if s.IDs != nil {
		for _, id := range s.IDs {
			keys = append(keys, memory.NewKey(memory.KindMemory, id))
		}
	} else if err := s.n.view(ctx, func(tx *storage.Tx) error {
		for it, err := range tx.List(memory.Filter{Namespace: s.Namespace, Tier: s.Tier, Limit: math.MaxInt}) {
			if errors.Is(err, storage.ErrCorrupt) {
				continue // counted and logged by the store, and not to be deleted unread
			}
			if err != nil {
				return err
			}
			keys = append(keys, it.Key)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	// The words of many memories take long to read: no transaction may last as long.
	kept := keys[:0]
	for len(keys) > 0 {
		part := keys[:min(exportRows, len(keys))]
		keys = keys[len(part):]
		err := s.n.view(ctx, func(tx *storage.Tx) error {
			for _, key := range part {
				_, ok, err := s.means(tx, key)
				if err != nil {
					return err
				}
				if ok {
					kept = append(kept, key)
				}
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// means tells whether a memory is shown and selected.
func (s *selection) means(tx *storage.Tx, key memory.Key) (v memory.View, ok bool, err error) {
	rec, _, _, err := tx.Get(key)
	if errors.Is(err, storage.ErrCorrupt) {
		return v, false, nil
	}
	if v = rec.View(); err != nil || !s.n.shown(key, v) {
		return v, false, err
	}
	if s.IDs != nil {
		return v, true, nil
	}
	m, err := memory.DecodeMemory(key, v.Winner.Value)
	if err != nil {
		return v, false, err
	}
	f := memory.Filter{Namespace: s.Namespace, Tier: s.Tier}
	return v, f.Match(&m) && (len(s.words) == 0 || recall.HasWords(&m, s.words)), nil
}
