package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memd/memd/trust"
)

// TestDoctorOnRealTrouble makes the troubles that it is for, on three processes with TLS,
// keys and encrypted gossip, and asks until each is named for the node that has it: a
// certificate that has ended, a key that the others do not know, another gossip key, a disk
// whose fsync is slow.
func TestDoctorOnRealTrouble(t *testing.T) {
	m := testMeshOf(t, true)
	if err := m.start(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	n3 := m.nodes[2]
	base := []string{"doctor", "--json", "--server", m.nodes[0].url, "--tls-ca", m.guard.authority(), "--api-key-file", m.guard.keyFile()}
	examine := func(t *testing.T) (found []finding) {
		t.Helper()
		_, out, errOut := memd(t, nil, base...)
		var d struct{ Findings []finding }
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatalf("%q %q: %v", out, errOut, err)
		}
		for _, f := range d.Findings {
			if f.Problem == "" || f.Remedy == "" || strings.Contains(f.Problem+f.Remedy, m.guard.key) {
				t.Errorf("%+v", f)
			}
		}
		return d.Findings
	}
	is := func(check string) func(finding) bool {
		return func(f finding) bool { return f.Check == check && (f.Node == n3.name || f.About == n3.name) }
	}
	await := func(t *testing.T, what string, ok func([]finding) bool) {
		t.Helper()
		var last []finding
		for begun := time.Now(); time.Since(begun) < 40*time.Second; time.Sleep(100 * time.Millisecond) {
			if last = examine(t); ok(last) {
				return
			}
		}
		t.Fatalf("%s: %+v", what, last)
	}
	named := func(t *testing.T, check string) {
		t.Helper()
		await(t, check+" is not named", func(all []finding) bool { return slices.ContainsFunc(all, is(check)) })
	}
	healed := func(t *testing.T, checks ...string) {
		t.Helper()
		await(t, "it goes on", func(all []finding) bool {
			return !slices.ContainsFunc(all, func(f finding) bool { return slices.Contains(checks, f.Check) })
		})
	}
	troubles := []string{"key", "certificate", "gossip", "udp", "tcp", "ready", "quorum", "member"}
	healed(t, troubles...)

	// A certificate that ends: the node reads it, and then it is over.
	if _, err := trust.Issue(m.guard.dir, trust.Order{Name: n3.name, Life: 3 * time.Second}); err != nil {
		t.Fatal(err)
	}
	named(t, "certificate")
	await(t, "it does not say that it has ended", func(all []finding) bool {
		return slices.ContainsFunc(all, func(f finding) bool { return is("certificate")(f) && strings.Contains(f.Problem, "expired") })
	})
	if _, err := trust.Issue(m.guard.dir, trust.Order{Name: n3.name}); err != nil {
		t.Fatal(err)
	}
	healed(t, troubles...)

	again := func(flag, value string) (undo func()) {
		t.Helper()
		at := slices.Index(n3.args, flag) + 1
		if at == 0 {
			t.Fatalf("%s is not in %v", flag, n3.args)
		}
		old := n3.args[at]
		restart := func(value string) {
			t.Helper()
			if err := n3.current().kill(); err != nil {
				t.Fatal(err)
			}
			n3.args = slices.Clone(n3.args)
			n3.args[at] = value
			if err := m.run(n3); err != nil {
				t.Fatal(err)
			}
		}
		restart(value)
		return func() { restart(old) }
	}

	// A key that the others do not know, and that is asked for there.
	other := filepath.Join(t.TempDir(), "other.key")
	if err := os.WriteFile(other, []byte(strings.Repeat("another", 6)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	undo := again("--api-key-file", other)
	named(t, "key")
	undo()
	healed(t, troubles...)

	// A gossip key of its own: its packets are noise to the others, and theirs to it.
	undo = again("--gossip-key", base64.StdEncoding.EncodeToString(newGossipKey()))
	await(t, "nothing points to the gossip key", func(all []finding) bool {
		return slices.ContainsFunc(all, func(f finding) bool { return is("udp")(f) && strings.Contains(f.Remedy, "gossip keys") })
	})
	undo()
	healed(t, troubles...)

	t.Run("a slow disk", func(t *testing.T) {
		slowDisk(t, n3.current().pid())
		named(t, "fsync")
	})
}

// slowDisk makes every fsync of a process take 600 ms longer, until the test ends.
func slowDisk(t *testing.T, pid int) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED, a slow disk: no strace")
	}
	cmd := exec.Command(strace, "-f", "-qq", "-o", os.DevNull, "-p", strconv.Itoa(pid), "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=600000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	select {
	case err := <-ended:
		ended <- err
		t.Skipf("SKIPPED, a slow disk: strace may not look at processes here: %v", err)
	case <-time.After(500 * time.Millisecond): // it stays
	}
}
