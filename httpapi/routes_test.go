package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

const created = `{"id":"9d0e0000-0000-4000-8000-000000000001","tier":"mid","namespace":"global","title":"T","agent_id":"ai:alice","quorum_acks":2,"dot":"0123456789abcdef:42","acks":2,"token":"TOKEN"}`

// TestBackup: the copy is sent whole, and closed whatever happens.
func TestBackup(t *testing.T) {
	f := &fake{body: strings.Repeat("backup ", 1<<18)}
	d, _ := newDoor(t, f)
	w := serve(d, request("GET", "/api/v1/backup", ""))
	if w.Code != 200 || w.Body.String() != f.body || w.Header().Get("Content-Type") != MediaBackup || w.Header().Get("Content-Length") != "1835008" || f.calls != 1 {
		t.Errorf("%d, %d bytes, %v, closed %d times", w.Code, w.Body.Len(), w.Header(), f.calls)
	}
	f.err = memory.ErrNoSpace
	if w := serve(d, request("GET", "/api/v1/backup", "")); w.Code != 503 || !strings.Contains(w.Body.String(), "NO_SPACE") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestAnswers holds every route's happy path to its golden body. TOKEN stands for the
// test token.
func TestAnswers(t *testing.T) {
	token := testToken.Token()
	cursor := wire.SinceRequest{Peer: "n2", Cluster: testCluster}.Values().Encode()
	for _, c := range []struct {
		name           string
		method, target string
		body           string
		headers        []string
		status         int
		want           string
	}{
		{"create", "POST", "/api/v1/memories", `{"title":"T","content":"c"}`, []string{"X-Agent-Id", "ai:alice"}, 201, created},
		{"create, agent in the body", "POST", "/api/v1/memories", `{"title":"T","content":"c","agent_id":"ai:alice"}`, []string{"X-Agent-Id", "ai:bob"}, 201, created},
		{"create, type with charset", "POST", "/api/v1/memories", `{"title":"T","content":"c"}`,
			[]string{"X-Agent-Id", "ai:alice", "Content-Type", "application/json; charset=UTF-8"}, 201, created},
		{"bulk", "POST", "/api/v1/memories/bulk", `[{"title":"A","content":"c"},{"title":"","content":"c"}]`, nil, 200,
			`{"created":1,"errors":["item: title must not be empty"],"ids":["id-of-A"],"acks":2,"token":"TOKEN"}`},
		{"bulk as an object", "POST", "/api/v1/memories/bulk", `{"memories":[]}`, nil, 200,
			`{"created":0,"errors":[],"ids":[],"acks":2,"token":"TOKEN"}`},
		{"list", "GET", "/api/v1/memories", "", nil, 200, `{"memories":[{"id":"m1","title":"T","token":"TOKEN"},{"id":"m2"}],"count":2}`},
		{"list of nothing", "GET", "/api/v1/memories?limit=0", "", nil, 200, `{"memories":[],"count":0}`},
		{"get", "GET", "/api/v1/memories/m1", "", nil, 200, `{"memory":{"id":"m1","title":"T","token":"TOKEN"},"links":[]}`},
		{"get with siblings", "GET", "/api/v1/memories/m1?conflicts=1", "", nil, 200,
			`{"memory":{"id":"m1","title":"T","token":"TOKEN"},"links":[],"siblings":[{"dot":"0123456789abcdef:42","memory":{"id":"m1"}}]}`},
		{"revisions", "GET", "/api/v1/memories/m1/revisions", "", nil, 200,
			`{"id":"m1","revisions":[{"dot":"0123456789abcdef:42","written_at":"2026-05-01T10:00:00+00:00","agent_id":"ai:bob","held":true,"memory":{"id":"m1"}},` +
				`{"dot":"0123456789abcdef:7","written_at":"2026-05-01T10:00:00+00:00","agent_id":"ai:eve","held":false}],"count":2}`},
		{"import", "POST", "/api/v1/import", `{"memories":[{},{}]}`, nil, 200, `{"imported":2,"unchanged":0,"errors":[],"acks":2,"token":"TOKEN"}`},
		{"update", "PUT", "/api/v1/memories/m1", `{"title":"T"}`, nil, 200,
			`{"id":"m1","title":"T","token":"TOKEN","dot":"0123456789abcdef:42","acks":2}`},
		{"delete", "DELETE", "/api/v1/memories/m1", "", nil, 200, `{"deleted":true,"id":"m1","dot":"0123456789abcdef:42","acks":2,"token":"TOKEN"}`},
		{"write status", "GET", "/api/v1/writes/0123456789abcdef/42", "", nil, 200,
			`{"dot":"0123456789abcdef:42","local":true,"acked_by":["n1","n2"],"acks":2,"needed":2,"members":3,"quorum_met":true}`},
		{"stats", "GET", "/api/v1/stats", "", nil, 200,
			`{"total":3,"by_tier":[{"tier":"mid","count":3}],"by_namespace":[{"namespace":"global","count":3}],"expiring_soon":0,"links_count":0,"db_size_bytes":4096,"dim_violations":0,"index_evictions_total":0}`},
		{"health", "GET", "/api/v1/health", "", nil, 200, `{"status":"ok","service":"ai-memory","version":"0.1.0","embedder_ready":false,"federation_enabled":true}`},
		{"livez", "GET", "/livez", "", nil, 200, `{"status":"ok"}`},
		{"readyz", "GET", "/readyz", "", nil, 200, `{"status":"ready"}`},
		{"cluster", "GET", "/api/v1/cluster", "", nil, 200,
			`{"cluster_id":"0102030405060708090a0b0c0d0e0f10","name":"n1","version":"0.1.0","origin":"0123456789abcdef","boot":"1152921504606846976","ready":true,"reasons":[],` +
				`"quorum":{"n":3,"w":2,"reachable":3},"clock":{"0123456789abcdef":"42"},"clock_hash":"00000000000000aa","digest":"d1","conflicts":0,"quarantined":0,"members":[` +
				`{"name":"n1","state":"self","addr":"127.0.0.1:9077","clock_hash":"","lag_dots":0,"lag_seconds":0,"breaker":"closed","acked":0},` +
				`{"name":"n2","state":"alive","addr":"127.0.0.1:9078","clock_hash":"00000000000000bb","lag_dots":3,"lag_seconds":0.5,"last_success":"2026-05-01T10:00:00Z","breaker":"open","acked":41}],"removed":[]}`},
		{"members", "GET", "/api/v1/members", "", nil, 200,
			`{"members":[{"name":"n1","state":"self","addr":"","clock_hash":"","lag_dots":0,"lag_seconds":0,"breaker":"","acked":0}],"removed":["n9"],"quorum":{"n":1,"w":1,"reachable":1}}`},
		{"remove a member", "DELETE", "/api/v1/members/n3?w=1", "", nil, 200,
			`{"removed":true,"name":"n3","n":2,"w":2,"dot":"0123456789abcdef:42","acks":2,"token":"TOKEN"}`},
		{"remove a living member", "DELETE", "/api/v1/members/alive", "", nil, 409, `{"error":"alive is alive","code":"MEMBER"}`},
		{"force it", "DELETE", "/api/v1/members/alive?force=1", "", nil, 200,
			`{"removed":true,"name":"alive","n":2,"w":2,"dot":"0123456789abcdef:42","acks":2,"token":"TOKEN"}`},
		{"remove what is no name", "DELETE", "/api/v1/members/n%2F3", "", nil, 400, `{"error":"name may only contain letters, digits and . _ -","code":"INVALID","field":"name"}`},
		{"doctor", "GET", "/api/v1/doctor", "", nil, 200,
			`{"node":"n1","version":"0.1.0","findings":[{"severity":"error","check":"tcp","about":"n2","problem":"p","remedy":"r"}]}`},
		{"add a member", "PUT", "/api/v1/members/n3", "", nil, 200, `{"added":true,"name":"n3","n":3,"w":2,"existing":true,"acks":2,"token":"TOKEN"}`},
		{"since, nothing new", "GET", "/api/v1/sync/since?" + cursor, "", nil, 304, ""},
		{"since, nothing new, posted", "POST", "/api/v1/sync/since", cursor, []string{"Content-Type", wire.MediaForm}, 304, ""},
		{"since a time", "GET", "/api/v1/sync/since?since=2026-05-01T09:00:00Z&limit=3&peer=x", "", nil, 200,
			`{"count":1,"limit":3,"updated_since":null,"earliest_updated_at":"2026-05-01T10:00:00Z","latest_updated_at":"2026-05-01T10:00:00Z","next_since":"2026-05-01T09:00:00Z@7","memories":[{"id":"m1","content":"<b>"}]}`},
		{"push of the original", "POST", "/api/v1/sync/push", `{"sender_agent_id":"host:x","sender_clock":{"entries":{}},"memories":[{"id":"a"}]}`, nil, 200,
			`{"applied":1,"deleted":0,"archived":0,"restored":0,"links_applied":0,"pendings_applied":0,"pending_decisions_applied":0,"namespace_meta_applied":0,"namespace_meta_cleared":0,"noop":0,"skipped":0,"dry_run":false,"receiver_agent_id":"memd:n1","receiver_clock":{"entries":{}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{siblings: []Sibling{{Dot: testDot, Body: []byte(`{"id":"m1"}`)}}}
			d, log := newDoor(t, f)
			w := serve(d, request(c.method, c.target, c.body, c.headers...))
			want := strings.ReplaceAll(c.want, "TOKEN", token)
			if w.Code != c.status || w.Body.String() != want {
				t.Fatalf("got %d %s\nwant %d %s", w.Code, w.Body, c.status, want)
			}
			if got := w.Header().Get("X-Content-Type-Options"); got != "nosniff" {
				t.Errorf("nosniff header: %q", got)
			}
			if got := w.Header().Get("Content-Type"); c.want != "" && got != "application/json" {
				t.Errorf("content type %q", got)
			}
			if log.String() != "" {
				t.Errorf("logged: %s", log)
			}
		})
	}
}

func TestHeadHasNoOtherStatus(t *testing.T) {
	d, _ := newDoor(t, new(fake))
	for _, path := range []string{"/livez", "/api/v1/health", "/api/v1/memories/m1", "/metrics"} {
		if w := serve(d, request("HEAD", path, "")); w.Code != 200 {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
}

// TestWhatTheNodeIsTold checks what the door read beside the body.
func TestWhatTheNodeIsTold(t *testing.T) {
	f := new(fake)
	d, _ := newDoor(t, f)
	body := `{"title":"T","content":"c"}`

	serve(d, request("POST", "/api/v1/memories?w=3", body, "X-Agent-Id", "ai:alice", "Idempotency-Key", "k 1"))
	if f.opt.W != 3 || f.opt.Agent != "ai:alice" || f.opt.Anonymous || f.opt.IdempotencyKey != "k 1" {
		t.Errorf("options: %+v", f.opt)
	}
	if f.beats != 1 || f.admits != 0 {
		t.Errorf("a write beats once and is not held: %d, %d", f.beats, f.admits)
	}
	serve(d, request("POST", "/api/v1/memories", body))
	first := f.opt.Agent
	serve(d, request("POST", "/api/v1/memories", body))
	if !f.opt.Anonymous || f.opt.Agent != first || len(first) != len("anonymous:req-00000000") || !strings.HasPrefix(first, "anonymous:req-") {
		t.Errorf("anonymous agents of one request: %q, %q", first, f.opt.Agent)
	}
	serve(d, request("POST", "/api/v1/memories", `{"title":"U","content":"c"}`))
	if f.opt.Agent == first {
		t.Errorf("two requests, one anonymous agent %q", first)
	}

	serve(d, request("PUT", "/api/v1/memories/m%31", `{"priority":3,"agent_id":"ai:carol"}`, "If-Match", `"`+testToken.Token()+`"`))
	if f.id != "m1" || f.opt.Match == nil || !f.opt.Match.Equal(testToken) || *f.patch.Priority != 3 || f.opt.Agent != "ai:carol" {
		t.Errorf("update: id %q, %+v, %+v", f.id, f.opt, f.patch)
	}
	serve(d, request("DELETE", "/api/v1/memories/m1", "", "If-Match", testToken.Token()))
	if f.opt.Match == nil || !f.opt.Match.Equal(testToken) {
		t.Errorf("delete: %+v", f.opt)
	}
	serve(d, request("DELETE", "/api/v1/memories/m1", "", "If-Match", "*"))
	if f.opt.Match != nil {
		t.Errorf("any version: %+v", f.opt)
	}

	w := serve(d, request("GET", "/api/v1/memories/m1?conflicts=true&after="+testToken.Token(), ""))
	if !f.read.Conflicts || f.read.After == nil || !f.read.After.Equal(testToken) {
		t.Errorf("read: %+v", f.read)
	}
	if got, want := w.Header().Get("ETag"), `"`+testToken.Token()+`"`; got != want {
		t.Errorf("etag %s, want %s", got, want)
	}
	if f.admits != 1 {
		t.Errorf("reads admitted: %d", f.admits)
	}

	q := url.Values{"namespace": {"a/b"}, "tier": {"long"}, "tags": {"x"}, "agent_id": {"ai:x"}, "min_priority": {"4"}, "limit": {"1001"},
		"offset": {"7"}, "since": {"2026-05-01T10:00:00+00:00"}, "nonsense": {"1", "2"}}
	serve(d, request("GET", "/api/v1/memories?"+q.Encode(), ""))
	want := memory.Filter{Namespace: "a/b", Tier: "long", Tag: "x", AgentID: "ai:x", MinPriority: 4, Limit: 1000, Offset: 7, Since: testNow}
	got := f.filter
	if !got.Since.Equal(want.Since) {
		t.Errorf("since %v", got.Since)
	}
	got.Since = want.Since
	if got != want {
		t.Errorf("filter %+v, want %+v", got, want)
	}

	serve(d, request("GET", "/api/v1/writes/0123456789abcdef/42", ""))
	if f.dot != testDot {
		t.Errorf("dot %v", f.dot)
	}
	serve(d, request("POST", "/api/v1/sync/push", `{"sender_agent_id":"host:x","memories":[]}`))
	if f.opt.Agent != "host:x" || f.opt.Anonymous {
		t.Errorf("a sender is the agent of what it pushes: %+v", f.opt)
	}
}

func TestStaleReadsAreMarked(t *testing.T) {
	f := &fake{stale: true}
	d, _ := newDoor(t, f)
	for target, want := range map[string]string{"/api/v1/memories": "1", "/api/v1/memories/m1": "1", "/api/v1/stats": "1", "/livez": ""} {
		if got := serve(d, request("GET", target, "")).Header().Get("Memd-Stale"); got != want {
			t.Errorf("%s: Memd-Stale %q, want %q", target, got, want)
		}
	}
}

func TestPage(t *testing.T) {
	p := &wire.Page{Rows: [][]byte{[]byte("row")}}
	p.Head = wire.Head{Cluster: testCluster, Name: "n1", Clock: testToken, Scope: wire.ScopeAll}
	p.Tail = wire.Tail{Covers: testToken, Complete: true}
	f := &fake{page: p}
	d, _ := newDoor(t, f)
	req := wire.SinceRequest{Peer: "n2", Boot: 3, Cluster: testCluster, Cursor: clock.Of(clock.Dot{Origin: 9, Counter: 1}), LimitBytes: 1 << 40}

	w := serve(d, request("GET", "/api/v1/sync/since?"+req.Values().Encode(), ""))
	if w.Code != 200 || w.Header().Get("Content-Type") != wire.MediaFrames || w.Header().Get(wire.HeaderNode) != "n1" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	got, err := wire.ReadPage(w.Body, 0)
	if err != nil || len(got.Rows) != 1 || string(got.Rows[0]) != "row" || !got.Tail.Complete {
		t.Fatalf("page %+v, %v", got, err)
	}
	if f.pull.Peer != "n2" || f.pull.Boot != 3 || !f.pull.Cursor.Equal(req.Cursor) || f.pull.LimitBytes != wire.MaxLimitBytes {
		t.Errorf("pull %+v", f.pull)
	}

	w = serve(d, request("GET", "/api/v1/sync/since?"+req.Values().Encode(), "", "Accept", wire.MediaNDJSON))
	if w.Code != 200 || w.Header().Get("Content-Type") != wire.MediaNDJSON || !strings.HasPrefix(w.Body.String(), `{"head":`) {
		t.Errorf("for people: %d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestPushFrames(t *testing.T) {
	f := new(fake)
	d, _ := newDoor(t, f)
	var body []byte
	var err error
	for seq := range uint64(3) {
		if body, err = wire.AppendBatch(body, &wire.PushBatch{Seq: seq + 1, Origin: 9, Rows: [][]byte{[]byte("row")}}); err != nil {
			t.Fatal(err)
		}
	}
	body = wire.AppendNudge(body, &wire.Nudge{ClockHash: 5})
	post := func(body string, headers ...string) (int, []wire.Ack, string) {
		r := request("POST", wire.PathPush, body, "Content-Type", wire.MediaFrames)
		wire.Self{Name: "n2", Cluster: func() memory.ClusterID { return testCluster }}.Hello().Set(r.Header)
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := serve(d, r)
		acks, _ := wire.ReadAcks(strings.NewReader(w.Body.String()))
		return w.Code, acks, w.Body.String()
	}
	status, acks, text := post(string(body))
	if status != 200 || len(acks) != 3 || len(f.nudges) != 1 {
		t.Fatalf("%d %v %s", status, acks, text)
	}
	for i, a := range acks {
		if a.Seq != uint64(i+1) || a.Result != wire.AckOK {
			t.Errorf("ack %d: %+v", i, a)
		}
	}
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
	}{
		{"garbage", "garbage", nil, 400},
		{"cut short", string(body[:len(body)-3]), nil, 400},
		{"flipped bit", strings.Replace(string(body), "row", "rox", 1), nil, 400},
		{"another cluster", string(body), []string{wire.HeaderCluster, strings.Repeat("ab", 16)}, http.StatusConflict},
		{"my own name", string(body), []string{wire.HeaderNode, "n1"}, http.StatusConflict},
		{"another protocol", string(body), []string{wire.HeaderProto, "99"}, http.StatusConflict},
		{"no name", string(body), []string{wire.HeaderNode, ""}, 400},
		{"compressed", string(body), []string{"Content-Encoding", "gzip"}, 415},
	} {
		if status, _, text := post(c.body, c.headers...); status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, status, text, c.status)
		}
	}
	// A full queue is told as 429 when it met all batches, and batch by batch else.
	for _, taken := range []uint64{0, 2} {
		f.push = func(b *wire.PushBatch, done func(wire.Ack)) {
			result := wire.AckBusy
			if b.Seq == taken {
				result = wire.AckOK
			}
			done(wire.Ack{Seq: b.Seq, Result: result, Name: "n1"})
		}
		status, acks, text := post(string(body))
		if all := taken == 0; all != (status == http.StatusTooManyRequests) || all != strings.Contains(text, `"error"`) || !all && (status != 200 || len(acks) != 3) {
			t.Errorf("%d taken: %d %v %s", taken, status, acks, text)
		}
	}
}
