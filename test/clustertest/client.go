package clustertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// newClient is a client beside a node: it reaches this node whatever the network does, as
// a user at the machine would.
func newClient(n *Node) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return n.Host.DialContext(ctx, network, n.Host.Addr(HTTPPort))
		},
		IdleConnTimeout: time.Second, // a client that is quiet leaves nothing open
	}
}

// Record is a memory as a reader sees it, as far as tests look at it.
type Record struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	Content   string `json:"content"`
	Token     string `json:"token"`
	Conflicts int    `json:"conflicts"`
}

// Answer is what came back, with the members of all bodies that tests look at.
type Answer struct {
	t      *testing.T
	call   string
	Status int           `json:"-"`
	Header http.Header   `json:"-"`
	Raw    string        `json:"-"`
	Took   time.Duration `json:"-"` // of fake time
	Err    error         `json:"-"` // no answer at all; Status is 0 then

	Record          // of an update; ID and Token of any write
	Dot      string `json:"dot"`
	Acks     int    `json:"acks"`
	Existing bool   `json:"existing"`
	Deleted  any    `json:"deleted"` // true, or how many
	Created  int    `json:"created"`

	Error      string   `json:"error"`
	Code       string   `json:"code"`
	Got        int      `json:"got"`
	Needed     int      `json:"needed"`
	Reason     string   `json:"reason"`
	Committed  any      `json:"committed"` // "local", "unknown" or false
	StatusURL  string   `json:"status_url"`
	Missing    dots     `json:"missing"`
	Reasons    []string `json:"reasons"`
	ExistingID string   `json:"existing_id"`

	Memory   *Record `json:"memory"`
	Siblings []struct {
		Dot    string `json:"dot"`
		Memory Record `json:"memory"`
	} `json:"siblings"`
	Memories  []Record `json:"memories"`
	Revisions []struct {
		Dot    string  `json:"dot"`
		Agent  string  `json:"agent_id"`
		Held   bool    `json:"held"`
		Memory *Record `json:"memory"`
	} `json:"revisions"`

	Links          []json.RawMessage `json:"links"`
	LinksCount     int               `json:"links_count"`
	ArchivedTotal  int               `json:"archived_total"`
	ExpiredDeleted int               `json:"expired_deleted"`

	Total     int      `json:"total"`
	Local     bool     `json:"local"`
	AckedBy   []string `json:"acked_by"`
	QuorumMet bool     `json:"quorum_met"`
}

// dots are those that a token names and a node has not. Another answer has a list of ids
// under that name.
type dots map[string]string

// UnmarshalJSON passes over what is no object.
func (d *dots) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '{' {
		return nil
	}
	return json.Unmarshal(b, (*map[string]string)(d))
}

// Want fails the test unless the status is the given one.
func (a Answer) Want(status int) Answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("%s: want %d, got %s", a.call, status, a)
	}
	return a
}

func (a Answer) String() string {
	if a.Err != nil {
		return a.Err.Error()
	}
	return fmt.Sprintf("%d after %v: %s", a.Status, a.Took, a.Raw)
}

// Ask is one part of a request beside its method, path and body.
type Ask func(*http.Request, url.Values)

// W asks for so many acks.
func W(w string) Ask { return func(_ *http.Request, q url.Values) { q.Set("w", w) } }

// After asks for an answer that has seen the token.
func After(token string) Ask { return func(_ *http.Request, q url.Values) { q.Set("after", token) } }

// Conflicts asks for the siblings, too.
func Conflicts() Ask { return func(_ *http.Request, q url.Values) { q.Set("conflicts", "1") } }

// Match says what the writer had read.
func Match(token string) Ask {
	return func(r *http.Request, _ url.Values) { r.Header.Set("If-Match", `"`+token+`"`) }
}

// Idempotency is the key of a write that may be repeated.
func Idempotency(key string) Ask {
	return func(r *http.Request, _ url.Values) { r.Header.Set("Idempotency-Key", key) }
}

const memories = "/api/v1/memories"

// Store creates a memory.
func (n *Node) Store(title, content string, ask ...Ask) Answer {
	n.c.t.Helper()
	return n.Do("POST", memories, map[string]any{"title": title, "content": content, "tier": "long"}, ask...)
}

// Update gives a memory another content.
func (n *Node) Update(id, content string, ask ...Ask) Answer {
	n.c.t.Helper()
	return n.Do("PUT", memories+"/"+id, map[string]any{"content": content}, ask...)
}

// Delete removes a memory.
func (n *Node) Delete(id string, ask ...Ask) Answer {
	n.c.t.Helper()
	return n.Do("DELETE", memories+"/"+id, nil, ask...)
}

// Get reads a memory.
func (n *Node) Get(id string, ask ...Ask) Answer {
	n.c.t.Helper()
	return n.Do("GET", memories+"/"+id, nil, ask...)
}

// List reads up to a thousand memories.
func (n *Node) List(ask ...Ask) Answer {
	n.c.t.Helper()
	return n.Do("GET", memories+"?limit=1000", nil, ask...)
}

// Do sends one request to this node, which may be called by any goroutine, also while the
// node does not run.
func (n *Node) Do(method, path string, body any, ask ...Ask) Answer {
	n.c.t.Helper()
	t := n.c.t
	a := Answer{t: t, call: n.Label + ": " + method + " " + path}
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.Host.Addr(HTTPPort)+path, content)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("X-Agent-Id", "tester")
	q := req.URL.Query()
	for _, f := range ask {
		f(req, q)
	}
	req.URL.RawQuery = q.Encode()
	start := time.Now()
	resp, err := n.client.RoundTrip(req)
	if err != nil {
		a.Err, a.Took = err, time.Since(start)
		return a
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	a.Status, a.Header, a.Raw, a.Took, a.Err = resp.StatusCode, resp.Header, string(raw), time.Since(start), err
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Errorf("%s: %v in %s", a.call, err, raw)
		}
	}
	return a
}
