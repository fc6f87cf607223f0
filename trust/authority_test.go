package trust

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/memory"
)

func newAuthority(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	if err := InitAuthority(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func issue(t *testing.T, dir string, o Order) *x509.Certificate {
	t.Helper()
	c, err := Issue(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAuthority(t *testing.T) {
	dir := newAuthority(t)
	if err := InitAuthority(dir); !errors.Is(err, ErrExists) {
		t.Errorf("a second authority: %v", err)
	}
	node := issue(t, dir, Order{Name: "n1", Hosts: []string{"n1.example.org", "10.0.0.1"}})
	client := issue(t, dir, Order{Name: "alice", Client: true, Life: time.Hour})
	for path, mode := range map[string]os.FileMode{".": 0o700, "ca.key": 0o600, "n1.key": 0o600, "alice.key": 0o600, "ca.crt": 0o644, "n1.crt": 0o644} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, host := range []string{"n1.example.org", "10.0.0.1", "localhost", "127.0.0.1", "::1"} {
		if err := node.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if life := time.Until(node.NotAfter); life > DefaultLife || life < DefaultLife-time.Minute {
		t.Errorf("a certificate is good for %s", life)
	}
	if slices.Contains(client.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || len(client.URIs)+len(client.DNSNames)+len(client.IPAddresses) > 0 {
		t.Errorf("a client's certificate is good for more: %v %v", client.ExtKeyUsage, client.URIs)
	}
	for _, name := range []string{"", "../n1", "a b", "ca"} {
		var field *memory.FieldError
		if _, err := Issue(dir, Order{Name: name}); !errors.As(err, &field) {
			t.Errorf("a certificate for %q: %v", name, err)
		}
	}
}

func TestCheckName(t *testing.T) {
	dir := newAuthority(t)
	n1 := issue(t, dir, Order{Name: "n1"})
	bound := *n1
	u := *n1.URIs[0]
	u.Host = "0123"
	bound.URIs = append(bound.URIs[:0:0], &u)
	byDNS := *n1
	byDNS.URIs, byDNS.DNSNames = nil, []string{"n1"}
	for _, c := range []struct {
		what          string
		cert          *x509.Certificate
		cluster, name string
		ok            bool
	}{
		{"its name", n1, "0123", "n1", true},
		{"before there is a cluster", n1, "", "n1", true},
		{"another name", n1, "0123", "n2", false},
		{"a longer name", n1, "0123", "n11", false},
		{"a DNS name beside the URI", n1, "0123", "localhost", false},
		{"bound to the cluster", &bound, "0123", "n1", true},
		{"bound to another one", &bound, "4567", "n1", false},
		{"bound, and no cluster yet", &bound, "", "n1", false},
		{"without a URI", &byDNS, "0123", "n1", true},
		{"without a URI, another name", &byDNS, "0123", "n2", false},
		{"a client", issue(t, dir, Order{Name: "n3", Client: true}), "0123", "n3", false},
	} {
		err := CheckName(c.cert, c.cluster, c.name)
		if (err == nil) != c.ok || err != nil && (!errors.Is(err, ErrName) || !strings.Contains(err.Error(), c.name)) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// TestRenewAuthority: between renewal and retirement what either key issued is good.
func TestRenewAuthority(t *testing.T) {
	dir := newAuthority(t)
	before := issue(t, dir, Order{Name: "n1"})
	if err := RenewAuthority(dir); err != nil {
		t.Fatal(err)
	}
	after := issue(t, dir, Order{Name: "n1"})
	good := func(c *x509.Certificate) bool {
		all, err := readCerts(filepath.Join(dir, AuthorityCert))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		for _, r := range all {
			roots.AddCert(r)
		}
		_, err = c.Verify(x509.VerifyOptions{Roots: roots})
		return err == nil
	}
	if !good(before) || !good(after) {
		t.Errorf("after the renewal: old %t, new %t", good(before), good(after))
	}
	if dropped, err := RetireAuthority(dir); err != nil || dropped != 1 {
		t.Errorf("%d dropped, %v", dropped, err)
	}
	if good(before) || !good(after) {
		t.Errorf("after the retirement: old %t, new %t", good(before), good(after))
	}
	// Whoever keeps the key elsewhere must not get another authority instead.
	elsewhere := newAuthority(t)
	if err := os.Remove(filepath.Join(elsewhere, AuthorityKey)); err != nil {
		t.Fatal(err)
	}
	if err := InitAuthority(elsewhere); !errors.Is(err, ErrExists) {
		t.Errorf("an authority in the place of one whose key is kept elsewhere: %v", err)
	}
	// A renewal that was cut short between its two files.
	other := newAuthority(t)
	key, err := os.ReadFile(filepath.Join(other, AuthorityKey))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, AuthorityKey), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Issue(dir, Order{Name: "n1"}); err == nil || !strings.Contains(err.Error(), "renew") {
		t.Errorf("issued with a key of no certificate: %v", err)
	}
}
