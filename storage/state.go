package storage

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/clock"
)

// state is the small part of the store that changes with every transaction.
type state struct {
	sum   viewSum
	seq   uint64      // last place given out
	bound clock.Stamp // the HLC never goes below it again
}

func (st state) encode() []byte {
	b := make([]byte, sealSize, sealSize+32+len(metaState))
	b = binary.BigEndian.AppendUint64(b, st.sum.hi)
	b = binary.BigEndian.AppendUint64(b, st.sum.lo)
	b = binary.BigEndian.AppendUint64(b, st.seq)
	b = binary.BigEndian.AppendUint64(b, uint64(st.bound))
	return seal(b, metaState)
}

func decodeState(v []byte) (state, error) {
	b, err := unseal(v, metaState)
	if err != nil || len(b) != 32 {
		return state{}, fmt.Errorf("state: %w", errSeal)
	}
	return state{
		sum:   viewSum{hi: binary.BigEndian.Uint64(b), lo: binary.BigEndian.Uint64(b[8:])},
		seq:   binary.BigEndian.Uint64(b[16:]),
		bound: clock.Stamp(binary.BigEndian.Uint64(b[24:])),
	}, nil
}

func sealClock(key []byte, c clock.Clock) []byte {
	return seal(c.Append(make([]byte, sealSize, 96)), key)
}

func unsealClock(key, v []byte) (clock.Clock, error) {
	b, err := unseal(v, key)
	if err != nil {
		return clock.Clock{}, err
	}
	c, rest, err := clock.Decode(b)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: trailing bytes", clock.ErrMalformed)
	}
	return c, err
}

// readClock loads the clock of scope '*' as of tx.
func readClock(tx *bolt.Tx) (clock.Clock, error) {
	var c clock.Clock
	prefix := clockKey(0)[:len(ScopeAll)+1]
	cur := tx.Bucket(bucketClock).Cursor()
	for k, v := cur.Seek(prefix); k != nil && len(k) == len(prefix)+8 && string(k[:len(prefix)]) == string(prefix); k, v = cur.Next() {
		e, err := unsealClock(k, v)
		if err != nil {
			return clock.Clock{}, fmt.Errorf("clock entry %x: %w: %w", k, ErrCorrupt, err)
		}
		o := clock.Origin(binary.BigEndian.Uint64(k[len(prefix):]))
		if !e.Equal(e.Only(o)) || e.Empty() {
			return clock.Clock{}, fmt.Errorf("clock entry %x: %w: foreign origin", k, ErrCorrupt)
		}
		c.Union(e)
	}
	return c, nil
}

// readFloor loads the floor as of tx.
func readFloor(tx *bolt.Tx) (clock.Clock, error) {
	v := tx.Bucket(bucketMeta).Get(metaFloor)
	if v == nil {
		return clock.Clock{}, nil
	}
	c, err := unsealClock(metaFloor, v)
	if err != nil {
		return clock.Clock{}, fmt.Errorf("floor: %w: %w", ErrCorrupt, err)
	}
	return c, nil
}
