package storage

import (
	"github.com/memd/memd/memory"
)

// Guard narrows a transaction to what somebody may see and say. Its methods are called in
// the store's writer and must not block.
type Guard interface {
	// Namespace tells whether records of the namespace may be seen and changed.
	Namespace(ns string) bool
	// Agent tells whether a write may say that it comes from the id.
	Agent(id string) bool
}

// Within narrows tx from now on: what the guard hides is not there for any read, and a
// write to it, or under an agent that may not be named, is memory.ErrForbidden. A verb
// therefore cannot forget it. nil narrows nothing.
//
// Changes, Records of the store itself, what peers pull and push are not seen through it.
func (tx *Tx) Within(g Guard) *Tx {
	tx.guard = g
	return tx
}

// Guarded tells whether something may be hidden.
func (tx *Tx) Guarded() bool { return tx.guard != nil }

// visible tells whether the guard lets a record be seen: each of its live versions must be
// in a namespace that may be. A deleted record says nothing and hides nothing, so that a
// delete can be repeated.
func (tx *Tx) visible(rec *memory.Record) bool {
	if tx.guard == nil {
		return true
	}
	for i := range rec.Versions {
		if v := &rec.Versions[i]; !v.Deleted && !tx.allows(rec.Key, v.Value) {
			return false
		}
	}
	return true
}

// allows tells the same of one document. What is in no namespace, or cannot be read, is
// nobody's.
func (tx *Tx) allows(key memory.Key, value []byte) bool {
	if tx.guard == nil {
		return true
	}
	to, err := memory.BelongingOf(key, value)
	if err != nil {
		return false
	}
	somewhere := to.Everybody
	for _, ns := range to.Namespaces {
		if !tx.guard.Namespace(ns) {
			return false
		}
		somewhere = true
	}
	for _, end := range to.Memories {
		rec, _, found, err := tx.get(end)
		switch {
		case err != nil:
			return false
		case !found || !rec.ViewWith(tx.s.mutants).Live:
			continue // what is gone has nothing to hide
		case !tx.visible(&rec):
			return false
		}
		somewhere = true
	}
	return somewhere
}

// permit is asked before a version is written over before.
func (tx *Tx) permit(before *memory.Record, v *memory.Version) error {
	if tx.guard == nil {
		return nil
	}
	if !tx.visible(before) || !v.Deleted && !tx.allows(before.Key, v.Value) {
		return memory.ErrForbidden
	}
	if v.Agent != "" && !tx.guard.Agent(v.Agent) {
		return memory.ErrForbidden
	}
	if before.Key.Kind() == memory.KindAgent && !tx.guard.Agent(before.Key.ID()) {
		return memory.ErrForbidden // an agent is registered by whom it is
	}
	if v.Deleted || before.Key.Kind() != memory.KindMemory {
		return nil
	}
	m, err := memory.DecodeMemory(before.Key, v.Value)
	if err != nil {
		return err
	}
	said := m.Agent()
	if said == "" || tx.guard.Agent(said) {
		return nil
	}
	// A memory keeps the agent that made it, whoever changes it.
	for i := range before.Versions {
		if held := &before.Versions[i]; !held.Deleted {
			if old, err := memory.DecodeMemory(before.Key, held.Value); err == nil && old.Agent() == said {
				return nil
			}
		}
	}
	return memory.ErrForbidden
}
