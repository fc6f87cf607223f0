package replication

import (
	"slices"

	"github.com/memd/memd/clock"
)

// Wait is one write that waits until W distinct names have all of its dots durably.
// It is safe for concurrent use. Whoever made it calls Cancel when it stops waiting,
// in success too.
type Wait struct {
	t    *Tracker
	done chan struct{}

	// Guarded by t.mu from here on.

	need int
	// Invariant: no name twice (a name counts once, whatever it sends: B1, B6). Guarded
	// by the model in tracker_test.go and mutant AckTwicePerName.
	names     []string
	few       [4]string // storage of names for ordinary W
	runs      []run     // the dots; nil before Start
	single    [1]run    // storage of runs for one dot
	started   bool
	over      bool // met, failed or cancelled: nothing changes any more
	met       bool
	durable   bool // own fsync returned
	cancelled bool
	gone      bool // taken out of the counts of its fifos
	err       error
}

// run is a stretch of dots of one origin, lo <= hi.
type run struct {
	origin clock.Origin
	lo, hi uint64
}

// Result is what a Wait came to, or has come to so far.
type Result struct {
	Acks         int      // distinct names, this node included if LocalDurable
	Names        []string // them, in the order in which they came
	LocalDurable bool     // this node's own fsync returned
	Met          bool     // W names had it
	Err          error    // what the local commit failed with
}

// Start says which dots the write got. It is called on the storage writer, before or
// after the rows were enqueued; acks that came earlier count. A write without dots
// needs nobody and is met at once. Only the first call counts.
func (w *Wait) Start(dots ...clock.Dot) {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.t.start(w, dots)
}

// Local reports the end of the local commit. With nil this node's own name counts from
// now on; an error ends the wait, unless it is met already.
func (w *Wait) Local(err error) {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	if err == nil {
		w.durable = true
		w.count(w.t.self)
	} else if !w.over {
		w.err = err
		w.end()
	}
	w.t.left(w)
}

// Done is closed when the quorum is met or the local commit failed; never by Cancel.
func (w *Wait) Done() <-chan struct{} { return w.done }

// Result may be asked at any time.
func (w *Wait) Result() Result {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	return Result{
		Acks: len(w.names), Names: slices.Clone(w.names),
		LocalDurable: w.durable, Met: w.met, Err: w.err,
	}
}

// Cancel ends the wait if it is not over: no ack counts any more.
func (w *Wait) Cancel() {
	w.t.mu.Lock()
	if w.cancelled {
		w.t.mu.Unlock()
		return
	}
	w.cancelled = true
	w.over = true
	w.t.left(w)
	for _, r := range w.runs {
		w.t.tidy(r.origin)
	}
	res := Result{Acks: len(w.names), LocalDurable: w.durable, Met: w.met, Err: w.err}
	w.t.mu.Unlock()
	w.t.ended(res)
}

// count adds a name that has all dots.
func (w *Wait) count(name string) {
	if w.over || !w.t.twice && slices.Contains(w.names, name) {
		return
	}
	w.names = append(w.names, name)
	w.check()
}

// check ends the wait if it is met. A write whose dots are not known yet never is:
// names that count before Start are only this node's own.
func (w *Wait) check() {
	if !w.over && w.started && len(w.names) >= w.need {
		w.met = true
		w.end()
	}
}

// end is the one place that wakes the waiting goroutine: once per write.
func (w *Wait) end() {
	w.over = true
	close(w.done)
}

// has reports whether dot number n of origin is one of w's.
func (w *Wait) has(d clock.Dot) bool {
	return slices.ContainsFunc(w.runs, func(r run) bool {
		return r.origin == d.Origin && r.lo <= d.Counter && d.Counter <= r.hi
	})
}

// addDots turns dots, usually consecutive, into runs.
func (w *Wait) addDots(dots []clock.Dot) {
	w.runs = w.single[:0]
	for _, d := range dots {
		if !d.Valid() || w.has(d) {
			continue
		}
		if n := len(w.runs); n > 0 && w.runs[n-1].origin == d.Origin && w.runs[n-1].hi+1 == d.Counter {
			w.runs[n-1].hi++
			continue
		}
		w.runs = append(w.runs, run{d.Origin, d.Counter, d.Counter})
	}
}
