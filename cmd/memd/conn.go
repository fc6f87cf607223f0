package main

import (
	"fmt"
	"os"
	"os/user"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/memd/memd/client"
	"github.com/memd/memd/trust"
)

// connFlags are what every command takes that asks running nodes: this is the one place
// where flags become a client.
type connFlags struct {
	servers []string
	timeout time.Duration

	api           keyFlags
	ca, cert, key string // files of TLS
}

// register adds the flags. def are the servers without --server; timeout bounds one try
// at one server.
func (f *connFlags) register(flags *pflag.FlagSet, def []string, timeout time.Duration) {
	f.timeout = timeout
	flags.StringSliceVar(&f.servers, "server", def, "nodes of one mesh, URL or host:port; the first that answers is taken")
	f.api.register(flags, "API key to show (better: MEMD_API_KEY, or the next flag)")
	flags.StringVar(&f.ca, "tls-ca", "", "PEM file of the authority to trust; host:port is then called by HTTPS (default: the system's authorities)")
	flags.StringVar(&f.cert, "tls-cert", "", "PEM certificate to show to nodes that verify their clients")
	flags.StringVar(&f.key, "tls-key", "", "PEM key of tls-cert")
}

// hasKey tells whether there is a key to show.
func (f *connFlags) hasKey() bool { return f.api.key != "" || f.api.file != "" }

// open returns a client of the servers. agent is who writes.
func (f *connFlags) open(agent string) (*client.Client, error) {
	if err := f.api.read(); err != nil {
		return nil, &usageError{err}
	}
	cfg := client.Config{Servers: compact(f.servers), Agent: agent, APIKey: f.api.key, Timeout: f.timeout}
	if f.ca != "" || f.cert != "" || f.key != "" {
		var err error
		if cfg.TLS, err = trust.Client(f.ca, f.cert, f.key); err != nil {
			return nil, &usageError{err}
		}
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, usagef("--server: %w", err)
	}
	return c, nil
}

// defaultServers are asked by a person's commands.
var defaultServers = []string{strings.TrimPrefix(client.DefaultServer, "http://")} // HTTPS with --tls-ca

var notOfNames = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// hostLabel is the host's name as an agent id may have it.
func hostLabel() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "host"
	}
	return fmt.Sprintf("%.60s", notOfNames.ReplaceAllString(host, "-"))
}

// writer is who writes: the agent that was said, or else whom the key is for, which the node
// knows, or this person.
func (f *connFlags) writer(said string) string {
	if said != "" || f.hasKey() {
		return said
	}
	return person()
}

// person is who writes at the command line if nothing says: the same name each time, so
// that the same fact said twice is one memory.
func person() string {
	name := "somebody"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = fmt.Sprintf("%.40s", notOfNames.ReplaceAllString(u.Username, "-"))
	}
	return "host:" + hostLabel() + ":" + name
}
