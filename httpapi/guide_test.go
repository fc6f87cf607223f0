package httpapi

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var sessionID = regexp.MustCompile(`"session_id":"[0-9a-f]{32}"`)

// TestGuideAnswers holds the routes of namespaces, agents and sessions to golden bodies.
// TOKEN stands for the test token, SESSION for a session's id.
func TestGuideAnswers(t *testing.T) {
	const (
		a       = `{"namespace":"a","standard_id":"m1","title":"T","content":"c","priority":5,"parent":"p","governance":{"write":"any"}}`
		ab      = `{"namespace":"a/b","standard_id":"m1","title":"T","content":"c","priority":5,"parent":"p","governance":{"write":"any"}}`
		global  = `{"namespace":"*","standard_id":"m1","title":"T","content":"c","priority":5,"parent":null,"governance":null}`
		written = `"dot":"0123456789abcdef:42","acks":2,"token":"TOKEN"`
		shown   = `"session_id":"SESSION","mode":"session_start","memories":[{"id":"m1","title":"T","token":"TOKEN"}],"count":1`
	)
	for _, c := range []struct {
		name           string
		method, target string
		body           string
		headers        []string
		status         int
		want           string
	}{
		{"namespaces", "GET", "/api/v1/namespaces", "", nil, 200, `{"namespaces":[{"namespace":"a","count":2}]}`},
		{"standard", "GET", "/api/v1/namespaces?namespace=a", "", nil, 200, a},
		{"no standard", "GET", "/api/v1/namespaces?namespace=none", "", nil, 200, `{"namespace":"none","standard_id":null}`},
		{"standard by path", "GET", "/api/v1/namespaces/a/standard", "", nil, 200, a},
		{"standard by path, escaped slash", "GET", "/api/v1/namespaces/a%2Fb/standard", "", nil, 200, ab},
		{"standard of all", "GET", "/api/v1/namespaces/*/standard", "", nil, 200, global},
		{"chain", "GET", "/api/v1/namespaces?namespace=a/b&inherit=true", "", nil, 200,
			`{"namespace":"a/b","chain":["*","a/b"],"standards":[` + global + `,` + ab + `],"count":2}`},
		{"chain by path", "GET", "/api/v1/namespaces/a%2fb/standard?inherit=1", "", nil, 200,
			`{"namespace":"a/b","chain":["*","a/b"],"standards":[` + global + `,` + ab + `],"count":2}`},
		{"set", "POST", "/api/v1/namespaces", `{"namespace":"a","id":"m1"}`, nil, 201,
			`{"set":true,"namespace":"a","standard_id":"m1","parent":null,"governance":null,` + written + `}`},
		{"set, nested", "POST", "/api/v1/namespaces", `{"namespace":"a","standard":{"id":"m1","parent":"p","governance":{"write":"any"}}}`, nil, 201,
			`{"set":true,"namespace":"a","standard_id":"m1","parent":"p","governance":{"write":"any"},` + written + `}`},
		{"set, all nested", "POST", "/api/v1/namespaces", `{"standard":{"namespace":"a/b"}}`, nil, 201,
			`{"set":true,"namespace":"a/b","standard_id":"m1","parent":null,"governance":null,` + written + `}`},
		{"set by path", "POST", "/api/v1/namespaces/a%2Fb/standard", `{"governance":{"inherit":false,"write":"owner","x":1}}`, nil, 201,
			`{"set":true,"namespace":"a/b","standard_id":"m1","parent":null,"governance":{"inherit":false,"write":"owner","x":1},` + written + `}`},
		{"clear", "DELETE", "/api/v1/namespaces?namespace=a/b", "", nil, 200, `{"cleared":true,"namespace":"a/b",` + written + `}`},
		{"clear by path", "DELETE", "/api/v1/namespaces/a%2Fb/standard", "", nil, 200, `{"cleared":true,"namespace":"a/b",` + written + `}`},
		{"clear what is not there", "DELETE", "/api/v1/namespaces/none/standard", "", nil, 200, `{"cleared":false,"namespace":"none"}`},
		{"register", "POST", "/api/v1/agents", `{"agent_id":"ai:a","agent_type":"ai:x","capabilities":["code"]}`, nil, 201,
			`{"registered":true,"id":"ai:a","agent_id":"ai:a","agent_type":"ai:x","capabilities":["code"],` + written + `}`},
		{"register a human", "POST", "/api/v1/agents", `{"agent_id":"bob","agent_type":"human"}`, nil, 201,
			`{"registered":true,"id":"bob","agent_id":"bob","agent_type":"human","capabilities":[],` + written + `}`},
		{"agents", "GET", "/api/v1/agents", "", nil, 200,
			`{"count":1,"agents":[{"agent_id":"ai:a","agent_type":"ai:x","capabilities":["code"],"registered_at":"2026-05-01T10:00:00+00:00","last_seen_at":"2026-05-01T10:00:00+00:00"}]}`},
		{"capabilities", "GET", "/api/v1/capabilities", "", nil, 200, `{"schema_version":"2"}`},
		{"capabilities v1", "GET", "/api/v1/capabilities", "", []string{"Accept-Capabilities", "v1"}, 200, `{"schema_version":"1"}`},
		{"capabilities v3", "GET", "/api/v1/capabilities", "", []string{"Accept-Capabilities", "v3"}, 200, `{"schema_version":"3"}`},
		{"capabilities, several", "GET", "/api/v1/capabilities", "", []string{"Accept-Capabilities", "v9, v3,v1"}, 200, `{"schema_version":"3"}`},
		{"capabilities, unknown", "GET", "/api/v1/capabilities", "", []string{"Accept-Capabilities", "v4"}, 200, `{"schema_version":"2"}`},
		{"session", "POST", "/api/v1/session/start", "{}", nil, 200, `{` + shown + `}`},
		{"session without a body", "POST", "/api/v1/session/start", "", []string{"Content-Type", "-"}, 200, `{` + shown + `}`},
		{"session of a namespace", "POST", "/api/v1/session/start", `{"namespace":"a","limit":5,"format":"json"}`, nil, 200, `{` + shown + `,"standard":` + a + `}`},
		{"session, two standards", "POST", "/api/v1/session/start", `{"namespace":"a/b"}`, nil, 200, `{` + shown + `,"standards":[` + global + `,` + ab + `]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, log := newDoor(t, new(fake))
			w := serve(d, request(c.method, c.target, c.body, c.headers...))
			got := sessionID.ReplaceAllString(w.Body.String(), `"session_id":"SESSION"`)
			if want := strings.ReplaceAll(c.want, "TOKEN", testToken.Token()); w.Code != c.status || got != want {
				t.Fatalf("got %d %s\nwant %d %s", w.Code, got, c.status, want)
			}
			if w.Header().Get("Content-Type") != "application/json" || log.String() != "" {
				t.Errorf("%v, logged: %s", w.Header(), log)
			}
		})
	}
}

func TestGuideHostile(t *testing.T) {
	const namespaces, agents, start = "/api/v1/namespaces", "/api/v1/agents", "/api/v1/session/start"
	post := func(target, body string, headers ...string) *http.Request {
		return request("POST", target, body, headers...)
	}
	set := func(members string) *http.Request { return post(namespaces, `{"namespace":"a",`+members+`}`) }
	govern := func(g string) *http.Request { return set(`"governance":` + g) }
	agent := func(id, kind, more string) *http.Request {
		return post(agents, `{"agent_id":"`+id+`","agent_type":"`+kind+`"`+more+`}`)
	}
	for _, c := range []struct {
		name   string
		req    *http.Request
		status int
		field  string
	}{
		{"no body", post(namespaces, ""), 400, "body"},
		{"null", post(namespaces, "null"), 400, "body"},
		{"array", post(namespaces, "[]"), 400, "body"},
		{"truncated", post(namespaces, `{"namespace":"a`), 400, "body"},
		{"trailing garbage", post(namespaces, `{"namespace":"a"}x`), 400, "body"},
		{"duplicate key", set(`"id":"m1","id":"m1"`), 400, "body"},
		{"case variants", set(`"id":"m1","ID":"m1"`), 400, "body"},
		{"case variants, nested", set(`"standard":{"id":"m1","Id":"m1"}`), 400, "standard"},
		{"deep", set(`"id":` + strings.Repeat("[", 100_000)), 400, "body"},
		{"text/plain", post(namespaces, `{"namespace":"a"}`, "Content-Type", "text/plain"), 415, ""},
		{"no namespace", post(namespaces, `{"id":"m1"}`), 400, "namespace"},
		{"namespace ../x", post(namespaces, `{"namespace":"../x"}`), 400, "namespace"},
		{"namespace /abs", post(namespaces, `{"namespace":"/abs"}`), 400, "namespace"},
		{"namespace a//b", post(namespaces, `{"namespace":"a//b"}`), 400, "namespace"},
		{"namespace escaped twice", request("GET", namespaces+"/a%252Fb/standard", ""), 400, "namespace"},
		{"namespace .. in the path", request("GET", namespaces+"/%2E%2E%2Fx/standard", ""), 400, "namespace"},
		{"namespace long", post(namespaces, `{"namespace":"`+strings.Repeat("a", 4096)+`"}`), 400, "namespace"},
		{"namespace a number", post(namespaces, `{"namespace":1}`), 400, "namespace"},
		{"another namespace than the path's", post(namespaces+"/b/standard", `{"namespace":"a"}`), 400, "namespace"},
		{"namespace twice", request("GET", namespaces+"?namespace=a&namespace=b", ""), 400, "namespace"},
		{"standard a string", set(`"standard":"m1"`), 400, "standard"},
		{"id a number", set(`"id":1`), 400, "id"},
		{"id with slash", set(`"id":"a/b"`), 400, "id"},
		{"id of 129 bytes", set(`"id":"` + strings.Repeat("a", 129) + `"`), 400, "id"},
		{"parent /x", set(`"parent":"/x"`), 400, "parent"},
		{"parent a list", set(`"parent":[]`), 400, "parent"},
		{"governance a string", govern(`"any"`), 400, "governance"},
		{"governance without write", govern(`{"delete":"any"}`), 400, "governance.write"},
		{"governance write", govern(`{"write":"canary"}`), 400, "governance.write"},
		{"governance write a number", govern(`{"write":1}`), 400, "governance.write"},
		{"governance promote", govern(`{"write":"any","promote":"canary"}`), 400, "governance.promote"},
		{"governance delete", govern(`{"write":"any","delete":null}`), 400, "governance.delete"},
		{"governance approver", govern(`{"write":"any","approver":"canary"}`), 400, "governance.approver"},
		{"governance approver empty", govern(`{"write":"any","approver":{}}`), 400, "governance.approver"},
		{"governance approver of both", govern(`{"write":"any","approver":{"agent":"a","consensus":2}}`), 400, "governance.approver"},
		{"governance approver agent", govern(`{"write":"any","approver":{"agent":"canary agent"}}`), 400, "governance.approver.agent"},
		{"governance consensus 0", govern(`{"write":"any","approver":{"consensus":0}}`), 400, "governance.approver.consensus"},
		{"governance consensus 1e3", govern(`{"write":"any","approver":{"consensus":1e3}}`), 400, "governance.approver.consensus"},
		{"governance inherit", govern(`{"write":"any","inherit":"yes"}`), 400, "governance.inherit"},
		{"governance with case variants", govern(`{"write":"any","Write":"any"}`), 400, "governance"},
		{"governance too long", govern(`{"write":"any","x":"` + strings.Repeat("x", 5000) + `"}`), 400, "governance"},
		{"governance too deep", govern(`{"write":"any","x":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`), 400, "governance"},
		{"governance with a huge number", govern(`{"write":"any","x":1e999}`), 400, "governance"},
		{"inherit=garbage", request("GET", namespaces+"?namespace=a&inherit=canary", ""), 400, "inherit"},
		{"after=garbage", request("GET", namespaces+"?after=canary", ""), 400, "after"},
		{"clear nothing", request("DELETE", namespaces, ""), 400, "namespace"},
		{"clear a bad one", request("DELETE", namespaces+"?namespace=../x", ""), 400, "namespace"},
		{"w=0", post(namespaces+"?w=0", `{"namespace":"a"}`), 400, "w"},
		{"a path that is none", request("GET", namespaces+"/a/b/standard", ""), 404, ""},
		{"PUT", request("PUT", namespaces, "{}"), 405, ""},

		{"agent, no body", post(agents, ""), 400, "body"},
		{"agent without id", post(agents, `{"agent_type":"human"}`), 400, "agent_id"},
		{"agent without type", post(agents, `{"agent_id":"a"}`), 400, "agent_type"},
		{"agent id charset", agent("canary agent", "human", ""), 400, "agent_id"},
		{"agent id empty", agent("", "human", ""), 400, "agent_id"},
		{"agent id long", agent(strings.Repeat("a", 129), "human", ""), 400, "agent_id"},
		{"agent type unknown", agent("a", "canary", ""), 400, "agent_type"},
		{"agent type ai:", agent("a", "ai:", ""), 400, "agent_type"},
		{"agent type with a space", agent("a", "ai:canary x", ""), 400, "agent_type"},
		{"agent type long", agent("a", "ai:"+strings.Repeat("a", 62), ""), 400, "agent_type"},
		{"agent capabilities a string", agent("a", "human", `,"capabilities":"canary"`), 400, "capabilities"},
		{"agent capabilities of numbers", agent("a", "human", `,"capabilities":[1]`), 400, "capabilities"},
		{"agent capabilities blank", agent("a", "human", `,"capabilities":[" "]`), 400, "capabilities"},
		{"agent capabilities too many", agent("a", "human", `,"capabilities":["x"`+strings.Repeat(`,"x"`, 64)+`]`), 400, "capabilities"},
		{"agent capabilities with control", agent("a", "human", `,"capabilities":["canary\u0000"]`), 400, "capabilities"},
		{"agent with case variants", agent("a", "human", `,"Agent_id":"b"`), 400, "body"},

		{"session, truncated", post(start, `{"namespace":`), 400, "body"},
		{"session, text/plain", post(start, `{}`, "Content-Type", "text/plain"), 415, ""},
		{"session limit -1", post(start, `{"limit":-1}`), 400, "limit"},
		{"session limit 1e9", post(start, `{"limit":1e9}`), 400, "limit"},
		{"session limit a string", post(start, `{"limit":"5"}`), 400, "limit"},
		{"session namespace", post(start, `{"namespace":"../x"}`), 400, "namespace"},
		{"session namespace a number", post(start, `{"namespace":1}`), 400, "namespace"},
		{"session by GET", request("GET", start, ""), 405, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := new(fake)
			d, log := newDoor(t, f)
			w := serve(d, c.req)
			body := w.Body.String()
			if w.Code != c.status || !isError(w.Body.Bytes()) || strings.Contains(body, "canary") {
				t.Fatalf("got %d %.300s, want %d", w.Code, body, c.status)
			}
			if c.field != "" && !strings.Contains(body, `"field":"`+c.field+`"`) {
				t.Errorf("field: %s", body)
			}
			if f.calls != 0 || log.String() != "" {
				t.Errorf("%d changes, logged: %s", f.calls, log)
			}
		})
	}
}

// The limit of a session is clamped as that of a recall.
func TestSessionLimit(t *testing.T) {
	for body, want := range map[string]int{"{}": 10, `{"limit":null}`: 10, `{"limit":0}`: 0, `{"limit":50}`: 50, `{"limit":51}`: 50, `{"namespace":""}`: 10} {
		f := new(fake)
		d, _ := newDoor(t, f)
		if w := serve(d, request("POST", "/api/v1/session/start?after="+testToken.Token(), body)); w.Code != 200 || f.limit != want {
			t.Errorf("%s: %d, limit %d, want %d", body, w.Code, f.limit, want)
		}
		if f.read.After == nil || f.admits != 1 {
			t.Error("a session start is a read")
		}
	}
}

// TestNotServed: what the original has beyond the core is no endpoint here, and is
// answered like any other path that is none.
func TestNotServed(t *testing.T) {
	for _, c := range []struct{ method, target string }{
		{"GET", "/api/v1/contradictions"}, {"GET", "/api/v1/taxonomy"}, {"POST", "/api/v1/check_duplicate"}, {"POST", "/api/v1/entities"},
		{"GET", "/api/v1/entities/by_alias"}, {"GET", "/api/v1/entities/by-alias"}, {"GET", "/api/v1/kg/timeline"}, {"POST", "/api/v1/kg/query"},
		{"POST", "/api/v1/kg/invalidate"}, {"GET", "/api/v1/pending"}, {"POST", "/api/v1/pending/p1/approve"}, {"POST", "/api/v1/pending/p1/reject"},
		{"POST", "/api/v1/approvals/a1"}, {"GET", "/api/v1/approvals/stream"}, {"POST", "/api/v1/notify"}, {"GET", "/api/v1/inbox"},
		{"GET", "/api/v1/subscriptions"}, {"POST", "/api/v1/subscriptions"}, {"DELETE", "/api/v1/subscriptions"}, {"DELETE", "/api/v1/subscriptions/s1"},
		{"POST", "/api/v1/auto_tag"}, {"POST", "/api/v1/expand_query"}, {"POST", "/api/v1/cluster/x"}, {"POST", "/api/v1/memories/m1/grant"},
		{"POST", "/api/v1/memories/m1/revoke"},
	} {
		f := new(fake)
		d, _ := newDoor(t, f)
		w := serve(d, request(c.method, c.target, ""))
		if want := `{"error":"no such endpoint","code":"NO_ROUTE"}`; w.Code != 404 || w.Body.String() != want || f.calls != 0 {
			t.Errorf("%s %s: %d %s", c.method, c.target, w.Code, w.Body)
		}
	}
}
