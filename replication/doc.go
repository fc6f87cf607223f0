// Package replication pushes the rows of this node to its peers while they are being
// committed, and counts who has them durably.
//
// It is for the write path: storage hands over the rows of a batch just before its
// fsync ([Broadcaster.Enqueue]), one sender per peer ships them over one long-lived,
// pipelined stream, and a [Wait] ends when W distinct names have a write. A put
// returns after the slower of "its quorum" and nothing else: the local fsync and the
// pushes run side by side.
//
// It promises: Enqueue never blocks; memory is bounded whatever a peer does; a slow or
// stopped peer delays no other; after three deadlines missed in a row there is no
// connection per write to that peer, only one probe per backoff; an acknowledgement is
// what a peer reports as durable, dot by dot, never the highest number it has seen,
// and never something remembered from an earlier connection; a name counts once.
//
// It does not make peers converge. What is older than the last few thousand rows is
// not resent but left to the peer's own pull (package catchup), which a nudge starts:
// there is no hint storage here. It knows neither the registry nor storage nor HTTP:
// peers come as a function, streams from a [Pusher], and the deadline of a write lies
// with its caller.
//
// The rules are in types without goroutines, which the simulation drives as well:
// [Majority] and [Needed] (arithmetic), [Tracker] (acks), [Log] and [Queue] (rows),
// [Breaker] and [Flight] (time). The loops around them are in sender.go and stream.go.
package replication
