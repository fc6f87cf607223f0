package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memd/memd/cluster"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

func testKey(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// TestGossipKeyRotation: under writes, a running mesh gets another gossip key; no write
// fails, nobody is lost, and who has the old key only is out.
func TestGossipKeyRotation(t *testing.T) {
	dir := authority(t, "n1", "n2", "n3", "n4")
	old, next := testKey(1), testKey(2)
	nodes := startMeshWith(t, 3, func(_ int, c *Config) { secured(dir, c.Name)(c); c.GossipKeys = [][]byte{old} })
	load := startLoad(t, dir, nodes, 200)
	load.more(t, 40)
	ctx := context.Background()
	for _, c := range []struct {
		what    string
		change  wire.KeyChange
		refused string
	}{
		{"use too early", wire.KeyChange{Op: wire.KeyUse, ID: cluster.KeyID(next)}, "install it first"},
		{"remove too early", wire.KeyChange{Op: wire.KeyRemove, ID: cluster.KeyID(old)}, "use another one first"},
		{"install", wire.KeyChange{Op: wire.KeyInstall, Key: next}, ""},
		{"install again", wire.KeyChange{Op: wire.KeyInstall, Key: next}, ""},
		{"use", wire.KeyChange{Op: wire.KeyUse, ID: cluster.KeyID(next)}, ""},
		{"remove", wire.KeyChange{Op: wire.KeyRemove, ID: cluster.KeyID(old)}, ""},
	} {
		s, err := nodes[1].Keyring(ctx, c.change, false)
		if c.refused != "" {
			if !errors.Is(err, memory.ErrConflict) || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		if err != nil || s.Members != 3 || len(s.Unreachable) > 0 {
			t.Fatalf("%s: %+v, %v", c.what, s, err)
		}
		load.more(t, 40)
	}
	t.Logf("%d writes", load.stop(t))
	s, err := nodes[0].Keyring(ctx, wire.KeyChange{Op: wire.KeyList}, false)
	if err != nil || len(s.Keys) != 1 || s.Keys[0].ID != cluster.KeyID(next) || len(s.Keys[0].UsedBy) != 3 || len(s.Keys[0].HeldBy) != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, n := range nodes {
		for _, m := range n.gossip.Members() {
			if m.State != cluster.StateAlive {
				t.Errorf("%s sees %s %s", n.Name(), m.Name, m.State)
			}
		}
		info, err := os.Stat(filepath.Join(n.cfg.DataDir, keyringFile))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file of %s: %v, %v", n.Name(), info, err)
		}
	}
	join := func(key []byte) *Node {
		n, err := New(Config{Name: "n4", DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: freeAddr(t), Join: []string{nodes[0].GossipAddr()},
			BootstrapExpect: 3, GossipKeys: [][]byte{key}, Version: "test",
			TLSCert: filepath.Join(dir, "n4.crt"), TLSKey: filepath.Join(dir, "n4.key"), TLSCA: filepath.Join(dir, "ca.crt")})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	run := func(n *Node) (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	late := join(old)
	stop := run(late)
	waitFor(t, "a failed join", func() bool { return metric(t, late, "memd_cluster_joins_total", "failed") > 0 })
	if len(late.gossip.Members()) != 1 || !late.store.Cluster().IsZero() {
		t.Errorf("the old key shows %d members", len(late.gossip.Members()))
	}
	stop()
	late = join(next)
	defer run(late)()
	waitFor(t, "a join with the new key", func() bool { ok, _ := late.Ready(); return ok })
}

// TestKeyringUnreachable: what would cut a member off is not begun without it, unless it
// must be.
func TestKeyringUnreachable(t *testing.T) {
	dir := authority(t, "n1", "n2")
	old, next := testKey(1), testKey(2)
	gossip := []string{freeAddr(t), freeAddr(t)}
	var stops [2]func()
	var nodes [2]*Node
	for i, name := range []string{"n1", "n2"} {
		cfg := Config{Name: name, DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: gossip[i], Join: gossip, BootstrapExpect: 2, GossipKeys: [][]byte{old}, Version: "test"}
		secured(dir, name)(&cfg)
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		nodes[i] = n
		stops[i] = func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	defer stops[0]()
	waitFor(t, "a mesh", func() bool {
		a, _ := nodes[0].Ready()
		b, _ := nodes[1].Ready()
		return a && b
	})
	stops[1]()
	ctx := context.Background()
	install := wire.KeyChange{Op: wire.KeyInstall, Key: next}
	if _, err := nodes[0].Keyring(ctx, install, false); !errors.Is(err, memory.ErrUnavailable) || !strings.Contains(err.Error(), "n2") {
		t.Errorf("without n2: %v", err)
	}
	if keys := nodes[0].gossip.Keys(); len(keys) != 1 {
		t.Errorf("it was begun: %d keys", len(keys))
	}
	s, err := nodes[0].Keyring(ctx, install, true)
	if err != nil || len(s.Unreachable) != 1 || len(s.Keys) != 2 {
		t.Errorf("by force: %+v, %v", s, err)
	}
}

// TestKeyringFile: changes outlive a restart until the configuration says something else.
func TestKeyringFile(t *testing.T) {
	dir := t.TempDir()
	a, b, c := testKey(1), testKey(2), testKey(3)
	open := func(configured ...[]byte) (*keyring, [][]byte) {
		t.Helper()
		k, keys, err := openKeyring(dir, configured)
		if err != nil {
			t.Fatal(err)
		}
		return k, keys
	}
	is := func(what string, keys [][]byte, want ...[]byte) {
		t.Helper()
		if !bytes.Equal(bytes.Join(keys, nil), bytes.Join(want, nil)) {
			t.Errorf("%s: %d keys", what, len(keys))
		}
	}
	k, keys := open(a)
	is("at first", keys, a)
	if err := k.save([][]byte{b}); err != nil {
		t.Fatal(err)
	}
	_, keys = open(a)
	is("restarted", keys, b)
	_, keys = open(c, a)
	is("configured anew", keys, c, a)
	_, keys = open()
	is("without keys", keys)
	if _, _, err := openKeyring(dir, [][]byte{[]byte("short")}); !errors.Is(err, ErrConfig) {
		t.Errorf("a short key: %v", err)
	}
	var content map[string]any
	raw, err := os.ReadFile(filepath.Join(dir, keyringFile))
	if err != nil || json.Unmarshal(raw, &content) != nil || len(content) != 2 {
		t.Errorf("%s, %v", raw, err)
	}
	if err := os.WriteFile(filepath.Join(dir, keyringFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openKeyring(dir, [][]byte{a}); !errors.Is(err, ErrConfig) {
		t.Errorf("a broken file: %v", err)
	}
}
