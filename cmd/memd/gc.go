package main

import (
	"os"
	"runtime/debug"
)

// gcPercent of a node. A node's live heap is a few MiB and most of what a put allocates
// is gone when it is answered: collecting at every doubling costs a quarter of the CPU of
// a put, at a fivefold it costs little and the process stays below 64 MiB.
const gcPercent = 400

// tuneGC sets it unless the operator has said otherwise in GOGC or GOMEMLIMIT.
func tuneGC() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
