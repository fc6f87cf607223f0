package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/memd/memd/node"
)

// serveConfig are the values of `memd serve`, named as the flags are.
type serveConfig struct {
	name            string
	dataDir         string
	httpAddr        string
	httpAdvertise   string
	gossipAddr      string
	gossipAdvertise string
	gossipKeys      []string
	gossipKeyFile   string
	peerNetworks    []string
	peerAllowlist   string
	join            []string
	bootstrapExpect int
	quorumWrites    int
	quorumTimeout   time.Duration
	catchupInterval time.Duration
	tlsCert, tlsKey string
	tlsCA           string
	tlsVerifyClient bool
	key             keyFlags
	keysFile        string
	adminAddr       string
	rateLimit       float64
	maxConnections  int
	allowedHosts    []string
	insecure        bool
	recall          bool
	meaning         embeddingsFlags
	archiveOnGC     bool
	logLevel        string
	logFormat       string
	mcpTools        string
	clockOffset     time.Duration
}

func (c *serveConfig) flags(f *pflag.FlagSet) {
	host, _ := os.Hostname()
	f.String(flagConfig, "", "configuration file, YAML or TOML, with the names of these flags")
	f.StringVar(&c.name, "name", host, "stable, unique label of this node")
	f.StringVar(&c.dataDir, "data-dir", defaultDataDir(), "store; created with mode 0700, locked while open")
	f.StringVar(&c.httpAddr, "http-addr", "127.0.0.1:9077", "listen address of HTTP and sync")
	f.StringVar(&c.httpAdvertise, "http-advertise", "", "host[:port] that peers use for HTTP (default: the listen address)")
	f.StringVar(&c.gossipAddr, "gossip-addr", "127.0.0.1:7946", "listen address of gossip, TCP and UDP")
	f.StringVar(&c.gossipAdvertise, "gossip-advertise", "", "host[:port] that peers use for gossip (default: the listen address)")
	f.StringSliceVar(&c.gossipKeys, "gossip-key", nil, "base64 key of 16, 24 or 32 bytes that encrypts gossip; repeated, the first one encrypts and all are understood")
	f.StringVar(&c.gossipKeyFile, "gossip-key-file", "", "file that holds gossip keys, one a line, in the order of gossip-key")
	f.StringVar(&c.peerAllowlist, "peer-allowlist", "", "file of lines \"name namespace...\": what each peer may have, * is all; who is not in it has nothing; re-read when it changes and on SIGHUP")
	f.StringSliceVar(&c.peerNetworks, "peer-networks", nil, "CIDRs: addresses of peers are used only inside them (default: anywhere but loopback, if this node is not there, link-local and metadata addresses)")
	f.StringSliceVar(&c.join, "join", nil, "gossip addresses of seeds, host:port; retried for ever, names resolved anew")
	f.IntVar(&c.bootstrapExpect, "bootstrap-expect", 1, "registered members to wait for on a brand-new cluster")
	f.IntVar(&c.quorumWrites, "quorum-writes", 0, "W, this node included; 0 = majority of the registered members")
	f.DurationVar(&c.quorumTimeout, "quorum-timeout", 2*time.Second, "deadline for acknowledgements")
	f.DurationVar(&c.catchupInterval, "catchup-interval", 30*time.Second, "period of the safety-net pull, jittered; 0 = triggers only")
	f.StringVar(&c.tlsCert, "tls-cert", "", "PEM certificate to serve HTTPS with and to show to peers; re-read when it changes and on SIGHUP")
	f.StringVar(&c.tlsKey, "tls-key", "", "PEM key of tls-cert; re-read likewise")
	f.StringVar(&c.tlsCA, "tls-ca", "", "PEM authorities of peers and clients, re-read likewise; nodes then show each other certificates (default: the system's, and nodes show none)")
	f.BoolVar(&c.tlsVerifyClient, "tls-verify-client", false, "require a certificate from tls-ca on every connection")
	c.key.register(f, "key required on every endpoint but health, and shown to peers; with keys-file only the latter, if it is one of that file")
	f.StringVar(&c.keysFile, "keys-file", "", "keys of named principals, written by memd keys; re-read when it changes and on SIGHUP")
	f.StringVar(&c.adminAddr, "admin-addr", "", "address of metrics and pprof (default: metrics are on http-addr, pprof is off)")
	f.Float64Var(&c.rateLimit, "rate-limit", 5000, "requests per second of one key, and of one address beyond this machine, with bursts of twice as many; 0 = any number")
	f.IntVar(&c.maxConnections, "max-connections", 4096, "connections of clients at once, half of them from one address; peers have places of their own")
	f.StringSliceVar(&c.allowedHosts, "allowed-hosts", nil, "further values of Host and Origin that are accepted")
	f.BoolVar(&c.insecure, "insecure", false, "allow addresses beyond loopback without TLS and a key")
	f.BoolVar(&c.recall, "recall", true, "keep the full-text index that recall and search need; a node that only replicates can go without")
	f.BoolVar(&c.archiveOnGC, "archive-on-gc", true, "put what expires or is forgotten into the archive before it is deleted")
	f.StringVar(&c.mcpTools, "mcp-tools", "default", "tools that agents are given over MCP: default or all")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
	f.DurationVar(&c.clockOffset, "clock-offset", 0, "test only: shifts this node's wall clock")
	c.meaning.register(f)
}

func defaultDataDir() string {
	if d := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(d) { // the standard ignores others
		return filepath.Join(d, "memd")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "memd-data"
	}
	return filepath.Join(home, ".local", "share", "memd")
}

func newServe() *cobra.Command {
	c := new(serveConfig)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one node",
		Long: "Run one node.\n\nEvery flag can also be given as an environment variable (MEMD_ and the flag in capitals,\n" +
			"with _ for -) or in the file of --config; flag over environment over file over default.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.check(); err != nil {
				return &usageError{err}
			}
			return serve(cmd.Context(), c, cmd.ErrOrStderr())
		},
	}
	c.flags(cmd.Flags())
	return cmd
}

func (c *serveConfig) check() error {
	if err := c.readGossipKeys(); err != nil {
		return fmt.Errorf("--gossip-key-file: %w", err)
	}
	c.gossipKeys = compact(c.gossipKeys)
	for _, k := range c.gossipKeys {
		if _, err := parseGossipKey(k); err != nil {
			return fmt.Errorf("--gossip-key: %w", err)
		}
	}
	c.join, c.allowedHosts = compact(c.join), compact(c.allowedHosts)
	switch {
	case c.peerAllowlist != "" && c.tlsCA == "":
		return errors.New("--peer-allowlist needs --tls-ca: else a peer may take any name")
	case c.quorumTimeout <= 0:
		return errors.New("--quorum-timeout must be above 0")
	case c.rateLimit < 0, c.maxConnections < 1:
		return errors.New("--rate-limit cannot be negative, and --max-connections must be at least 1")
	}
	if c.rateLimit == 0 {
		c.rateLimit = -1 // any number
	}
	if err := c.key.read(); err != nil {
		return err
	}
	if err := c.meaning.read(); err != nil {
		return err
	}
	if c.keysFile != "" && c.key.key == "" && (len(c.join) > 0 || c.bootstrapExpect > 1) {
		return errors.New("--keys-file without --api-key-file: peers would refuse this node; " +
			"make it a key with `memd keys add NAME --scopes peer`, and give it in a file")
	}
	return c.checkExposure()
}

// readGossipKeys puts the keys of the file behind those that were given.
func (c *serveConfig) readGossipKeys() error {
	if c.gossipKeyFile == "" {
		return nil
	}
	b, err := os.ReadFile(c.gossipKeyFile)
	if err != nil {
		return err
	}
	lines := compact(strings.Split(string(b), "\n"))
	if len(lines) == 0 {
		return errors.New("it holds no key")
	}
	c.gossipKeys, c.gossipKeyFile = append(c.gossipKeys, lines...), ""
	return nil
}

// decodedGossipKeys are the keys, which check has found good.
func (c *serveConfig) decodedGossipKeys() (keys [][]byte) {
	for _, text := range c.gossipKeys {
		if key, err := parseGossipKey(text); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// compact drops the white space and the empty items of "a, b,".
func compact(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func serve(ctx context.Context, c *serveConfig, stderr io.Writer) error {
	log, err := newLog(stderr, c.logLevel, c.logFormat)
	if err != nil {
		return &usageError{err}
	}
	tuneGC()
	if c.adminAddr == "" {
		runtime.MemProfileRate = 0 // nobody can ask for the profile, and samples cost a hundredth of a put
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	keys, err := c.keys(log)
	if err != nil {
		return err
	}
	networks, err := node.ParseNetworks(compact(c.peerNetworks))
	if err != nil {
		return usagef("--peer-networks: %w", err)
	}
	n, err := node.New(node.Config{
		Name: c.name, DataDir: c.dataDir, Version: version(),
		HTTPAddr: c.httpAddr, HTTPAdvertise: c.httpAdvertise, AllowedHosts: c.allowedHosts,
		TLSCert: c.tlsCert, TLSKey: c.tlsKey, TLSCA: c.tlsCA, TLSVerifyClient: c.tlsVerifyClient,
		Keys: keys, PeerKey: c.key.key, PeerKeyFile: c.peerKeyFile(), AdminAddr: c.adminAddr, RateLimit: c.rateLimit, MaxConns: c.maxConnections,
		GossipKeys: c.decodedGossipKeys(), PeerNetworks: networks, PeerAllowlist: c.peerAllowlist, GossipAddr: c.gossipAddr, GossipAdvertise: c.gossipAdvertise, Join: c.join,
		BootstrapExpect: c.bootstrapExpect, QuorumWrites: c.quorumWrites, QuorumTimeout: c.quorumTimeout,
		CatchupInterval: c.catchupInterval, MCPTools: c.mcpTools, Recall: c.recall,
		EmbeddingsURL: c.meaning.url, EmbeddingsModel: c.meaning.model, EmbeddingsKey: c.meaning.key, NoArchive: !c.archiveOnGC, ClockOffset: c.clockOffset, Log: log, Registry: reg,
	})
	if errors.Is(err, node.ErrConfig) {
		return &usageError{err}
	}
	if err != nil {
		return err
	}
	watch, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { announce(watch, n, log) })
	if os.Getenv("NOTIFY_SOCKET") != "" {
		watchers.Go(func() { supervised{log}.run(watch, n) })
	}
	watchers.Go(func() { onHangup(watch, n.Reread) })
	defer func() {
		stop()
		watchers.Wait()
	}()
	return n.Run(ctx)
}

// announce logs one line when the node is ready for the first time, for scripts that wait
// for it.
func announce(ctx context.Context, n *node.Node, log *slog.Logger) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, _ := n.Ready(); ok {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	status, err := n.Cluster(ctx)
	if err != nil {
		return // the node has just stopped, and says so itself
	}
	log.Info("ready", "name", n.Name(), "http", n.HTTPAddr(), "gossip", n.GossipAddr(), "cluster", status.ClusterID)
}

func newLog(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	switch strings.ToLower(level) { // slog itself would take "info+3" too
	case "debug", "info", "warn", "error":
		_ = l.UnmarshalText([]byte(level))
	default:
		return nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", level)
	}
	opt := &slog.HandlerOptions{Level: l}
	switch strings.ToLower(format) {
	case "text":
		return slog.New(limitRepeats(slog.NewTextHandler(w, opt))), nil
	case "json":
		return slog.New(limitRepeats(slog.NewJSONHandler(w, opt))), nil
	}
	return nil, fmt.Errorf("--log-format %q: want text or json", format)
}
