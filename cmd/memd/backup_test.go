package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memd/memd/client"
	"github.com/memd/memd/node"
)

// running is a node in this process.
type running struct {
	node *node.Node
	dir  string
	stop func() // once; the test does it otherwise
}

func startNode(t *testing.T, change func(*node.Config)) *running {
	t.Helper()
	cfg := node.Config{Name: "n1", DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1:0", Version: "test"}
	change(&cfg)
	n, err := node.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &running{n, cfg.DataDir, stop}
}

func awaitReady(t *testing.T, n *node.Node) {
	t.Helper()
	c, err := client.New(client.Config{Servers: []string{n.HTTPAddr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for deadline := time.Now().Add(20 * time.Second); c.Ready(t.Context()) != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(c.Ready(t.Context()))
		}
	}
}

// runNode runs a node until the test ends.
func runNode(t *testing.T, change func(*node.Config)) *node.Node {
	t.Helper()
	r := startNode(t, change)
	awaitReady(t, r.node)
	return r.node
}

// TestBackupCommands takes a node's memories to another one by a file.
func TestBackupCommands(t *testing.T) {
	n := runNode(t, func(*node.Config) {})
	dir := t.TempDir()
	file, store := filepath.Join(dir, "memd.backup"), filepath.Join(dir, "store")
	step := func(code int, says string, args ...string) {
		t.Helper()
		got, out, errOut := memd(t, nil, args...)
		if got != code || !strings.Contains(out+errOut, says) {
			t.Fatalf("memd %s: exit code %d, %s%s; want %d and %q", strings.Join(args, " "), got, out, errOut, code, says)
		}
	}
	step(0, "", "store", "Deploy day", "--content", "Tuesday", "--server", n.HTTPAddr())
	step(0, "bytes of n1, taken at", "backup", file, "--server", n.HTTPAddr())
	step(1, "exists", "backup", file, "--server", n.HTTPAddr())
	step(0, `"node":"n1"`, "backup", file, "--server", n.HTTPAddr(), "--force", "--json")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if _, err := os.Stat(file + ".part"); !os.IsNotExist(err) {
		t.Error("something is left: ", err)
	}
	step(0, "sha256", "restore", file, "--data-dir", store)
	step(1, "not empty", "restore", file, "--data-dir", store)
	step(0, "0 findings", "verify", "--data-dir", store)
	step(0, "MiB, before", "compact", "--data-dir", store)
	step(0, `"after":`, "compact", "--data-dir", store, "--json")
	step(1, "open in another process", "compact", "--data-dir", n.DataDir())
	step(1, "connection refused", "backup", filepath.Join(dir, "none"), "--server", "127.0.0.1:1")
	step(1, "not a sound backup", "restore", filepath.Join(store, "memd.db"), "--data-dir", filepath.Join(dir, "other"))

	second := runNode(t, func(c *node.Config) { c.DataDir = store })
	step(0, "Tuesday", "list", "--server", second.HTTPAddr(), "--json")
}
