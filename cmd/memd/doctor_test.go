package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/memd/memd/client"
	"github.com/memd/memd/node"
)

// freePort is a loopback address that nobody listens on now, nor is given by chance before
// the node takes it: what others bind or dial from is 127.0.0.1.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))
	if err != nil { // not every system has all of 127.0.0.0/8
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestDoctor asks a mesh of two, of which one is then gone, and looks at a lost store.
func TestDoctorCommand(t *testing.T) {
	gossip := freePort(t)
	pair := func(name string) func(*node.Config) {
		return func(c *node.Config) {
			c.Name, c.QuorumWrites, c.Join = name, 1, []string{gossip}
			if c.BootstrapExpect = 2; name == "n1" {
				c.GossipAddr = gossip
			}
			if err := os.Chmod(c.DataDir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := startNode(t, pair("n1"))
	second := startNode(t, pair("n2"))
	awaitReady(t, first.node)
	awaitReady(t, second.node)

	diagnosis := func(wantCode int, args ...string) (found []finding, asked int) {
		t.Helper()
		code, out, errOut := memd(t, nil, append([]string{"doctor", "--json", "--server", first.node.HTTPAddr()}, args...)...)
		var d struct {
			Nodes    int
			Findings []finding
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatalf("%d %q %q: %v", code, out, errOut, err)
		}
		for _, f := range d.Findings {
			if f.Check == "disk" || f.Check == "fsync" { // of this machine
				wantCode = code
				continue
			}
			found = append(found, f)
		}
		if code != wantCode {
			t.Errorf("exit code %d with %+v, want %d", code, found, wantCode)
		}
		return found, d.Nodes
	}
	if found, asked := diagnosis(0); len(found) != 0 || asked != 2 {
		t.Errorf("%d nodes say %+v", asked, found)
	}

	second.stop()
	found, asked := diagnosis(1)
	named := false
	for _, f := range found {
		named = named || f.Check == "tcp" && f.About == "n2" && f.Severity == "error" && f.Remedy != ""
	}
	if !named || asked != 1 {
		t.Errorf("%d nodes say %+v", asked, found)
	}

	if err := os.Remove(second.dir + "/memd.db"); err != nil {
		t.Fatal(err)
	}
	_, out, _ := memd(t, nil, "doctor", "--server", first.node.HTTPAddr(), "--data-dir", second.dir)
	for _, want := range []string{"error store: memd.db is gone", "    restore a backup", "error tcp: n1 about n2: no connection to its HTTP", "1 node asked"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code, _, errOut := memd(t, nil, "doctor", "--server", "127.0.0.1:1"); code != 1 || !strings.Contains(errOut, "connection refused") {
		t.Errorf("%d %s", code, errOut)
	}
}

// Why a node gave no answer is told apart: each has another remedy.
func TestDoctorNamesWhatKeepsItOut(t *testing.T) {
	for text, c := range map[string]struct {
		err   error
		check string
	}{
		"refused":   {errors.New("dial tcp: connect: connection refused"), "tcp"},
		"key":       {fmt.Errorf("401: %w", client.ErrForbidden), "key"},
		"expired":   {errors.New("tls: failed to verify certificate: x509: certificate has expired or is not yet valid"), "certificate"},
		"authority": {errors.New("tls: failed to verify certificate: x509: certificate signed by unknown authority"), "certificate"},
		"plain":     {errors.New("http: server gave HTTP response to HTTPS client"), "certificate"},
	} {
		if f := unreachable("n1", "n2", "h:1", c.err); f.Check != c.check || f.Remedy == "" || f.About != "n2" {
			t.Errorf("%s: %+v", text, f)
		}
	}
	m := examined{statuses: []*client.ClusterStatus{{Name: "n1", ClockHash: "a", Digest: "x"}, {Name: "n2", ClockHash: "a", Digest: "y"}, {Name: "n3", ClockHash: "b", Digest: "z"}}}
	if found := m.compare(); len(found) != 1 || found[0].Check != "content" || found[0].About != "n2, n1" {
		t.Errorf("%+v", found)
	}
}
