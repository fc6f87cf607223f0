package trust

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// load reads the files of name in an authority's folder.
func load(t *testing.T, dir, name string, change ...func(*Config)) *Files {
	t.Helper()
	cfg := Config{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key"), CA: filepath.Join(dir, AuthorityCert)}
	for _, c := range change {
		c(&cfg)
	}
	f, err := Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// talk lets one side call the other over a connection and returns what each side found.
func talk(t *testing.T, server, client *tls.Config) (called, calling error, states [2]tls.ConnectionState) { //nolint:revive,staticcheck // the errors are what is looked at
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		s := tls.Server(c, server)
		err = s.Handshake()
		states[0] = s.ConnectionState()
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		done <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	s := tls.Client(c, client)
	calling = s.Handshake()
	states[1] = s.ConnectionState()
	if calling == nil { // the server's judgement comes with its first byte
		_, calling = s.Read(make([]byte, 1))
	}
	_ = c.Close()
	return <-done, calling, states
}

func none() string { return "" }

func TestPeers(t *testing.T) {
	dir, foreign := newAuthority(t), newAuthority(t)
	for _, name := range []string{"n1", "n2"} {
		issue(t, dir, Order{Name: name})
		issue(t, foreign, Order{Name: name})
	}
	issue(t, dir, Order{Name: "alice", Client: true})
	n1, n2 := load(t, dir, "n1"), load(t, dir, "n2")
	const anywhere = "10.9.9.9:1" // not in the certificate: peers look at names
	if called, calling, states := talk(t, n1.Server(), n2.Peer("n1", anywhere, none)); called != nil || calling != nil {
		t.Errorf("two nodes: %v, %v", called, calling)
	} else {
		if err := n1.CheckCaller(&states[0], "", "n2"); err != nil {
			t.Error(err)
		}
		if err := n1.CheckCaller(&states[0], "", "n3"); !errors.Is(err, ErrName) {
			t.Errorf("n2 as n3: %v", err)
		}
		if err := n1.CheckCaller(&states[0], "", ""); err != nil {
			t.Error(err)
		}
		if err := n2.CheckCalled(&states[1], "", "n1"); err != nil {
			t.Error(err)
		}
		if v := states[0].Version; v != tls.VersionTLS13 {
			t.Errorf("version %x", v)
		}
	}
	if _, calling, _ := talk(t, n1.Server(), n2.Peer("n3", anywhere, none)); !errors.Is(calling, ErrName) {
		t.Errorf("n1 called as n3: %v", calling)
	}
	stranger := load(t, foreign, "n2")
	if _, calling, _ := talk(t, n1.Server(), stranger.Peer("n1", anywhere, none)); calling == nil {
		t.Error("a foreign authority's n2 trusts n1")
	}
	trusting := stranger.Peer("", anywhere, none)
	trusting.VerifyConnection = nil
	if called, _, _ := talk(t, n1.Server(), trusting); called == nil || !strings.Contains(called.Error(), "unknown authority") {
		t.Errorf("a foreign n2 is let in: %v", called)
	}
	plain, err := Client(filepath.Join(dir, AuthorityCert), "", "")
	if err != nil {
		t.Fatal(err)
	}
	plain.ServerName = "localhost"
	if called, calling, states := talk(t, n1.Server(), plain); called != nil || calling != nil {
		t.Errorf("a client without a certificate: %v, %v", called, calling)
	} else if err := n1.CheckCaller(&states[0], "", ""); !errors.Is(err, ErrCertificate) {
		t.Errorf("it is taken for a peer: %v", err)
	}
	if err := n1.CheckCaller(nil, "", ""); !errors.Is(err, ErrCertificate) {
		t.Errorf("no TLS is taken for a peer: %v", err)
	}
	strict := load(t, dir, "n1", func(c *Config) { c.VerifyClient = true })
	if called, _, _ := talk(t, strict.Server(), plain); called == nil {
		t.Error("tls-verify-client lets a client without a certificate in")
	}
	shown, err := Client(filepath.Join(dir, AuthorityCert), filepath.Join(dir, "alice.crt"), filepath.Join(dir, "alice.key"))
	if err != nil {
		t.Fatal(err)
	}
	shown.ServerName = "localhost"
	if called, calling, states := talk(t, strict.Server(), shown); called != nil || calling != nil {
		t.Errorf("a client with a certificate: %v, %v", called, calling)
	} else if err := strict.CheckCaller(&states[0], "", "alice"); !errors.Is(err, ErrName) {
		t.Errorf("a client is taken for a node: %v", err)
	}
	old := shown.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if called, _, _ := talk(t, n1.Server(), old); called == nil {
		t.Error("TLS 1.2 is spoken")
	}
}

// TestExpired: a certificate that ends is refused by both sides.
func TestExpired(t *testing.T) {
	dir := newAuthority(t)
	issue(t, dir, Order{Name: "n1"})
	issue(t, dir, Order{Name: "n2", Life: time.Hour})
	var later time.Duration
	at := func(c *Config) { c.Now = func() time.Time { return time.Now().Add(later) } }
	n1, n2 := load(t, dir, "n1", at), load(t, dir, "n2", at)
	called, calling, states := talk(t, n1.Server(), n2.Peer("n1", "", none))
	if called != nil || calling != nil {
		t.Fatal(called, calling)
	}
	if err := n1.CheckCaller(&states[0], "", "n2"); err != nil {
		t.Fatal(err)
	}
	later = time.Hour
	if err := n1.CheckCaller(&states[0], "", "n2"); !errors.Is(err, ErrCertificate) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("on the connection that stands: %v", err)
	}
	if called, _, _ := talk(t, n1.Server(), n2.Peer("n1", "", none)); called == nil || !strings.Contains(called.Error(), "expired") {
		t.Errorf("calling: %v", called)
	}
	if _, calling, _ := talk(t, n2.Server(), n1.Peer("n2", "", none)); calling == nil || !strings.Contains(calling.Error(), "expired") {
		t.Errorf("called: %v", calling)
	}
	if _, err := Load(n2.cfg); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a node begins with it: %v", err)
	}
}

func TestReload(t *testing.T) {
	dir := newAuthority(t)
	issue(t, dir, Order{Name: "n1"})
	issue(t, dir, Order{Name: "n2"})
	reg := prometheus.NewPedanticRegistry()
	n1, n2 := load(t, dir, "n1", func(c *Config) { c.Registerer = reg }), load(t, dir, "n2")
	if changed, err := n1.Reload(); changed || err != nil {
		t.Errorf("nothing has changed: %t, %v", changed, err)
	}
	_, _, states := talk(t, n1.Server(), n2.Peer("n1", "", none))
	serial := func() string {
		_, _, s := talk(t, n1.Server(), n2.Peer("n1", "", none))
		return s[1].PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	issue(t, dir, Order{Name: "n1"})
	if changed, err := n1.Reload(); !changed || err != nil {
		t.Fatalf("%t, %v", changed, err)
	}
	if serial() == before {
		t.Error("the old certificate is still shown")
	}
	// A key that does not fit: what was there stays.
	key, err := os.ReadFile(n1.cfg.Key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(n2.cfg.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n1.cfg.Key, other, 0o600); err != nil {
		t.Fatal(err)
	}
	now := serial()
	if changed, err := n1.Reload(); changed || err == nil {
		t.Errorf("a key that does not fit: %t, %v", changed, err)
	}
	if serial() != now {
		t.Error("another certificate is shown after a failed reload")
	}
	if err := os.WriteFile(n1.cfg.Key, key, 0o600); err != nil {
		t.Fatal(err)
	}
	// Who is no longer trusted is out, on the connection that stands, too.
	if err := RenewAuthority(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := n1.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := n1.CheckCaller(&states[0], "", "n2"); err != nil {
		t.Errorf("old and new are trusted: %v", err)
	}
	if _, err := RetireAuthority(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := n1.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := n1.CheckCaller(&states[0], "", "n2"); !errors.Is(err, ErrCertificate) {
		t.Errorf("an authority that was retired: %v", err)
	}
	if called, _, _ := talk(t, n1.Server(), n2.Peer("", "", none)); called == nil {
		t.Error("what a retired authority issued is let in")
	}
	got, err := reg.Gather()
	if err != nil || len(got) != 2 {
		t.Errorf("%d families, %v", len(got), err)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := newAuthority(t)
	issue(t, dir, Order{Name: "n1"})
	issue(t, dir, Order{Name: "n2"})
	at := func(s string) string { return filepath.Join(dir, s) }
	for _, c := range []struct {
		cfg  Config
		says string
	}{
		{Config{Cert: at("none.crt"), Key: at("n1.key")}, "none.crt"},
		{Config{Cert: at("n1.crt"), Key: at("n2.key")}, "n2.key"},
		{Config{Cert: at("n1.crt"), Key: at("n1.key"), CA: at("n1.key")}, "no certificate"},
		{Config{Cert: at("n1.crt"), Key: at("n1.key"), VerifyClient: true}, "tls-ca"},
	} {
		if _, err := Load(c.cfg); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
	if _, err := Client("", at("n1.crt"), ""); err == nil {
		t.Error("a certificate without a key")
	}
}
