package wire

import (
	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// Head opens a page: who answers, and what it knew at the moment the rows were read.
// Clock, Floor and the rows of the page are one snapshot.
type Head struct {
	Proto     int // Proto if 0 when written
	Cluster   memory.ClusterID
	Name      string
	Boot      uint64
	Origin    clock.Origin // under which this process writes; 0 = it has not written yet
	Clock     clock.Clock  // durable
	Floor     clock.Clock  // gc_floor: a receiver whose clock does not cover it applies nothing
	Scope     string       // as served; ScopeAll if empty when written
	HLC       clock.Stamp  // the sender's now, to compare wall clocks
	Reconcile bool         // the cursor is below the floor: a delta cannot express purged deletes
}

// Tail closes a page. A page without it proves nothing.
type Tail struct {
	// Covers are the dots that the receiver may claim after it applied the rows.
	// Invariant: part of Head.Clock; ReadPage refuses anything else.
	Covers   clock.Clock
	Complete bool   // one transaction emitted everything that was missing
	Rows     int    // written and checked by this package
	Bytes    int64  // of the rows; written and checked by this package
	CRC      uint32 // CRC-32C of every byte before the TAIL frame
}

func (h *Head) append(b []byte) []byte {
	proto, scope := h.Proto, h.Scope
	if proto == 0 {
		proto = Proto
	}
	if scope == "" {
		scope = ScopeAll
	}
	b = appendUint(b, 1, uint64(proto))
	if !h.Cluster.IsZero() {
		b = appendBytes(b, 2, h.Cluster[:])
	}
	b = appendString(b, 3, h.Name)
	b = appendFixed64(b, 4, h.Boot)
	b = appendFixed64(b, 5, uint64(h.Origin))
	b = appendClock(b, 6, h.Clock)
	b = appendClock(b, 7, h.Floor)
	b = appendString(b, 8, scope)
	b = appendFixed64(b, 9, uint64(h.HLC))
	return appendBool(b, 10, h.Reconcile)
}

func (h *Head) decode(b []byte) error {
	*h = Head{Scope: ScopeAll}
	err := eachField("HEAD", b, func(f *field) error {
		switch f.num {
		case 1:
			var v uint64
			if err := f.uint(&v, 1<<31-1); err != nil {
				return err
			}
			h.Proto = int(v)
			return nil
		case 2:
			return f.cluster(&h.Cluster)
		case 3:
			return f.name(&h.Name)
		case 4:
			return f.fixed64(&h.Boot)
		case 5:
			return f.fixed64((*uint64)(&h.Origin))
		case 6:
			return f.clock(&h.Clock)
		case 7:
			return f.clock(&h.Floor)
		case 8:
			var s []byte
			if err := f.bytes(&s); err != nil {
				return err
			}
			if !validScope(string(s)) {
				return malformed("HEAD: bad scope")
			}
			h.Scope = string(s)
			return nil
		case 9:
			return f.fixed64((*uint64)(&h.HLC))
		case 10:
			return f.bool(&h.Reconcile)
		}
		return nil
	})
	if err == nil && h.Proto == 0 {
		return malformed("HEAD: no protocol version")
	}
	return err
}

func (f *field) cluster(dst *memory.ClusterID) error {
	var b []byte
	if err := f.bytes(&b); err != nil {
		return err
	}
	if len(b) != len(dst) {
		return malformed("field %d is not a cluster id", f.num)
	}
	copy(dst[:], b)
	return nil
}

func (t *Tail) append(b []byte) []byte {
	b = appendClock(b, 1, t.Covers)
	b = appendBool(b, 2, t.Complete)
	b = appendUint(b, 3, uint64(t.Rows))
	b = appendUint(b, 4, uint64(t.Bytes))
	return appendFixed32(b, 5, t.CRC)
}

func (t *Tail) decode(b []byte) error {
	*t = Tail{}
	summed := false
	err := eachField("TAIL", b, func(f *field) error {
		switch f.num {
		case 1:
			return f.clock(&t.Covers)
		case 2:
			return f.bool(&t.Complete)
		case 3:
			var v uint64
			if err := f.uint(&v, MaxPage); err != nil {
				return err
			}
			t.Rows = int(v)
			return nil
		case 4:
			var v uint64
			if err := f.uint(&v, MaxPage); err != nil {
				return err
			}
			t.Bytes = int64(v)
			return nil
		case 5:
			summed = true
			return f.fixed32(&t.CRC)
		}
		return nil
	})
	if err == nil && !summed {
		return malformed("TAIL: no checksum")
	}
	return err
}
