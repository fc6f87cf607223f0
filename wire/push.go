package wire

import (
	"fmt"
	"slices"

	"github.com/memd/memd/clock"
	"google.golang.org/protobuf/encoding/protowire"
)

// PushBatch is one PUSH frame: rows that their origin committed, in commit order.
type PushBatch struct {
	// Seq numbers the frames of a stream from 1, so that an Ack can say how far the
	// receiver has read.
	Seq    uint64
	Origin clock.Origin // of the sender; 0 = it has not written yet
	// Base is the sender's own base of Origin when the rows were read: what the
	// receiver lacks below it, it lacks because a push was lost.
	Base uint64
	// Floor is the sender's gc_floor, of the same transaction as the rows. A receiver
	// that does not cover it applies nothing and answers AckReconcile.
	Floor clock.Clock
	Rows  [][]byte // encoded records; at most MaxPushRows
}

// AckResult is what became of a batch. Whatever is not AckOK is no acknowledgement.
type AckResult uint8

// Results of a push.
const (
	AckOK        AckResult = 1 // durable, as far as Entry says
	AckReconcile AckResult = 2 // the sender's floor is above the receiver's clock; nothing applied
	AckBusy      AckResult = 3 // the apply queue is full; nothing applied
	AckRefused   AckResult = 4 // not to be repeated: malformed, fenced or colliding rows
)

func (r AckResult) String() string {
	switch r {
	case AckOK:
		return "ok"
	case AckReconcile:
		return "reconcile"
	case AckBusy:
		return "busy"
	case AckRefused:
		return "refused"
	}
	return fmt.Sprintf("result %d", uint8(r))
}

// Ack is one ACK frame. It is cumulative: Entry says everything, Seq only how far the
// stream has been read.
type Ack struct {
	// Seq of the last batch this answers, 0 for the greeting that opens a stream.
	Seq uint64
	// Entry is the receiver's durable clock, cut to the origins that the sender pushes,
	// with its intervals: an acknowledgement of the highest counter would acknowledge
	// the holes below it.
	Entry     clock.Clock
	Result    AckResult
	Name      string // of the receiver; a quorum counts names
	ClockHash uint64 // of the receiver's whole durable clock
}

// Nudge is one NUDGE frame: what the sender has, for a peer that may have missed some
// of it.
type Nudge struct {
	ClockHash uint64
	Origin    clock.Origin
	Counter   uint64
}

// Pushed is one frame that a pusher sent; exactly one field is set.
type Pushed struct {
	Batch *PushBatch
	Nudge *Nudge
}

// AppendBatch appends the frame of p. It fails with ErrTooLarge or ErrMalformed,
// leaving b as it was, if the other side would not read it.
func AppendBatch(b []byte, p *PushBatch) ([]byte, error) {
	if len(p.Rows) > MaxPushRows {
		return b, fmt.Errorf("%w: %d rows in a push", ErrTooLarge, len(p.Rows))
	}
	if max(p.Base, p.Seq) > clock.MaxCounter {
		return b, malformed("base or number out of range")
	}
	var meta []byte
	meta = appendUint(meta, 1, p.Seq)
	meta = appendFixed64(meta, 2, uint64(p.Origin))
	meta = appendUint(meta, 3, p.Base)
	meta = appendClock(meta, 4, p.Floor)
	size := len(meta)
	for _, row := range p.Rows {
		if len(row) == 0 {
			return b, malformed("empty row")
		}
		size += protowire.SizeTag(5) + protowire.SizeBytes(len(row))
	}
	if size > MaxFrame {
		return b, fmt.Errorf("%w: push of %d bytes", ErrTooLarge, size)
	}
	start := len(b)
	b = append(openFrame(b, framePush, size), meta...)
	for _, row := range p.Rows {
		b = appendBytes(b, 5, row)
	}
	return closeFrame(b, start), nil
}

// decodeBatch reads the payload of a PUSH frame; the rows alias it.
func decodeBatch(b []byte) (*PushBatch, error) {
	p := new(PushBatch)
	err := eachField("PUSH", b, func(f *field) error {
		switch f.num {
		case 1:
			return f.uint(&p.Seq, clock.MaxCounter)
		case 2:
			return f.fixed64((*uint64)(&p.Origin))
		case 3:
			return f.uint(&p.Base, clock.MaxCounter)
		case 4:
			return f.clock(&p.Floor)
		case 5:
			var row []byte
			if err := f.bytes(&row); err != nil {
				return err
			}
			if len(row) == 0 {
				return malformed("PUSH: empty row")
			}
			if len(p.Rows) == MaxPushRows {
				return fmt.Errorf("%w: more than %d rows in a push", ErrTooLarge, MaxPushRows)
			}
			p.Rows = append(p.Rows, slices.Clip(row))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// AppendAck appends the frame of a.
func AppendAck(b []byte, a *Ack) ([]byte, error) {
	if a.Result == 0 {
		return b, malformed("ack without result")
	}
	var p []byte
	p = appendUint(p, 1, a.Seq)
	p = appendClock(p, 2, a.Entry)
	p = appendUint(p, 3, uint64(a.Result))
	p = appendString(p, 4, a.Name)
	p = appendFixed64(p, 5, a.ClockHash)
	if len(p) > MaxMeta {
		return b, fmt.Errorf("%w: ack of %d bytes", ErrTooLarge, len(p))
	}
	return appendFrame(b, frameAck, p), nil
}

func decodeAck(b []byte) (Ack, error) {
	var a Ack
	err := eachField("ACK", b, func(f *field) error {
		switch f.num {
		case 1:
			return f.uint(&a.Seq, clock.MaxCounter)
		case 2:
			return f.clock(&a.Entry)
		case 3:
			var v uint64
			if err := f.uint(&v, 255); err != nil {
				return err
			}
			a.Result = AckResult(v)
			return nil
		case 4:
			return f.name(&a.Name)
		case 5:
			return f.fixed64(&a.ClockHash)
		}
		return nil
	})
	if err != nil {
		return Ack{}, err
	}
	if a.Result == 0 {
		return Ack{}, malformed("ACK: no result")
	}
	return a, nil
}

// AppendNudge appends the frame of n.
func AppendNudge(b []byte, n *Nudge) []byte {
	var p []byte
	p = appendFixed64(p, 1, n.ClockHash)
	p = appendFixed64(p, 2, uint64(n.Origin))
	p = appendUint(p, 3, n.Counter)
	return appendFrame(b, frameNudge, p)
}

func decodeNudge(b []byte) (*Nudge, error) {
	n := new(Nudge)
	err := eachField("NUDGE", b, func(f *field) error {
		switch f.num {
		case 1:
			return f.fixed64(&n.ClockHash)
		case 2:
			return f.fixed64((*uint64)(&n.Origin))
		case 3:
			return f.uint(&n.Counter, clock.MaxCounter)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}
