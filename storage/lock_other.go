//go:build !unix

package storage

import "time"

// lock does nothing here: two first starts at once are the operator's to avoid, and bbolt
// has its own lock on an open store.
func lock(string, time.Duration) (unlock func(), err error) { return func() {}, nil }
