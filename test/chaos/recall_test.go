//go:build chaos && linux

package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKillIndexing: a node dies of kill -9 again and again while it indexes what is written
// through all of them. What its index finds at the end is what one finds that is built anew.
func TestKillIndexing(t *testing.T) {
	m := newMesh(t, "--recall=true")
	w := m.nodes[0]
	rounds, anew := times(50, 5), 0
	for range rounds {
		report.round(t, m.killIndexing(w))
		if strings.Contains(tail(w.log), "is built anew") {
			anew++
		}
	}
	before := m.foundAt(w)
	w.shut()
	m.must(os.RemoveAll(filepath.Join(w.dir, "recall")))
	w.start()
	w.ready()
	fresh := m.foundAt(w)
	if !maps.Equal(before, fresh) {
		for q, ids := range fresh {
			if before[q] != ids {
				t.Errorf("%q found\n%.300s\nand in a new index\n%.300s", q, before[q], ids)
			}
		}
	}
	hits := 0
	for _, found := range fresh {
		if found != "" {
			hits++
		}
	}
	if hits < 100 || fresh[""] == "0" {
		t.Errorf("of %d queries %d found something, among %s memories", len(fresh), hits, fresh[""])
	}
	report.note(t, "%d kills during indexing; %d queries (%d find something) find in the index what they find in a new one, of %s memories; built anew %d times on the way",
		rounds, len(fresh)-1, hits-1, fresh[""], anew)
}

func (m *mesh) killIndexing(w *node) error {
	m.t.Helper()
	b := m.burst(6, m.nodes...)
	err := b.until(80)
	if err == nil {
		err = w.kill()
	}
	b.end()
	if !w.proc().alive() {
		w.start()
	}
	w.ready()
	return err
}

// foundAt asks a node's index, when it has everything, for the names of a thousand memories,
// and how many there are.
func (m *mesh) foundAt(n *node) map[string]string {
	m.t.Helper()
	m.quiet(quietLimit)
	out := map[string]string{}
	for i := int64(1); i <= m.seq.Load(); i += 1 + m.seq.Load()/1000 {
		q := fmt.Sprintf("%06d", i)
		a := n.call(10*time.Second, "GET", "/api/v1/search?limit=1000&q="+q, nil)
		var found struct {
			Results []struct{ ID, Title, Content string }
			Behind  bool `json:"index_behind"`
		}
		if err := json.Unmarshal(a.body, &found); a.status != http.StatusOK || err != nil || found.Behind {
			m.t.Fatalf("search %s at %s: %s, behind %t", q, n.name, a, found.Behind)
		}
		var lines []string
		for _, r := range found.Results {
			lines = append(lines, r.ID+" "+r.Title+" "+r.Content)
		}
		slices.Sort(lines)
		out[q] = strings.Join(lines, "\n")
	}
	out[""] = n.metric("memd_recall_documents") // the searches have waited for all of them
	return out
}

// metric is one value of the node's metrics, as it is written.
func (n *node) metric(name string) string {
	for line := range strings.Lines(string(n.call(5*time.Second, "GET", "/metrics", nil).body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	n.m.t.Fatalf("%s has no metric %s", n.name, name)
	return ""
}
