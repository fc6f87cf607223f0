package httpapi

import (
	"errors"
	"net/http"
	"testing"
)

func TestHosts(t *testing.T) {
	named := []string{"mesh.example:9077", "10.0.0.5:9077", "[fd00::5]:9077", "Gateway.Example.", "bad host:x:y:z"}
	for _, c := range []struct {
		name         string
		allowed      []string
		host, origin string
		status       int // 0 = accepted
	}{
		{"localhost", nil, "localhost:9077", "", 0},
		{"localhost without port", nil, "LOCALHOST", "", 0},
		{"localhost with a dot", nil, "localhost.", "", 0},
		{"IPv4 loopback", nil, "127.8.9.1:1", "", 0},
		{"IPv6 loopback", nil, "[::1]:9077", "", 0},
		{"IPv4 loopback in IPv6", nil, "[::ffff:127.0.0.1]:9077", "", 0},
		{"another name", nil, "evil.test", "", 421},
		{"a name that begins right", nil, "localhost.evil.test", "", 421},
		{"a name that looks like an address", nil, "127.0.0.1.evil.test:9077", "", 421},
		{"an address", nil, "10.0.0.5:9077", "", 421},
		{"none", nil, "", "", 421},
		{"advertised name", named, "mesh.example:9077", "", 0},
		{"advertised name, another port", named, "mesh.example", "", 0},
		{"advertised address", named, "10.0.0.5", "", 0},
		{"advertised IPv6 address", named, "[fd00:0::5]:9077", "", 0},
		{"allowed name", named, "gateway.example:443", "", 0},
		{"not allowed", named, "10.0.0.6:9077", "", 421},
		{"every address", []string{"0.0.0.0:9077"}, "10.0.0.6:9077", "", 0},
		{"every address, IPv6", []string{"[::]:9077"}, "[fd00::6]:9077", "", 0},
		{"every address, port only", []string{":9077"}, "10.0.0.6:9077", "", 0},
		{"every address, but no name", []string{"0.0.0.0:9077"}, "evil.test:9077", "", 421},

		{"own page", nil, "localhost:9077", "http://localhost:9077", 0},
		{"page of this machine", nil, "127.0.0.1:9077", "https://localhost:3000", 0},
		{"page of the gateway", named, "10.0.0.5:9077", "https://gateway.example", 0},
		{"foreign page", nil, "localhost:9077", "https://evil.test", 403},
		{"foreign page by address", []string{"0.0.0.0:9077"}, "10.0.0.6:9077", "http://66.66.66.66:9077", 403},
		{"own page by address", []string{"0.0.0.0:9077"}, "10.0.0.6:9077", "http://10.0.0.6:9077", 0},
		{"null", nil, "localhost:9077", "null", 403},
		{"file", nil, "localhost:9077", "file://", 403},
		{"extension", nil, "localhost:9077", "chrome-extension://localhost", 403},
		{"nonsense", nil, "localhost:9077", "http://[::1", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{Host: c.host, Header: http.Header{}}
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			err := newHosts(c.allowed).check(r)
			var p *problem
			if status := 0; errors.As(err, &p) && p.Status != c.status || err == nil && c.status != status {
				t.Errorf("got %v, want %d", err, c.status)
			}
		})
	}
}
