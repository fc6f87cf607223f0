package httpapi

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/time/rate"

	"github.com/memd/memd/wire"
)

// linesOf are the log's lines with a text.
func linesOf(log *logBuffer, text string) []string { return grep(log.String(), text) }

func grep(all, text string) (out []string) {
	for line := range strings.Lines(all) {
		if strings.Contains(line, text) {
			out = append(out, line)
		}
	}
	return out
}

// TestStrangersInTheLog: who shows a wrong key is named, the key is not, and nobody can fill
// the log with it.
func TestStrangersInTheLog(t *testing.T) {
	const line = "no valid API key"
	secret := strings.Repeat("S3cret", 7) + "A"
	for name, c := range map[string]struct {
		headers []string
		want    []string // in the line; none = no line
	}{
		"nothing shown":         {nil, nil},
		"a node without a key":  {[]string{wire.HeaderNode, "n9"}, []string{"from=192.0.2.7:1234", "says_it_is=n9"}},
		"a key of nobody":       {[]string{"X-Api-Key", secret}, []string{"from=192.0.2.7:1234"}},
		"a revoked key":         {[]string{"X-Api-Key", "memd_0123456789ab_" + secret}, []string{"from=192.0.2.7:1234", "key_id=0123456789ab"}},
		"as a bearer":           {[]string{"Authorization", "Bearer memd_0123456789ab_" + secret, wire.HeaderNode, "n2"}, []string{"says_it_is=n2", "key_id=0123456789ab"}},
		"a name that is no one": {[]string{"X-Api-Key", secret, wire.HeaderNode, "a b\nlevel=ERROR"}, []string{"from=192.0.2.7:1234"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, log := newGuardedDoor(t, new(fake), nil)
			w := serve(d, remoteFrom("192.0.2.7:1234", request("GET", "/api/v1/memories", "", c.headers...)))
			got := linesOf(log, line)
			if w.Code != 401 || len(got) != min(len(c.want), 1) {
				t.Fatalf("%d, %d lines: %q", w.Code, len(got), log)
			}
			for _, want := range c.want {
				if !strings.Contains(got[0], want) {
					t.Errorf("no %s in %s", want, got[0])
				}
			}
			if text := log.String(); strings.Contains(text, "S3cret") || strings.Contains(text, "ERROR") {
				t.Errorf("the log has what was sent: %s", text)
			}
		})
	}
	d, log := newGuardedDoor(t, new(fake), nil)
	for i := range 500 {
		serve(d, remoteFrom("192.0.2.7:1234", request("GET", "/api/v1/memories", "", "X-Api-Key", strings.Repeat("x", 40+i%3))))
	}
	if n := len(linesOf(log, line)); n < 1 || n > 10 {
		t.Errorf("%d lines for 500 wrong keys", n)
	}
	d.strangers.allow.SetLimit(rate.Inf) // as if a second had passed
	d.strangers.say("a caller has no valid API key")
	if text := log.String(); !strings.Contains(text, "others_left_out=") {
		t.Errorf("what was left out is not told: %s", text)
	}
}

// TestWrongPeerInTheLog: a node that is not who it says it is.
func TestWrongPeerInTheLog(t *testing.T) {
	d, log := newGuardedDoor(t, new(fake), func(c *Config) {
		c.CheckPeer = func(*tls.ConnectionState, string) error { return errors.New("the certificate is n3's") }
	})
	w := serve(d, remoteFrom("192.0.2.7:1234", request("POST", wire.PathPush, "", "X-Api-Key", "peer", "Content-Type", wire.MediaFrames, wire.HeaderNode, "n2")))
	got := linesOf(log, "not the node that it says it is")
	if w.Code != 403 || len(got) != 1 || !strings.Contains(got[0], "says_it_is=n2") || !strings.Contains(got[0], "n3's") || !strings.Contains(got[0], "192.0.2.7") {
		t.Errorf("%d %q", w.Code, log)
	}
}

// TestHandshakesInTheLog: a failed handshake is counted and told, a probe is neither.
func TestHandshakesInTheLog(t *testing.T) {
	server, client := selfSigned(t)
	d, log := newDoor(t, new(fake))
	// The time for a handshake is the usual one: a machine that is busy must not end it.
	addr, _ := serveWith(t, d, server, ServerConfig{})
	probe, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = probe.Close()
	others := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool()}
	old := client.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for name, c := range map[string]struct {
		try  func() error
		want string
	}{
		"another authority": {func() error { _, err := tls.Dial("tcp", addr, others); return err }, "certificate"},
		"an old version":    {func() error { _, err := tls.Dial("tcp", addr, old); return err }, "version"},
	} {
		before := len(linesOf(log, "TLS handshake failed"))
		if c.try() == nil {
			t.Fatalf("%s: no error", name)
		}
		eventually(t, func() bool { return len(linesOf(log, "TLS handshake failed")) > before })
		got := linesOf(log, "TLS handshake failed")
		if len(got) != before+1 || !strings.Contains(got[before], c.want) || !strings.Contains(got[before], "from=127.0.0.1:") {
			t.Errorf("%s: %q", name, log)
		}
	}
	w := serve(d, request("GET", "/metrics", ""))
	if !strings.Contains(w.Body.String(), `memd_http_refused_total{reason="tls"} 2`) {
		t.Errorf("handshakes are not counted: %s", strings.Join(grep(w.Body.String(), "refused_total"), ""))
	}
}
