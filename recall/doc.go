// Package recall is the full-text index of one node: words in, memories out, the best
// first.
//
// It promises to hold, soon, what the feed says: every change is taken in the order of the
// feed, together with how far it has come, so that a crash loses nothing and repeats
// little. The index is derived, local and disposable: one that is missing, damaged, of
// another format or of another feed is built anew while searches go on with what is there.
//
// It does not decide who may see what, does not know what a memory says now (the caller
// reads that from the store and leaves out what is gone), and is never replicated.
package recall
