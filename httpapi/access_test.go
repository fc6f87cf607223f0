package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/wire"
)

// ring is a Keyring with one key for each scope, named like it.
type ring map[string]*auth.Principal

func (r ring) Check(key string) *auth.Principal { return r[key] }

func testRing(t testing.TB) ring {
	t.Helper()
	all := []string{auth.Everything}
	r := ring{}
	for _, name := range []string{"read", "write", "peer", "admin"} {
		scopes, err := auth.ParseScopes([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		r[name] = &auth.Principal{ID: name, Name: name, Scopes: scopes, Namespaces: all, Agents: all, Strong: true}
	}
	both, _ := auth.ParseScopes([]string{"read", "write"})
	r["alice"] = &auth.Principal{ID: "alice", Name: "alice", Scopes: both, Namespaces: []string{"acme"}, Agents: []string{"ai:alice", "ai:a-*"}, Strong: true}
	r["weak"] = &auth.Principal{Name: "api-key", Scopes: r["admin"].Scopes, Namespaces: all, Agents: all}
	return r
}

func newGuardedDoor(t testing.TB, f *fake, change func(*Config)) (*Door, *logBuffer) {
	t.Helper()
	plain, log := newDoor(t, f)
	c := plain.Config
	c.Registerer, c.Gatherer = nil, nil
	c.Keys = testRing(t)
	c.MCP = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	if change != nil {
		change(&c)
	}
	d := New(c)
	t.Cleanup(d.Close)
	return d, log
}

// each calls fn for every method of every route of a router.
func each(t *testing.T, r *mux.Router, fn func(rt *route, method string, v verb)) {
	t.Helper()
	n := 0
	if err := r.Walk(func(m *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		rt := m.GetHandler().(*route)
		for method, v := range rt.verbs {
			n++
			fn(rt, method, v)
		}
		return nil
	}); err != nil || n == 0 {
		t.Fatalf("%d verbs, %v", n, err)
	}
}

// TestEveryRouteDeclaresAScope goes through the whole surface, so that a new verb cannot
// be forgotten: without a declaration nobody may, without a key nothing but health answers.
func TestEveryRouteDeclaresAScope(t *testing.T) {
	d, _ := newGuardedDoor(t, new(fake), nil)
	asked := 0
	public := map[string]bool{"/api/v1/health": true, "/livez": true, "/readyz": true}
	for name, router := range map[string]*mux.Router{"door": d.router, "admin": d.adminRoutes()} {
		each(t, router, func(rt *route, method string, v verb) {
			if v.scope == auth.Undeclared && v.form == nil {
				t.Errorf("%s: %s %s declares no scope", name, method, rt.template)
			}
			if (v.scope == auth.Public) != public[rt.template] {
				t.Errorf("%s: %s %s is public", name, method, rt.template)
			}
			if method != http.MethodGet && method != http.MethodHead && v.form == nil && v.scope == auth.Read && !reading[rt.template] {
				t.Errorf("%s: %s %s changes with scope read", name, method, rt.template)
			}
			target := strings.NewReplacer("{origin}", "0123456789abcdef", "{counter}", "1").Replace(rt.template)
			for strings.Contains(target, "{") {
				target = target[:strings.Index(target, "{")] + "m1" + target[strings.Index(target, "}")+1:]
			}
			for _, key := range []string{"", "none of them"} {
				r := request(method, target, "{}", "X-Api-Key", key)
				asked++
				r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1234", asked) // wrong keys are counted by address
				w := httptest.NewRecorder()
				d.answer(router, w, r)
				if want := public[rt.template]; (w.Code != 401) != want {
					t.Errorf("%s: %s %s with key %q: %d", name, method, target, key, w.Code)
				}
			}
		})
	}
}

// reading are routes that are asked to read with another method than GET.
var reading = map[string]bool{"/api/v1/recall": true, "/api/v1/session/start": true}

func TestUndeclaredIsRefused(t *testing.T) {
	d, _ := newGuardedDoor(t, new(fake), nil)
	r, add := newRouter()
	add("/forgotten", verbs{http.MethodGet: {serve: func(c *call) error { c.WriteHeader(204); return nil }}})
	w := httptest.NewRecorder()
	d.answer(r, w, request("GET", "/forgotten", "", "X-Api-Key", "admin"))
	if w.Code != 403 {
		t.Errorf("%d", w.Code)
	}
}

func TestScopes(t *testing.T) {
	since := "/api/v1/sync/since?" + wire.SinceRequest{Peer: "n2", Cluster: testCluster}.Values().Encode()
	draft := `{"title":"T","content":"c"}`
	for _, c := range []struct {
		name    string
		req     func() *http.Request
		allowed []string // of read, write, peer, admin
		code    int      // that those get
	}{
		{"list", func() *http.Request { return request("GET", "/api/v1/memories", "") }, []string{"read", "admin"}, 200},
		{"create", func() *http.Request { return request("POST", "/api/v1/memories", draft) }, []string{"write", "admin"}, 201},
		{"pull of a node", func() *http.Request { return request("GET", since, "") }, []string{"peer", "admin"}, 304},
		{"pull of the original", func() *http.Request { return request("GET", "/api/v1/sync/since", "") }, []string{"read", "admin"}, 200},
		{"push of the original", func() *http.Request {
			return request("POST", "/api/v1/sync/push", `{"sender_agent_id":"x","memories":[]}`)
		}, []string{"write", "admin"}, 200},
		{"frames", func() *http.Request {
			return request("POST", "/api/v1/sync/push", "x", "Content-Type", wire.MediaFrames)
		}, []string{"peer", "admin"}, 400},
		{"stream", func() *http.Request {
			return request("POST", "/api/v1/sync/push", "", "Connection", "Upgrade", "Upgrade", "websocket")
		}, []string{"peer", "admin"}, 426},
		{"MCP", func() *http.Request { return request("POST", "/mcp", "{}") }, []string{"read", "write", "peer", "admin"}, 204},
		{"no route", func() *http.Request { return request("GET", "/nothing", "") }, []string{"read", "write", "peer", "admin"}, 404},
		{"wrong method", func() *http.Request { return request("PATCH", "/api/v1/memories", "") }, []string{"read", "write", "peer", "admin"}, 405},
		{"metrics from elsewhere", func() *http.Request { return remoteFrom("192.0.2.1:5", request("GET", "/metrics", "")) }, []string{"read", "admin"}, 200},
		{"metrics through a proxy here", func() *http.Request {
			return remoteFrom("127.0.0.1:5", request("GET", "/metrics", "", "X-Forwarded-For", "192.0.2.1"))
		}, []string{"read", "admin"}, 200},
	} {
		for _, scope := range []string{"read", "write", "peer", "admin"} {
			for _, header := range []string{"X-Api-Key", "Authorization"} {
				d, _ := newGuardedDoor(t, new(fake), nil)
				r := c.req()
				value := scope
				if header == "Authorization" {
					value = "bearer  " + scope
				}
				r.Header.Set(header, value)
				w := serve(d, r)
				want := 403
				for _, a := range c.allowed {
					if a == scope {
						want = c.code
					}
				}
				if w.Code != want {
					t.Errorf("%s with scope %s in %s: %d %.100s, want %d", c.name, scope, header, w.Code, w.Body, want)
				}
			}
		}
	}
}

func remoteFrom(addr string, r *http.Request) *http.Request {
	r.RemoteAddr = addr
	return r
}

func TestKeysInHeaders(t *testing.T) {
	for _, c := range []struct {
		name    string
		headers []string
		code    int
	}{
		{"none", nil, 401},
		{"wrong", []string{"X-Api-Key", "nobody"}, 401},
		{"right", []string{"X-Api-Key", "read"}, 200},
		{"bearer", []string{"Authorization", "Bearer read"}, 200},
		{"both, the same", []string{"X-Api-Key", "read", "Authorization", "Bearer read"}, 200},
		{"both, not the same", []string{"X-Api-Key", "read", "Authorization", "Bearer admin"}, 401},
		{"two", []string{"+X-Api-Key", "read", "+X-Api-Key", "read"}, 401},
		{"of a proxy", []string{"X-Api-Key", "read", "Authorization", "Basic eDp5"}, 200},
		{"another scheme", []string{"Authorization", "Basic read"}, 401},
		{"wrong and right", []string{"X-Api-Key", "nobody", "Authorization", "Bearer read"}, 401},
	} {
		d, log := newGuardedDoor(t, new(fake), nil)
		w := serve(d, request("GET", "/api/v1/memories", "", c.headers...))
		quiet := log.String() == "" || c.code == 401 && !strings.Contains(log.String(), "nobody") // what is told of a stranger: TestStrangersInTheLog
		if w.Code != c.code || !quiet {
			t.Errorf("%s: %d %s, log %q", c.name, w.Code, w.Body, log)
		}
		if w.Code == 401 && (!isError(w.Body.Bytes()) || !strings.Contains(w.Body.String(), "API key")) {
			t.Errorf("%s: %s", c.name, w.Body)
		}
	}
}

// TestAgents: the header is a claim that the key must be for (row 43).
func TestAgents(t *testing.T) {
	for _, c := range []struct {
		key, agent string
		code       int
		wrote      string
	}{
		{"alice", "ai:alice", 201, "ai:alice"},
		{"alice", "ai:a-17", 201, "ai:a-17"},
		{"alice", "", 201, "ai:alice"},
		{"alice", "ai:bob", 403, ""},
		{"alice", "key:alice", 403, ""},
		{"alice", "not an id", 400, ""},
		{"write", "ai:bob", 201, "ai:bob"},
		{"write", "", 201, "key:write"}, // may claim any agent, and claims none
		{"weak", "", 201, "anonymous:req-e474787e"},
	} {
		f := new(fake)
		d, _ := newGuardedDoor(t, f, nil)
		headers := []string{"X-Api-Key", c.key}
		if c.agent != "" {
			headers = append(headers, "X-Agent-Id", c.agent)
		}
		w := serve(d, request("POST", "/api/v1/memories", `{"title":"T","content":"c"}`, headers...))
		if w.Code != c.code || f.opt.Agent != c.wrote {
			t.Errorf("%s as %q: %d %s, wrote as %q", c.key, c.agent, w.Code, w.Body, f.opt.Agent)
		}
	}
}

// TestLimits: who asks too often waits, and nobody else does.
func TestLimits(t *testing.T) {
	d, _ := newGuardedDoor(t, new(fake), func(c *Config) { c.Limits = Limits{Rate: 1, BadKeys: 3} })
	get := func(addr, key string) *httptest.ResponseRecorder {
		r := request("GET", "/api/v1/memories", "", "X-Api-Key", key)
		r.RemoteAddr = addr
		return serve(d, r)
	}
	codes := func(n int, addr, key string) (out []int) {
		for range n {
			out = append(out, get(addr, key).Code)
		}
		return out
	}
	if got := codes(4, "192.0.2.1:1", "bad"); got[0] != 401 || got[2] != 401 || got[3] != 429 {
		t.Errorf("wrong keys: %v", got)
	}
	w := get("192.0.2.1:1", "bad")
	if w.Header().Get("Retry-After") == "" || !isError(w.Body.Bytes()) {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	if code := get("192.0.2.1:2", "weak").Code; code != 429 {
		t.Errorf("a key that could have been guessed: %d", code)
	}
	if code := get("192.0.2.1:2", "read").Code; code != 200 {
		t.Errorf("another key of the address: %d", code)
	}
	if code := get("192.0.2.2:1", "bad").Code; code != 401 {
		t.Errorf("another address: %d", code)
	}
	if got := codes(3, "192.0.2.3:1", "write"); got[0] != 403 {
		t.Errorf("%v", got)
	}
	if got := codes(3, "192.0.2.4:1", "read"); got[0] != 200 || got[2] != 429 {
		t.Errorf("one principal: %v", got)
	}
	if code := get("192.0.2.4:1", "admin").Code; code != 200 && code != 429 {
		t.Errorf("%d", code)
	}
	if code := get("192.0.2.5:1", "admin").Code; code != 200 {
		t.Errorf("another principal elsewhere: %d", code)
	}
	for range 5 {
		r := request("GET", "/livez", "")
		r.RemoteAddr = "192.0.2.1:1"
		if w := serve(d, r); w.Code != 200 {
			t.Errorf("health is not counted: %d", w.Code)
		}
	}
}

// TestBucketsAreBounded: a table of callers must not grow with their number.
func TestBucketsAreBounded(t *testing.T) {
	b := newBuckets(1, 1)
	for i := range 5 * tableSize {
		b.take(strings.Repeat("x", i%7)+string(rune('a'+i%26))+http.StatusText(i%600)+strings.Repeat("y", i/600), 1)
	}
	if n := len(b.young) + len(b.old); n > 2*tableSize {
		t.Errorf("%d callers are remembered", n)
	}
}

// TestScrapers: metrics tell of all namespaces, so a tenant's key does not get them; a key
// of no namespace does, and gets no memory.
func TestScrapers(t *testing.T) {
	for _, c := range []struct {
		namespaces []string
		code       int
	}{{[]string{"*"}, 200}, {nil, 200}, {[]string{"acme"}, 403}} {
		path := filepath.Join(t.TempDir(), "keys.json")
		key, _, err := auth.Add(path, auth.Grant{Name: "x", Scopes: []string{"read"}, Namespaces: c.namespaces})
		if err != nil {
			t.Fatal(err)
		}
		ring, err := auth.Open(auth.Config{File: path})
		if err != nil {
			t.Fatal(err)
		}
		d, _ := newGuardedDoor(t, new(fake), func(cfg *Config) { cfg.Keys = ring })
		for _, path := range []string{"/metrics", "/api/v1/metrics"} {
			if w := serve(d, remoteFrom("192.0.2.1:5", request("GET", path, "", "X-Api-Key", key))); w.Code != c.code {
				t.Errorf("%s for a key of %q: %d %.200s, want %d", path, c.namespaces, w.Code, w.Body, c.code)
			}
		}
	}
}
