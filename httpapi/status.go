package httpapi

import (
	"time"

	"github.com/memd/memd/clock"
)

// ClusterStatus is the body of GET /api/v1/cluster: how this node sees the cluster.
type ClusterStatus struct {
	ClusterID string `json:"cluster_id"` // hex; empty until the cluster has formed
	Name      string `json:"name"`
	Version   string `json:"version"`
	// Origin under which this process writes, 16 hex digits; empty before its first write.
	Origin string `json:"origin"`
	// Boot tells two processes of one name apart.
	Boot    uint64   `json:"boot,string"`
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"` // why not; never null

	Quorum Quorum `json:"quorum"`
	// Clock is the durable clock in human form, origin to counters ("1-20,22").
	Clock     clock.Clock `json:"clock"`
	ClockHash string      `json:"clock_hash"` // 16 hex digits
	// Digest of clock and canonical view: equal on nodes that hold the same. Local fields
	// (access statistics) are not in it.
	Digest string `json:"digest"`
	// Conflicts counts records with more than one live content; Quarantined rows that are
	// held as bytes because they cannot be read.
	Conflicts   int `json:"conflicts"`
	Quarantined int `json:"quarantined"`
	// Members are the registered ones, this node included, by name.
	Members []Member `json:"members"`
	// Removed are the names that an operator took out of the registry; never null.
	Removed []string `json:"removed"`
}

// Quorum is the arithmetic of a write at this moment.
type Quorum struct {
	N         int `json:"n"`         // registered members
	W         int `json:"w"`         // default number of acks wanted
	Reachable int `json:"reachable"` // members that would be asked, this node included
}

// Member is one registered member as this node sees it.
type Member struct {
	Name  string `json:"name"`
	State string `json:"state"` // "self", or what gossip says: "alive", "suspect", "dead", "left", "unknown"
	Addr  string `json:"addr"`  // host:port of its HTTP
	// ClockHash as last heard of it, 16 hex digits; empty if never.
	ClockHash string `json:"clock_hash"`
	// LagDots and LagSeconds say how far this node is behind it: writes that it has and
	// this node lacks, and for how long some have been missing.
	LagDots      uint64     `json:"lag_dots"`
	LagSeconds   float64    `json:"lag_seconds"`
	WithheldDots uint64     `json:"withheld_dots,omitzero"` // writes that it has and a policy hides from this node
	LastSuccess  *time.Time `json:"last_success,omitempty"` // of a pull from it
	Breaker      string     `json:"breaker"`                // "closed", "open", "half-open"; of pushes to it
	// Acked counts the writes of this process that it has reported durable.
	Acked uint64 `json:"acked"`
}

// WriteStatus is the body of GET /api/v1/writes/{origin}/{counter}.
type WriteStatus struct {
	Dot clock.Dot `json:"dot"`
	// Local is set when it is durable on this node.
	Local bool `json:"local"`
	// AckedBy are the names known to have it durably, this node's included; never null.
	AckedBy []string `json:"acked_by"`
	Acks    int      `json:"acks"`
	// Needed is the default W, Members is N.
	Needed    int  `json:"needed"`
	Members   int  `json:"members"`
	QuorumMet bool `json:"quorum_met"`
}

// Stats is the body of GET /api/v1/stats.
type Stats struct {
	Total         int64            `json:"total"`
	ByTier        []TierCount      `json:"by_tier"`
	ByNamespace   []NamespaceCount `json:"by_namespace"`
	ExpiringSoon  int64            `json:"expiring_soon"`
	LinksCount    int64            `json:"links_count"`
	DBSizeBytes   int64            `json:"db_size_bytes"`
	DimViolations int64            `json:"dim_violations"`        // the original's; always 0 here
	Evictions     int64            `json:"index_evictions_total"` // likewise
}

// TierCount is a part of Stats.
type TierCount struct {
	Tier  string `json:"tier"`
	Count int64  `json:"count"`
}

// NamespaceCount is a part of Stats.
type NamespaceCount struct {
	Namespace string `json:"namespace"`
	Count     int64  `json:"count"`
}
