package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// tokenPatience is how long a read waits for what its token names (replication.md B12).
const tokenPatience = 500 * time.Millisecond

// reach waits until this node's durable clock covers the token, with a pull aimed at
// what is missing. It returns *memory.BehindError when that takes longer than
// tokenPatience.
func (n *Node) reach(ctx context.Context, token *clock.Clock) error {
	if token == nil || n.store.Clock().Covers(*token) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tokenPatience)
	defer cancel()
	if err := n.pull.Want(ctx, *token); err == nil {
		return nil
	}
	missing := token.Minus(n.store.Clock())
	if missing.Empty() {
		return nil
	}
	return &memory.BehindError{Missing: missing}
}

// Get returns one live memory, by id or by a unique prefix of it.
func (n *Node) Get(ctx context.Context, id string, opt httpapi.ReadOptions) (httpapi.Rendered, error) {
	if err := n.reach(ctx, opt.After); err != nil {
		return httpapi.Rendered{}, err
	}
	var out httpapi.Rendered
	var key memory.Key
	err := n.view(ctx, func(tx *storage.Tx) error {
		k, rec, local, err := find(tx, id)
		if err != nil {
			return err
		}
		key = k
		out, err = n.renderRecord(tx, k, rec, local, opt.Conflicts)
		return err
	})
	if err == nil {
		n.store.Touch(key)
		n.metrics.read.Inc()
	}
	return out, err
}

// render is Get by key, without counting as an access.
func (n *Node) render(ctx context.Context, key memory.Key) (out httpapi.Rendered, err error) {
	err = n.view(ctx, func(tx *storage.Tx) error {
		rec, local, ok, err := tx.Get(key)
		if err != nil {
			return err
		}
		if !ok {
			return memory.ErrNotFound
		}
		out, err = n.renderRecord(tx, key, rec, local, false)
		return err
	})
	return out, err
}

func (n *Node) renderRecord(tx *storage.Tx, key memory.Key, rec memory.Record, local storage.Local, conflicts bool) (httpapi.Rendered, error) {
	v := rec.View()
	if !n.shown(key, v) {
		return httpapi.Rendered{}, memory.ErrNotFound
	}
	id := key.ID()
	fields := viewFields(v, local)
	out := httpapi.Rendered{Body: memory.AppendView(nil, id, v.Winner.Value, fields), Token: v.Token}
	links, err := n.linksOf(tx, key)
	if out.Links = links; err != nil {
		return out, err
	}
	if out.Ambiguous, err = n.namesakes(tx, key, v); err != nil || !conflicts {
		return out, err
	}
	for i := range rec.Versions {
		if s := &rec.Versions[i]; !s.Deleted && s != v.Winner && s.Content != v.Winner.Content {
			out.Siblings = append(out.Siblings, httpapi.Sibling{Dot: s.Dot, Body: memory.AppendView(nil, id, s.Value, fields)})
		}
	}
	return out, nil
}

// namesakes are the other memories that show the title of this one.
func (n *Node) namesakes(tx *storage.Tx, key memory.Key, v memory.View) (ids []string, err error) {
	m, err := memory.DecodeMemory(key, v.Winner.Value)
	if err != nil {
		return nil, err
	}
	holders, err := n.titleHolders(tx, m.Namespace, m.Title)
	for _, k := range holders {
		if k != key {
			ids = append(ids, k.ID())
		}
	}
	return ids, err
}

// shown reports whether anybody sees the record: an expired one is hidden by its stamp,
// long before it is swept (contract 8.6).
func (n *Node) shown(key memory.Key, v memory.View) bool {
	return v.Live && !memory.ExpiredValue(key, v.Winner.Value, n.now())
}

// titleHolders are the memories that are shown under a title, the one with the greatest
// stamp first.
func (n *Node) titleHolders(tx *storage.Tx, ns, title string) ([]memory.Key, error) {
	keys, err := tx.ByTitle(ns, title)
	if err != nil {
		return nil, err
	}
	shown := keys[:0]
	for _, key := range keys {
		rec, _, _, err := tx.Get(key)
		if err != nil {
			return nil, err
		}
		if n.shown(key, rec.View()) {
			shown = append(shown, key)
		}
	}
	return shown, nil
}

// viewFields is what goes beside the stored value.
func viewFields(v memory.View, local storage.Local) memory.ViewFields {
	return memory.ViewFields{AccessCount: local.AccessCount, LastAccessedAt: local.LastAccessedAt, Token: v.Token.Token(), Conflicts: v.Conflicts}
}

// List returns a page of live, unexpired memories: priority, then updated_at, both
// falling.
func (n *Node) List(ctx context.Context, f memory.Filter, opt httpapi.ReadOptions) ([]httpapi.Rendered, error) {
	if err := n.reach(ctx, opt.After); err != nil {
		return nil, err
	}
	out := []httpapi.Rendered{}
	err := n.view(ctx, func(tx *storage.Tx) error {
		return listEach(tx, f, func(_ memory.Key, m httpapi.Rendered) { out = append(out, m) })
	})
	return out, err
}

func listEach(tx *storage.Tx, f memory.Filter, yield func(memory.Key, httpapi.Rendered)) error {
	for item, err := range tx.List(f) {
		if errors.Is(err, storage.ErrCorrupt) {
			continue // counted and logged by the store; one bad row must not hide the others
		}
		if err != nil {
			return err
		}
		v := item.View
		yield(item.Key, httpapi.Rendered{
			Body:  memory.AppendView(nil, item.Key.ID(), v.Winner.Value, viewFields(v, item.Local)),
			Token: v.Token,
		})
	}
	return nil
}

// Stats counts what this node holds.
func (n *Node) Stats(ctx context.Context, opt httpapi.ReadOptions) (httpapi.Stats, error) {
	if err := n.reach(ctx, opt.After); err != nil {
		return httpapi.Stats{}, err
	}
	var s storage.Stats
	var soon int64
	err := n.view(ctx, func(tx *storage.Tx) (err error) {
		if s, err = tx.Stats(); err != nil {
			return err
		}
		soon, err = n.expiring.count(tx, n.now())
		return err
	})
	if err != nil {
		return httpapi.Stats{}, err
	}
	out := httpapi.Stats{
		Total: s.Total, ExpiringSoon: soon, DBSizeBytes: s.FileBytes,
		LinksCount: s.Links, ByTier: []httpapi.TierCount{}, ByNamespace: []httpapi.NamespaceCount{},
	}
	for _, t := range s.ByTier {
		out.ByTier = append(out.ByTier, httpapi.TierCount{Tier: t.Name, Count: t.Count})
	}
	for _, ns := range s.ByNamespace {
		out.ByNamespace = append(out.ByNamespace, httpapi.NamespaceCount{Namespace: ns.Name, Count: ns.Count})
	}
	return out, nil
}

// WriteStatus says who has a write durably, as far as this node knows.
func (n *Node) WriteStatus(_ context.Context, d clock.Dot) (httpapi.WriteStatus, error) {
	dots := clock.Of(d)
	names := n.holders(dots)
	if len(names) == 0 {
		return httpapi.WriteStatus{}, memory.ErrNotFound
	}
	members := n.members.count()
	needed := n.defaultW()
	return httpapi.WriteStatus{
		Dot: d, Local: n.store.Clock().Contains(d), AckedBy: names, Acks: len(names),
		Needed: needed, Members: members, QuorumMet: len(names) >= needed,
	}, nil
}

// expiring counts what expires within a day. It reads the whole list index, so the
// answer is kept for a while: a poll of the statistics must not cost more with more rows.
type expiring struct {
	mu   sync.Mutex
	at   time.Time
	last int64
}

const (
	expiringAge  = 10 * time.Second
	expiringSoon = 24 * time.Hour
)

func (e *expiring) count(tx *storage.Tx, now time.Time) (int64, error) {
	if tx.Guarded() { // another number for each principal
		soon, err := tx.Expiring(now, now.Add(expiringSoon))
		return int64(soon), err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.at.IsZero() && now.Sub(e.at).Abs() < expiringAge {
		return e.last, nil
	}
	soon, err := tx.Expiring(now, now.Add(expiringSoon))
	e.at, e.last = now, int64(soon)
	return e.last, err
}
