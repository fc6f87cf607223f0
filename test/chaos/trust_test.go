//go:build chaos && linux

package chaos

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTrustRotation: under writes, the nodes get new certificates, the authority a new key and
// gossip another one, as the runbook says; no write fails, and the old ones are refused.
func TestTrustRotation(t *testing.T) {
	m := planMesh(t)
	a := &authority{m: m, dir: filepath.Join(m.dir, "ca"), names: []string{"n1", "n2", "n3", "n4"}, seen: map[string]float64{}}
	a.ca("init")
	a.issue()
	old, err := m.memd("keyring", "generate")
	m.must(err)
	m.must(os.WriteFile(filepath.Join(m.dir, "gossip.key"), []byte(old), 0o600))
	a.handOut()
	flags := []string{
		"--tls-cert", filepath.Join(m.dir, "{node}.crt"), "--tls-key", filepath.Join(m.dir, "{node}.key"), "--tls-ca", filepath.Join(m.dir, "ca-{node}.crt"),
	}
	m.begin(3, append(flags, "--gossip-key-file", filepath.Join(m.dir, "gossip.key"))...)
	m.whole(3)
	l := m.load(writesPerSecond)
	var next string
	err = func() error {
		for range times(2, 1) {
			if err := l.goesOn(200); err != nil {
				return err
			}
			if err := a.rotate(l); err != nil {
				return err
			}
			var err error
			if next, err = a.rotateGossip(l); err != nil {
				return err
			}
		}
		return l.goesOn(200)
	}()
	figures, failed := l.end()
	m.must(err)
	m.must(failed)
	if again := l.again.Load(); again > 0 {
		t.Errorf("%d writes failed at first: %s", again, figures)
	}
	m.whole(3)

	// A fourth node has everything that the others have, but the key that was there before.
	m.must(os.WriteFile(filepath.Join(m.dir, "gossip-n4.key"), []byte(old), 0o600))
	n4 := m.add(append(flags, "--gossip-key-file", filepath.Join(m.dir, "gossip-n4.key"))...)
	n4.start()
	m.eventually(30*time.Second, func() error {
		series, err := n4.metrics()
		if err == nil && series[`memd_cluster_joins_total{result="failed"}`] == 0 {
			err = errors.New("the fourth node has not been refused yet")
		}
		return err
	})
	if s, err := n4.state(); err != nil || s.Ready || len(s.Members) > 0 {
		t.Errorf("with the old gossip key: %+v, %v", s, err)
	}
	n4.shut()
	m.must(os.WriteFile(filepath.Join(m.dir, "gossip-n4.key"), []byte(next), 0o600))
	n4.start()
	m.whole(4)
	m.judge()
	report.round(t, nil)
	report.note(t, "certificates twice, the authority and the gossip key once, %d times over: %s; the old ones refused", times(2, 1), figures)
}

// authority is what an operator does with memd ca: what it makes is copied to every node.
type authority struct {
	m     *mesh
	dir   string
	names []string
	seen  map[string]float64 // how often each node had read its certificates again
}

func (a *authority) ca(args ...string) {
	a.m.t.Helper()
	_, err := a.m.memd(append(append([]string{"ca"}, args...), "--dir", a.dir)...)
	a.m.must(err)
}

func (a *authority) issue() {
	a.m.t.Helper()
	for i, name := range a.names {
		a.ca("issue", name, "--host", a.m.ip(i+1))
	}
}

// handOut copies all of it to the nodes, file by file: for a moment key and certificate of a
// node are not of one pair.
func (a *authority) handOut() {
	a.m.t.Helper()
	for _, name := range a.names {
		a.m.copyTo("ca-"+name+".crt", filepath.Join(a.dir, "ca.crt"))
		a.m.copyTo(name+".key", filepath.Join(a.dir, name+".key"))
		a.m.copyTo(name+".crt", filepath.Join(a.dir, name+".crt"))
	}
	b, err := os.ReadFile(filepath.Join(a.dir, "ca.crt"))
	a.m.must(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		a.m.t.Fatal("ca.crt holds no certificate")
	}
	a.m.roots.Store(roots)
}

// copyTo copies a file into the mesh's folder.
func (m *mesh) copyTo(name, from string) {
	m.t.Helper()
	b, err := os.ReadFile(from)
	m.must(err)
	m.place(name, b)
}

// place replaces a file of the mesh's folder in one step.
func (m *mesh) place(name string, b []byte) {
	m.t.Helper()
	to := filepath.Join(m.dir, name)
	m.must(os.WriteFile(to+".new", b, 0o600))
	m.must(os.Rename(to+".new", to))
}

// rotate renews all certificates, then the authority and all certificates with it.
func (a *authority) rotate(l *load) error {
	a.m.t.Helper()
	before := a.pair("n4")
	for _, change := range []func(){
		func() { a.issue() },
		func() { a.ca("init", "--renew") },
		func() { a.issue() },
	} {
		change()
		a.handOut()
		a.read()
		if err := l.goesOn(200); err != nil {
			return err
		}
	}
	for _, n := range a.m.nodes { // so that what refuses it below is that the old one is retired
		if err := hail(n, a.m.trusting(), before); err != nil {
			return fmt.Errorf("%s refuses the old certificate too early: %w", n.name, err)
		}
	}
	a.ca("retire")
	a.handOut()
	a.read()
	for _, n := range a.m.nodes {
		if err := hail(n, a.m.trusting(), before); err == nil {
			return fmt.Errorf("%s takes a certificate of the old authority", n.name)
		}
		if err := hail(n, a.m.trusting(), a.pair("n4")); err != nil {
			return fmt.Errorf("%s refuses a certificate of the new authority: %w", n.name, err)
		}
	}
	return l.goesOn(400)
}

// read waits until every node uses the certificate that it was given, and trusts whom it was
// told to: a caller with what was issued last is let in.
func (a *authority) read() {
	a.m.t.Helper()
	for _, n := range a.m.nodes {
		want, err := os.ReadFile(filepath.Join(a.m.dir, n.name+".crt"))
		a.m.must(err)
		before := a.seen[n.name]
		a.m.eventually(10*time.Second, func() error {
			series, err := n.metrics()
			if err != nil {
				return err
			}
			if a.seen[n.name] = series[`memd_tls_reloads_total{result="ok"}`]; a.seen[n.name] == before {
				return fmt.Errorf("%s has not read its certificates again", n.name)
			}
			return shows(n, a.m.trusting(), want)
		})
	}
}

func (a *authority) pair(name string) tls.Certificate {
	a.m.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key"))
	a.m.must(err)
	return pair
}

// hail asks a node over a connection of its own, on which the certificate is shown.
func hail(n *node, c *tls.Config, pair tls.Certificate) error {
	c.Certificates = []tls.Certificate{pair}
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}, Timeout: patience}
	resp, err := h.Get(n.url() + "/livez")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// shows tells whether a node shows the certificate of a PEM file.
func shows(n *node, c *tls.Config, want []byte) error {
	conn, err := tls.Dial("tcp", n.http, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(want)
	only := x509.NewCertPool()
	only.AddCert(conn.ConnectionState().PeerCertificates[0])
	if !pool.Equal(only) {
		return fmt.Errorf("%s shows another certificate than the one that it was given", n.name)
	}
	return nil
}

// rotateGossip changes the gossip key at one node for all of them, and returns the new one.
func (a *authority) rotateGossip(l *load) (string, error) {
	trusting := []string{"--server", "https://" + a.m.nodes[1].http, "--tls-ca", filepath.Join(a.dir, "ca.crt"), "--json"}
	out, err := a.m.memd(append([]string{"keyring", "rotate"}, trusting...)...)
	if err != nil {
		return "", err
	}
	var now struct {
		Key  string
		Keys []struct {
			HeldBy []string `json:"held_by"`
			UsedBy []string `json:"used_by"`
		}
	}
	if err := json.Unmarshal([]byte(out), &now); err != nil {
		return "", err
	}
	if len(now.Keys) != 1 || len(now.Keys[0].HeldBy) != 3 || len(now.Keys[0].UsedBy) != 3 || now.Key == "" {
		return "", fmt.Errorf("keyring rotate says %s", strings.ReplaceAll(out, now.Key, "KEY"))
	}
	return now.Key + "\n", l.goesOn(400)
}

// trusting is how clients of the mesh call it: they look at whom they trust with each
// connection, so that those that stand are kept when that changes.
func (m *mesh) trusting() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: m.roots.Load(), DNSName: s.ServerName})
			return err
		},
	}
}

// url is where the test calls the node.
func (n *node) url() string {
	if n.m.roots.Load() != nil {
		return "https://" + n.http
	}
	return "http://" + n.http
}
