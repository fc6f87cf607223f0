package hostile

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// row is one hostile request, or a few of one kind.
type row struct {
	n    int    // of the catalogue
	name string // which of the row's cases
	req  request
	// do is for what cannot be said as one request; it fails t itself.
	do func(t *testing.T, n *target)
	// want are the statuses that are right; 0 is a connection closed without an answer.
	want []int
	// look, if set, sees the answer, too.
	look func(t *testing.T, a answer)
	// why says why a status is not that of the catalogue.
	why string
	// changes is set for what is no error, and is stored.
	changes bool
}

// catalogue is what the design asks for, by row: the statuses, so that a table cannot
// quietly accept another one. A row that has one outside must say why.
var catalogue = map[int][]int{
	43: {403}, 44: {400}, 45: {400}, 46: {401}, 47: {401}, 48: {401}, 49: {429},
	19: {400, 408}, 20: {413}, 21: {415}, 22: {415}, 23: {415}, 24: {415}, 29: {201}, 30: {201}, 31: {201},
	17: {413}, 18: {413}, 38: {400}, 39: {403, 409}, 51: {200},
	55: {400, 413}, 56: {400, 413}, 57: {400, 413}, 58: {400, 413}, 59: {200}, 60: {403},
	61: {400}, 62: {403}, 63: {409}, 64: {409}, 65: {409}, 66: {421, 403}, 67: {421, 403}, 68: {421, 403},
	69: {404}, 70: {403}, 71: {400}, 72: {405}, 73: {405}, 74: {400}, 75: {400}, 76: {431}, 77: {408, 0}, 78: {408, 0},
	79: {414, 431}, 80: {401, 403}, 81: {400}, 82: {},
}

func catalogued(n int) []int {
	if c, ok := catalogue[n]; ok {
		return c
	}
	return []int{400} // the rule of the catalogue: malformed
}

// groups are the tables, in the order of the catalogue.
var groups = []struct {
	name string
	rows func(t *testing.T, n *target) []row
}{
	{"keys", keyRows},
	{"peers", peerRows},
	{"origins", originRows},
	{"framing", framingRows},
	{"bodies", bodyRows},
	{"text that is data", dataRows},
	{"texts", textRows},
	{"queries", queryRows},
	{"ids", idRows},
	{"gossip", gossipRows},
	{"slow", slowRows},
}

// elsewhere are rows that are shown by a test of another kind.
var elsewhere = map[int]string{}

// owed are rows that no table has yet. It must end empty.
var owed = map[int]bool{}

// TestCatalogue goes through all of it.
func TestCatalogue(t *testing.T) {
	n := start(t, nil)
	if !testing.Short() {
		n.slow = slowBodyOfNode(t, n)
	}
	shown := map[int]bool{}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			before := n.state(t)
			changes := false
			for _, r := range g.rows(t, n) {
				shown[r.n] = true
				changes = changes || r.changes
				t.Run(fmt.Sprintf("%02d %s", r.n, r.name), func(t *testing.T) { r.run(t, n) })
			}
			if after := n.state(t); !changes && after != before {
				t.Errorf("the node was %+v, and is %+v", before, after)
			}
			n.healthy(t)
			n.silent(t)
		})
	}
	var missing []string
	for i := 1; i <= 82; i++ {
		has := shown[i] || elsewhere[i] != ""
		switch {
		case !has && !owed[i]:
			missing = append(missing, strconv.Itoa(i))
		case has && owed[i]:
			t.Errorf("row %d is there: it is owed no more", i)
		}
	}
	if len(missing) > 0 {
		t.Errorf("rows without a test: %s", strings.Join(missing, ", "))
	}
	t.Logf("%d of 82 rows shown here, %d elsewhere, %d owed", len(shown), len(elsewhere), len(owed))
	for _, i := range slices.Sorted(maps.Keys(elsewhere)) {
		t.Logf("row %d: %s", i, elsewhere[i])
	}
}

func (r *row) run(t *testing.T, n *target) {
	if r.do != nil {
		r.do(t, n)
		return
	}
	a := n.send(t, r.req)
	if !slices.Contains(r.want, a.status) {
		t.Fatalf("got %d %.300s, want one of %v", a.status, a.body, r.want)
	}
	for _, w := range r.want {
		if !slices.Contains(catalogued(r.n), w) && r.why == "" {
			t.Errorf("%d is not in the catalogue (%v), and the row does not say why", w, catalogued(r.n))
		}
	}
	if r.look != nil {
		r.look(t, a)
	}
	if a.status >= 400 && r.req.method != http.MethodHead {
		a.isError(t)
	}
	if a.status >= 500 {
		t.Errorf("%d for a client's fault", a.status)
	}
	if strings.Contains(a.body, canary) && !r.changes {
		t.Errorf("the answer repeats what was sent: %.300s", a.body)
	}
}

// canary is in everything hostile that has room for it, and may be in no log.
const canary = "kAnArIe"

func TestMain(m *testing.M) {
	// The search library starts its workers when it is linked, and keeps them.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/blevesearch/bleve_index_api.AnalysisWorker"))
}

// patience bounds what takes no time.
const patience = 20 * time.Second
