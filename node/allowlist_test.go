package node

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

func createIn(t *testing.T, n *Node, ns, title, content string) {
	t.Helper()
	if _, err := n.Create(context.Background(), memory.Draft{Title: &title, Namespace: &ns, Content: &content}, httpapi.WriteOptions{Agent: "test"}); err != nil {
		t.Fatal(err)
	}
}

// TestAllowlist: a peer gets its namespaces, by push and by pull; of the others not a byte
// comes to it, it knows that there is something, does not ask again and again, and has all
// of it soon after it may.
func TestAllowlist(t *testing.T) {
	dir := authority(t, "n1", "n2", "n3")
	list := filepath.Join(t.TempDir(), "peers")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("n1 *\nn2 * # everything\nn3 open other/x\n")
	nodes := startMeshWith(t, 3, func(_ int, c *Config) { secured(dir, c.Name)(c); c.PeerAllowlist = list })
	n1, n3 := nodes[0], nodes[2]
	const canary = "canary-3f9a"
	for range 3 {
		createIn(t, n1, "secret", "s", canary)
		createIn(t, n1, "open/below", "o", "for everybody")
		createIn(t, n1, "openness", "p", canary)
	}
	waitFor(t, "the open row", func() bool {
		l, err := n3.List(context.Background(), memory.Filter{Limit: 10}, httpapi.ReadOptions{})
		return err == nil && len(l) == 1
	})
	denied := func() uint64 {
		s, err := n3.Cluster(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range s.Members {
			if m.Name == "n1" {
				return m.WithheldDots
			}
		}
		return 0
	}
	waitFor(t, "the count of what is withheld", func() bool { return denied() >= 2 })
	waitFor(t, "readiness", func() bool { ok, _ := n3.Ready(); return ok })
	if missing := n1.store.Clock().Minus(n3.store.Clock()); missing.Count() != denied() {
		t.Errorf("%d writes are not here, %d are withheld", missing.Count(), denied())
	}
	raw, err := os.ReadFile(filepath.Join(n3.cfg.DataDir, "memd.db"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte(canary)) {
		t.Error("n3 holds what it may not have")
	}
	pulls := func() float64 { return metric(t, n3, "memd_pull_total", "n1") }
	before := pulls()
	time.Sleep(1500 * time.Millisecond) // what must not happen takes time
	if again := pulls() - before; again > 1 {
		t.Errorf("%v pulls while nothing happened", again)
	}
	// The narrowed peer's own writes go everywhere.
	createIn(t, n3, "secret", "mine", "from n3")
	waitFor(t, "what n3 wrote", func() bool { return n1.store.Clock().Covers(n3.store.Clock()) })

	write("n1 *\nn2 *\nn3 *\n")
	waitFor(t, "all of it", func() bool {
		return n3.store.Clock().Equal(n1.store.Clock()) && n3.store.Digest() == n1.store.Digest() && denied() == 0
	})

	// A file that is none changes nothing.
	write("n1 *\nn1 *\n")
	if err := n1.reload(); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a broken file: %v", err)
	}
	createIn(t, n1, "secret", "late", "after the broken file")
	waitFor(t, "the late row", func() bool { return n3.store.Clock().Covers(n1.store.Clock()) })
}

func TestParseAllowlist(t *testing.T) {
	peers, err := parseAllowlist([]byte("# who\n\nn1 *\nn2  a/b\tc # comment\nn3\n"))
	if err != nil || len(peers) != 3 {
		t.Fatal(peers, err)
	}
	for _, c := range []struct {
		peer, ns string
		ok       bool
	}{
		{"n1", "anything", true}, {"n2", "a/b", true}, {"n2", "a/b/c", true}, {"n2", "a/bc", false}, {"n2", "a", false},
		{"n2", "c", true}, {"n2", "d", false}, {"n3", "a", false}, {"n4", "a", false},
	} {
		if got := peers[c.peer].Namespace(c.ns); got != c.ok {
			t.Errorf("%s may have %s: %t", c.peer, c.ns, got)
		}
	}
	for _, bad := range []string{"n 1/ *", "n1 *\nn1 a", "n1 /a", "n1 a//b", "n/1 a"} {
		if _, err := parseAllowlist([]byte(bad)); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
