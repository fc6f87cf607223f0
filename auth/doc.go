// Package auth says who may do what: API keys, the principals that they stand for, and
// the file that holds them.
//
// It promises: a key is never kept, only its digest; keys are compared in a time that does
// not depend on how much of one is right; a principal may do nothing that its file does not
// name; a file that cannot be read as a whole changes nothing.
//
// It does not decide what a request needs (each door declares that of each of its verbs)
// and does not know the network: limits on requests are the door's.
package auth
