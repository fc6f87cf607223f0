package deploy

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestNoPacketWherePeersCannotBe: seeds that are URLs are refused, and a seed, or a peer's
// advertised address, that is link-local or a cloud's metadata service is never called. An
// interface of the node's own carries all that would go there: not one packet does.
func TestNoPacketWherePeersCannotBe(t *testing.T) {
	h := newHosts(t, "n1", "n2")
	hub, n1, n2 := h.prefix+"sw", h.prefix+"n1", h.prefix+"n2"
	ip := func(args ...string) { t.Helper(); run(t, "", nil, "ip", args...) }
	in := func(ns string, args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "ip", append([]string{"netns", "exec", ns}, args...)...)
	}
	// IPv6 would introduce itself.
	ip("netns", "exec", n1, "sh", "-c", "f=/proc/sys/net/ipv6/conf/all/disable_ipv6; [ ! -e $f ] || echo 1 >$f")
	ip("-n", hub, "link", "add", "trap0", "type", "veth", "peer", "name", "trap", "netns", n1)
	ip("-n", hub, "link", "set", "trap0", "up")
	ip("-n", n1, "addr", "add", "169.254.1.1/16", "dev", "trap")
	ip("-n", n1, "link", "set", "trap", "up")
	ip("-n", n1, "route", "add", "100.100.100.200/32", "dev", "trap")
	sent := func() int {
		t.Helper()
		n, err := strconv.Atoi(strings.TrimSpace(run(t, "", nil, "ip", "netns", "exec", n1, "cat", "/sys/class/net/trap/statistics/tx_packets")))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := sent()

	for _, seed := range []string{"http://169.254.169.254/", "http://169.254.169.254:80/latest", "https://169.254.169.254", "file:///etc/passwd", "a@169.254.169.254:80"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		cmd := exec.CommandContext(ctx, "ip", "netns", "exec", n1, memd(t), "serve", "--insecure", "--data-dir", t.TempDir(),
			"--http-addr", "10.77.0.1:9077", "--gossip-addr", "10.77.0.1:7946", "--join", seed)
		out, err := cmd.CombinedOutput()
		cancel()
		if code, ok := errors.AsType[*exec.ExitError](err); !ok || code.ExitCode() != 2 {
			t.Errorf("--join %s: %v %s", seed, err, out)
		}
	}

	serve := func(ns, name, addr, join string, more ...string) {
		t.Helper()
		args := append([]string{memd(t), "serve", "--insecure", "--name", name, "--data-dir", filepath.Join(t.TempDir(), name), "--http-addr", addr + ":9077",
			"--gossip-addr", addr + ":7946", "--join", join, "--bootstrap-expect", "2", "--quorum-writes", "1"}, more...)
		start(t, in(ns, args...))
	}
	serve(n1, "n1", "10.77.0.1", "10.77.0.2:7946,169.254.169.254:7946,100.100.100.200:7946")
	serve(n2, "n2", "10.77.0.2", "10.77.0.1:7946", "--http-advertise", "169.254.169.254:80")
	ask := func(ns string, verb ...string) (string, error) {
		out, err := in(ns, append([]string{memd(t)}, verb...)...).CombinedOutput()
		return string(out), err
	}
	waitFor(t, "n1 to learn the address of n2", func() error {
		out, err := ask(n1, "members", "--json", "--server", "10.77.0.1:9077")
		if err == nil && (!strings.Contains(out, "169.254.169.254:80") || !strings.Contains(out, `"alive"`)) {
			err = fmt.Errorf("members says %s", out)
		}
		return err
	})
	time.Sleep(5 * time.Second) // pulls, pushes and seeds are tried several times meanwhile
	// The node looks at its peers when it is asked for a diagnosis; who asks is elsewhere, and
	// asks the peers itself.
	if out, err := ask(n2, "doctor", "--json", "--server", "10.77.0.1:9077"); !strings.Contains(out, `"findings"`) { // it has some, so its code is 1
		t.Errorf("doctor: %v %s", err, out)
	}
	if n := sent() - before; n > 0 {
		t.Errorf("%d packets went where no peer can be", n)
	}
	// What the trap is worth: who calls there on purpose is seen.
	_, _ = ask(n1, "health", "--server", "169.254.169.254:80")
	if sent() == before {
		t.Fatal("the trap sees nothing")
	}
}
