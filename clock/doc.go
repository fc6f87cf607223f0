// Package clock holds the values by which memd knows what it has seen and in
// which order two concurrent writes are shown: dots, sets of dots, and hybrid
// logical timestamps.
//
// It promises that a [Clock] is exactly a set: equal sets have one
// representation, one encoding and one hash; Union, Minus, Intersect and Covers
// obey the laws of sets; decoding accepts the canonical bytes and nothing else.
// It promises that the stamps of one [HLC] only grow, whatever the wall clock
// does, and that a foreign stamp moves it at most [MaxSkew] ahead of that.
//
// It does no I/O, starts no goroutine and never asks for the time: callers pass
// it in. Stamps never tell how far a synchronisation got; only dots do.
package clock
