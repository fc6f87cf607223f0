package storage

import (
	"slices"
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
	for _, within := range prefixRanges(kind, id) {
		for k := range tx.table().all(within.lo, within.hi) {
			key := memory.Key(k)
			if len(found) == maxMatches || !strings.HasPrefix(key.ID(), id) {
				break
			}
			rec, _, _, err := tx.read(k)
			if err != nil {
				return "", err
			}
			if rec.ViewWith(tx.s.mutants).Live && tx.visible(&rec) {
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

// keyRange is the keys from lo on and below hi.
type keyRange struct{ lo, hi []byte }

// prefixRanges are where ids that begin with prefix lie: one for ids kept verbatim, and
// one for UUIDs if prefix can begin one.
func prefixRanges(kind memory.Kind, prefix string) []keyRange {
	var ranges []keyRange
	// The smallest UUID with the prefix has zeros behind it, the greatest the letter f.
	const zero, most = "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"
	if len(prefix) < len(zero) {
		low, high := memory.NewKey(kind, prefix+zero[len(prefix):]), memory.NewKey(kind, prefix+most[len(prefix):])
		if len(low) == 18 && low[1] == keyFormUUID {
			ranges = append(ranges, keyRange{[]byte(low), append([]byte(high), 0)})
		}
	}
	text := append([]byte{byte(kind), keyFormText}, prefix...)
	return append(ranges, keyRange{text, append(slices.Clone(text), 0xff)}) // no id has that byte: it is text
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
		rec, _, found, err := tx.get(key)
		if err != nil {
			return "", err
		}
		if !found || !rec.ViewWith(tx.s.mutants).Live || tx.s.mutants.Has(mutant.RenameKeepsTitle) {
			return key, nil
		}
	}
}
