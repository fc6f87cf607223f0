package node

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges are what a scrape wants to know of the node as a whole. All are read from memory,
// when they are asked for, except for the free space of the disk.
type gauges struct{ n *Node }

var (
	descReady = prometheus.NewDesc("memd_ready",
		"1 when the node is ready as /readyz says: caught up, registered and taking writes.", nil, nil)
	descRegistered = prometheus.NewDesc("memd_registered_members",
		"N of the quorum: members in the registry as this node holds it.", nil, nil)
	descNeeded = prometheus.NewDesc("memd_quorum_writes",
		"W: members that must have a write before it is acknowledged.", nil, nil)
	descReachable = prometheus.NewDesc("memd_quorum_reachable",
		"Members that pushes reach now, this node included.", nil, nil)
	descOffset = prometheus.NewDesc("memd_clock_offset_seconds",
		"Median of the members' wall clocks less this node's own; absent with fewer than two peers.", nil, nil)
	descClock = prometheus.NewDesc("memd_state_clock",
		"The first 48 bits of the hash of this node's clock: equal on nodes that have seen the same writes.", nil, nil)
	descDigest = prometheus.NewDesc("memd_state_digest",
		"The first 48 bits of the digest of clock and content: must be equal wherever memd_state_clock is.", nil, nil)
	descFree = prometheus.NewDesc("memd_storage_free_bytes",
		"What may still be written on the disk of the data directory.", nil, nil)
)

// Describe implements prometheus.Collector.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descReady, descRegistered, descNeeded, descReachable, descOffset, descClock, descDigest, descFree} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	n := g.n
	send := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	ready, _ := n.Ready()
	send(descReady, flag(ready))
	send(descRegistered, float64(n.members.count()))
	send(descNeeded, float64(n.defaultW()))
	send(descReachable, float64(n.push.Reachable()+1))
	if o, ok := n.skew.median(); ok {
		send(descOffset, o.Seconds())
	}
	// Both are of one moment, or a scrape between two writes would look like a divergence.
	hash, digest := n.store.State()
	send(descClock, float64(hash>>16))
	if top, err := strconv.ParseUint(digest[:12], 16, 64); err == nil {
		send(descDigest, float64(top))
	}
	if free, err := n.store.Free(); err == nil {
		send(descFree, float64(free))
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
