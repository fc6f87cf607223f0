package httpapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

// FuzzDoor says anything to the door: never a panic, never a 5xx with a node that works,
// and every refusal is JSON in the one shape.
func FuzzDoor(f *testing.F) {
	token := testToken.Token()
	cursor := wire.SinceRequest{Peer: "n2", Cluster: testCluster}.Values().Encode()
	for _, s := range []struct{ method, path, query, name, value, contentType, body string }{
		{"POST", "/api/v1/memories", "w=2", "Idempotency-Key", "k", "application/json", `{"title":"T","content":"c","metadata":{"a":[1]}}`},
		{"POST", "/api/v1/memories/bulk", "", "X-Agent-Id", "ai:x", "application/json", `{"memories":[{"title":"T","content":"c"}]}`},
		{"GET", "/api/v1/memories", "limit=3&offset=1&tags=x&after=" + token, "Origin", "http://localhost", "", ""},
		{"GET", "/api/v1/memories/m%2F1", "conflicts=1", "Host", "[::1]:1", "", ""},
		{"PUT", "/api/v1/memories/m1", "", "If-Match", `"` + token + `"`, "application/json; charset=utf-8", `{"tags":[],"expires_at":null}`},
		{"DELETE", "/api/v1/memories/m1", "w=0", "If-Match", "*", "", ""},
		{"GET", "/api/v1/writes/0123456789abcdef/42", "", "", "", "", ""},
		{"GET", "/api/v1/sync/since", cursor, "Accept", wire.MediaNDJSON, "", ""},
		{"POST", "/api/v1/sync/since", "", "Accept-Encoding", "zstd", wire.MediaForm, cursor},
		{"GET", "/api/v1/sync/since", "since=2026-05-01T10:00:00Z@7&limit=9", "", "", "", ""},
		{"POST", "/api/v1/sync/push", "", "Content-Encoding", "gzip", "application/json", zip([]byte(`{"sender_agent_id":"x","memories":[]}`))},
		{"POST", "/api/v1/sync/push", "", "Upgrade", wire.UpgradeProto, "", ""},
		{"POST", "/api/v1/sync/push", "", "", "", wire.MediaFrames, "P\x00"},
		{"TRACE", "/metrics", "api_key=x", "Content-Length", "-5", "", ""},
		{"GET", "/api/v1/metrics", "", "", "", "", ""},
		{"GET", "/readyz", "%zz", "", "", "", ""},
	} {
		f.Add(s.method, s.path, s.query, s.name, s.value, s.contentType, s.body)
	}
	node := &fake{page: &wire.Page{
		Head: wire.Head{Cluster: testCluster, Name: "n1", Clock: testToken}, Rows: [][]byte{[]byte("row")},
		Tail: wire.Tail{Covers: testToken, Complete: true},
	}}
	d, log := newDoor(f, node)
	f.Fuzz(func(t *testing.T, method, path, query, name, value, contentType, body string) {
		r := &http.Request{
			Method: method, Host: "localhost", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{}, URL: &url.URL{RawQuery: query},
			Body: http.NoBody, RequestURI: path + "?" + query,
		}
		if u, err := url.ParseRequestURI(path); err == nil {
			u.RawQuery = query
			r.URL = u
		} else {
			r.URL.Path = path
		}
		if body != "" {
			unsized(r)
			r.Body = httptest.NewRequest("POST", "/", strings.NewReader(body)).Body
		}
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		if name == "Host" {
			r.Host = value
		} else if name != "" {
			r.Header.Add(name, value)
		}
		if strings.HasPrefix(path, wire.PathPush) {
			wire.Self{Name: "n2", Cluster: d.Self.Cluster}.Hello().Set(r.Header)
		}
		node.mu.Lock()
		node.nudges = nil
		node.mu.Unlock()
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		switch {
		case w.Code >= 500:
			t.Fatalf("%d %s", w.Code, w.Body)
		case w.Code >= 400 && !isError(w.Body.Bytes()) && !(strings.HasSuffix(path, "metrics") && w.Code == 406):
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if log.String() != "" {
			t.Fatalf("logged %s", log)
		}
	})
}

// FuzzParams: what the door accepts in a header or a query means one thing only.
func FuzzParams(f *testing.F) {
	f.Add("ai:x", "k", `"`+testToken.Token()+`"`)
	f.Add("", "", "*")
	f.Add("human:ä", strings.Repeat("k", maxIdempotencyKey), `W/"`+testToken.Token()+`"`)
	f.Add(strings.Repeat("a", 129), strings.Repeat("k", maxIdempotencyKey+1), `"`+testToken.Token())
	f.Add("ai:x ai:y", "k\x00", `"`+testToken.Token()+`", "x"`)
	f.Add("anonymous:req-0a1b2c3d", " k ", `""`)
	f.Add("\xff", "\xff", `"`+clock.Clock{}.Token()+`"`)
	f.Fuzz(func(t *testing.T, agentID, key, etag string) {
		h := http.Header{"X-Agent-Id": {agentID}, "Idempotency-Key": {key}, "If-Match": {etag}}
		if id, _, err := agent(h, nil); err == nil && (id == "" || len(id) > 128 || strings.ContainsAny(id, " \r\n\x00")) {
			t.Errorf("agent %q", id)
		}
		if k, err := idempotencyKey(h); err == nil && (k == "" || len(k) > maxIdempotencyKey) {
			t.Errorf("key %q", k)
		}
		if m, err := match(h); err == nil && m != nil {
			again, err := clock.ParseToken(m.Token())
			if err != nil || !again.Equal(*m) {
				t.Errorf("match %q: %v", etag, err)
			}
		}
	})
}
