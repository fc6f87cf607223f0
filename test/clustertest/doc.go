// Package clustertest runs whole nodes of a cluster in one process, on a network in
// memory and in fake time: real stores, real doors, real gossip, and the real client
// between them.
//
//	clustertest.Run(t, func(t *testing.T) {
//		c := clustertest.New(t, 3)
//		c.Partition(memnet.Blackhole, "n1 n2 | n3")
//		w := c.Node(1).Store("title", "content").Want(201)
//		c.Heal()
//		c.WaitEqual()
//		c.Node(3).Get(w.ID).Want(200)
//	})
//
// It promises that a test which passes leaves behind stores that hold the same, by
// digest and by dump, that Verify finds nothing in any of them, and that no goroutine
// outlives its nodes. Hours of quiet cost milliseconds.
//
// Fake time fixes when things happen, not in which order: a run cannot be replayed by a
// seed. That, and faults of the disk, belong to test/sim; real processes and signals to
// test/chaos. The network has no latency, so only what waits for a timer takes time.
package clustertest
