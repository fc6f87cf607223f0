package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		status int
		retry  string
		want   string
	}{
		{"field", &memory.FieldError{Field: "title", Problem: "is required"}, 400, "", `{"error":"title is required","code":"INVALID","field":"title"}`},
		{"invalid", fmt.Errorf("%w: nonsense", memory.ErrInvalid), 400, "", `{"error":"invalid: nonsense","code":"INVALID"}`},
		{"ambiguous", &memory.AmbiguousError{Prefix: "ab", IDs: []string{"ab1", "ab2"}}, 400, "", `{"error":"ambiguous ID prefix: ab matches ab1, ab2","code":"AMBIGUOUS","ids":["ab1","ab2"]}`},
		{"forbidden", memory.ErrForbidden, 403, "", `{"error":"forbidden","code":"FORBIDDEN"}`},
		{"not found", fmt.Errorf("get m1: %w", memory.ErrNotFound), 404, "", `{"error":"not found","code":"NOT_FOUND"}`},
		{"title clash", &memory.ConflictError{ExistingID: "m1", Namespace: "n"}, 409, "", `{"error":"a memory with this title already exists in namespace n","code":"CONFLICT","existing_id":"m1"}`},
		{"conflict", memory.ErrConflict, 409, "", `{"error":"conflict","code":"CONFLICT"}`},
		{"mismatch", memory.ErrMismatch, 412, "", `{"error":"If-Match does not name the current versions","code":"PRECONDITION_FAILED"}`},
		{"too large", memory.ErrTooLarge, 413, "", `{"error":"the request body is too large","code":"TOO_LARGE"}`},
		{"behind", &memory.BehindError{Missing: testToken}, 425, "1",
			`{"error":"this node has not seen 1 of the writes named by the token","code":"BEHIND","missing":{"0123456789abcdef":"42"}}`},
		{"quorum, refused", &memory.QuorumError{Got: 1, Needed: 2, Reason: "unreachable", Committed: memory.CommittedFalse}, 503, "2",
			`{"error":"quorum_not_met","code":"QUORUM_NOT_MET","got":1,"needed":2,"reason":"unreachable","committed":false}`},
		{"quorum, local", fmt.Errorf("create: %w", &memory.QuorumError{Got: 1, Needed: 2, Reason: "timeout", Committed: memory.CommittedLocal, ID: "m1", Dot: testDot.String()}), 503, "2",
			`{"error":"quorum_not_met","code":"QUORUM_NOT_MET","got":1,"needed":2,"reason":"timeout","committed":"local","id":"m1","dot":"0123456789abcdef:42","status_url":"/api/v1/writes/0123456789abcdef/42"}`},
		{"quorum, unknown", &memory.QuorumError{Needed: 2, Reason: "timeout", Committed: memory.CommittedUnknown}, 503, "2",
			`{"error":"quorum_not_met","code":"QUORUM_NOT_MET","got":0,"needed":2,"reason":"timeout","committed":"unknown"}`},
		{"no space", memory.ErrNoSpace, 503, "30", `{"error":"this node has no space left on its disk","code":"NO_SPACE"}`},
		{"stopped", memory.ErrStopped, 503, "2", `{"error":"this node is stopping","code":"STOPPING"}`},
		{"unavailable", fmt.Errorf("%w: the cluster has not formed yet", memory.ErrUnavailable), 503, "1", `{"error":"unavailable: the cluster has not formed yet","code":"UNAVAILABLE"}`},
		{"deadline", context.DeadlineExceeded, 503, "1", `{"error":"this node could not answer in time","code":"TIMEOUT"}`},
		{"another cluster", wire.ErrCluster, 409, "", `{"error":"other cluster or protocol version","code":"CLUSTER_MISMATCH"}`},
		{"reconcile", wire.ErrReconcile, 410, "", `{"error":"reconcile required","code":"RECONCILE"}`},
		{"scope", wire.ErrScope, 421, "", `{"error":"scope not served","code":"SCOPE"}`},
		{"busy", wire.ErrBusy, 429, "1", `{"error":"busy","code":"BUSY"}`},
		{"busy, with time", &wire.StatusError{Status: 429, RetryAfter: 2500 * time.Millisecond}, 429, "3", `{"error":"too many requests","code":"TOO_MANY_REQUESTS"}`},
		{"not serving", wire.ErrUnavailable, 503, "1", `{"error":"cannot serve now","code":"UNAVAILABLE"}`},
		{"status", &wire.StatusError{Status: 503, Code: "no_cluster", Message: "this node has no cluster id yet"}, 503, "1", `{"error":"this node has no cluster id yet","code":"NO_CLUSTER"}`},
		{"bug", errors.New("open /secret/path: the detail"), 500, "", `{"error":"internal server error","code":"INTERNAL"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{err: c.err}
			d, log := newDoor(t, f)
			w := serve(d, request("POST", "/api/v1/memories", `{"title":"T","content":"c"}`))
			if w.Code != c.status || w.Body.String() != c.want {
				t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, c.status, c.want)
			}
			if got := w.Header().Get("Retry-After"); got != c.retry {
				t.Errorf("Retry-After %q, want %q", got, c.retry)
			}
			if logged := strings.Contains(log.String(), "the detail"); logged != (c.status == 500) {
				t.Errorf("logged: %q", log)
			}
		})
	}
}

// TestEveryVerbFails checks that no handler answers on its own what explain is for.
func TestEveryVerbFails(t *testing.T) {
	f := &fake{err: errors.New("the detail")}
	d, _ := newDoor(t, f)
	cursor := wire.SinceRequest{Peer: "n2", Cluster: testCluster}.Values().Encode()
	for _, c := range []struct{ method, target, body string }{
		{"POST", "/api/v1/memories", `{"title":"T","content":"c"}`},
		{"POST", "/api/v1/memories/bulk", `[]`},
		{"GET", "/api/v1/memories", ""},
		{"GET", "/api/v1/memories/m1", ""},
		{"PUT", "/api/v1/memories/m1", `{}`},
		{"DELETE", "/api/v1/memories/m1", ""},
		{"GET", "/api/v1/writes/0123456789abcdef/1", ""},
		{"GET", "/api/v1/stats", ""},
		{"GET", "/api/v1/cluster", ""},
		{"GET", "/api/v1/sync/since?" + cursor, ""},
		{"GET", "/api/v1/sync/since", ""},
		{"POST", "/api/v1/sync/push", `{"sender_agent_id":"host:x","memories":[]}`},
	} {
		w := serve(d, request(c.method, c.target, c.body))
		if w.Code != 500 || w.Body.String() != `{"error":"internal server error","code":"INTERNAL"}` {
			t.Errorf("%s %s: %d %s", c.method, c.target, w.Code, w.Body)
		}
	}
}

func TestNotReady(t *testing.T) {
	f := &fake{ready: []string{"catching up with n2"}}
	d, _ := newDoor(t, f)
	w := serve(d, request("GET", "/readyz", ""))
	if want := `{"error":"not ready","code":"NOT_READY","reasons":["catching up with n2"]}`; w.Code != 503 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/livez", "/api/v1/health"} {
		if w := serve(d, request("GET", path, "")); w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestPanicCostsOneRequest(t *testing.T) {
	f := &fake{panics: true}
	d, log := newDoor(t, f)
	w := serve(d, request("GET", "/api/v1/stats", ""))
	if w.Code != 500 || w.Body.String() != `{"error":"internal server error","code":"INTERNAL"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "told to") || !strings.Contains(log.String(), "GET /api/v1/stats") {
		t.Errorf("log: %s", log)
	}
	if w := serve(d, request("GET", "/livez", "")); w.Code != 200 {
		t.Errorf("after the panic: %d", w.Code)
	}
}

// TestClientGone: nobody reads it, but the metrics must not show a fault of the node.
func TestClientGone(t *testing.T) {
	d, log := newDoor(t, new(fake))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := serve(d, request("GET", "/api/v1/stats", "").WithContext(ctx))
	if w.Code != statusClientGone || log.String() != "" {
		t.Errorf("%d %s", w.Code, log)
	}
	d.Close() // now it is the node that goes
	if w := serve(d, request("GET", "/api/v1/stats", "").WithContext(ctx)); w.Code != 503 {
		t.Errorf("while closing: %d", w.Code)
	}
}

// isError reports whether a body is an error in the one shape.
func isError(body []byte) bool {
	var e struct {
		Error *string `json:"error"`
		Code  *string `json:"code"`
	}
	return json.Unmarshal(body, &e) == nil && e.Error != nil && *e.Error != "" && e.Code != nil && *e.Code != ""
}

var _ http.ResponseWriter = new(call)
