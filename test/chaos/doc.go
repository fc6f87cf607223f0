// Package chaos puts the built binary under real faults: three `memd serve` processes on
// loopback, real sockets, real disks, real signals.
//
//	go test -tags chaos ./test/chaos          everything, some minutes
//	go test -tags chaos -short ./test/chaos   the smoke of the CI, three to five minutes
//	make chaos
//
// Each scenario records what its clients did and saw, and package test/history judges
// the record: what was acknowledged is there, on every node; what was deleted stays
// deleted; nothing is there twice or out of nowhere; nodes that are quiet are equal. The
// file of a failed run is kept, and its path printed.
//
// It promises that a fault was there: every one of them proves itself (the state of the
// process, the signal it died of, a refused connection), and a round whose proof is
// missing is void and counts for nothing; more than one void round in fifty fails the
// run. Times are measured and reported, and never asserted but for generous bounds: a
// machine that is busy is no bug.
//
// The nodes reach each other's HTTP through proxies of the test, which can cut any pair
// of nodes apart with a reset; gossip is not cut. Network namespaces, lost packets, power
// cuts and broken disks are not here yet. It needs Linux and no special rights (with those
// for a cgroup a node is starved by one, else by signals; the report says which), touches
// nothing outside its temporary folder, loopback addresses of its own and that cgroup, and
// leaves no process behind, however it ends.
package chaos
