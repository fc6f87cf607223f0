package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/memd/memd/memory"
)

// ClusterStatus is how one node sees the cluster.
type ClusterStatus struct {
	ClusterID string   `json:"cluster_id"` // hex; "" until the cluster has formed
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Origin    string   `json:"origin"` // under which it writes; "" before its first write
	Boot      uint64   `json:"boot,string"`
	Ready     bool     `json:"ready"`
	Reasons   []string `json:"reasons"` // why not

	Quorum      Quorum            `json:"quorum"`
	Clock       map[string]string `json:"clock"` // origin to counters, "1-20,22"
	ClockHash   string            `json:"clock_hash"`
	Digest      string            `json:"digest"` // equal on nodes that hold the same
	Conflicts   int               `json:"conflicts"`
	Quarantined int               `json:"quarantined"`
	Members     []Member          `json:"members"` // by name, the node included
	Removed     []string          `json:"removed"` // names that may not acknowledge any more
}

// Quorum is the arithmetic of a write.
type Quorum struct {
	N         int `json:"n"`         // registered members
	W         int `json:"w"`         // acks wanted by default
	Reachable int `json:"reachable"` // members that would be asked, the node included
}

// Member is one registered member as the node sees it.
type Member struct {
	Name         string     `json:"name"`
	State        string     `json:"state"` // "self", "alive", "suspect", "dead", "left", "unknown"
	Addr         string     `json:"addr"`  // host:port of its HTTP
	ClockHash    string     `json:"clock_hash"`
	LagDots      uint64     `json:"lag_dots"` // writes that it has and the node lacks
	LagSeconds   float64    `json:"lag_seconds"`
	WithheldDots uint64     `json:"withheld_dots"`         // writes that it has and the node may not have
	LastSuccess  *time.Time `json:"last_success,omitzero"` // of a pull from it
	Breaker      string     `json:"breaker"`               // of pushes to it: "closed", "open", "half-open"
	Acked        uint64     `json:"acked"`                 // writes of the node that it has durably
}

// WriteStatus says who has one write.
type WriteStatus struct {
	Dot       string   `json:"dot"`
	Local     bool     `json:"local"`    // the node that answered has it durably
	AckedBy   []string `json:"acked_by"` // names, the node's own included
	Acks      int      `json:"acks"`
	Needed    int      `json:"needed"`
	Members   int      `json:"members"`
	QuorumMet bool     `json:"quorum_met"`
}

// Stats are counts of what one node holds.
type Stats struct {
	Total        int64            `json:"total"`
	ByTier       []TierCount      `json:"by_tier"`
	ByNamespace  []NamespaceCount `json:"by_namespace"`
	ExpiringSoon int64            `json:"expiring_soon"`
	LinksCount   int64            `json:"links_count"`
	DBSizeBytes  int64            `json:"db_size_bytes"`
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

// Cluster is how the node that answers sees the cluster.
func (c *Client) Cluster(ctx context.Context) (*ClusterStatus, error) {
	return call[ClusterStatus](ctx, c, request{method: http.MethodGet, path: "/api/v1/cluster"})
}

// Ready is nil if a server is ready to answer from a caught-up state and to take writes.
// Otherwise the error of each server is in it: *NotReadyError, memory.ErrUnavailable.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/readyz"})
	return err
}

// Stats counts what the node that answers holds.
func (c *Client) Stats(ctx context.Context, opt ReadOptions) (*Stats, error) {
	return call[Stats](ctx, c, request{method: http.MethodGet, path: "/api/v1/stats", query: opt.values()})
}

// WriteStatus says who has the write with this dot, as far as the node that answers
// knows; memory.ErrNotFound if it never heard of it.
func (c *Client) WriteStatus(ctx context.Context, dot string) (*WriteStatus, error) {
	origin, counter, ok := strings.Cut(dot, ":")
	if !ok {
		return nil, &memory.FieldError{Field: "dot", Problem: "must be <origin>:<counter>"}
	}
	path := "/api/v1/writes/" + url.PathEscape(origin) + "/" + url.PathEscape(counter)
	return call[WriteStatus](ctx, c, request{method: http.MethodGet, path: path})
}

// Metrics returns the service's own series of one node in the text form of Prometheus.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	res, err := c.do(ctx, request{method: http.MethodGet, path: "/api/v1/metrics"})
	return res.body, err
}

var errAnswer = errors.New("the answer is not what memd would say")

// call is do for an answer of JSON.
func call[T any](ctx context.Context, c *Client, r request) (*T, error) {
	res, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	return decode[T](res)
}

func decode[T any](r reply) (*T, error) {
	out := new(T)
	if err := memory.ParseJSON(r.body, out); err != nil {
		// As text only: a fault of the server is not the caller's memory.ErrInvalid.
		return nil, fmt.Errorf("%w: %s", errAnswer, err.Error())
	}
	return out, nil
}
