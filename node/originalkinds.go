package node

import (
	"errors"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// importArchive puts a memory aside because a client of the original did.
func (n *Node) importArchive(id, sender string) func(*storage.Tx) error {
	return func(tx *storage.Tx) error {
		key := memory.NewKey(memory.KindMemory, id)
		rec, _, _, err := tx.Get(key)
		if err != nil {
			return err
		}
		v := rec.View()
		if !n.shown(key, v) {
			return errNoop
		}
		return n.setAside(tx, key, v, memory.ReasonArchived, storage.PutOptions{Agent: sender})
	}
}

// importRestore brings one back, unless it is not in the archive or lives.
func (n *Node) importRestore(id, sender string) func(*storage.Tx) error {
	return func(tx *storage.Tx) error {
		_, _, err := n.restoreOne(tx, id, storage.PutOptions{Agent: sender})
		if errors.Is(err, memory.ErrNotArchived) || errors.Is(err, errLive) {
			return errNoop
		}
		return err
	}
}

// importLink makes a link that is not here. One that was deleted after it was made stays
// deleted: or a copy that somebody still has would bring it back.
func (n *Node) importLink(l memory.Link, sender string) func(*storage.Tx) error {
	return func(tx *storage.Tx) error {
		made := l.CreatedAt
		full, err := n.fullLink(tx, l)
		if err != nil {
			return err
		}
		rec, _, _, err := tx.Get(full.Key())
		if err != nil {
			return err
		}
		if v := rec.View(); v.Live || v.Winner != nil && !made.After(v.Winner.Stamp.Time()) {
			return errNoop
		}
		if made.IsZero() {
			full.CreatedAt = n.now().UTC()
		}
		return n.putLink(tx, full, storage.PutOptions{Agent: sender})
	}
}

// importArchived puts into the archive what an export had in it.
func importArchived(id string, a memory.Archived, sender string) func(*storage.Tx) error {
	return func(tx *storage.Tx) error {
		key := memory.NewKey(memory.KindArchive, id)
		rec, _, _, err := tx.Get(key)
		if err != nil {
			return err
		}
		switch v := rec.View(); {
		case v.Winner == nil:
		case !v.Live:
			if !a.ArchivedAt.After(v.Winner.Stamp.Time()) {
				return errNoop
			}
		default:
			old, err := memory.DecodeArchived(v.Winner.Value)
			if err != nil {
				return err
			}
			if !a.ArchivedAt.After(old.ArchivedAt) {
				return errNoop
			}
		}
		_, err = tx.Put(key, a.Encode(), storage.PutOptions{Agent: sender, Content: a.ContentHash()})
		return err
	}
}

// importAgent registers an agent with the times of its record. The latest registration
// stands.
func importAgent(a memory.Agent, sender string) func(*storage.Tx) error {
	return func(tx *storage.Tx) error {
		rec, _, _, err := tx.Get(a.Key())
		if err != nil {
			return err
		}
		switch v := rec.View(); {
		case v.Winner == nil:
		case !v.Live:
			if !a.LastSeenAt.After(v.Winner.Stamp.Time()) {
				return errNoop
			}
		default:
			old, err := memory.DecodeAgent(v.Winner.Value)
			if err != nil {
				return err
			}
			if !a.LastSeenAt.After(old.LastSeenAt) {
				return errNoop
			}
		}
		_, err = tx.Put(a.Key(), a.Encode(), storage.PutOptions{Agent: sender, Content: a.ContentHash()})
		return err
	}
}

// syncLink reads a link of a push: what came with it beside its four members is kept.
func syncLink(l *wire.SyncLink) (memory.Link, error) {
	body := struct {
		wire.SyncLink
		CreatedAt *string `json:"created_at,omitempty"`
	}{SyncLink: *l}
	if l.CreatedAt != "" {
		body.CreatedAt = &l.CreatedAt
	}
	if l.Relation == "" {
		body.Relation = memory.DefaultRelation
	}
	raw, err := memory.AppendJSON(nil, body)
	if err != nil {
		return memory.Link{}, err
	}
	return memory.ParseLink(raw)
}
