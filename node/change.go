package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// Update changes one live memory. Errors beside those of change: memory.ErrNotFound,
// *memory.AmbiguousError, memory.ErrMismatch, *memory.ConflictError (the new title is
// taken), *memory.FieldError.
//
// With a token (If-Match) the patch is applied to what the writer had read and takes the
// place of exactly that; versions that it had not seen stay beside it as siblings
// (replication.md B4). A token whose versions have all been superseded is ErrMismatch:
// there is nothing left that the patch could apply to.
func (n *Node) Update(ctx context.Context, id string, p memory.Patch, opt httpapi.WriteOptions) (httpapi.Updated, error) {
	if p.AgentID != nil {
		opt.Agent = *p.AgentID
	}
	return n.rewrite(ctx, "update", id, opt, func(m memory.Memory) (memory.Memory, error) { return p.Apply(m, n.now()) })
}

// Promote makes a memory a lasting one. One that is so already stays as it is.
func (n *Node) Promote(ctx context.Context, id string, opt httpapi.WriteOptions) (httpapi.Updated, error) {
	return n.rewrite(ctx, "promote", id, opt, func(m memory.Memory) (memory.Memory, error) {
		if m.Tier == memory.TierLong && m.ExpiresAt.IsZero() {
			return m, errSame
		}
		return m.Promote(n.now()), nil
	})
}

// errSame is what a change says that finds nothing to change: the write is what is held.
var errSame = errors.New("it is so already")

// rewrite puts what apply makes of a memory in its place. To apply it again changes nothing.
func (n *Node) rewrite(ctx context.Context, verb, id string, opt httpapi.WriteOptions, apply func(memory.Memory) (memory.Memory, error)) (httpapi.Updated, error) {
	if err := n.reachMatch(ctx, opt.Match); err != nil {
		return httpapi.Updated{}, err
	}
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash(verb, opt.IdempotencyKey), Match: opt.Match}
	var m memory.Memory
	var local storage.Local
	conflicts := 0
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		t, err := n.findTarget(tx, id, put, func(key memory.Key, v *memory.Version) bool {
			old, err := memory.DecodeMemory(key, v.Value)
			if err != nil {
				return false
			}
			again, err := apply(old)
			return errors.Is(err, errSame) || err == nil && again.ContentHash() == v.Content
		})
		if err != nil {
			return err
		}
		if m, err = memory.DecodeMemory(t.key, t.base.Value); err != nil {
			return fmt.Errorf("%s %s: %w", verb, t.key, err)
		}
		old := m
		if m, err = apply(m); errors.Is(err, errSame) && t.base.IsCopy() {
			m = old // nodes made it so; who asks for it makes it theirs
		} else if errors.Is(err, errSame) {
			return &errHeld{id: old.ID, dots: clock.Of(t.base.Dot)}
		} else if err != nil {
			return err
		}
		if m.Namespace != old.Namespace || m.Title != old.Title {
			if err := n.titleFree(tx, m, t.key); err != nil {
				return err
			}
		}
		local, conflicts = t.local, t.left
		put.Content = m.ContentHash()
		_, err = tx.Put(t.key, m.Encode(), put)
		return err
	})
	if err != nil {
		return httpapi.Updated{}, withID(err, m.ID)
	}
	out := httpapi.Updated{Dot: w.last(), Acks: w.acks}
	if w.held != nil { // a retry: what the record says now
		out.ID = w.held.id
		out.Rendered, err = n.render(ctx, memory.NewKey(memory.KindMemory, w.held.id))
		return out, err
	}
	out.ID = m.ID
	out.Body = memory.AppendView(nil, m.ID, m.Encode(), memory.ViewFields{
		AccessCount: local.AccessCount, LastAccessedAt: local.LastAccessedAt, Token: w.token.Token(), Conflicts: conflicts,
	})
	out.Token = w.token
	n.metrics.updated.Inc()
	return out, nil
}

// Delete removes one live memory: a version that says so, which removes what it had seen
// and never a concurrent version that it had not (replication.md B4). Errors as Update.
func (n *Node) Delete(ctx context.Context, id string, opt httpapi.WriteOptions) (httpapi.Deleted, error) {
	if err := n.reachMatch(ctx, opt.Match); err != nil {
		return httpapi.Deleted{}, err
	}
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash("delete", opt.IdempotencyKey), Match: opt.Match}
	var full string
	var dot clock.Dot
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		t, err := n.findTarget(tx, id, put, func(memory.Key, *memory.Version) bool { return true })
		if err != nil {
			return err
		}
		full = t.key.ID()
		dot, err = n.remove(tx, t.key, put)
		return err
	})
	if err != nil {
		return httpapi.Deleted{}, withID(err, full)
	}
	if w.held != nil {
		full, dot = w.held.id, w.last()
	}
	n.metrics.deleted.Inc()
	return httpapi.Deleted{ID: full, Dot: dot, Token: w.token, Acks: w.acks}, nil
}

// remove deletes a memory and, unless a version of it lives on, what hangs on it.
func (n *Node) remove(tx *storage.Tx, key memory.Key, put storage.PutOptions) (clock.Dot, error) {
	dot, err := tx.Delete(key, put)
	if err != nil {
		return dot, err
	}
	rec, _, _, err := tx.Get(key)
	if err != nil || rec.View().Live {
		return dot, err
	}
	return dot, n.dropLinks(tx, key, put.Agent)
}

// target is the memory that a changing verb means.
type target struct {
	key   memory.Key
	local storage.Local
	base  *memory.Version // what the writer had read
	left  int             // conflicts that stay beside the new version
}

// findTarget resolves id to a live memory and to the version that the write starts from.
// A write of the same idempotency key that is held already ends it with *errHeld; same
// tells whether it is the same write, from its version, as long as that is a sibling.
func (n *Node) findTarget(tx *storage.Tx, id string, put storage.PutOptions, same func(memory.Key, *memory.Version) bool) (target, error) {
	key, rec, local, err := find(tx, id)
	if err != nil && !errors.Is(err, memory.ErrNotFound) {
		return target{}, err
	}
	// Before "not found": the retry of a delete meets its own tombstone.
	if held, idemErr := findIdem(tx, put.Idem, func(k memory.Key, _ memory.Hash, v *memory.Version) bool {
		return (k == key || key == "" && strings.HasPrefix(k.ID(), id)) && (v == nil || same(k, v))
	}); idemErr != nil {
		return target{}, idemErr
	} else if held != nil {
		return target{}, held
	}
	if err != nil {
		return target{}, err
	}
	v := rec.View()
	if !n.shown(key, v) {
		return target{}, memory.ErrNotFound
	}
	if put.Match == nil {
		return target{key: key, local: local, base: v.Winner}, nil
	}
	seen := memory.Record{Key: key} // the record as the writer had read it
	rest := memory.Record{Key: key}
	for _, s := range rec.Versions {
		if s.ReadBy(*put.Match) {
			seen.Versions = append(seen.Versions, s)
		} else if !s.Deleted {
			rest.Versions = append(rest.Versions, s)
		}
	}
	sv := seen.View()
	if !sv.Live {
		return target{}, memory.ErrMismatch
	}
	left := 0
	if len(rest.Versions) > 0 {
		left = rest.View().Conflicts + 1
	}
	return target{key: key, local: local, base: sv.Winner, left: left}, nil
}

// find reads the record with this id or with this unique id prefix.
func find(tx *storage.Tx, id string) (memory.Key, memory.Record, storage.Local, error) {
	key := memory.NewKey(memory.KindMemory, id)
	rec, local, ok, err := tx.Get(key)
	if err != nil || ok {
		return key, rec, local, err
	}
	if key, err = tx.ResolvePrefix(memory.KindMemory, id); err != nil {
		return "", rec, local, err
	}
	rec, local, ok, err = tx.Get(key)
	if err == nil && !ok {
		err = memory.ErrNotFound
	}
	return key, rec, local, err
}

// findIdem looks for an earlier write of the same idempotency key. One that did
// something else is a conflict: the key was used twice. same judges by its record, by
// the hash of what it said and by its version, which is nil once it was superseded.
func findIdem(tx *storage.Tx, idem memory.Hash, same func(memory.Key, memory.Hash, *memory.Version) bool) (*errHeld, error) {
	if idem.IsZero() {
		return nil, nil
	}
	key, mark, ok, err := tx.Idem(idem)
	if err != nil || !ok {
		return nil, err
	}
	rec, _, _, err := tx.Get(key)
	if err != nil {
		return nil, err
	}
	if !same(key, mark.Content, rec.Find(mark.Dot)) {
		return nil, &memory.FieldError{Field: "Idempotency-Key", Problem: "was used for another request"}
	}
	return &errHeld{id: key.ID(), dots: clock.Of(mark.Dot)}, nil
}

// idemHash is what a record remembers of a client's key. Each verb has keys of its own:
// a delete is not done because a create bore the same key.
func idemHash(verb, key string) memory.Hash {
	if key == "" {
		return memory.Hash{}
	}
	return memory.HashOf(verb + "\x00" + key)
}

// titleFree refuses a title that another memory shows than those given.
func (n *Node) titleFree(tx *storage.Tx, m memory.Memory, but ...memory.Key) error {
	holders, err := n.titleHolders(tx, m.Namespace, m.Title)
	if err != nil {
		return err
	}
	for _, h := range holders {
		if !slices.Contains(but, h) {
			return &memory.ConflictError{ExistingID: h.ID(), Namespace: m.Namespace}
		}
	}
	return nil
}

// reachMatch brings this node to where the writer's token is: a write may only take the
// place of versions that are known here.
func (n *Node) reachMatch(ctx context.Context, match *clock.Clock) error {
	if match == nil {
		return nil
	}
	return n.reach(ctx, match)
}

// withID names the record in a missed quorum, since the write may stand.
func withID(err error, id string) error {
	var q *memory.QuorumError
	if errors.As(err, &q) && q.ID == "" && q.Committed != memory.CommittedFalse {
		q.ID = id
	}
	return err
}
