// Package vector holds a vector for each memory of one node, and finds those that lie nearest
// to the vector of a question.
//
// It promises to follow the feed of package recall behind the index of words: what it holds is
// derived, local and disposable, is built anew for another model, another store or after
// damage, and is never replicated. The endpoint that computes vectors may be down for any time:
// nothing waits for it but the computing itself, which goes on where it stopped.
//
// As in package recall, what a memory says now, and who may see it, is for the caller to judge:
// a vector may be of a moment ago.
package vector
