package clustertest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/node"
	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
)

// diagnosed are the findings of a node about the mesh, "severity check about" in each line;
// what it says of the disk of this machine is left out.
func diagnosed(t *testing.T, n *clustertest.Node) string {
	t.Helper()
	var d struct {
		Node     string
		Findings []struct{ Severity, Check, About, Problem, Remedy string }
	}
	if err := json.Unmarshal([]byte(n.Do("GET", "/api/v1/doctor", nil).Want(200).Raw), &d); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range d.Findings {
		if f.Problem == "" || f.Remedy == "" {
			t.Errorf("%+v", f)
		}
		if f.Check != "disk" && f.Check != "fsync" && f.Check != "store" {
			b.WriteString(strings.TrimSpace(f.Severity+" "+f.Check+" "+f.About) + "\n")
		}
	}
	return b.String()
}

// Whole nodes name what is wrong between them.
func TestDoctor(t *testing.T) {
	for name, c := range map[string]struct {
		options []clustertest.Option
		harm    func(*clustertest.Cluster)
		want    string // of n1
	}{
		"nothing": {nil, func(*clustertest.Cluster) {}, ""},
		"udp": {nil, func(c *clustertest.Cluster) {
			c.CutBoth(c.Node(1), c.Node(2), clustertest.Packets)
		}, "error udp n2\n"},
		"a dead node": {nil, func(c *clustertest.Cluster) {
			c.Node(3).Kill()
			time.Sleep(time.Minute)
		}, "error tcp n3\n"},
		"no quorum": {nil, func(c *clustertest.Cluster) {
			c.Partition(memnet.Reset, "n1 | n2 n3")
			c.Await("the breakers open", func() bool {
				c.Node(1).Store("x", "content", clustertest.W("2"))
				return c.Node(1).Status().Quorum.Reachable == 1
			})
		}, "error quorum\nerror tcp n2\nerror tcp n3\n"},
		"quorum above members": {[]clustertest.Option{func(cfg *node.Config) { cfg.QuorumWrites = 3 }}, func(c *clustertest.Cluster) {
			remove(c.Node(1), "n3", force, clustertest.W("2")).Want(200) // n3 does not acknowledge its own removal
			quorumsOf(c, 2, 1)
			c.Odd(c.Node(3))
		}, "error quorum\n"},
		"a clock": {[]clustertest.Option{func(cfg *node.Config) {
			if cfg.Name == "n1" {
				cfg.ClockOffset = 10 * time.Second
			}
		}}, func(*clustertest.Cluster) { time.Sleep(3 * time.Minute) }, "warning clock\n"}, // until it has heard both
		"a version": {[]clustertest.Option{func(cfg *node.Config) {
			if cfg.Name == "n2" {
				cfg.Version = "0.9"
			}
		}}, func(*clustertest.Cluster) {}, "warning version n2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) {
				mesh := clustertest.New(t, 3, c.options...)
				c.harm(mesh)
				if got := diagnosed(t, mesh.Node(1)); got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
				mesh.Heal()
			})
		})
	}
}
