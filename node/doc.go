// Package node is one running memd: the verbs, the wiring and the lifecycle.
//
// It is for programs and tests that want a whole node: cmd/memd turns flags into
// a Config and calls New and Run, a test does the same on an in-memory network.
// Every door (HTTP now, MCP later) reaches the same verbs here, and every verb
// that changes anything takes one road: validate, commit, push, count.
//
// It promises that New binds the listeners, so addresses are known before Run;
// that Run ends only after everything that it started has ended; and that bbolt
// is closed last. It does not parse flags, install signal handlers or exit the
// process: a commit error ends Run with that error, and the caller exits.
package node
