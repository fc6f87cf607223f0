package hostile

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// surface reads the routes that show something out of the door's own table, so that a new
// one is asked for here or fails the test.
func surface(t *testing.T) (paths []string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), "../../httpapi/route.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		path, ok := call.Args[0].(*ast.BasicLit)
		if fn, named := call.Fun.(*ast.Ident); !ok || !named || fn.Name != "add" {
			return true
		}
		ast.Inspect(call.Args[1], func(n ast.Node) bool {
			pair, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			if m, ok := pair.Key.(*ast.SelectorExpr); ok && m.Sel.Name == "MethodGet" {
				paths = append(paths, strings.Trim(path.Value, `"`))
			}
			return true
		})
		return true
	})
	if len(paths) < 15 {
		t.Fatalf("only %q: the test is blind", paths)
	}
	return paths
}

// TestForeignNamespaces: whatever is asked, nothing of another namespace is shown, and
// nothing of it is changed.
func TestForeignNamespaces(t *testing.T) {
	n := start(t, nil)
	must := func(r request, status int) answer {
		t.Helper()
		a := n.send(t, r)
		if a.status != status {
			t.Fatalf("%s %s: %d %s", r.method, r.path, a.status, a.body)
		}
		return a
	}
	id := func(a answer) string {
		var made struct{ ID string }
		if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.ID == "" {
			t.Fatalf("%s", a.body)
		}
		return made.ID
	}
	store := func(who, title string) string {
		return id(must(request{method: "POST", path: memoriesPath, key: who,
			body: `{"title":"` + title + `","content":"` + canary + ` of ` + who + `","namespace":"` + who + `","tags":["` + canary + `"]}`}, 201))
	}
	one, two, gone := store("bob", "bobs one"), store("bob", "bobs two"), store("bob", "bobs archived")
	own, own2 := store("alice", "alices one"), store("alice", "alices two")
	for who, ends := range map[string][2]string{"bob": {one, two}, "alice": {own, own2}} {
		must(request{method: "POST", path: "/api/v1/links", key: who, body: `{"source_id":"` + ends[0] + `","target_id":"` + ends[1] + `"}`}, 201)
	}
	must(request{method: "POST", path: "/api/v1/archive", key: "bob", body: `{"ids":["` + gone + `"],"reason":"bobs reason"}`}, 200)
	must(request{method: "POST", path: "/api/v1/namespaces", key: "bob", body: `{"namespace":"bob","id":"` + two + `","governance":{"write":"owner"}}`}, 201)
	must(request{method: "PUT", path: memoriesPath + "/" + one, key: "bob", body: `{"content":"` + canary + ` of bob, again"}`}, 200)

	before := n.state(t)
	foreign := regexp.MustCompile(`bobs|of bob|"bob"|` + one + "|" + two + "|" + gone)
	reads := map[string][]string{
		memoriesPath: {"?limit=1000", "?namespace=bob", "?tags=" + canary, "?agent_id=ai:bob"}, memoriesPath + "/{id}": {"?conflicts=1"}, memoriesPath + "/{id}/revisions": nil,
		"/api/v1/recall": {"?context=" + canary + "+of+bob", "?context=" + canary + "&namespace=bob"}, "/api/v1/search": {"?q=" + canary, "?q=" + canary + "&namespace=bob", "?q=bobs"},
		"/api/v1/links/{id}": nil, "/api/v1/archive": {"", "?namespace=bob"}, "/api/v1/archive/stats": nil, "/api/v1/export": {"", "?namespace=bob"},
		"/api/v1/namespaces": {"", "?namespace=bob", "?namespace=bob&inherit=true"}, "/api/v1/namespaces/{ns}/standard": nil, "/api/v1/stats": nil,
	}
	// What shows no memory of anybody's.
	other := []string{
		"/api/v1/cluster", "/api/v1/members", "/api/v1/health", "/livez", "/readyz", "/metrics", "/api/v1/metrics", "/api/v1/capabilities", "/api/v1/agents",
		"/api/v1/writes/{origin}/{counter}", "/api/v1/keyring", "/api/v1/backup", "/api/v1/doctor", "/api/v1/openapi.yaml",
	}
	seen := map[string]bool{} // paths on which bob sees what alice must not
	for _, path := range surface(t) {
		queries, shows := reads[path]
		if !shows {
			if !slices.Contains(other, path) {
				t.Errorf("GET %s is in neither list: does it show what is another's?", path)
			}
			continue
		}
		if len(queries) == 0 {
			queries = []string{""}
		}
		for _, query := range queries {
			for _, of := range []string{one, two, gone, one[:8]} {
				target := strings.NewReplacer("{id}", of, "{ns}", "bob").Replace(path) + query
				a := n.send(t, request{method: "GET", path: target, key: "alice"})
				if foreign.MatchString(withoutEcho(a.body)) || a.status == 200 && strings.Contains(path, "{id}") && !strings.Contains(path, "links") {
					t.Errorf("GET %s shows alice what is bob's: %d %.400s", target, a.status, a.body)
				}
				if b := n.send(t, request{method: "GET", path: target, key: "bob"}); b.status >= 500 {
					t.Errorf("GET %s as bob: %d %.200s", target, b.status, b.body)
				} else if b.status == 200 && foreign.MatchString(withoutEcho(b.body)) {
					seen[path] = true
				}
				if !strings.Contains(path, "{id}") {
					break
				}
			}
		}
	}
	for path := range reads {
		if !seen[path] && path != memoriesPath+"/{id}/revisions" { // which are of conflicts, and a mesh of one has none
			t.Errorf("GET %s shows bob nothing of his own: the test is blind", path)
		}
	}
	if a := n.send(t, request{method: "GET", path: "/api/v1/sync/since?limit=1000", key: "alice"}); a.status != 200 || foreign.MatchString(a.body) || !strings.Contains(a.body, "alices") {
		t.Errorf("the original's pull: %d %.300s", a.status, a.body)
	}
	for _, r := range []request{
		{method: "POST", path: memoriesPath, body: `{"title":"x","content":"x","namespace":"bob"}`},
		{method: "POST", path: memoriesPath, body: `{"title":"bobs one","content":"x","namespace":"bob","on_conflict":"merge"}`},
		{method: "POST", path: memoriesPath, body: `{"title":"bobs one","content":"x","namespace":"bob","on_conflict":"version"}`},
		{method: "PUT", path: memoriesPath + "/" + one, body: `{"content":"x"}`},
		{method: "PUT", path: memoriesPath + "/" + own, body: `{"namespace":"bob"}`},
		{method: "DELETE", path: memoriesPath + "/" + one},
		{method: "POST", path: memoriesPath + "/" + one + "/promote", body: `{}`},
		{method: "POST", path: "/api/v1/links", body: `{"source_id":"` + own + `","target_id":"` + one + `"}`},
		{method: "DELETE", path: "/api/v1/links", body: `{"source_id":"` + one + `","target_id":"` + two + `"}`},
		{method: "POST", path: "/api/v1/consolidate", body: `{"ids":["` + one + `","` + own + `"],"title":"x","summary":"x","namespace":"alice"}`},
		{method: "POST", path: "/api/v1/forget", body: `{"namespace":"bob"}`},
		{method: "POST", path: "/api/v1/archive", body: `{"ids":["` + one + `"]}`},
		{method: "POST", path: "/api/v1/archive/" + gone + "/restore"},
		{method: "DELETE", path: "/api/v1/archive/" + gone},
		{method: "DELETE", path: "/api/v1/archive"},
		{method: "POST", path: "/api/v1/namespaces", body: `{"namespace":"bob","id":"` + own + `"}`},
		{method: "DELETE", path: "/api/v1/namespaces?namespace=bob"},
		{method: "POST", path: "/api/v1/agents", body: `{"agent_id":"ai:bob","agent_type":"human"}`},
		{method: "POST", path: "/api/v1/sync/push", body: `{"sender_agent_id":"ai:alice","memories":[],"deletions":["` + one + `"]}`},
		{method: "POST", path: "/api/v1/gc"},
	} {
		r.key = "alice"
		a := n.send(t, r)
		if a.status >= 500 || foreign.MatchString(withoutEcho(a.body)) {
			t.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.body)
		}
		if after := n.state(t); after != before {
			t.Errorf("%s %s changed something: %d %s", r.method, r.path, a.status, a.body)
			before = after
		}
	}
	n.silent(t)
}

// echoes are members in which an answer repeats what it was asked.
var echoes = regexp.MustCompile(`^\{"namespace":"bob"|"query":"[^"]*"|"missing":\[[^\]]*\]|"chain":\[[^\]]*\]|"cleared":false,"namespace":"bob"`)

func withoutEcho(s string) string { return echoes.ReplaceAllString(s, "") }
