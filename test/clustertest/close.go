package clustertest

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
	"github.com/memd/memd/test/clustertest/memnet"
)

// close brings the cluster to rest, stops it and looks at what is on the disks.
func (c *Cluster) close() {
	defer os.RemoveAll(c.dir)
	// What memberlist leaves behind needs the clock to go on.
	defer time.Sleep(memnet.Linger)
	compare := c.rest()
	var stopping sync.WaitGroup
	for _, n := range c.nodes {
		stopping.Go(func() { n.Stop(); n.wait() })
	}
	stopping.Wait()
	c.faults.close()
	if c.t.Failed() {
		return
	}
	c.inspect(compare)
}

// rest heals what the test left broken, waits until the nodes that run hold the same and
// returns them.
func (c *Cluster) rest() []*Node {
	all := c.peers()
	if c.t.Failed() {
		return nil
	}
	c.Heal()
	if _, ok := c.within(Patience, c.Equal); !ok {
		c.t.Errorf("the nodes never came to hold the same\n%s", c.describe())
	}
	return all
}

// inspect verifies every store and compares the dumps of those that ran to the end.
func (c *Cluster) inspect(compare []*Node) {
	for _, n := range c.nodes {
		if _, err := os.Stat(n.Dir); err != nil {
			continue // wiped
		}
		found, err := storage.VerifyFile(context.Background(), n.Dir)
		if err != nil {
			c.t.Errorf("verify %s: %v", n.Label, err)
		}
		for _, f := range found {
			c.t.Errorf("verify %s: %s", n.Label, f)
		}
	}
	var first string
	for i, n := range compare {
		d := c.dump(n)
		switch {
		case i == 0:
			first = d
		case d != first:
			c.t.Errorf("%s and %s hold different things:\n%s", compare[0].Label, n.Label, difference(first, d))
		}
	}
}

func (c *Cluster) dump(n *Node) string {
	s, err := storage.Open(storage.Config{Dir: n.Dir, NoSync: true})
	if err != nil {
		c.t.Errorf("open the store of %s: %v", n.Label, err)
		return ""
	}
	defer s.Close()
	return storagetest.Dump(c.t, s)
}

// difference lists the lines that only one of two dumps has.
func difference(a, b string) string {
	have := map[string]int{}
	for l := range strings.SplitSeq(a, "\n") {
		have[l]++
	}
	var out []string
	for l := range strings.SplitSeq(b, "\n") {
		if have[l]--; have[l] < 0 {
			out = append(out, "+ "+l)
		}
	}
	for l, n := range have {
		if n > 0 {
			out = append(out, "- "+l)
		}
	}
	return strings.Join(out, "\n")
}
