package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// freeAddr is a loopback address that nobody listens on now, and that nobody is given by
// chance before the node takes it: what others bind or dial from is 127.0.0.1.
func freeAddr(t testing.TB) string {
	t.Helper()
	own := fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	l, err := net.Listen("tcp", own)
	if err != nil { // not every system has all of 127.0.0.0/8
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startMesh runs nodes on loopback sockets until the test ends.
func startMesh(t testing.TB, count int) []*Node {
	t.Helper()
	return startMeshWith(t, count, func(int, *Config) {})
}

// startMeshWith lets change say what is special about a node's configuration.
func startMeshWith(t testing.TB, count int, change func(i int, c *Config)) []*Node {
	t.Helper()
	var gossip []string
	for range count {
		gossip = append(gossip, freeAddr(t))
	}
	var nodes []*Node
	for i := range count {
		log := slog.New(slog.DiscardHandler)
		if os.Getenv("MEMD_TEST_LOG") != "" {
			log = slog.New(slog.NewTextHandler(os.Stderr, nil))
		}
		cfg := Config{
			Name: fmt.Sprintf("n%d", i+1), DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: gossip[i],
			Join: gossip, BootstrapExpect: count, CatchupInterval: 30 * time.Second, Version: "test", Log: log,
		}
		change(i, &cfg)
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("%s: %v", n.Name(), err)
				}
			case <-time.After(20 * time.Second):
				t.Errorf("%s did not stop", n.Name())
			}
		})
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		waitFor(t, n.Name()+" ready", func() bool { ok, _ := n.Ready(); return ok })
	}
	return nodes
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func call(t testing.TB, n *Node, method, path string, body any) (int, map[string]any) {
	t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, "http://"+n.HTTPAddr()+path, r)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	raw, _ := io.ReadAll(resp.Body)
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%s %s: %d %q", method, path, resp.StatusCode, raw)
	}
	return resp.StatusCode, out
}

func TestWriteHereReadThere(t *testing.T) {
	nodes := startMesh(t, 3)
	code, created := call(t, nodes[0], "POST", "/api/v1/memories", map[string]any{"title": "Deploy day", "content": "We ship on Tuesdays"})
	if code != 201 {
		t.Fatalf("create: %d %v", code, created)
	}
	for _, n := range nodes {
		code, got := call(t, n, "GET", fmt.Sprintf("/api/v1/memories/%v?after=%v", created["id"], created["token"]), nil)
		if code != 200 {
			t.Fatalf("%s: get: %d %v", n.Name(), code, got)
		}
	}
	waitFor(t, "equal digests", func() bool {
		return nodes[0].store.Digest() == nodes[1].store.Digest() && nodes[1].store.Digest() == nodes[2].store.Digest()
	})
}
