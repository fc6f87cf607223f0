package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/memory"
)

// table is the records of one transaction, by key and by place.
//
// The rows lie in the order in which they arrived, and only eight bytes of each are found
// under its random-looking key. That makes the rows the change feed as well, and a commit
// appends to a few pages where rows under their keys would rewrite one page each: with
// rows of 1 KiB it writes less than half of what plain bbolt would under the keys. Even
// those eight bytes are written later (recent.go).
type table struct {
	keys, rows *bolt.Bucket
	key, row   *bolt.Cursor // Get would make one per call
	recent     *recent
	last       uint64 // rows up to this seq are seen
}

// fillAppend is how full pages are left that are only appended to.
const fillAppend = 0.9

// openTable is the table of a transaction that sees rows up to last. r must have been
// published before the transaction began, and still be when it had begun.
func openTable(tx *bolt.Tx, r *recent, last uint64) table {
	t := table{keys: tx.Bucket(bucketKeys), rows: tx.Bucket(bucketRows), recent: r, last: last}
	t.rows.FillPercent = fillAppend
	t.key, t.row = t.keys.Cursor(), t.rows.Cursor()
	return t
}

// find is the place of a record.
func (t *table) find(k []byte) (seq uint64, found bool) {
	if p, known := t.recent.find(k, t.last); known {
		return p.seq, !p.gone
	}
	at, v := t.key.Seek(k)
	if !bytes.Equal(at, k) {
		return 0, false
	}
	if len(v) != 8 {
		return 0, true // no row has it: reading it will say so
	}
	return binary.BigEndian.Uint64(v), true
}

var errNoRow = errors.New("its row is not there")

// get returns the bytes of a record, aliasing the file; nil if there is none. That they
// are the record of k is for the caller to see when it decodes them.
func (t *table) get(k []byte) (seq uint64, raw []byte, err error) {
	seq, found := t.find(k)
	if !found {
		return 0, nil, nil
	}
	place := seqKey(seq)
	at, v := t.row.Seek(place)
	if !bytes.Equal(at, place) {
		err = errNoRow
	} else {
		raw, err = unseal(v, place)
	}
	if err != nil {
		return 0, nil, &CorruptError{Key: memory.Key(k), Reason: err.Error()}
	}
	return seq, raw, nil
}

// put writes a record at a new place, the last one, and takes it from its old one.
func (t *table) put(k []byte, old uint64, moved bool, seq uint64, stored []byte) error {
	if moved {
		if err := t.rows.Delete(seqKey(old)); err != nil {
			return err
		}
	}
	t.recent.active.add(memory.Key(k), seq, false, len(stored))
	return t.rows.Put(seqKey(seq), stored)
}

// remove forgets a record that lies at old. seq is a place of its own in the order, which
// stays empty.
func (t *table) remove(k []byte, old, seq uint64) error {
	t.recent.active.add(memory.Key(k), seq, true, 0)
	return errors.Join(t.keys.Delete(k), t.rows.Delete(seqKey(old)))
}

// all yields the keys of the records from lo on and below hi (nil = no end), in order.
func (t *table) all(lo, hi []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		ahead := t.recent.between(lo, hi, t.last)
		cur := t.keys.Cursor()
		k, _ := cur.Seek(lo)
		for {
			if k != nil && hi != nil && bytes.Compare(k, hi) >= 0 {
				k = nil
			}
			next := k
			switch {
			case k == nil && len(ahead) == 0:
				return
			case len(ahead) > 0 && (k == nil || string(ahead[0]) <= string(k)):
				if k != nil && string(ahead[0]) == string(k) {
					k, _ = cur.Next()
				}
				next, ahead = []byte(ahead[0]), ahead[1:]
				if _, found := t.find(next); !found {
					continue
				}
			default:
				k, _ = cur.Next()
			}
			if !yield(next) {
				return
			}
		}
	}
}

// rowKey reads the record key of a row without opening it.
func rowKey(place, v []byte) (memory.Key, error) {
	raw, err := unseal(v, place)
	if err != nil {
		return "", err
	}
	env, err := memory.DecodeEnvelope(raw)
	return env.Key, err
}
