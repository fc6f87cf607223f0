package replication

import "time"

// Flight is the window of one stream: frames that were sent and not answered. Frames
// are answered in the order in which they were sent. It judges how long that takes and
// is told of the time. Not safe for concurrent use.
type Flight struct {
	size    int
	timeout time.Duration
	frames  []sent
	since   time.Time // no deadline counts from before this
}

type sent struct {
	seq  uint64
	at   time.Time
	rows int
}

// NewFlight returns an empty window of size frames, each to be answered within timeout.
func NewFlight(size int, timeout time.Duration) *Flight {
	return &Flight{size: size, timeout: timeout, frames: make([]sent, 0, size)}
}

// Len returns the frames in flight, Rows the rows in them.
func (f *Flight) Len() int { return len(f.frames) }

// Rows returns the rows in flight.
func (f *Flight) Rows() (n int) {
	for _, s := range f.frames {
		n += s.rows
	}
	return n
}

// Full reports whether no further frame may be sent.
func (f *Flight) Full() bool { return len(f.frames) >= f.size }

// Oldest returns when the oldest frame in flight was sent.
func (f *Flight) Oldest() (time.Time, bool) {
	if len(f.frames) == 0 {
		return time.Time{}, false
	}
	return f.frames[0].at, true
}

// Sent adds a frame. seq grows from frame to frame.
func (f *Flight) Sent(seq uint64, rows int, now time.Time) {
	f.frames = append(f.frames, sent{seq, now, rows})
}

// Acked takes out the frame seq and those before it, calls each with how long each
// took, and reports whether seq was answered in time. An answer to what is not in
// flight changes nothing.
func (f *Flight) Acked(seq uint64, now time.Time, each func(took time.Duration)) (inTime bool) {
	if n := len(f.frames); n == 0 || f.frames[n-1].seq < seq {
		return false
	}
	n := 0
	for n < len(f.frames) && f.frames[n].seq <= seq {
		took := now.Sub(f.frames[n].at)
		inTime = took <= f.timeout
		each(took)
		n++
	}
	f.frames = append(f.frames[:0], f.frames[n:]...)
	return inTime
}

// Deadline returns when the next failure is due: a timeout after the oldest frame was
// sent, and then one every timeout in which nothing is answered. So frames that left
// together and are stuck together are one failure, not several.
func (f *Flight) Deadline() (time.Time, bool) {
	if len(f.frames) == 0 {
		return time.Time{}, false
	}
	from := f.frames[0].at
	if f.since.After(from) {
		from = f.since
	}
	return from.Add(f.timeout), true
}

// Restart lets the deadlines of all frames in flight begin now: after a failure was
// counted, and after this process stood still.
func (f *Flight) Restart(now time.Time) { f.since = now }
