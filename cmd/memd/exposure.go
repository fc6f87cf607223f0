package main

import (
	"fmt"
	"net"
	"strings"
)

// checkExposure refuses addresses that strangers can reach unless strangers are kept out,
// or --insecure says that there are none.
func (c *serveConfig) checkExposure() error {
	for _, a := range []struct {
		flag, addr string
		missing    []string
	}{
		{"http-addr", c.httpAddr, c.httpLacks()},
		{"gossip-addr", c.gossipAddr, c.gossipLacks()},
		{"admin-addr", c.adminAddr, c.httpLacks()},
	} {
		if a.addr == "" {
			continue
		}
		host, _, err := net.SplitHostPort(a.addr)
		if err != nil {
			return fmt.Errorf("--%s: want host:port: %w", a.flag, err)
		}
		if c.insecure || len(a.missing) == 0 || isLoopbackHost(host) {
			continue
		}
		return fmt.Errorf("--%s %s can be reached by others, and nothing keeps strangers out: give %s; "+
			"or use a loopback address, or --insecure on a closed test network", a.flag, a.addr, strings.Join(a.missing, " and "))
	}
	return nil
}

func isLoopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// httpLacks is what is missing before HTTP may be reached by strangers.
func (c *serveConfig) httpLacks() (missing []string) {
	if c.tlsCert == "" {
		missing = append(missing, "--tls-cert and --tls-key (memd ca makes them)")
	}
	if !c.hasKey() {
		missing = append(missing, "an API key")
	}
	return missing
}

// hasKey reports whether requests need a key.
func (c *serveConfig) hasKey() bool { return c.key.key != "" || c.keysFile != "" }

// gossipLacks is the same for gossip.
func (c *serveConfig) gossipLacks() []string {
	if len(c.gossipKeys) == 0 {
		return []string{"--gossip-key or --gossip-key-file (memd keyring generate makes one)"}
	}
	return nil
}
