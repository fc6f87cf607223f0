package httpapi

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/wire"
)

// Node is everything that the door calls. *node.Node is one; tests use fakes.
type Node interface {
	Memories
	Reader
	Historian
	Standards
	Agents
	Guide
	Porter
	Linker
	Housekeeper
	Archivist
	Finder
	Gate
	Syncer
	Original
	Observer
	Registrar
	GossipKeys
	Keeper
	Doctor
}

// Config of a Door. Node and Self must be given.
type Config struct {
	Node Node
	// Self is what this node says of itself to others, the same as its peer client's.
	Self wire.Self

	// Hosts are the values of Host and Origin that are accepted beside the loopback names:
	// the listening and the advertised address and what the operator allows, each as a
	// name, an IP address, or host:port, of which the port is ignored. An unspecified
	// address (0.0.0.0) stands for every IP address: a page that was led here by DNS
	// rebinding always says a name.
	Hosts []string

	// CheckPeer says whether a caller, of whose connection s tells (nil without TLS), may
	// speak as the node name, or with "" as any node; an error is the reason why not.
	// nil = it may.
	CheckPeer func(s *tls.ConnectionState, name string) error
	// Keys that are asked for on every route but health; nil = none are.
	Keys Keyring
	// Limits of requests.
	Limits Limits
	// AdminOnly keeps metrics for Admin.
	AdminOnly bool

	// MCP answers at /mcp; nil = there is none. It gets requests that have passed the door's
	// own checks, a body that ends at the door's limit, and a context that ends at Timeout.
	MCP http.Handler

	// Timeout ends the context of a request that is not a stream; 0 = 30 s.
	Timeout time.Duration

	// Metrics of the door are registered here; nil = a private registry.
	Registerer prometheus.Registerer
	// Gatherer is what the metrics endpoints show; nil = the private registry.
	Gatherer prometheus.Gatherer
	Log      *slog.Logger // nil = discard
}

func (c Config) withDefaults() Config {
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	c.Limits = c.Limits.withDefaults()
	own := prometheus.NewRegistry()
	if c.Registerer == nil {
		c.Registerer = own
	}
	if c.Gatherer == nil {
		c.Gatherer = own
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
