// Package wire is what nodes of a cluster say to each other: paths, headers, frames,
// limits, and the client with which one node asks another.
//
// Two conversations exist. A pull asks "what do you have that I lack": a
// [SinceRequest] carries the caller's clock, the answer is a [Page] of whole records
// and the dots that the page proves. A push is a long-lived stream of [PushBatch]
// frames one way and cumulative [Ack] frames the other; the same frames fit into one
// plain POST. Beside them stand the JSON bodies that clients of the original service
// send to the same two paths.
//
// It promises: every parser is bounded in bytes and in memory, whatever a peer sends,
// and answers with an error that tells malformed, corrupt, truncated and oversized
// apart; a page that lost its end never claims to be complete; a damaged one yields
// nothing; unknown fields and unknown frame types are skipped, so the protocol can
// grow; whoever is called says who it is and to which cluster it belongs, and the
// client checks it.
//
// It does not look into records (they are opaque bytes, except in the rendering for
// human eyes), knows nothing of storage, decides nothing about when to talk to whom,
// and does not authenticate: keys and certificates are checked by the front door.
package wire
