package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config of Files.
type Config struct {
	Cert, Key string // PEM files of this node
	// CA is the PEM file of who is trusted, for peers and for clients; "" = the system's
	// authorities for peers, and no client is asked for a certificate.
	CA string
	// VerifyClient refuses every connection without a certificate from CA.
	VerifyClient bool
	Registerer   prometheus.Registerer // nil = a private one

	Now func() time.Time // for tests; nil = time.Now
}

// Files are a node's certificate, its key and whom it trusts, as the files say now. It is
// safe for concurrent use.
type Files struct {
	cfg     Config
	now     atomic.Pointer[material]
	reloads *prometheus.CounterVec

	mu       sync.Mutex
	raw      [3][]byte // what now was made of
	verified map[verifiedKey]verified
}

// material is one reading of the files.
type material struct {
	generation uint64
	cert       *tls.Certificate
	roots      *x509.CertPool // nil = the system's
	until      time.Time      // of cert
	rootsUntil time.Time      // of the first of roots to end; zero = the system's
}

// verifiedKey is a certificate and the side of a connection that showed it.
type verifiedKey struct {
	print [sha256.Size]byte
	usage x509.ExtKeyUsage
}

// verified is a certificate that was found good.
type verified struct {
	generation uint64
	until      time.Time
}

// Load reads the files. An error says which one is not usable and why.
func Load(cfg Config) (*Files, error) {
	if cfg.VerifyClient && cfg.CA == "" {
		return nil, errors.New("tls-verify-client needs tls-ca: whom to trust")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Files{cfg: cfg, verified: map[verifiedKey]verified{}}
	if err := f.read(); err != nil {
		return nil, err
	}
	f.register()
	return f, nil
}

func (f *Files) register() {
	reg := f.cfg.Registerer
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	f.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "memd_tls_reloads_total", Help: "Changed certificate files that were read again.",
	}, []string{"result"})
	f.reloads.WithLabelValues("ok")
	f.reloads.WithLabelValues("failed")
	expiry := func(of string, at func(*material) time.Time) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "memd_tls_certificate_expiry_timestamp_seconds", Help: "When a certificate in use ends: this node's own, and the first of those in tls-ca.",
			ConstLabels: prometheus.Labels{"of": of},
		}, func() float64 { return float64(at(f.now.Load()).Unix()) })
	}
	reg.MustRegister(f.reloads, expiry("node", func(m *material) time.Time { return m.until }))
	if f.cfg.CA != "" {
		reg.MustRegister(expiry("ca", func(m *material) time.Time { return m.rootsUntil }))
	}
}

// Reload reads the files again if they have changed. After an error what was in use stays:
// a key and a certificate that are replaced one after the other do not fit for a moment.
func (f *Files) Reload() (changed bool, err error) {
	before := f.now.Load()
	if err := f.read(); err != nil {
		f.reloads.WithLabelValues("failed").Inc()
		return false, err
	}
	changed = f.now.Load() != before
	if changed {
		f.reloads.WithLabelValues("ok").Inc()
	}
	return changed, nil
}

func (f *Files) read() error {
	var raw [3][]byte
	for i, path := range []string{f.cfg.Cert, f.cfg.Key, f.cfg.CA} {
		if path == "" {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		raw[i] = b
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.now.Load()
	if before != nil && bytes.Equal(raw[0], f.raw[0]) && bytes.Equal(raw[1], f.raw[1]) && bytes.Equal(raw[2], f.raw[2]) {
		return nil
	}
	m, err := f.parse(raw)
	if err != nil {
		return err
	}
	if before != nil {
		m.generation = before.generation + 1
	}
	f.raw = raw
	f.now.Store(m)
	clear(f.verified)
	return nil
}

func (f *Files) parse(raw [3][]byte) (*material, error) {
	pair, err := tls.X509KeyPair(raw[0], raw[1])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", f.cfg.Cert, f.cfg.Key, err)
	}
	m := &material{cert: &pair, until: pair.Leaf.NotAfter}
	if !f.cfg.Now().Before(m.until) {
		return nil, fmt.Errorf("%s has expired on %s", f.cfg.Cert, m.until.UTC().Format(time.DateOnly))
	}
	if f.cfg.CA == "" {
		return m, nil
	}
	certs, err := parseCerts(raw[2])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.cfg.CA, err)
	}
	m.roots = x509.NewCertPool()
	for i, c := range certs {
		m.roots.AddCert(c)
		if i == 0 || c.NotAfter.Before(m.rootsUntil) {
			m.rootsUntil = c.NotAfter
		}
	}
	return m, nil
}

// Client is the configuration of somebody who calls nodes and is none: ca is a PEM file of
// whom to trust, "" = the system's authorities; cert and key, if given, are shown to nodes
// that ask.
func Client(ca, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	if (cert == "") != (key == "") {
		return nil, errors.New("tls-cert and tls-key go together")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", cert, key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if ca == "" {
		return c, nil
	}
	certs, err := readCerts(ca)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	for _, root := range certs {
		c.RootCAs.AddCert(root)
	}
	return c, nil
}

// Mutual reports whether nodes show each other certificates.
func (f *Files) Mutual() bool { return f.cfg.CA != "" }

// Expiry is when this node's certificate ends.
func (f *Files) Expiry() time.Time { return f.now.Load().until }

// Server is the configuration of a listener: TLS 1.3, with the files as they are when a
// client calls. Nothing of one connection is used for another one, so that who is no
// longer trusted is out with its next connection.
func (f *Files) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Time: f.cfg.Now,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			m := f.now.Load()
			c := &tls.Config{
				MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, Time: f.cfg.Now,
				Certificates: []tls.Certificate{*m.cert}, SessionTicketsDisabled: true,
			}
			switch {
			case f.cfg.VerifyClient:
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, m.roots
			case m.roots != nil:
				c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, m.roots
			}
			return c, nil
		},
	}
}

// Peer is the configuration with which this node calls another one. With an authority of
// the cluster it is the node's name that its certificate must have, wherever it lives;
// with the system's it is the host of its address, as everywhere. cluster is asked for
// the id of the cluster, see CheckName.
func (f *Files) Peer(name, addr string, cluster func() string) *tls.Config {
	m := f.now.Load()
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, Time: f.cfg.Now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return f.now.Load().cert, nil },
	}
	if host, _, err := net.SplitHostPort(addr); err == nil {
		c.ServerName = host
	}
	if m.roots == nil {
		return c
	}
	c.InsecureSkipVerify = true // #nosec G402 -- VerifyConnection does it: by name, not by host
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if _, err := f.verify(f.now.Load(), s.PeerCertificates, x509.ExtKeyUsageServerAuth); err != nil {
			return err
		}
		if name == "" {
			return nil
		}
		return CheckName(s.PeerCertificates[0], cluster(), name)
	}
	return c
}

// ErrCertificate is a caller that must show a certificate of a peer and does not.
var ErrCertificate = errors.New("a certificate of a peer, from this cluster's authority, is needed")

// CheckCaller says whether the caller on a connection is the node name, or with "" any
// node, by what is trusted now: nil, or ErrCertificate or ErrName. s is nil without TLS. Without an authority
// (Mutual) anybody may be anyone.
func (f *Files) CheckCaller(s *tls.ConnectionState, cluster, name string) error {
	return f.check(s, cluster, name, x509.ExtKeyUsageClientAuth)
}

// CheckCalled is the same for the node that was called.
func (f *Files) CheckCalled(s *tls.ConnectionState, cluster, name string) error {
	return f.check(s, cluster, name, x509.ExtKeyUsageServerAuth)
}

func (f *Files) check(s *tls.ConnectionState, cluster, name string, usage x509.ExtKeyUsage) error {
	if !f.Mutual() {
		return nil
	}
	if s == nil || len(s.PeerCertificates) == 0 {
		return ErrCertificate
	}
	if err := f.trusted(s.PeerCertificates, usage); err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if name == "" {
		return nil
	}
	return CheckName(s.PeerCertificates[0], cluster, name)
}

// maxVerified bounds how many certificates are remembered as good.
const maxVerified = 1024

// trusted verifies a chain that was good when its connection began, unless that was done
// since the files last changed.
func (f *Files) trusted(chain []*x509.Certificate, usage x509.ExtKeyUsage) error {
	m, now := f.now.Load(), f.cfg.Now()
	key := verifiedKey{sha256.Sum256(chain[0].Raw), usage}
	f.mu.Lock()
	v, ok := f.verified[key]
	f.mu.Unlock()
	if ok && v.generation == m.generation && now.Before(v.until) {
		return nil
	}
	until, err := f.verify(m, chain, usage)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.verified) >= maxVerified {
		clear(f.verified)
	}
	f.verified[key] = verified{m.generation, until}
	return nil
}

// verify returns until when a chain is good.
func (f *Files) verify(m *material, chain []*x509.Certificate, usage x509.ExtKeyUsage) (until time.Time, err error) {
	if len(chain) == 0 {
		return until, errors.New("no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	chains, err := chain[0].Verify(x509.VerifyOptions{Roots: m.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: f.cfg.Now()})
	if err != nil {
		return until, err
	}
	for _, c := range chains[0] {
		if until.IsZero() || c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return until, nil
}
