package node

import (
	"fmt"
	"time"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// importStandard takes a standard from a push of the original. What is held and not older
// stays; the governance, of which the original's push does not speak, stays in any case.
func (n *Node) importStandard(in wire.SyncNamespaceMeta, sender string) (func(*storage.Tx) error, error) {
	if err := memory.ValidateNamespace(in.Namespace); err != nil {
		return nil, err
	}
	if err := memory.ValidateID(in.StandardID); err != nil {
		return nil, err
	}
	next := memory.Standard{Namespace: in.Namespace, MemoryID: in.StandardID, UpdatedAt: n.now().UTC()}
	if in.ParentNamespace != nil && *in.ParentNamespace != "" {
		next.Parent = *in.ParentNamespace
		if err := memory.ValidateNamespace(next.Parent); err != nil {
			return nil, err
		}
	}
	if in.UpdatedAt != "" {
		at, err := memory.ParseTime(in.UpdatedAt)
		if err != nil {
			return nil, &memory.FieldError{Field: "updated_at", Problem: err.Error()}
		}
		next.UpdatedAt = at.UTC()
	}
	return func(tx *storage.Tx) error {
		id := memory.NewKey(memory.KindMemory, next.MemoryID)
		rec, _, _, err := tx.Get(id)
		if err != nil {
			return err
		}
		if !n.shown(id, rec.View()) {
			return fmt.Errorf("its memory is %w", memory.ErrNotFound)
		}
		old, at, err := heldStandard(tx, next.Namespace)
		if err != nil {
			return err
		}
		if !next.UpdatedAt.After(at) {
			return errNoop
		}
		s := next
		s.Governance, s.Extra = old.Governance, old.Extra
		_, err = tx.Put(s.Key(), s.Encode(), storage.PutOptions{Agent: sender, Content: s.ContentHash()})
		return err
	}, nil
}

// importWholeStandard takes a standard as an export has it. Its memory need not be shown: it
// may be in the archive, or arrive later.
func importWholeStandard(s memory.Standard, sender string) func(*storage.Tx) error {
	return func(tx *storage.Tx) error {
		_, at, err := heldStandard(tx, s.Namespace)
		if err != nil {
			return err
		}
		if !s.UpdatedAt.After(at) {
			return errNoop
		}
		_, err = tx.Put(s.Key(), s.Encode(), storage.PutOptions{Agent: sender, Content: s.ContentHash()})
		return err
	}
}

// heldStandard is what is held for a namespace, and when it was said or taken away.
func heldStandard(tx *storage.Tx, ns string) (s memory.Standard, at time.Time, err error) {
	s, found, err := readStandard(tx, ns)
	if err != nil || found {
		return s, s.UpdatedAt, err
	}
	rec, _, _, err := tx.Get(memory.StandardKey(ns))
	if err != nil {
		return s, at, err
	}
	if v := rec.View(); v.Winner != nil {
		at = v.Winner.Stamp.Time()
	}
	return s, at, nil
}

func importClear(ns, sender string) (func(*storage.Tx) error, error) {
	if err := memory.ValidateNamespace(ns); err != nil {
		return nil, err
	}
	return func(tx *storage.Tx) error {
		if _, found, err := readStandard(tx, ns); err != nil {
			return err
		} else if !found {
			return errNoop
		}
		_, err := tx.Delete(memory.StandardKey(ns), storage.PutOptions{Agent: sender})
		return err
	}, nil
}
