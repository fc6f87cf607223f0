package cluster

import (
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// drops counts what arrived and was not taken. memberlist says it in its log only, so it is
// there that it is counted; TestHostilePackets holds the texts against the library.
type drops struct{ key, label, malformed, network atomic.Int64 }

// dropReasons are how memberlist's lines begin, the longer ones first where one begins
// like another.
var dropReasons = []struct {
	begins string
	count  func(*drops) *atomic.Int64
}{
	{"Decrypt packet failed", byKey},
	{"failed to receive: Encryption is configured", byKey},
	{"failed to receive: Remote state is encrypted", byKey},
	{"failed to receive: No installed keys could decrypt", byKey},
	{"discarding packet with unacceptable label", byLabel},
	{"discarding stream with unacceptable label", byLabel},
	{"unexpected double", byLabel},
	{"failed to receive and remove the stream label", byLabel},
	{"cannot decode label", byLabel},
	{"label header cannot", byLabel},
	{"missing message type", byForm},
	{"msg type (", byForm},
	{"Message type (", byForm},
	{"Received invalid msgType", byForm},
	{"Failed to decode", byForm},
	{"Failed to decompress", byForm},
	{"Failed to receive user message", byForm},
	{"Failed to read remote state", byForm},
	{"Compound request had", byForm},
	{"Got invalid checksum", byForm},
	{"handler queue full", byForm},
	{"failed to receive", byForm},
}

func byKey(d *drops) *atomic.Int64   { return &d.key }
func byLabel(d *drops) *atomic.Int64 { return &d.label }
func byForm(d *drops) *atomic.Int64  { return &d.malformed }

// note counts a line of memberlist's log if it tells of a drop.
func (d *drops) note(text string) bool {
	for _, r := range dropReasons {
		if strings.HasPrefix(text, r.begins) {
			r.count(d).Add(1)
			return true
		}
	}
	return false
}

func (d *drops) collectors() (all []prometheus.Collector) {
	for reason, n := range map[string]*atomic.Int64{"key": &d.key, "label": &d.label, "malformed": &d.malformed, "network": &d.network} {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "memd_cluster_dropped_total", Help: "Gossip packets and streams that were not taken: of another key or none, of another label, not understood, from outside the allowed networks.",
			ConstLabels: prometheus.Labels{"reason": reason},
		}, func() float64 { return float64(n.Load()) }))
	}
	return all
}
