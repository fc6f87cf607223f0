package replication

import (
	"github.com/memd/memd/clock"
)

// Row is one row that this node is committing: a dot of its current origin, and the
// encoded record as the transaction leaves it.
type Row struct {
	Dot clock.Dot
	Raw []byte // shared by all peers; never changed after it was handed over
}

// Log is the last rows of this node, in commit order, once for all peers: the queue of
// a peer is a position in it, and what a returning peer lacks of it can be sent again.
// It is bounded in rows and bytes and forgets the oldest. Not safe for concurrent use.
//
// A place is counted from the first row of the process: rows at tail..head-1 are here.
type Log struct {
	maxRows, maxBytes, maxRow int

	ring       []item // length is a power of two; place n is at n & (len-1)
	tail, head uint64
	bytes      int
	floor      *clock.Clock // the last one
	// Invariant: per origin the highest counter that can only be pulled; all below it
	// are not here either, or were not when it was set.
	forgotten map[clock.Origin]uint64
}

type item struct {
	Row
	base  uint64       // of the origin, when the row was staged
	floor *clock.Clock // of that transaction
}

// NewLog returns an empty log for at most maxRows rows (rounded up to a power of two)
// of together maxBytes bytes. Rows above maxRow bytes cannot be pushed.
func NewLog(maxRows, maxBytes, maxRow int) *Log {
	size := 1
	for size < maxRows {
		size *= 2
	}
	return &Log{maxRows: size, maxBytes: maxBytes, maxRow: maxRow, forgotten: make(map[clock.Origin]uint64)}
}

// Append adds rows; base and floor belong to all of them. It returns how many rows
// cannot be pushed at all, being empty or too large.
func (l *Log) Append(base uint64, floor clock.Clock, rows []Row) (unfit int) {
	// A floor moves with a collection, that is almost never: share the last one.
	if l.floor == nil || !l.floor.Equal(floor) {
		own := floor.Clone()
		l.floor = &own
	}
	for _, row := range rows {
		if len(row.Raw) == 0 || len(row.Raw) > l.maxRow {
			l.forget(row.Dot)
			unfit++
			continue
		}
		if l.head-l.tail == uint64(len(l.ring)) {
			l.grow()
		}
		*l.at(l.head) = item{row, base, l.floor}
		l.head++
		l.bytes += len(row.Raw)
		for l.head-l.tail > 1 && (l.bytes > l.maxBytes || l.head-l.tail > uint64(l.maxRows)) {
			l.drop()
		}
	}
	return unfit
}

func (l *Log) at(place uint64) *item { return &l.ring[place&uint64(len(l.ring)-1)] }

// grow doubles the ring up to its bound; there it makes room.
func (l *Log) grow() {
	if len(l.ring) == l.maxRows {
		l.drop()
		return
	}
	old := *l
	l.ring = make([]item, max(64, 2*len(l.ring)))
	if len(l.ring) > l.maxRows {
		l.ring = l.ring[:l.maxRows]
	}
	for n := old.tail; n < old.head; n++ {
		*l.at(n) = *old.at(n)
	}
}

func (l *Log) drop() {
	e := l.at(l.tail)
	l.forget(e.Dot)
	l.bytes -= len(e.Raw)
	*e = item{}
	l.tail++
}

func (l *Log) forget(d clock.Dot) {
	l.forgotten[d.Origin] = max(l.forgotten[d.Origin], d.Counter)
}

// Forgotten returns how many rows a peer lacks that are no longer here; lacks says how
// many of 1..hi of an origin it lacks.
func (l *Log) Forgotten(lacks func(origin clock.Origin, hi uint64) uint64) (n uint64) {
	for origin, hi := range l.forgotten {
		n += lacks(origin, hi)
	}
	return n
}

// Floor returns the floor of the newest rows.
func (l *Log) Floor() clock.Clock {
	if l.floor == nil {
		return clock.Clock{}
	}
	return *l.floor
}

// Len returns the rows here.
func (l *Log) Len() int { return int(l.head - l.tail) }

// Frame is what one push carries.
type Frame struct {
	Origin clock.Origin
	Base   uint64
	Floor  clock.Clock
	Rows   [][]byte
	Bytes  int // of the rows
}

// Queue is what one peer still has to get of a Log: rows that may have been lost on the
// way (again), then those that it has not been sent. Not safe for concurrent use.
type Queue struct {
	Hides func(raw []byte) bool // rows that are not for this peer; nil = none

	log            *Log
	again, against uint64 // places to look at again, below next
	next           uint64
}

// NewQueue returns a queue behind all rows of log.
func NewQueue(log *Log) *Queue { return &Queue{log: log, next: log.head} }

// Len returns the rows before the end of the queue, including those to look at again.
func (q *Queue) Len() int {
	n := int(q.log.head - max(q.next, q.log.tail))
	if from := max(q.again, q.log.tail); from < q.against {
		n += int(q.against - from)
	}
	return n
}

// Skip moves the queue behind all rows.
func (q *Queue) Skip() { q.next, q.again, q.against = q.log.head, 0, 0 }

// Rewind makes all rows of the log that were sent, or skipped, due again.
func (q *Queue) Rewind() { q.RewindTo(q.next) }

// RewindTo is Rewind for the rows before a place only.
func (q *Queue) RewindTo(place uint64) { q.again, q.against = q.log.tail, place }

// Overflow gives up rows that the log has forgotten meanwhile and returns their number.
func (q *Queue) Overflow() (lost int) {
	tail := q.log.tail
	if q.again < q.against && q.again < tail {
		lost += int(min(tail, q.against) - q.again)
		q.again = tail
	}
	if q.next < tail {
		lost += int(tail - q.next)
		q.next = tail
	}
	return lost
}

// Take fills f with the next rows, at most maxRows of together maxBytes bytes (one row
// always fits), all of one origin, and reports whether there was one. Rows that are
// due again and that the peer has by now are left out, and so are those
// that Hides keeps from it. f.Rows is overwritten in place.
func (q *Queue) Take(f *Frame, maxRows, maxBytes int, has func(origin clock.Origin, lo, hi uint64) bool) bool {
	q.Overflow() // the caller counts; here it only keeps the places valid
	*f = Frame{Rows: f.Rows[:0]}
	var top uint64
	for len(f.Rows) < maxRows {
		place := &q.again
		if q.again >= q.against {
			place = &q.next
		}
		if *place == q.log.head {
			break
		}
		e := q.log.at(*place)
		if place == &q.again && has(e.Dot.Origin, e.Dot.Counter, e.Dot.Counter) {
			*place++
			continue
		}
		if q.Hides != nil && q.Hides(e.Raw) {
			*place++
			continue
		}
		if len(f.Rows) > 0 && (e.Dot.Origin != f.Origin || f.Bytes+len(e.Raw) > maxBytes) {
			break
		}
		*place++
		f.Rows = append(f.Rows, e.Raw)
		f.Bytes += len(e.Raw)
		f.Origin = e.Dot.Origin
		// Floors only rise: the newest of the frame binds all its rows.
		f.Floor = *e.floor
		top = max(top, e.Dot.Counter)
		// What follows in later frames is not lost, so it is not claimed here.
		f.Base = min(max(f.Base, e.base), top)
	}
	return len(f.Rows) > 0
}

// Lacking returns how many rows of the log before a place a peer lacks.
func (l *Log) Lacking(before uint64, has func(origin clock.Origin, lo, hi uint64) bool) (n uint64) {
	for place := l.tail; place < before; place++ {
		if d := l.at(place).Dot; !has(d.Origin, d.Counter, d.Counter) {
			n++
		}
	}
	return n
}
