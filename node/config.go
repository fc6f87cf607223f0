package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/cluster"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/mcpserver"
	"github.com/memd/memd/memory"
)

// Config is one node's configuration. The zero value of a field means the default that
// the field names.
type Config struct {
	Name    string // stable, unique label; required
	DataDir string // required; created 0700, locked while open
	Version string // shown in health and status

	HTTPAddr      string // host:port to listen on; required unless Listener is set
	HTTPAdvertise string // host[:port] that peers use; "" = the listen address
	AllowedHosts  []string

	// TLSCert and TLSKey serve HTTPS and are shown to peers; TLSCA is who is trusted, see
	// trust.Config. All are PEM files, read again when they change.
	TLSCert, TLSKey, TLSCA string
	TLSVerifyClient        bool // require a certificate of every client
	// Keys that are asked for on every endpoint but health; nil = none are. PeerKey is what
	// this node shows to its peers. PeerKeyFile is read again when it changes; "" = the key
	// stays as it is.
	Keys        *auth.Keys
	PeerKey     string
	PeerKeyFile string
	// RateLimit is that of httpapi.Limits.
	RateLimit float64
	// MaxConns bounds the connections of clients; 0 = 4096. Peers have places of their own.
	MaxConns int
	// AdminAddr is host:port of metrics and profiles; "" = metrics are on HTTPAddr, profiles
	// nowhere.
	AdminAddr string

	GossipAddr      string // host:port; required unless Transport is set
	GossipAdvertise string
	// GossipKeys encrypt gossip, each of 16, 24 or 32 bytes: the first one what is sent. None
	// = gossip is not encrypted. Changes of a running mesh go before it, see keyring.
	GossipKeys [][]byte
	// PeerAllowlist is a file of the namespaces that each peer may have, see allowlist; "" =
	// every peer has everything. It is read again when it changes.
	PeerAllowlist string
	// PeerNetworks are where peers may be; none = anywhere but loopback (unless this node is
	// there too), link-local and metadata addresses.
	PeerNetworks []netip.Prefix
	Join         []string // gossip addresses of seeds

	// Recall keeps a full-text index in DataDir; without it recall and search are refused
	// here.
	Recall bool
	// EmbeddingsURL is an OpenAI-compatible endpoint (http or https) that the texts of all
	// memories, and of recalls, are sent to; recalls then go by the nearness of meaning, too.
	// "" = by words alone. EmbeddingsModel is what it is asked for, EmbeddingsKey what it is
	// shown; "" = none.
	EmbeddingsURL, EmbeddingsModel, EmbeddingsKey string

	// NoArchive deletes what expires, and what is forgotten, without putting it aside.
	NoArchive bool
	// SweepInterval is about how often this node looks for what has expired; 0 = 30 min.
	SweepInterval time.Duration

	BootstrapExpect int           // members to wait for on a brand-new cluster; 0 = 1
	QuorumWrites    int           // W; 0 = majority of the registered members
	QuorumTimeout   time.Duration // 0 = 2 s
	CatchupInterval time.Duration // period of the safety-net pull; 0 = triggers only

	EmbeddingsRetry time.Duration // first wait after a failure of the endpoint; 0 = 1 s

	MCPTools string // "default" or "all"; "" = default

	ClockOffset time.Duration // test only: shifts this node's wall clock
	Log         *slog.Logger  // nil = discard
	Registry    *prometheus.Registry

	// For tests with whole nodes in one process.
	Listener    net.Listener      // nil = listen on HTTPAddr
	Transport   cluster.Transport // nil = sockets on GossipAddr
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	NoSync      bool             // the store does not fsync
	PauseClock  func() time.Time // tells how long this process has stood still; nil = time.Now
	Mutants     mutant.Set
}

func (c *Config) validate() error {
	if err := memory.ValidateNodeName(c.Name); err != nil {
		return err
	}
	switch {
	case c.DataDir == "":
		return errors.New("data-dir is required")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("tls-cert and tls-key go together")
	case c.TLSCert == "" && (c.TLSCA != "" || c.TLSVerifyClient):
		return errors.New("tls-ca and tls-verify-client need tls-cert and tls-key")
	case (c.EmbeddingsURL == "") != (c.EmbeddingsModel == ""):
		return errors.New("embeddings-url and embeddings-model go together")
	case c.EmbeddingsURL == "" && c.EmbeddingsKey != "":
		return errors.New("a key for embeddings needs embeddings-url")
	case c.EmbeddingsURL != "" && !c.Recall:
		return errors.New("embeddings-url needs recall")
	case c.QuorumWrites < 0:
		return fmt.Errorf("quorum-writes is %d; it cannot be negative", c.QuorumWrites)
	case c.BootstrapExpect < 0:
		return fmt.Errorf("bootstrap-expect is %d; it cannot be negative", c.BootstrapExpect)
	case c.QuorumTimeout < 0 || c.CatchupInterval < 0 || c.SweepInterval < 0:
		return errors.New("times cannot be negative")
	case c.BootstrapExpect > 1 && c.QuorumWrites > c.BootstrapExpect:
		return fmt.Errorf("quorum-writes is %d with %d members expected: no write could succeed", c.QuorumWrites, c.BootstrapExpect)
	}
	for _, seed := range c.Join {
		if err := checkSeed(seed); err != nil {
			return err
		}
	}
	if c.EmbeddingsURL != "" {
		if _, err := c.embedder(); err != nil {
			return err
		}
	}
	if err := mcpserver.ValidTools(c.MCPTools); err != nil {
		return fmt.Errorf("mcp-tools is %w", err)
	}
	c.BootstrapExpect = max(c.BootstrapExpect, 1)
	if c.SweepInterval == 0 {
		c.SweepInterval = 30 * time.Minute
	}
	if c.QuorumTimeout == 0 {
		c.QuorumTimeout = 2 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	return nil
}

// checkSeed takes host:port and no URL: nothing is fetched from a seed.
func checkSeed(seed string) error {
	host, port, err := net.SplitHostPort(seed)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host == "" || strings.ContainsAny(host, "/@?#") {
		return fmt.Errorf("join %.60q: want host:port", seed)
	}
	return nil
}

// isLoopback tells that every peer is on this machine: there is no network that a
// compressed page would spare.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr // without a port
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// advertised is the address that peers are told: what was configured, with the listener's port
// if it says none, else where the listener is, unless that is a wildcard, which can be dialled by
// nobody.
func advertised(configured string, bound net.Addr) (string, error) {
	host, port, err := cluster.SplitAddr(bound.String(), 0)
	if err != nil {
		return "", err
	}
	if configured != "" {
		host, port, err := cluster.SplitAddr(configured, port)
		if err != nil {
			return "", fmt.Errorf("advertise address %q: %w", configured, err)
		}
		return net.JoinHostPort(host, strconv.Itoa(port)), nil
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "", fmt.Errorf("listening on %s: peers need an address of this node; set the advertise address", bound)
	}
	return bound.String(), nil
}
