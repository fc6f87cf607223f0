package node

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// originalPageBytes ends a page of UpdatedSince: the whole answer is in memory once.
const originalPageBytes = 4 << 20

// UpdatedSince answers clients of the original service: live memories in the order in
// which this node got them, so that a back-dated or relayed one is never jumped over.
func (n *Node) UpdatedSince(ctx context.Context, r wire.UpdatedSince) (*wire.UpdatedSinceReply, error) {
	out := &wire.UpdatedSinceReply{Limit: r.Limit, Memories: []json.RawMessage{}}
	if r.Text != "" {
		out.UpdatedSince = &r.Text
	}
	var first, last time.Time
	size := 0
	g, err := n.guard(ctx)
	if err != nil {
		return nil, err
	}
	rows, more, err := n.store.ChangedSince(g, r.Since, r.After, r.Limit)
	if err != nil {
		return nil, err
	}
	after := r.After
	for i := range rows {
		row := &rows[i]
		if size > originalPageBytes {
			more = true
			break
		}
		body := memory.AppendView(nil, row.Key.ID(), row.Value, memory.ViewFields{
			AccessCount: row.Local.AccessCount, LastAccessedAt: row.Local.LastAccessedAt,
		})
		size += len(body)
		out.Memories = append(out.Memories, body)
		after = row.Seq
		if first.IsZero() || row.UpdatedAt.Before(first) {
			first = row.UpdatedAt
		}
		if row.UpdatedAt.After(last) {
			last = row.UpdatedAt
		}
	}
	out.Count = len(out.Memories)
	if out.Count > 0 {
		a, b := memory.FormatTime(first), memory.FormatTime(last)
		out.EarliestUpdatedAt, out.LatestUpdatedAt = &a, &b
	}
	if more {
		next := r.NextSince(after)
		out.NextSince = &next
	}
	return out, nil
}

// ImportPush takes the JSON push of a client of the original: each item is a write of
// that sender with a dot of this node, replicated by the same road as any other
// (contract 8.9).
func (n *Node) ImportPush(ctx context.Context, p *wire.SyncPush, opt httpapi.WriteOptions) (*wire.SyncPushReply, error) {
	out := &wire.SyncPushReply{DryRun: p.DryRun, ReceiverAgentID: "memd:" + n.cfg.Name, ReceiverClock: wire.SyncClock{Entries: map[string]string{}}}
	w, err := n.admit(ctx, opt.W)
	if err != nil {
		return nil, err
	}
	skip := func(list string, i int, id string, err error) {
		out.Skipped++
		out.Errors = append(out.Errors, wire.SyncItemError{List: list, Index: i, ID: id, Error: err.Error()})
	}
	type item struct {
		list  string
		index int
		id    string
		p     *pending
		count *int
	}
	var items []item
	// Items are applied in this order, each in the store's next transaction: a standard finds
	// the memory that came with it.
	take := func(list string, i int, id string, count *int, read func() (func(*storage.Tx) error, error)) {
		fn, err := read()
		switch {
		case err != nil:
			skip(list, i, id, err)
		case p.DryRun:
			out.Noop++
		default:
			items = append(items, item{list, i, id, n.submit(ctx, w, fn), count})
		}
	}
	for i, raw := range p.Memories {
		m, err := memory.DecodeFull(raw)
		take("memories", i, m.ID, &out.Applied, func() (func(*storage.Tx) error, error) { return n.importOne(m, p.SenderAgentID), err })
	}
	each := func(list string, ids []string, count *int, fn func(id, sender string) func(*storage.Tx) error) {
		for i, id := range ids {
			take(list, i, id, count, func() (func(*storage.Tx) error, error) { return fn(id, p.SenderAgentID), memory.ValidateID(id) })
		}
	}
	each("deletions", p.Deletions, &out.Deleted, n.importDelete)
	each("archives", p.Archives, &out.Archived, n.importArchive)
	each("restores", p.Restores, &out.Restored, n.importRestore)
	for i := range p.Links {
		take("links", i, "", &out.LinksApplied, func() (func(*storage.Tx) error, error) {
			l, err := syncLink(&p.Links[i])
			return n.importLink(l, p.SenderAgentID), err
		})
	}
	for i := range p.NamespaceMeta {
		take("namespace_meta", i, p.NamespaceMeta[i].Namespace, &out.NamespaceMetaApplied, func() (func(*storage.Tx) error, error) {
			return n.importStandard(p.NamespaceMeta[i], p.SenderAgentID)
		})
	}
	for i, ns := range p.NamespaceMetaClears {
		take("namespace_meta_clears", i, ns, &out.NamespaceMetaCleared, func() (func(*storage.Tx) error, error) {
			return importClear(ns, p.SenderAgentID)
		})
	}
	later := errors.New("this kind of record comes with a later version of memd")
	for _, l := range []struct {
		name string
		n    int
	}{
		{"pendings", len(p.Pendings)}, {"pending_decisions", len(p.PendingDecisions)},
	} {
		for i := range l.n {
			skip(l.name, i, "", later)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, n.cfg.QuorumTimeout)
	defer cancel()
	for _, it := range items {
		switch _, err := n.await(waiting, it.p, w, nil); {
		case err == nil:
			*it.count++
		case errors.Is(err, errNoop):
			out.Noop++
		default:
			skip(it.list, it.index, it.id, err)
		}
	}
	return out, nil
}

// errNoop ends a transaction function that has nothing to do.
var errNoop = errors.New("nothing to do")

// importOne stores a full record under its own id. What is held with an updated_at that
// is not older stays, and so does a deletion: the sender's wall clock is all the order that
// the original has.
func (n *Node) importOne(m memory.Memory, sender string) func(*storage.Tx) error {
	return func(tx *storage.Tx) error {
		key := memory.NewKey(memory.KindMemory, m.ID)
		rec, _, found, err := tx.Get(key)
		if err != nil {
			return err
		}
		switch v := rec.View(); {
		case !found || v.Winner == nil:
		case !v.Live: // or a copy that somebody still has would bring it back
			if !m.UpdatedAt.After(v.Winner.Stamp.Time()) {
				return errNoop
			}
		default:
			old, err := memory.DecodeMemory(key, v.Winner.Value)
			if err != nil {
				return err
			}
			if !m.UpdatedAt.After(old.UpdatedAt) {
				return errNoop
			}
			if m.Metadata, err = keepAgent(m.Metadata, old); err != nil {
				return err
			}
		}
		_, err = tx.Put(key, m.Encode(), storage.PutOptions{Agent: sender, Content: m.ContentHash()})
		return err
	}
}

// keepAgent is new metadata with the agent of the memory that it is for.
func keepAgent(metadata memory.Raw, old memory.Memory) (memory.Raw, error) {
	if len(metadata) == 0 {
		metadata = memory.Raw("{}")
	}
	kept, err := memory.Patch{Metadata: metadata}.Apply(old, old.UpdatedAt)
	return kept.Metadata, err
}

func (n *Node) importDelete(id, sender string) func(*storage.Tx) error {
	return func(tx *storage.Tx) error {
		key := memory.NewKey(memory.KindMemory, id)
		rec, _, found, err := tx.Get(key)
		if err != nil {
			return err
		}
		if !found || !rec.View().Live {
			return errNoop
		}
		_, err = n.remove(tx, key, storage.PutOptions{Agent: sender})
		return err
	}
}
