// Package storage keeps the records of one node in one bbolt file: rows, the index from
// dots to rows, the clock, the derived indexes and the local change feed.
//
// What for: merge, index, clock and feed must move together or not at all, so they live in
// one transaction, written by one goroutine. Local writes ([Store.Submit]) and rows from
// other nodes, pushed or pulled alike ([Store.SubmitApply]), meet in one queue; everything
// that waits there shares the next transaction and its fsync. [Store.Since] answers what a
// peer is missing.
//
// What it promises: after a crash at any instant the file holds a whole number of those
// transactions. A dot is in the clock only if the store holds its version, a state of its
// record that superseded it, or its quarantined bytes. A callback named Done has been told
// the truth about the disk; any commit error stops the store for good. A row whose
// checksum does not match is never served and never pushed: reading it is an [ErrCorrupt],
// Since leaves its dots uncovered, [Store.Verify] names it, and it stays as it is until an
// operator or a later scrub replaces it. Opening never makes a new, empty store where one
// has been.
//
// What it does not do: it knows no peers, no quorum and no wire format of pages; it has no
// timers and, but for [Store.Run], which its caller starts, no goroutines. It does not
// collect tombstones yet: the floor is stored, loaded and handed out, and stays empty.
package storage
