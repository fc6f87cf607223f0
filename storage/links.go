package storage

import (
	"bytes"
	"iter"

	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// Link is one live link.
type Link struct {
	Key  memory.Key
	View memory.View
	memory.Link
}

// Links yields the live links of a memory, those that it has towards others and those that
// others have towards it, in the order of their keys. Whether the memories are there is not
// looked at. In an Op it does not see links that the same Op has put, but misses those that
// it has deleted. A row that fails its checksum is yielded as an error in its place.
func (tx *Tx) Links(end memory.Key) iter.Seq2[Link, error] {
	return func(yield func(Link, error) bool) {
		if err := tx.settle(); err != nil {
			yield(Link{}, err)
			return
		}
		prefix := linkPrefix(end)
		cur := tx.btx.Bucket(bucketLinks).Cursor()
		for k, _ := cur.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = cur.Next() {
			l, live, err := tx.Link(memory.Key(k[len(prefix):]))
			if err == nil && (!live || tx.s.mutants.Has(mutant.LinkOneEnd) && l.Source() != end) {
				continue
			}
			if !yield(l, err) {
				return
			}
		}
	}
}

// Link reads one link by its record's key.
func (tx *Tx) Link(key memory.Key) (l Link, live bool, err error) {
	rec, _, found, err := tx.Get(key)
	if err != nil || !found {
		return Link{Key: key}, false, err
	}
	return tx.linkOf(rec)
}

func (tx *Tx) linkOf(rec memory.Record) (l Link, live bool, err error) {
	l = Link{Key: rec.Key, View: rec.ViewWith(tx.s.mutants)}
	if !l.View.Live {
		return l, false, nil
	}
	if l.Link, err = memory.DecodeLink(rec.Key, l.View.Winner.Value); err != nil {
		return l, false, &CorruptError{Key: rec.Key, Reason: err.Error()}
	}
	return l, true, nil
}

// LinksAfter yields the live links of the store behind a key, "" for the first one.
func (tx *Tx) LinksAfter(key memory.Key) iter.Seq2[Link, error] {
	return func(yield func(Link, error) bool) {
		lo := []byte{byte(memory.KindLink)}
		if key != "" {
			lo = append([]byte(key), 0)
		}
		for rec, err := range tx.records(lo, []byte{byte(memory.KindLink) + 1}) {
			var l Link
			live := true
			if err == nil {
				l, live, err = tx.linkOf(rec)
			}
			if err == nil && !live {
				continue
			}
			if !yield(l, err) {
				return
			}
		}
	}
}
