package node

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/recall"
	"github.com/memd/memd/storage"
)

// feed lets the index for recall follow the store.
type feed struct {
	n *Node
	// What the store had when it was opened, before anything was written.
	seq   uint64
	clock clock.Clock
}

func newFeed(n *Node) feed { return feed{n, n.store.Seq(), n.store.Clock()} }

func (f feed) Changed() <-chan struct{} { return f.n.store.Changed() }

func (f feed) Seq() uint64 { return f.n.store.Seq() }

// maxFeedText is how many bytes of content are handed over at once, and those of one memory:
// what an index makes of them takes many times the room.
const maxFeedText = 1 << 20

func (f feed) Changes(after uint64, limit int) (out []recall.Change, mark []byte, err error) {
	err = f.n.store.View(func(tx *storage.Tx) error {
		changes, err := tx.Changes(after, limit)
		if err != nil {
			return err
		}
		out = make([]recall.Change, 0, len(changes))
		for text := 0; len(out) < len(changes) && text < maxFeedText; {
			c := changes[len(out)]
			next := recall.Change{Seq: c.Seq}
			if c.Key != "" && c.Key.Kind() == memory.KindMemory {
				next.ID = c.Key.ID()
				if next.Doc, err = f.document(tx, c.Key); err != nil {
					return err
				}
			}
			if next.Doc != nil {
				text += len(next.Doc.Content)
			}
			out = append(out, next)
		}
		known, err := tx.Clock()
		mark = appendMark(nil, known, changes[:len(out)])
		return err
	})
	return out, mark, err
}

// document is what there is to search for, nil if there is nothing.
func (f feed) document(tx *storage.Tx, key memory.Key) (*memory.Memory, error) {
	rec, _, _, err := tx.Get(key)
	if errors.Is(err, storage.ErrCorrupt) {
		return nil, nil // counted and logged by the store
	}
	if err != nil {
		return nil, err
	}
	v := rec.View()
	if !v.Live {
		return nil, nil
	}
	doc, err := memory.DecodeMemory(key, v.Winner.Value)
	if err != nil { // readers cannot show it either; the others are not to wait for it
		f.n.log.Error("a memory cannot be read for the index", "key", key, "err", err)
		return nil, nil
	}
	return &doc, nil
}

// A mark is the clock of the store, and where its last changes lay. The clock tells an
// older copy of the store, which lacks some of them; the places tell another store, where
// the same records arrived in another order.
const (
	markPlaces   = 32
	placeSize    = 16 // seq, hash of the key
	maxMarkClock = 16 << 20
)

func appendMark(b []byte, known clock.Clock, changes []storage.Change) []byte {
	k := known.Append(nil)
	b = binary.AppendUvarint(b, uint64(len(k)))
	b = append(b, k...)
	for _, c := range changes[max(0, len(changes)-markPlaces):] {
		if c.Key != "" {
			b = binary.BigEndian.AppendUint64(b, c.Seq)
			b = append(b, placeHash(c.Key)...)
		}
	}
	return b
}

func placeHash(key memory.Key) []byte {
	h := memory.HashOf(string(key))
	return h[:placeSize-8]
}

func (f feed) Continues(seq uint64, mark []byte) bool {
	size, n := binary.Uvarint(mark)
	if n <= 0 || size > maxMarkClock || uint64(len(mark)-n) < size {
		return false
	}
	seen, rest, err := clock.Decode(mark[n : n+int(size)])
	if err != nil || len(rest) > 0 || seq > f.seq || !f.clock.Covers(seen) {
		return false
	}
	places := mark[n+int(size):]
	if len(places)%placeSize != 0 {
		return false
	}
	same := true
	err = f.n.store.View(func(tx *storage.Tx) error {
		for p := range slices.Chunk(places, placeSize) {
			at := binary.BigEndian.Uint64(p)
			if at == 0 {
				return storage.ErrCorrupt
			}
			changes, err := tx.Changes(at-1, 1)
			if err != nil {
				return err
			}
			// A record that changed again has left its place, which stays empty.
			if len(changes) > 0 && changes[0].Seq == at && changes[0].Key != "" {
				same = same && string(placeHash(changes[0].Key)) == string(p[8:])
			}
		}
		return nil
	})
	return err == nil && same
}
