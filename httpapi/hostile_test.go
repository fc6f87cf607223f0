package httpapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/wire"
)

func zip(b []byte) string {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.String()
}

// TestHostile is the catalogue of bad input (reliability.md F) as far as it can be said in
// one well-framed request; the numbers are its rows. What is no 4xx there has its status
// here. After each request the node must not have been asked to change anything, and the
// log must not hold what was sent.
func TestHostile(t *testing.T) {
	good := `{"title":"canary","content":"canary"}`
	with := func(field string) string { return `{"title":"canary","content":"canary",` + field + `}` }
	bomb := func() string {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, _ = io.CopyN(z, zeroes{}, 8<<20)
		_ = z.Close()
		return out.String()
	}()
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	since := func(key, value string) string {
		v := wire.SinceRequest{Peer: "n2", Cluster: testCluster}.Values()
		v.Set(key, value)
		return "/api/v1/sync/since?" + v.Encode()
	}
	var many clock.Clock
	for i := range 5000 {
		many.Add(clock.Dot{Origin: clock.Origin(i + 1), Counter: 1})
	}
	const memories, bulk, push = "/api/v1/memories", "/api/v1/memories/bulk", "/api/v1/sync/push"
	post := func(body string, headers ...string) *http.Request { return request("POST", memories, body, headers...) }
	get := func(target string, headers ...string) *http.Request { return request("GET", target, "", headers...) }

	for _, c := range []struct {
		row    string
		req    *http.Request
		status int
	}{
		{"1 empty body", post(""), 400},
		{"1 blank body", post(" \n"), 400},
		{"2 null", post("null"), 400},
		{"3 array", post("[]"), 400},
		{"4 truncated", post(good[:20]), 400},
		{"5 two values", post(good + good), 400},
		{"6 trailing garbage", post(good + "x"), 400},
		{"7 content a number", post(`{"title":"canary","content":1}`), 400},
		{"8 tags a string", post(with(`"tags":"canary"`)), 400},
		{"9 priority 1e999", post(with(`"priority":1e999`)), 400},
		{"9 priority 11", post(with(`"priority":11`)), 400},
		{"9 confidence 1e999", post(with(`"confidence":1e999`)), 400},
		{"10 metadata an array", post(with(`"metadata":[]`)), 400},
		{"11 duplicate key", post(with(`"title":"canary"`)), 400},
		{"12 case variant", post(with(`"Content":"canary"`)), 400},
		{"13 depth 33", post(with(`"metadata":` + deep(33))), 400},
		{"14 depth 100000", post(strings.Repeat("[", 100_000)), 400},
		{"14 depth 100000 in metadata", post(with(`"metadata":` + strings.Repeat(`{"a":`, 100_000))), 400},
		{"15 content too long", post(`{"title":"canary","content":"` + strings.Repeat("a", 65_537) + `"}`), 400},
		{"16 content too long in bytes", post(`{"title":"canary","content":"` + strings.Repeat("😀", 16_385) + `"}`), 400},
		{"17 body too large", post(strings.Repeat(" ", maxBody+1)), 413},
		{"18 body too large, no length", unsized(post(strings.Repeat(" ", maxBody+1))), 413},
		{"18 exactly as large as allowed", post(strings.Repeat(" ", maxBody)), 400},
		{"20 gzip bomb", post(bomb, "Content-Encoding", "gzip"), 413},
		{"20 not gzip", post(good, "Content-Encoding", "gzip"), 400},
		{"20 gzip cut short", post(zip([]byte(good))[:30], "Content-Encoding", "gzip"), 400},
		{"20 gzip with a bad sum", post(zip([]byte(good))[:len(zip([]byte(good)))-8]+"12345678", "Content-Encoding", "gzip"), 400},
		{"21 deflate", post(good, "Content-Encoding", "deflate"), 415},
		{"22 nested gzip", post(zip([]byte(zip([]byte(good)))), "Content-Encoding", "gzip, gzip"), 415},
		{"22 nested gzip in two headers", post(good, "+Content-Encoding", "gzip", "+Content-Encoding", "gzip"), 415},
		{"22 gzip in gzip, said once", post(zip([]byte(zip([]byte(good)))), "Content-Encoding", "gzip"), 400},
		{"23 text/plain", post(good, "Content-Type", "text/plain"), 415},
		{"23 form", post("title=canary", "Content-Type", wire.MediaForm), 415},
		{"24 no type", post(good, "Content-Type", "-"), 415},
		{"24 two types", post(good, "+Content-Type", "application/json"), 415},
		{"24 another charset", post(good, "Content-Type", "application/json; charset=utf-16"), 415},
		{"25 invalid UTF-8", post("{\"title\":\"canary\",\"content\":\"canary\xff\"}"), 400},
		{"26 lone surrogate", post(`{"title":"canary","content":"\ud800"}`), 400},
		{"27 control in title", post(`{"title":"canary\u0000","content":"canary"}`), 400},
		{"28 noncharacter", post(`{"title":"canary\ufffe","content":"canary"}`), 400},
		{"32 namespace ../x", post(with(`"namespace":"../x"`)), 400},
		{"33 namespace /abs", post(with(`"namespace":"/abs"`)), 400},
		{"34 namespace a//b", post(with(`"namespace":"a//b"`)), 400},
		{"35 namespace escaped", post(with(`"namespace":"a%2f..%2fb"`)), 400},
		{"36 namespace long", post(with(`"namespace":"` + strings.Repeat("a", 4096) + `"`)), 400},
		{"36 namespace in a list", get(memories + "?namespace=" + url.QueryEscape("../x")), 400},
		{"37 id of 129 bytes", get(memories + "/" + strings.Repeat("a", 129)), 400},
		{"38 id with newline", get(memories + "/a%0Ab"), 400},
		{"38 id with slash", get(memories + "/a%2Fb"), 400},
		{"38 put to an id with slash", request("PUT", memories+"/a%2Fb", "{}"), 400},
		{"38 delete of an id with slash", request("DELETE", memories+"/a%2fb", ""), 400},
		{"40 source", post(with(`"source":"canary"`)), 400},
		{"41 tier", post(with(`"tier":"canary"`)), 400},
		{"41 tier in a list", get(memories + "?tier=canary"), 400},
		{"42 year 0000", post(with(`"expires_at":"0000-01-01T00:00:00Z"`)), 400},
		{"42 year 292277026596", post(with(`"expires_at":"292277026596-12-04T15:30:08Z"`)), 400},
		{"44 two agents", post(good, "+X-Agent-Id", "ai:a", "+X-Agent-Id", "ai:b"), 400},
		{"45 agent charset", post(good, "X-Agent-Id", "canary agent"), 400},
		{"45 agent long", post(good, "X-Agent-Id", strings.Repeat("a", 129)), 400},
		{"45 agent in the body", post(with(`"agent_id":"canary agent"`)), 400},
		{"48 key in the query", get(memories + "?api_key=canary"), 401},
		{"48 key in the query, escaped", get(memories + "?a%70i_key=canary&x=%zz"), 401},
		{"48 key in the query of a write", request("POST", memories+"?api_key=canary", good), 401},
		{"50 limit=-1", get(memories + "?limit=-1"), 400},
		{"51 limit=1001", get(memories + "?limit=1001"), 200},
		{"52 limit=1e9", get(memories + "?limit=1e9"), 400},
		{"53 offset overflow", get(memories + "?offset=99999999999999999999"), 400},
		{"54 since=garbage", get(memories + "?since=garbage"), 400},
		{"54 two limits", get(memories + "?limit=1&limit=2"), 400},
		{"54 query that is none", get(memories + "?limit=%zz"), 400},
		{"55 cursor not base64", get(since("cursor", "!!!")), 400},
		{"56 truncated clock", get(since("cursor", testToken.Token()[:5])), 400},
		{"57 counter above 2^63", get(since("cursor", "AQEjRWeJq83v____________AQA")), 400},
		{"58 many origins by GET", get(since("cursor", many.Token())), 414},
		{"58 many origins by POST", request("POST", wire.PathSince, since("cursor", many.Token())[len("/api/v1/sync/since?"):], "Content-Type", wire.MediaForm), 304},
		{"58 100k origins by POST", request("POST", wire.PathSince, "v=2&peer=n2&cursor="+strings.Repeat("A", 3<<20), "Content-Type", wire.MediaForm), 413},
		{"59 limit of a pull", get(since("limit_bytes", "1000000000")), 304},
		{"59 limit of the original", get("/api/v1/sync/since?limit=1000000000"), 200},
		{"59 since of the original", get("/api/v1/sync/since?since=canary"), 400},
		{"59 negative limit of the original", get("/api/v1/sync/since?limit=-1"), 400},
		{"61 push of 1001", request("POST", push, `{"sender_agent_id":"x","memories":[`+strings.Repeat(`{},`, 1000)+`{}]}`), 400},
		{"61 bulk of 1001", request("POST", bulk, `[`+strings.Repeat(`{},`, 1000)+`{}]`), 400},
		{"61 push without a sender", request("POST", push, `{"memories":[]}`), 400},
		{"61 push with a bad clock", request("POST", push, `{"sender_agent_id":"x","sender_clock":{"entries":{"a":1}},"memories":[]}`), 400},
		{"62 push of a sender that is none", request("POST", push, `{"sender_agent_id":"canary agent","memories":[]}`), 400},
		{"63 pull of another cluster", get(since("cluster", strings.Repeat("ab", 16))), 409},
		{"63 pull of another protocol", get(since("v", "1")), 409},
		{"66 Host", get(memories, "Host", "evil.test"), 421},
		{"66 Host of an address", get(memories, "Host", "10.1.2.3:9077"), 421},
		{"66 Host empty", get(memories, "Host", ""), 421},
		{"66 Host, write", post(good, "Host", "localhost.evil.test"), 421},
		{"67 Origin", get(memories, "Origin", "https://evil.test"), 403},
		{"67 Origin of a write", post(good, "Origin", "http://evil.test"), 403},
		{"67 two Origins", get(memories, "+Origin", "http://localhost", "+Origin", "http://localhost"), 403},
		{"68 Origin null", get(memories, "Origin", "null"), 403},
		{"67 own Origin", get(memories, "Origin", "http://localhost:9077"), 200},
		{"72 TRACE", request("TRACE", memories, ""), 405},
		{"73 PATCH", request("PATCH", memories, good), 405},
		{"73 DELETE of all", request("DELETE", memories, ""), 405},
		{"79 long target", get(memories + "?x=" + strings.Repeat("a", 100<<10)), 414},
		{"w=0", request("POST", memories+"?w=0", good), 400},
		{"w=abc", request("POST", memories+"?w=abc", good), 400},
		{"w over N", request("POST", memories+"?w=4", good), 400},
		{"w twice", request("POST", memories+"?w=1&w=1", good), 400},
		{"after=garbage", get(memories + "?after=canary"), 400},
		{"conflicts=garbage", get(memories + "/m1?conflicts=canary"), 400},
		{"idempotency key empty", post(good, "Idempotency-Key", ""), 400},
		{"idempotency key long", post(good, "Idempotency-Key", strings.Repeat("k", 257)), 400},
		{"idempotency key not printable", post(good, "Idempotency-Key", "canaryä"), 400},
		{"idempotency key twice", post(good, "+Idempotency-Key", "a", "+Idempotency-Key", "b"), 400},
		{"if-match garbage", request("PUT", memories+"/m1", "{}", "If-Match", "canary"), 400},
		{"if-match weak", request("DELETE", memories+"/m1", "", "If-Match", `W/"`+testToken.Token()+`"`), 400},
		{"put without a body", request("PUT", memories+"/m1", ""), 400},
		{"put of a bad value", request("PUT", memories+"/m1", `{"priority":0}`), 400},
		{"bulk of numbers", request("POST", bulk, `[1]`), 400},
		{"bulk of null", request("POST", bulk, `null`), 400},
		{"write status of nothing", get("/api/v1/writes/xyz/1"), 400},
		{"write status of counter 0", get("/api/v1/writes/0123456789abcdef/0"), 400},
		{"write status of a great counter", get("/api/v1/writes/0123456789abcdef/9223372036854775808"), 400},
		{"no route", get("/api/v2/memories"), 404},
		{"trailing slash", get(memories + "/"), 404},
		{"dots in the path", get("/api/v1/../v1/memories"), 404},
		{"upgrade to something else", request("POST", push, "", "Connection", "Upgrade", "Upgrade", "websocket"), 426},
		{"unknown id", get(memories + "/missing"), 404},
	} {
		t.Run(c.row, func(t *testing.T) {
			f := new(fake)
			d, log := newDoor(t, f)
			w := serve(d, c.req)
			if w.Code != c.status {
				t.Fatalf("got %d %.300s, want %d", w.Code, w.Body, c.status)
			}
			if w.Code >= 400 && (!isError(w.Body.Bytes()) || strings.Contains(w.Body.String(), "canary")) {
				t.Errorf("body: %s", w.Body)
			}
			if w.Code >= 400 && f.calls != 0 && !strings.HasPrefix(c.row, "w over N") && !strings.HasPrefix(c.row, "put of a bad value") {
				t.Error("the node was asked to change something")
			}
			if w.Code == 405 && w.Header().Get("Allow") != "GET, HEAD, POST" {
				t.Errorf("Allow: %q", w.Header().Get("Allow"))
			}
			if log.String() != "" {
				t.Errorf("logged: %s", log)
			}
		})
	}
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// unsized hides the length of the body.
func unsized(r *http.Request) *http.Request {
	r.ContentLength = -1
	r.Body = io.NopCloser(io.MultiReader(r.Body))
	return r
}

// TestGzip: a compressed body is the same request.
func TestGzip(t *testing.T) {
	f := new(fake)
	d, _ := newDoor(t, f)
	w := serve(d, request("POST", "/api/v1/memories", zip([]byte(`{"title":"T","content":"c"}`)), "Content-Encoding", "gzip"))
	if w.Code != 201 || *f.draft.Content != "c" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := serve(d, request("POST", "/api/v1/memories", `{"title":"T","content":"c"}`, "Content-Encoding", "identity")); w.Code != 201 {
		t.Errorf("identity: %d %s", w.Code, w.Body)
	}
}

// TestGzipBombIsCheap: what is thrown away is not held.
func TestGzipBombIsCheap(t *testing.T) {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	_, _ = io.CopyN(z, zeroes{}, 64<<20)
	_ = z.Close()
	d, _ := newDoor(t, new(fake))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := serve(d, request("POST", "/api/v1/memories", out.String(), "Content-Encoding", "gzip"))
	runtime.ReadMemStats(&after)
	if w.Code != 413 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d bytes allocated", used)
	}
}

// TestTextComesBack: what looks dangerous is data (rows 29-31), and reaches the node and
// the client byte for byte.
func TestTextComesBack(t *testing.T) {
	for _, text := range []string{"\u202eRTL", "zero\u200bwidth", "👩‍👩‍👧", "'; DROP TABLE memories;--", "<script>alert(1)</script>", "a\u2028b", `back\slash "quote"`} {
		f := new(fake)
		d, _ := newDoor(t, f)
		w := serve(d, request("POST", "/api/v1/memories", fmt.Sprintf(`{"title":%s,"content":%s}`, strconv.Quote(text), strconv.Quote(text))))
		if strings.ContainsAny(text, "\u202e\u200b\u2028\u200d") {
			w = serve(d, request("POST", "/api/v1/memories", `{"title":"`+text+`","content":"`+text+`"}`))
		}
		if w.Code != 201 || *f.draft.Title != text || *f.draft.Content != text {
			t.Fatalf("%q: %d %s", text, w.Code, w.Body)
		}
		var back struct{ Title string }
		if err := json.Unmarshal(w.Body.Bytes(), &back); err != nil || back.Title != text {
			t.Errorf("%q came back as %q (%v)", text, back.Title, err)
		}
	}
}

// TestBuffersAreNotShared: bodies are read into pooled memory; nothing that the node keeps
// may lie in it.
func TestBuffersAreNotShared(t *testing.T) {
	f := new(fake)
	d, _ := newDoor(t, f)
	body := `{"title":"one","content":"first content","metadata":{"k":"first"},"tags":["first"],"further":"first"}`
	serve(d, request("POST", "/api/v1/memories", body))
	kept := f.draft
	for range 100 {
		serve(d, request("POST", "/api/v1/memories", strings.Repeat("#", len(body))))
	}
	if *kept.Content != "first content" || string(kept.Metadata) != `{"k":"first"}` || kept.Tags[0] != "first" || string(kept.Extra[0].Value) != `"first"` {
		t.Errorf("the draft changed: %q %s %q %+v", *kept.Content, kept.Metadata, kept.Tags, kept.Extra)
	}
}
