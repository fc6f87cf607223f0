package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/client"
)

// TestGuardedMesh is `memd dev --tls` and what is done to such a mesh from the command
// line: strangers are kept out, certificates are renewed, gossip keys rotated.
func TestGuardedMesh(t *testing.T) {
	m := testMeshOf(t, true)
	if err := m.start(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	n1 := m.nodes[0]
	ask := []string{"--server", n1.url, "--tls-ca", m.guard.authority(), "--api-key-file", m.guard.keyFile()}
	do := func(code int, says string, args ...string) string {
		t.Helper()
		got, stdout, stderr := memd(t, nil, args...)
		if got != code || !strings.Contains(stdout+stderr, says) {
			t.Errorf("memd %s: exit code %d, %s%s", strings.Join(args, " "), got, stdout, stderr)
		}
		if strings.Contains(stderr, m.guard.key) || strings.Contains(stderr, m.guard.gossip) {
			t.Errorf("memd %s says a secret", strings.Join(args, " "))
		}
		return stdout
	}
	with := func(args ...string) []string { return append(args, ask...) }
	do(0, "n3", with("members")...)
	do(0, "", with("store", "guarded", "--content", "kept in")...)
	do(1, "API key", "members", "--server", n1.url, "--tls-ca", m.guard.authority())
	do(1, "certificate", "members", "--server", n1.url)
	do(2, "https://", "members", "--server", strings.TrimPrefix(n1.url, "https://"))

	// A client that shows the certificate of a node is nobody's peer without its key, and
	// is let in with it.
	do(0, "until", "ca", "issue", "alice", "--client", "--dir", m.guard.dir)
	base := filepath.Join(m.guard.dir, "alice")
	do(0, "n3", with("members", "--tls-cert", base+".crt", "--tls-key", base+".key")...)

	before := do(0, "n1 n2 n3", with("keyring", "list")...)
	after := do(0, "new key", with("keyring", "rotate")...)
	id := regexp.MustCompile(`[0-9a-f]{16}`)
	if old := id.FindString(before); old == "" || strings.Contains(after, old) {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	do(1, "lack that key", with("keyring", "use", "0000000000000000")...)

	// Renewed, and read again without a restart.
	serial := func() string {
		b, err := os.ReadFile(filepath.Join(m.guard.dir, "n1.crt"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	was := serial()
	do(0, "n1.crt", "ca", "issue", "n1", "--dir", m.guard.dir)
	if serial() == was {
		t.Error("the certificate is the old one")
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(logTail(n1.log), "certificates were read again"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not read")
		}
	}
	do(0, "n3", with("members")...)
	var status *client.ClusterStatus
	status, err := n1.ask(t.Context())
	if err != nil || status.Quorum.Reachable != 3 {
		t.Errorf("%+v, %v", status, err)
	}
	for _, n := range m.nodes {
		if b, err := os.ReadFile(n.log); err != nil || strings.Contains(string(b), m.guard.key) || strings.Contains(string(b), m.guard.gossip) {
			t.Errorf("the log of %s holds a secret, %v", n.name, err)
		}
	}
}
