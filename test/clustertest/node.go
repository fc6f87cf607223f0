package clustertest

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/node"
	"github.com/memd/memd/test/clustertest/memnet"
)

// HTTPPort is where every node's door listens.
const HTTPPort = 9077

// Node is one node of a Cluster: a store that may be started, stopped, moved and lost.
type Node struct {
	Label string // of its own, as groups of Partition name it
	Name  string // that it goes by in the cluster; a clone shares it
	Dir   string
	Host  *memnet.Host // of the present or last run

	c        *Cluster
	options  []Option
	node     *node.Node // nil while it does not run
	cfg      node.Config
	stop     context.CancelFunc
	ended    chan error
	killed   bool
	registry *prometheus.Registry
	client   *http.Transport // reaches this node whatever the network does

	asleep time.Time
	slept  atomic.Int64 // time.Duration that the node's pause detector is ahead
}

// Start runs the node on a host. The configuration is that of the last start; options
// are added to it.
func (n *Node) Start(host string, options ...Option) {
	n.c.t.Helper()
	if err := n.TryStart(host, options...); err != nil {
		n.c.t.Fatalf("start %s: %v", n.Label, err)
	}
}

// TryStart is Start that hands back why the node would not start.
func (n *Node) TryStart(host string, options ...Option) error {
	n.c.t.Helper()
	if n.node != nil {
		n.c.t.Fatalf("%s runs already", n.Label)
	}
	n.wait()
	if h := n.c.Net.Host(host); n.Host != h {
		n.Host = h
	}
	n.c.Net.Revive(host)
	listener, err := n.Host.Listen(HTTPPort)
	if err != nil {
		return err
	}
	n.registry = prometheus.NewRegistry()
	n.cfg = node.Config{
		Name: n.Name, DataDir: n.Dir, Version: "test", BootstrapExpect: 1, CatchupInterval: 30 * time.Second,
		Listener: listener, Transport: n.c.faults.gossip(n), DialContext: n.dial,
		PauseClock: func() time.Time { return time.Now().Add(time.Duration(n.slept.Load())) },
		NoSync:     true, Registry: n.registry, Log: n.log(),
	}
	n.options = append(n.options, options...)
	for _, o := range n.options {
		o(&n.cfg)
	}
	x, err := node.New(n.cfg)
	if err != nil {
		_ = listener.Close()
		_ = n.cfg.Transport.Shutdown()
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.node, n.stop, n.ended, n.killed = x, cancel, make(chan error, 1), false
	go func() { n.ended <- x.Run(ctx) }()
	return nil
}

// Stop ends the node in good order.
func (n *Node) Stop() {
	n.c.t.Helper()
	if n.node == nil {
		return
	}
	n.sound()
	n.stop()
	n.node = nil
	n.wait()
}

// sound holds the node to what must never happen, whatever the network does.
func (n *Node) sound() {
	n.c.t.Helper()
	for _, name := range []string{"memd_dot_collision_total", "memd_origin_fenced_total", "memd_quarantined_rows",
		"memd_storage_corrupt_reads_total", "memd_hlc_future_rows_total", "memd_http_panics_total"} {
		if got := n.Metric(name); got != 0 && !n.c.excused[name] {
			n.c.t.Errorf("%s: %s is %v", n.Label, name, got)
		}
	}
}

// Kill cuts the node off as the death of its process would: its connections are reset
// and its ports closed at once, so that whatever it still does nobody hears. It takes no
// time; what is left of the node ends in the background.
func (n *Node) Kill() {
	n.c.t.Helper()
	n.sound()
	n.killed = true
	n.c.Net.Kill(n.Host.Name())
	n.stop()
	n.node = nil
}

// Sleep makes the node a process that is stopped, as its peers see it: they reach nobody.
// With Blackhole what they say waits for the node, as in the buffers of its kernel. All
// nodes share one clock, so the node itself goes on, and notices only when it wakes.
func (n *Node) Sleep(mode memnet.Mode) {
	n.c.t.Helper()
	n.asleep = time.Now()
	n.c.Net.Isolate(mode, n.Host.Name())
}

// Wake ends Sleep, and all other faults: from the next look at the clock on the node finds
// that it has stood still all the time.
func (n *Node) Wake() {
	n.c.t.Helper()
	n.slept.Add(int64(time.Since(n.asleep)))
	n.c.Heal()
}

// wait returns when nothing of the last run is left.
func (n *Node) wait() {
	n.c.t.Helper()
	if n.ended == nil {
		return
	}
	err := <-n.ended
	n.ended = nil
	n.client.CloseIdleConnections()
	if err != nil && !n.killed {
		n.c.t.Errorf("%s ended with: %v", n.Label, err)
	}
}

// Restart stops the node and starts it again where it was.
func (n *Node) Restart(options ...Option) {
	n.c.t.Helper()
	n.Stop()
	n.Start(n.Host.Name(), options...)
}

// Running reports whether the node runs.
func (n *Node) Running() bool { return n.node != nil }

// Wipe deletes the store of a node that does not run.
func (n *Node) Wipe() {
	n.c.t.Helper()
	n.needStopped()
	if err := os.RemoveAll(n.Dir); err != nil {
		n.c.t.Fatal(err)
	}
}

// Clone copies the store of a node that does not run into a new one that has the same
// name. It is not started.
func (n *Node) Clone(label string) *Node {
	n.c.t.Helper()
	n.needStopped()
	twin := n.c.node(label, n.Name, n.options)
	if err := os.CopyFS(twin.Dir, os.DirFS(n.Dir)); err != nil {
		n.c.t.Fatal(err)
	}
	n.c.nodes = append(n.c.nodes, twin)
	return twin
}

func (n *Node) needStopped() {
	n.c.t.Helper()
	if n.node != nil {
		n.c.t.Fatalf("%s runs", n.Label)
	}
	n.wait()
}

// Status is what GET /api/v1/cluster shows, without the way through the door.
func (n *Node) Status() httpapi.ClusterStatus {
	n.c.t.Helper()
	s, err := n.node.Cluster(context.Background())
	if err != nil {
		n.c.t.Fatalf("status of %s: %v", n.Label, err)
	}
	return s
}

// Digest of the node's clock and view.
func (n *Node) Digest() string { return n.Status().Digest }

// Reasons are why the node is not ready, in one line; "" if it is.
func (n *Node) Reasons() string {
	_, why := n.node.Ready()
	return strings.Join(why, "; ")
}

// Member is how this node sees the member of that name.
func (n *Node) Member(name string) httpapi.Member {
	n.c.t.Helper()
	for _, m := range n.Status().Members {
		if m.Name == name {
			return m
		}
	}
	n.c.t.Fatalf("%s has no member %s", n.Label, name)
	return httpapi.Member{}
}

// Metric sums the series of a counter or gauge that have all the given labels, as
// name=value.
func (n *Node) Metric(name string, labels ...string) float64 {
	n.c.t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		n.c.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			for _, want := range labels {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetName()+"="+l.GetValue() == want
				}
				if !found {
					continue series
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// log shows what the node says if the test fails, with the time since its start.
func (n *Node) log() *slog.Logger {
	level := slog.LevelInfo
	if os.Getenv("MEMD_TEST_LOG") == "debug" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(n.c.t.Output(), &slog.HandlerOptions{Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Duration("t", time.Since(n.c.start).Round(time.Millisecond))
			}
			return a
		},
	})).With("at", n.Label)
}
