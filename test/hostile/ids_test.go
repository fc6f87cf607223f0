package hostile

import (
	"strings"
	"testing"
)

const memoriesPath = "/api/v1/memories"

func idRows(_ *testing.T, _ *target) []row {
	return []row{{n: 39, name: "of a memory that is another's", do: foreignID}}
}

// foreignID says a memory of one's own under an id that is somebody else's.
func foreignID(t *testing.T, _ *target) {
	n := start(t, nil)
	full := func(ns string) string {
		return `{"memories":[{"id":"the-id","tier":"mid","namespace":"` + ns + `","title":"T","content":"` + canary + `","tags":[],"priority":5,"confidence":1,"source":"api","access_count":0,` +
			`"created_at":"2026-05-01T10:00:00Z","updated_at":"` + map[string]string{"bob": "2026-05-01T10:00:00Z", "alice": "2026-06-01T10:00:00Z"}[ns] + `","metadata":{}}]}`
	}
	if a := n.send(t, request{method: "POST", path: "/api/v1/import", key: "bob", body: full("bob")}); a.status != 200 || !strings.Contains(a.body, `"imported":1`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	before := n.state(t)
	a := n.send(t, request{method: "POST", path: "/api/v1/import", key: "alice", body: full("alice")})
	if a.status != 200 || !strings.Contains(a.body, `"imported":0`) || !strings.Contains(a.body, "forbidden") { // each item is reported on its own, as in bulk
		t.Errorf("import: %d %s", a.status, a.body)
	}
	for _, r := range []request{
		{method: "PUT", path: memoriesPath + "/the-id", key: "alice", body: `{"content":"` + canary + `"}`},
		{method: "DELETE", path: memoriesPath + "/the-id", key: "alice"},
		{method: "GET", path: memoriesPath + "/the-id", key: "alice"},
	} {
		if a := n.send(t, r); a.status != 404 { // that there is one would be told by a 403
			t.Errorf("%s: %d %s", r.method, a.status, a.body)
		}
	}
	if a := n.send(t, request{method: "PUT", path: memoriesPath + "/the-id", key: "bob", body: `{"namespace":"alice"}`}); a.status != 403 {
		t.Errorf("moved into a foreign namespace: %d %s", a.status, a.body)
	}
	if after := n.state(t); after != before {
		t.Errorf("%+v became %+v", before, after)
	}
	n.silent(t)
}
