package node

import (
	"context"
	"errors"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// Link relates two memories. The record's id is made of the two and the relation, so that
// two nodes that make one link meet in one record. Errors beside those of change:
// memory.ErrNotFound, *memory.AmbiguousError, *memory.FieldError.
func (n *Node) Link(ctx context.Context, l memory.Link, opt httpapi.WriteOptions) (httpapi.Linked, error) {
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash("link", opt.IdempotencyKey)}
	if l.CreatedAt.IsZero() {
		l.CreatedAt = n.now().UTC()
	}
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		full, err := n.fullLink(tx, l)
		if err != nil {
			return err
		}
		l = full
		return n.putLink(tx, l, put)
	})
	if err != nil {
		return httpapi.Linked{}, withID(err, l.Key().ID())
	}
	out := httpapi.Linked{Link: l, Existing: w.held != nil, Dot: w.last(), Token: w.token, Acks: w.acks}
	return out, nil
}

// putLink makes a link, or ends with *errHeld if it is there, or was made by the same
// request before.
func (n *Node) putLink(tx *storage.Tx, l memory.Link, put storage.PutOptions) error {
	key := l.Key()
	if held, err := findIdem(tx, put.Idem, func(k memory.Key, _ memory.Hash, _ *memory.Version) bool { return k == key }); err != nil {
		return err
	} else if held != nil {
		return held
	}
	old, live, err := tx.Link(key)
	if err != nil {
		return err
	}
	if live {
		return &errHeld{id: key.ID(), dots: clock.Of(old.View.Winner.Dot)}
	}
	put.Content = l.ContentHash()
	_, err = tx.Put(key, l.Encode(), put)
	return err
}

// fullLink is l between the two memories that are meant, with their ids in full.
func (n *Node) fullLink(tx *storage.Tx, l memory.Link) (memory.Link, error) {
	for _, end := range []*string{&l.SourceID, &l.TargetID} {
		key, rec, _, err := find(tx, *end)
		if err != nil {
			return l, err
		}
		if !n.shown(key, rec.View()) {
			return l, memory.ErrNotFound
		}
		*end = key.ID()
	}
	return l, l.Validate()
}

// Unlink removes every relation from source to target.
func (n *Node) Unlink(ctx context.Context, source, target string, opt httpapi.WriteOptions) (httpapi.Unlinked, error) {
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash("unlink", opt.IdempotencyKey)}
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		ends := [2]memory.Key{}
		for i, id := range []string{source, target} {
			key, err := anyKey(tx, id)
			if err != nil {
				return err
			}
			ends[i] = key
		}
		if held, err := findIdem(tx, put.Idem, func(k memory.Key, _ memory.Hash, _ *memory.Version) bool { return k.Kind() == memory.KindLink }); err != nil {
			return err
		} else if held != nil {
			return held
		}
		found := false
		for l, err := range tx.Links(ends[0]) {
			if err != nil {
				return err
			}
			if l.Source() == ends[0] && l.Target() == ends[1] {
				found = true
				if _, err := tx.Delete(l.Key, put); err != nil {
					return err
				}
			}
		}
		if !found {
			return errNoop
		}
		return nil
	})
	if errors.Is(err, errNoop) {
		return httpapi.Unlinked{}, nil
	}
	return httpapi.Unlinked{Deleted: err == nil, Token: w.token, Acks: w.acks}, err
}

// anyKey is the memory that is meant by an id, which need not be there: by its full id or,
// if no record has that one, by a unique prefix.
func anyKey(tx *storage.Tx, id string) (memory.Key, error) {
	key, err := tx.ResolvePrefix(memory.KindMemory, id)
	if errors.Is(err, memory.ErrNotFound) {
		return memory.NewKey(memory.KindMemory, id), nil
	}
	return key, err
}

// Links lists the links of a memory, in both directions.
func (n *Node) Links(ctx context.Context, id string, opt httpapi.ReadOptions) ([]memory.Link, error) {
	if err := n.reach(ctx, opt.After); err != nil {
		return nil, err
	}
	var out []memory.Link
	err := n.view(ctx, func(tx *storage.Tx) error {
		key, err := anyKey(tx, id)
		if err != nil {
			return err
		}
		rec, _, _, err := tx.Get(key)
		if err != nil || !n.shown(key, rec.View()) {
			return err
		}
		out, err = n.linksOf(tx, key)
		return err
	})
	return out, err
}

// linksOf are the links of a memory that is shown, as far as their other ends are.
func (n *Node) linksOf(tx *storage.Tx, key memory.Key) (out []memory.Link, err error) {
	for l, err := range tx.Links(key) {
		if errors.Is(err, storage.ErrCorrupt) {
			continue // counted and logged by the store; one bad row must not hide the others
		}
		if err != nil {
			return nil, err
		}
		other := l.Other(key)
		rec, _, _, err := tx.Get(other)
		if errors.Is(err, storage.ErrCorrupt) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n.shown(other, rec.View()) {
			out = append(out, l.Link)
		}
	}
	return out, nil
}

// maxDropped links go in the transaction that deletes their memory; the rest is hidden, and
// swept later.
const maxDropped = 500

// dropLinks deletes the links of a memory that was deleted.
func (n *Node) dropLinks(tx *storage.Tx, key memory.Key, agent string) error {
	dropped := 0
	for l, err := range tx.Links(key) {
		if errors.Is(err, storage.ErrCorrupt) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := tx.Delete(l.Key, storage.PutOptions{Agent: agent, Match: &l.View.Token}); err != nil {
			return err
		}
		if dropped++; dropped == maxDropped {
			break
		}
	}
	return nil
}
