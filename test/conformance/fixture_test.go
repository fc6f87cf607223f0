//go:build conformance

package conformance

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/node"
	"github.com/memd/memd/wire"
)

// TestFixture: a server of the tools that the suite calls, mounted in the HTTP door of a
// node as memd's own tools are, has no scored failure. What fails here would fail in the
// door, or in the SDK, for every tool.
func TestFixture(t *testing.T) {
	s := need(t)
	t.Run("stateless "+modern, func(t *testing.T) {
		s.require(t, door(t, true), modern, "")
	})
	// Four scenarios of the older era have the server ask the client something in the
	// middle of a call, which a stateless server cannot.
	t.Run("stateless "+legacy, func(t *testing.T) {
		s.require(t, door(t, true), legacy, "expected-fixture-stateless-"+legacy+".yml")
	})
	t.Run("stateful "+legacy, func(t *testing.T) {
		s.require(t, door(t, false), legacy, "")
	})
}

// door serves the fixture behind the door of a running node and returns its URL.
func door(t *testing.T, stateless bool) string {
	t.Helper()
	n, err := node.New(node.Config{Name: "n1", DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1:0", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	fixture := newFixture()
	d := httpapi.New(httpapi.Config{
		Node: n, Self: wire.Self{Name: "n1", Cluster: func() (id memory.ClusterID) { return id }}, Hosts: []string{l.Addr().String()},
		MCP: mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return fixture }, &mcp.StreamableHTTPOptions{
			Stateless: stateless, PropagateRequestCancellation: true, DisableLocalhostProtection: true,
		}),
	})
	server := httpapi.NewServer(httpapi.ServerConfig{Handler: d, Base: ctx})
	ended := make(chan error, 3)
	go func() { ended <- n.Run(ctx) }()
	go func() { ended <- server.Serve(l) }()
	go func() { ended <- touch(ctx, fixture) }()
	t.Cleanup(func() {
		cancel()
		d.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		for range 3 {
			if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		}
	})
	return "http://" + l.Addr().String() + "/mcp"
}

// touch tells subscribers now and then that the watched resource has changed.
func touch(ctx context.Context, s *mcp.Server) error {
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = s.ResourceUpdated(ctx, &mcp.ResourceUpdatedNotificationParams{URI: watchedURI})
		case <-ctx.Done():
			return nil
		}
	}
}
