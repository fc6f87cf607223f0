// Package client is the Go client of memd's public HTTP API. The command line stands on
// it; so can any other program.
//
// It promises that one call is one verb: with several servers, a call that one of them
// cannot answer goes to the next, and because every write carries an idempotency key, a
// write that was tried at two nodes is one write. What a caller must tell apart arrives
// as the error kinds of package memory, found with errors.Is and errors.As. Members of an
// answer that this version does not know are ignored.
//
// It does not retry a write whose quorum was missed (the write may stand; the caller
// decides, with the same key), does not cache, and starts no goroutine of its own.
package client
