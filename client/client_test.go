package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memd/memd/memory"
)

func TestMain(m *testing.M) {
	// The search library starts its workers when it is linked, and keeps them.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/blevesearch/bleve_index_api.AnalysisWorker"))
}

// open is a client of these servers that is closed with the test.
func open(t *testing.T, timeout time.Duration, servers ...string) *Client {
	t.Helper()
	c, err := New(Config{Servers: servers, Timeout: timeout, Agent: "ai:test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func server(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func answer(t *testing.T, status int, body string) string {
	return server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

// gone is an address where nobody listens.
func gone(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestServers(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"127.0.0.1:9077", "http://127.0.0.1:9077"},
		{" http://a.example:1/ ", "http://a.example:1"},
		{"https://a.example/memd/", "https://a.example/memd"},
		{"[::1]:9077", "http://[::1]:9077"},
		{"ftp://a", ""}, {"", ""}, {"http://", ""}, {"http://u:p@a", ""}, {"http://a?x=1", ""}, {"http://a b", ""},
	} {
		cl, err := New(Config{Servers: []string{c.in}})
		if c.want == "" {
			if err == nil {
				t.Errorf("%q is taken as %q", c.in, cl.Servers())
			}
			continue
		}
		if err != nil || cl.Servers()[0] != c.want {
			t.Errorf("%q: %v, %v", c.in, cl, err)
		}
	}
	c, err := New(Config{})
	if err != nil || !slices.Equal(c.Servers(), []string{DefaultServer}) {
		t.Errorf("default: %v, %v", c, err)
	}
}

// TestErrors holds the bodies of the contract to the kinds that callers tell apart.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   error
		text   string
	}{
		{400, `{"error":"title is required","code":"INVALID","field":"title"}`, memory.ErrInvalid, "title is required"},
		{400, `{"error":"ambiguous ID prefix: a matches ab, ac","code":"AMBIGUOUS","ids":["ab","ac"]}`, memory.ErrAmbiguous, "ambiguous ID prefix: a matches ab, ac"},
		{401, `{"error":"missing or invalid API key"}`, memory.ErrForbidden, "missing or invalid API key"},
		{403, `{"error":"forbidden","code":"FORBIDDEN"}`, memory.ErrForbidden, "forbidden"},
		{404, `{"error":"not found","code":"NOT_FOUND"}`, memory.ErrNotFound, "not found"},
		{409, `{"error":"taken","code":"CONFLICT","existing_id":"x"}`, memory.ErrConflict, "taken"},
		{412, `{"error":"old","code":"PRECONDITION_FAILED"}`, memory.ErrMismatch, "old"},
		{413, `{"error":"long","code":"TOO_LARGE"}`, memory.ErrTooLarge, "long"},
		{431, `{"error":"long"}`, memory.ErrTooLarge, "long"},
		{425, `{"error":"behind","code":"BEHIND","missing":{"00000000000000aa":"3-4"}}`, memory.ErrBehind, "behind"},
		{429, `{"error":"busy","code":"BUSY"}`, memory.ErrUnavailable, "busy"},
		{503, `{"error":"this node is stopping","code":"STOPPING"}`, memory.ErrStopped, "this node is stopping"},
		{503, `{"error":"full","code":"NO_SPACE"}`, memory.ErrNoSpace, "full"},
		{503, `{"error":"not ready","code":"NOT_READY","reasons":["no cluster yet","x"]}`, memory.ErrUnavailable, "not ready: no cluster yet; x"},
		{503, `{"error":"quorum_not_met","got":1,"needed":2,"reason":"timeout","committed":"local","id":"i","dot":"d"}`, memory.ErrQuorum,
			"quorum_not_met: 1 of 2 acknowledged (timeout), committed: local"},
		{404, `404 page not found`, nil, "Not Found (not an answer of memd)"},
		{200, `<html>`, nil, "not what memd would say"},
		{200, `{"id":1}`, nil, "not what memd would say"},
		{302, ``, nil, "Found (not an answer of memd)"},
		{502, `<html>`, memory.ErrUnavailable, "unavailable: answered 502"},
	} {
		_, err := open(t, 0, answer(t, c.status, c.body)).Store(t.Context(), Draft{}, WriteOptions{})
		if err == nil || c.kind != nil && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%d %s: %v", c.status, c.body, err)
		}
		if c.kind == nil && (errors.Is(err, memory.ErrNotFound) || errors.Is(err, memory.ErrInvalid)) {
			t.Errorf("%d %s is taken for memd's: %v", c.status, c.body, err)
		}
		var e *Error
		if errors.As(err, &e) && (e.Status != c.status || e.RetryAfter != 2*time.Second) {
			t.Errorf("%d %s: status %d, retry after %s", c.status, c.body, e.Status, e.RetryAfter)
		}
	}
}

func TestErrorDetails(t *testing.T) {
	store := func(status int, body string) error {
		_, err := open(t, 0, answer(t, status, body)).Store(t.Context(), Draft{}, WriteOptions{})
		return err
	}
	var field *memory.FieldError
	if err := store(400, `{"error":"title is required","field":"title"}`); !errors.As(err, &field) || *field != (memory.FieldError{Field: "title", Problem: "is required"}) {
		t.Errorf("field: %#v", err)
	}
	var clash *memory.ConflictError
	if err := store(409, `{"error":"x","existing_id":"abc"}`); !errors.As(err, &clash) || clash.ExistingID != "abc" {
		t.Errorf("conflict: %#v", err)
	}
	var behind *BehindError
	if err := store(425, `{"error":"x","missing":{"a":"1"}}`); !errors.As(err, &behind) || behind.Missing["a"] != "1" {
		t.Errorf("behind: %#v", err)
	}
	for committed, want := range map[string]memory.Committed{
		`"local"`: memory.CommittedLocal, `"unknown"`: memory.CommittedUnknown, `false`: memory.CommittedFalse, `"new word"`: memory.CommittedUnknown,
	} {
		err := store(503, `{"error":"quorum_not_met","got":1,"needed":2,"reason":"timeout","id":"i","dot":"d","committed":`+committed+`}`)
		var q *memory.QuorumError
		if !errors.As(err, &q) || *q != (memory.QuorumError{Got: 1, Needed: 2, Reason: "timeout", Committed: want, ID: "i", Dot: "d"}) {
			t.Errorf("committed %s: %#v", committed, err)
		}
	}
}

func TestFailover(t *testing.T) {
	ok := answer(t, 201, `{"id":"x"}`)
	hang := server(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees the client leave
		<-r.Context().Done()
	})
	for name, first := range map[string]string{
		"gone": gone(t), "hangs": hang, "stopping": answer(t, 503, `{"error":"x","code":"STOPPING"}`), "behind": answer(t, 425, `{"error":"x"}`),
		"refused before it began": answer(t, 503, `{"error":"quorum_not_met","committed":false}`), "proxy": answer(t, 502, `bad gateway`),
	} {
		c := open(t, 200*time.Millisecond, first, ok)
		for range 2 { // the second goes to the one that answered
			if got, err := c.Store(t.Context(), Draft{}, WriteOptions{}); err != nil || got.ID != "x" {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
		if c.prefer.Load() != 1 {
			t.Errorf("%s: the server that answered is not kept", name)
		}
	}
}

// TestNoFailover: an answer that another server could not better ends the call, above all
// a write that may stand.
func TestNoFailover(t *testing.T) {
	second := server(t, func(http.ResponseWriter, *http.Request) { t.Error("the second server was asked") })
	for _, a := range []struct {
		status int
		body   string
	}{
		{404, `{"error":"not found"}`}, {400, `{"error":"x"}`}, {409, `{"error":"x"}`}, {412, `{"error":"x"}`},
		{503, `{"error":"quorum_not_met","committed":"local"}`}, {503, `{"error":"quorum_not_met","committed":"unknown"}`},
	} {
		if _, err := open(t, 0, answer(t, a.status, a.body), second).Store(t.Context(), Draft{}, WriteOptions{}); err == nil {
			t.Errorf("%d %s: no error", a.status, a.body)
		}
	}
}

func TestAllFailed(t *testing.T) {
	c := open(t, time.Second, gone(t), answer(t, 503, `{"error":"not ready","code":"NOT_READY","reasons":["catching up"]}`))
	err := c.Ready(t.Context())
	var notReady *NotReadyError
	if !errors.Is(err, memory.ErrUnavailable) || !errors.As(err, &notReady) || notReady.Reasons[0] != "catching up" ||
		!strings.Contains(err.Error(), "no server could answer") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
}

func TestContextEnds(t *testing.T) {
	var calls atomic.Int32
	hang := server(t, func(_ http.ResponseWriter, r *http.Request) { calls.Add(1); <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := open(t, 0, hang, hang).Ready(ctx); !errors.Is(err, context.DeadlineExceeded) || calls.Load() != 1 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
}

// TestRequests holds what is sent to the contract.
func TestRequests(t *testing.T) {
	type sent struct {
		method, uri, agent, key, match, body string
	}
	var got sent
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = sent{r.Method, r.RequestURI, r.Header.Get("X-Agent-Id"), r.Header.Get("Idempotency-Key"), r.Header.Get("If-Match"), string(body)}
		if (len(body) > 0) != (r.Header.Get("Content-Type") == "application/json") {
			t.Errorf("%s has a body of %q and %q", r.Method, body, r.Header)
		}
		fmt.Fprint(w, `{"memory":{},"memories":[],"new":{"member":1}}`)
	})
	c := open(t, 0, url)
	ctx := t.Context()
	opt := WriteOptions{IdempotencyKey: "k", W: 2, Agent: "ai:other", Match: "tok"}
	for _, step := range []struct {
		do   func() error
		want sent
	}{
		{func() error {
			_, err := c.Store(ctx, Draft{Title: "T", Content: "C<>"}, WriteOptions{IdempotencyKey: "k"})
			return err
		},
			sent{"POST", "/api/v1/memories", "ai:test", "k", "", `{"title":"T","content":"C<>"}`}},
		{func() error {
			_, err := c.Store(ctx, Draft{Tags: []string{"a"}, Priority: 7, Confidence: new(0.0), TTLSecs: 60, Metadata: memory.Raw(`{"n":1.50}`)}, opt)
			return err
		}, sent{"POST", "/api/v1/memories?w=2", "ai:other", "k", `"tok"`,
			`{"title":"","content":"","tags":["a"],"priority":7,"confidence":0,"ttl_secs":60,"metadata":{"n":1.50}}`}},
		{func() error {
			_, err := c.Update(ctx, "a/ b", Patch{Title: new("x"), Tags: []string{}}, opt)
			return err
		},
			sent{"PUT", "/api/v1/memories/a%2F%20b?w=2", "ai:other", "k", `"tok"`, `{"title":"x","tags":[]}`}},
		{func() error {
			_, err := c.Update(ctx, "i", Patch{Tier: new("long"), ClearExpiry: true}, opt)
			return err
		},
			sent{"PUT", "/api/v1/memories/i?w=2", "ai:other", "k", `"tok"`, `{"tier":"long","expires_at":null}`}},
		{func() error { _, err := c.Delete(ctx, "i", WriteOptions{IdempotencyKey: "k"}); return err },
			sent{"DELETE", "/api/v1/memories/i", "ai:test", "k", "", ""}},
		{func() error { _, err := c.Get(ctx, "i", ReadOptions{After: "t"}); return err },
			sent{"GET", "/api/v1/memories/i?after=t", "", "", "", ""}},
		{func() error { _, err := c.List(ctx, memory.Filter{}, ReadOptions{}); return err },
			sent{"GET", "/api/v1/memories", "", "", "", ""}},
		{func() error {
			_, err := c.List(ctx, memory.Filter{Namespace: "a/b", Tag: "x", Limit: 5, MinPriority: 3, Since: time.Unix(0, 0)}, ReadOptions{After: "t"})
			return err
		}, sent{"GET", "/api/v1/memories?after=t&limit=5&min_priority=3&namespace=a%2Fb&since=1970-01-01T00%3A00%3A00%2B00%3A00&tags=x", "", "", "", ""}},
		{func() error { _, err := c.WriteStatus(ctx, "00000000000000aa:7"); return err },
			sent{"GET", "/api/v1/writes/00000000000000aa/7", "", "", "", ""}},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.want.uri, err)
		}
		if got != step.want {
			t.Errorf("sent\n%+v, want\n%+v", got, step.want)
		}
	}
	if _, err := c.Store(ctx, Draft{}, WriteOptions{}); err != nil || len(got.key) != 32 {
		t.Errorf("a key of its own is %q: %v", got.key, err)
	}
	if _, err := c.WriteStatus(ctx, "nonsense"); !errors.Is(err, memory.ErrInvalid) {
		t.Errorf("no dot: %v", err)
	}
}

// TestAnswers: unknown members are ignored, numbers and times keep what was written.
func TestAnswers(t *testing.T) {
	const body = `{"memory":{"id":"i","tier":"mid","namespace":"g","title":"t","content":"c","tags":["a"],"priority":5,"confidence":1,
		"source":"api","access_count":3,"created_at":"2026-05-01T10:00:00.123456789+00:00","updated_at":"2026-05-01T10:00:00+00:00",
		"expires_at":"2027-05-01T10:00:00+00:00","metadata":{"n":12345678901234567890.10},"future":{"x":[1]},"token":"tk","conflicts":2},"links":[],"later":1}`
	url := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Memd-Stale", "1")
		io.WriteString(w, body)
	})
	m, err := open(t, 0, url).Get(t.Context(), "i", ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if m.CreatedAt.Nanosecond() != 123456789 || m.ExpiresAt.Year() != 2027 || m.LastAccessedAt != nil || !m.Stale ||
		m.Token != "tk" || m.Conflicts != 2 || string(m.Metadata) != `{"n":12345678901234567890.10}` {
		t.Errorf("%+v", m)
	}
	if again, err := json.Marshal(m); err != nil || !strings.Contains(string(again), "12345678901234567890.10") {
		t.Errorf("%s, %v", again, err)
	}
}
