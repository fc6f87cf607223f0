package main

import (
	"os"
	"runtime/debug"
)

// gcPercent of a node. A node's live heap is a few MiB and most of what a put allocates
// is gone when it is answered: collecting at every doubling costs a quarter of the CPU of
// a put, at a fourfold it costs little. At a fivefold a catch-up of 20,000 rows of 1 KiB
// makes the process grow by 60 to 63 MiB, which leaves nothing of the 64 that it may.
const gcPercent = 300

// tuneGC sets it unless the operator has said otherwise in GOGC or GOMEMLIMIT.
func tuneGC() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
