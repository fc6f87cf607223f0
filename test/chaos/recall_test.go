//go:build chaos && linux

package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
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
				t.Errorf("%q found\n%s\nand in a new index\n%s", q, before[q], ids)
			}
		}
	}
	if len(fresh["burst"]) == 0 {
		t.Error("nothing was found")
	}
	report.note(t, "%d kills during indexing; %d queries find in the index what they find in a new one; built anew %d times on the way", rounds, len(fresh), anew)
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

// foundAt asks a node's index when it has everything: for what all memories say, and for the
// names of some of them.
func (m *mesh) foundAt(n *node) map[string]string {
	m.t.Helper()
	m.quiet(quietLimit)
	queries := []string{"burst", "life", "says", "fact", "n1", "n3"}
	for i := int64(1); i <= m.seq.Load(); i += 1 + m.seq.Load()/60 {
		queries = append(queries, fmt.Sprintf("%06d", i))
	}
	out := map[string]string{}
	for _, q := range queries {
		var ids []string
		for offset := 0; ; offset += 1000 {
			a := n.call(10*time.Second, "GET", fmt.Sprintf("/api/v1/search?limit=1000&offset=%d&q=%s", offset, url.QueryEscape(q)), nil)
			var found struct {
				Results []struct{ ID string }
				Behind  bool `json:"index_behind"`
			}
			if err := json.Unmarshal(a.body, &found); a.status != http.StatusOK || err != nil || found.Behind {
				m.t.Fatalf("search %s at %s: %s, behind %t", q, n.name, a, found.Behind)
			}
			for _, r := range found.Results {
				ids = append(ids, r.ID)
			}
			if len(found.Results) < 1000 || offset >= 4000 {
				break
			}
		}
		slices.Sort(ids)
		out[q] = strings.Join(slices.Compact(ids), " ")
	}
	return out
}
