package storage

import (
	"bytes"
	"strings"

	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// maxMatches of an ambiguous prefix are named.
const maxMatches = 3

// ResolvePrefix finds the record that a client means by id: the one with exactly that id,
// deleted or not, else the only live one whose id begins so. Errors: memory.ErrNotFound, a
// *memory.AmbiguousError.
func (tx *Tx) ResolvePrefix(kind memory.Kind, id string) (memory.Key, error) {
	if id == "" || len(id) > memory.MaxIDLen {
		return "", memory.ErrNotFound
	}
	exact := memory.NewKey(kind, id)
	if tx.byKey[exact] != nil {
		return exact, nil
	}
	if _, found := tx.table().find([]byte(exact)); found {
		return exact, nil
	}
	var found []memory.Key
	for _, start := range prefixStarts(kind, id) {
		cur := tx.table().keys.Cursor()
		for k, _ := cur.Seek(start); k != nil && len(found) < maxMatches; k, _ = cur.Next() {
			key := memory.Key(k)
			if len(k) < 2 || !bytes.Equal(k[:2], start[:2]) || !strings.HasPrefix(key.ID(), id) {
				break
			}
			rec, _, _, err := tx.read(k)
			if err != nil {
				return "", err
			}
			if rec.ViewWith(tx.s.mutants).Live {
				found = append(found, key)
			}
		}
	}
	switch len(found) {
	case 0:
		return "", memory.ErrNotFound
	case 1:
		return found[0], nil
	}
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].ID()
	}
	return "", &memory.AmbiguousError{Prefix: id, IDs: ids}
}

// prefixStarts are the row keys at which ids that begin with prefix begin: one for ids
// kept verbatim, and one for UUIDs if prefix can begin one.
func prefixStarts(kind memory.Kind, prefix string) [][]byte {
	// The smallest UUID with the prefix has zeros behind it.
	const zero = "00000000-0000-0000-0000-000000000000"
	text := append([]byte{byte(kind), keyFormText}, prefix...)
	if len(prefix) < len(zero) {
		if low := memory.NewKey(kind, prefix+zero[len(prefix):]); len(low) == 18 && low[1] == keyFormUUID {
			return [][]byte{[]byte(low), text}
		}
	}
	return [][]byte{text}
}

// Form bytes of record keys (memory.Key).
const (
	keyFormUUID = 1
	keyFormText = 2
)

// FreeKey is the key for a new memory of that title: the id derived from it, of the lowest
// generation that does not live under another title since a rename. Two nodes that create
// one title at the same time meet in it (replication.md B4).
func (tx *Tx) FreeKey(ns, title string) (memory.Key, error) {
	title = memory.TitleKey(title)
	for gen := uint32(0); ; gen++ {
		key := memory.NewKey(memory.KindMemory, memory.DerivedID(tx.cluster(), ns, title, gen))
		rec, _, found, err := tx.Get(key)
		if err != nil {
			return "", err
		}
		if !found || !rec.ViewWith(tx.s.mutants).Live || tx.s.mutants.Has(mutant.RenameKeepsTitle) {
			return key, nil
		}
	}
}
