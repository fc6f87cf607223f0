// Package catchup pulls from peers what this store lacks: one puller per peer, at most
// one pull in flight for each, until the clocks meet. It is the guarantee behind the
// push, which only makes things quick.
//
// It promises: a trigger is never lost, only coalesced; a peer that is slow, dead or
// lying delays no other by more than the hedge; whatever a pull had reserved is asked
// for again if that pull did not bring it; several peers pulled at once bring every row
// once; a page that brings nothing ends a pull, and a hole that no peer claims causes no
// pulls; memory is bounded by [MaxSessions] pulls of two pages each.
//
// It does not know rows: [Sink] applies a page, and the dots that it proves, in one
// commit. It does not decide who is a peer, repairs nothing below the floor of another
// node, and never asks whether gossip believes a peer alive.
//
// The decisions are pure and live beside the loops that act on them: [Session] is one
// pull as a step machine, [Leases] the algebra of reservations, agenda the mailbox of
// one peer, errand the search for a peer that answers.
package catchup
