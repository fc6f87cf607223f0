package recall

import "github.com/memd/memd/memory"

// Change is one entry of a feed.
type Change struct {
	Seq uint64
	ID  string         // of the memory; "" = nothing that is searched
	Doc *memory.Memory // what it says now; nil = it is gone
}

// Feed is where an index learns what there is.
type Feed interface {
	// Changes returns up to limit changes behind a seq, the oldest first, one at least if there
	// are any, and a mark of all that the feed had seen by then. A memory that changed again
	// comes once, with its last change.
	Changes(after uint64, limit int) (changes []Change, mark []byte, err error)
	// Changed is closed at the next change. Take it before Changes.
	Changed() <-chan struct{}
	// Seq is that of the last change.
	Seq() uint64
	// Continues tells whether what was learned up to a seq, when the feed gave that mark,
	// is true of this feed as it was when the process began: it had all that was seen then,
	// in the same order. If not, it is an older copy or another store; what it has caught
	// up on since then lies in another order.
	Continues(seq uint64, mark []byte) bool
}
