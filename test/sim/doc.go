// Package sim is a seeded model of a cluster in one goroutine: real stores, the real codecs of
// pushes and pulls, the real trackers, logs, sessions and leases, and between them a network
// and machines that do everything that may happen to them.
//
// What for: some rules of replication show their loss only in one run of a thousand. A
// schedule is a few milliseconds and one number replays it, so a long night sees millions.
// Every switch of internal/mutant is set here in turn, to see that the oracles would notice.
//
// What it promises: the same seed is the same schedule, on every machine. After every
// transaction the store that made it is verified and compared, record by record, with a model
// of causality that knows nothing of merges, clocks or contexts (causal.go): what a store
// should hold is the union of what it was ever told. After healing, the invariants 16 to 22
// of the design are held against all live stores (heal.go).
//
// What it does not do: no goroutines, sockets, timers or real fsyncs, so it says nothing of
// locks, deadlines or disks that lie: test/clustertest and test/chaos do. The verbs of package
// node need a whole node; the clients here write through the store's transactions the way
// the verbs do (client.go). Collection, fingerprints, scopes and snapshots are not built yet,
// and so not modelled.
package sim
