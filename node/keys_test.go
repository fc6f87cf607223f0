package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// keyedMesh gives every node of a mesh one file of keys, and each the peers' key.
func keyedMesh(t *testing.T, count int) (nodes []*Node, file, admin string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "keys.json")
	add := func(name string, scopes ...string) string {
		key, _, err := auth.Add(file, auth.Grant{Name: name, Scopes: scopes, Namespaces: []string{"*"}, Agents: []string{"*"}})
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	peer := add("peer", "peer")
	admin = add("admin", "admin")
	return startMeshWith(t, count, func(_ int, c *Config) {
		keys, err := auth.Open(auth.Config{File: file})
		if err != nil {
			t.Fatal(err)
		}
		c.Keys, c.PeerKey = keys, peer
		if count == 1 {
			c.Join = nil
		}
	}), file, admin
}

// TestKeyOnEveryPeerLane: with keys nodes replicate by push and by pull; what a node asks
// of another one is refused without its key, on each lane.
func TestKeyOnEveryPeerLane(t *testing.T) {
	nodes, file, admin := keyedMesh(t, 3)
	ctx := auth.With(t.Context(), nil)
	createManyAs(ctx, t, nodes[0], 20)
	waitFor(t, "equal digests", func() bool {
		return nodes[0].store.Digest() == nodes[1].store.Digest() && nodes[1].store.Digest() == nodes[2].store.Digest()
	})
	to := wire.Peer{Name: nodes[1].Name(), Addr: nodes[1].HTTPAddr()}
	lanes := func(key string) (errs []error) {
		c := wire.NewClient(wire.Self{Name: "n1", Boot: nodes[0].boot, Cluster: nodes[0].store.Cluster}, wire.ClientConfig{APIKey: func() string { return key }})
		defer c.Close()
		_, err := c.Since(t.Context(), to, wire.SinceRequest{})
		errs = append(errs, err)
		_, err = c.Since(t.Context(), to, wire.SinceRequest{Cursor: bigClock(500)}) // posted
		errs = append(errs, err)
		_, err = c.PostPush(t.Context(), to, nil)
		errs = append(errs, err)
		s, err := c.OpenPush(t.Context(), to)
		if s != nil {
			s.Close()
		}
		return append(errs, err)
	}
	refusedWith := func(key string, status int) {
		t.Helper()
		for i, err := range lanes(key) {
			var said *wire.StatusError
			if !errors.As(err, &said) || said.Status != status {
				t.Errorf("lane %d: %v, want %d", i, err, status)
			}
		}
	}
	refusedWith("", http.StatusUnauthorized)
	refusedWith("memd_000000000000_"+strings.Repeat("A", 43), http.StatusUnauthorized)
	reader, _, err := auth.Add(file, auth.Grant{Name: "reader", Scopes: []string{"read", "write"}, Namespaces: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes[1].cfg.Keys.Refresh(); err != nil {
		t.Fatal(err)
	}
	refusedWith(reader, http.StatusForbidden)
	for i, err := range lanes(nodes[0].cfg.PeerKey) {
		if err != nil {
			t.Errorf("lane %d with the peers' key: %v", i, err)
		}
	}
	if got := get(t, nodes[2], "/api/v1/stats", admin); !strings.Contains(got, `"total":20`) {
		t.Errorf("%s", got)
	}
}

// bigClock has too many origins for a URL.
func bigClock(origins int) (c clock.Clock) {
	for i := range origins {
		c.Add(clock.Dot{Origin: clock.Origin(i + 1000), Counter: 1})
	}
	return c
}

func createManyAs(ctx context.Context, t *testing.T, n *Node, count int) {
	t.Helper()
	for i := range count {
		d := draft(t, `{"title":"t`+string(rune('a'+i))+`","content":"c"}`)
		if _, err := n.Create(ctx, d, httpapi.WriteOptions{Agent: "ai:x"}); err != nil {
			t.Fatal(err)
		}
	}
}

func get(t *testing.T, n *Node, path, key string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.HTTPAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return res.Status + " " + string(b)
}

// TestRevokedWhileRunning: a key is good until it is taken out of the file, and a new one
// as soon as it is in it, without a restart.
func TestRevokedWhileRunning(t *testing.T) {
	nodes, file, admin := keyedMesh(t, 1)
	if got := get(t, nodes[0], "/api/v1/memories", admin); !strings.HasPrefix(got, "200") {
		t.Fatalf("%s", got)
	}
	next, _, err := auth.Add(file, auth.Grant{Name: "next", Scopes: []string{"admin"}, Namespaces: []string{"*"}, Agents: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth.Revoke(file, "admin"); err != nil {
		t.Fatal(err)
	}
	nodes[0].Reread()
	waitFor(t, "the new key", func() bool { return strings.HasPrefix(get(t, nodes[0], "/api/v1/memories", next), "200") })
	if got := get(t, nodes[0], "/api/v1/memories", admin); !strings.HasPrefix(got, "401") {
		t.Errorf("the old one: %s", got)
	}
}

// TestBackupNeedsAllNamespaces: a key that is kept from a namespace gets no copy of all,
// be its scope admin.
func TestBackupNeedsAllNamespaces(t *testing.T) {
	nodes, file, admin := keyedMesh(t, 1)
	for _, c := range []struct {
		grant auth.Grant
		want  string
	}{
		{auth.Grant{Name: "one", Scopes: []string{"admin"}, Namespaces: []string{"acme"}, Agents: []string{"*"}}, "403"},
		{auth.Grant{Name: "none", Scopes: []string{"admin"}}, "403"},
		{auth.Grant{Name: "timer", Scopes: []string{"admin"}, Namespaces: []string{"*"}}, "200"},
	} {
		key, _, err := auth.Add(file, c.grant)
		if err != nil {
			t.Fatal(err)
		}
		if err := nodes[0].cfg.Keys.Refresh(); err != nil {
			t.Fatal(err)
		}
		if got := get(t, nodes[0], "/api/v1/backup", key); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %.80s, want %s", c.grant.Name, got, c.want)
		}
		// Nor may it pull all of it as a peer does.
		if got := get(t, nodes[0], "/api/v1/sync/since?v=2&cursor=!", key); strings.HasPrefix(got, "403") != (c.want == "403") {
			t.Errorf("%s pulls: %.80s", c.grant.Name, got)
		}
	}
	// The last byte is here before the node has closed the one before, and it takes one at a time.
	waitFor(t, "a backup for the admin", func() bool {
		return strings.HasPrefix(get(t, nodes[0], "/api/v1/backup", admin), "200")
	})
}

// TestNobodysBehalf: where keys are needed, a road that lost its principal is refused.
func TestNobodysBehalf(t *testing.T) {
	nodes, _, _ := keyedMesh(t, 1)
	if _, err := nodes[0].List(t.Context(), memory.Filter{Limit: 1}, httpapi.ReadOptions{}); !errors.Is(err, memory.ErrForbidden) {
		t.Errorf("a read: %v", err)
	}
	if _, err := nodes[0].Create(t.Context(), draft(t, `{"title":"t","content":"c"}`), httpapi.WriteOptions{Agent: "ai:x"}); !errors.Is(err, memory.ErrForbidden) {
		t.Errorf("a write: %v", err)
	}
}

// TestAdminAddress: metrics and profiles on an address of their own, and nowhere else.
func TestAdminAddress(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	key, _, err := auth.Add(file, auth.Grant{Name: "a", Scopes: []string{"admin"}, Namespaces: []string{"*"}, Agents: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	n := startOne(t, func(c *Config) {
		c.AdminAddr = "127.0.0.1:0"
		if c.Keys, err = auth.Open(auth.Config{File: file}); err != nil {
			t.Fatal(err)
		}
	})
	for _, c := range []struct {
		addr, path string
		header     map[string]string
		want       int
	}{
		{n.AdminAddr(), "/metrics", nil, 200},
		{n.AdminAddr(), "/api/v1/metrics", nil, 200},
		{n.AdminAddr(), "/readyz", nil, 200},
		{n.AdminAddr(), "/debug/pprof/heap?debug=1", nil, 200},
		{n.AdminAddr(), "/debug/pprof/goroutine?debug=1", nil, 200},
		{n.AdminAddr(), "/debug/pprof/cmdline", nil, 401},
		{n.AdminAddr(), "/debug/pprof/cmdline", map[string]string{"X-Api-Key": key}, 404},
		{n.AdminAddr(), "/api/v1/memories", map[string]string{"X-Api-Key": key}, 404},
		{n.AdminAddr(), "/metrics", map[string]string{"Origin": "https://evil.test"}, 403},
		{n.AdminAddr(), "/metrics", map[string]string{"X-Forwarded-For": "192.0.2.1"}, 401},
		{n.AdminAddr(), "/debug/pprof/heap", map[string]string{"X-Forwarded-For": "192.0.2.1", "X-Api-Key": key}, 200},
		{n.HTTPAddr(), "/metrics", map[string]string{"X-Api-Key": key}, 404},
		{n.HTTPAddr(), "/api/v1/metrics", map[string]string{"X-Api-Key": key}, 404},
		{n.HTTPAddr(), "/debug/pprof/heap", map[string]string{"X-Api-Key": key}, 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.addr+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.header {
			req.Header.Set(k, v)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s %v: %d, want %d", c.path, c.header, res.StatusCode, c.want)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// TestOwnKeyChanges: a node shows its peers another key as soon as the file says so, but none
// that it would refuse itself; and an open push stream ends with the key that it began with.
func TestOwnKeyChanges(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "keys.json")
	add := func(scope string) (key, id string) {
		t.Helper()
		key, made, err := auth.Add(file, auth.Grant{Name: "peer", Scopes: []string{scope}})
		if err != nil {
			t.Fatal(err)
		}
		return key, made.ID
	}
	old, oldID := add("peer")
	own := func(i int) string { return filepath.Join(dir, fmt.Sprintf("peer%d.key", i)) }
	give := func(i int, key string) {
		t.Helper()
		if err := os.WriteFile(own(i), []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	nodes := startMeshWith(t, 2, func(i int, c *Config) {
		keys, err := auth.Open(auth.Config{File: file})
		if err != nil {
			t.Fatal(err)
		}
		give(i, old)
		c.Keys, c.PeerKey, c.PeerKeyFile = keys, old, own(i)
	})
	reread := func() (errs []error) {
		for _, n := range nodes {
			errs = append(errs, n.reload())
		}
		return errs
	}
	reader, _ := add("read")
	for name, key := range map[string]string{"nobody's": "memd_000000000000_" + strings.Repeat("A", 43), "of another scope": reader, "no key at all": "a b"} {
		give(0, key)
		if errs := reread(); errs[0] == nil || nodes[0].own.shown() != old || strings.Contains(errs[0].Error(), key) {
			t.Errorf("%s: %v", name, errs[0])
		}
	}
	next, _ := add("peer")
	if err := os.Remove(own(0)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(reread()...); err != nil || nodes[0].own.shown() != old {
		t.Errorf("the file is gone: %v", err)
	}
	give(0, next)
	give(1, next)
	if err := errors.Join(reread()...); err != nil || nodes[0].own.shown() != next || nodes[1].own.shown() != next {
		t.Fatalf("%v", err)
	}

	stale := wire.NewClient(wire.Self{Name: "n9", Boot: 9, Cluster: nodes[0].store.Cluster}, wire.ClientConfig{APIKey: func() string { return old }})
	defer stale.Close()
	to := wire.Peer{Name: nodes[0].Name(), Addr: nodes[0].HTTPAddr()}
	s, err := stale.OpenPush(t.Context(), to)
	if err != nil {
		t.Fatal("the old key is refused too early:", err)
	}
	defer s.Close()
	nudge := wire.Nudge{ClockHash: nodes[0].store.ClockHash()}
	if err := s.SendNudge(nudge); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.Revoke(file, oldID); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(reread()...); err != nil {
		t.Fatal(err)
	}
	if err := s.SendNudge(nudge); err != nil {
		t.Fatal(err)
	}
	for { // the greeting comes first
		if _, err := s.Recv(); err != nil {
			break
		}
	}
	if _, err := stale.OpenPush(t.Context(), to); err == nil {
		t.Error("the old key is let in")
	}
	ctx := auth.With(t.Context(), nil)
	createManyAs(ctx, t, nodes[0], 5)
	waitFor(t, "equal digests with the new key", func() bool { return nodes[0].store.Digest() == nodes[1].store.Digest() })
}
