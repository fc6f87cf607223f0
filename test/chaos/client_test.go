//go:build chaos && linux

package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/memd/memd/test/history"
)

// patience is how long a client waits for an answer: longer than a quorum's deadline.
const patience = 5 * time.Second

// answer is what came back; status 0 means that nothing did, err says why.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.status, bytes.TrimSpace(a.body))
}

// call does one request, header by header as given: key, value, key, value.
func (n *node) call(limit time.Duration, method, path string, body []byte, header ...string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var r io.Reader
	if body != nil {
		// Not a *bytes.Reader: what net/http can read again, it would send again by itself
		// when a connection breaks, and the history would not know.
		r = io.MultiReader(bytes.NewReader(body))
	}
	req, err := http.NewRequestWithContext(ctx, method, n.url()+path, r)
	if err != nil {
		return answer{err: err}
	}
	if body != nil {
		req.ContentLength = int64(len(body))
		req.Header.Set("Content-Type", "application/json")
	}
	if key := n.m.key.Load(); key != nil {
		req.Header.Set("X-Api-Key", *key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{err: err}
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: b}
}

// get decodes a JSON answer of status 200.
func (n *node) get(path string, into any) error {
	a := n.call(patience, "GET", path, nil)
	if a.status != http.StatusOK {
		return fmt.Errorf("GET %s at %s: %s", path, n.name, a)
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("GET %s at %s: %w", path, n.name, err)
	}
	return nil
}

// said is what the answers to writes have in common.
type said struct {
	ID        string          `json:"id"`
	Dot       string          `json:"dot"`
	Token     string          `json:"token"`
	Acks      int             `json:"acks"`
	Committed json.RawMessage `json:"committed"`
}

// client writes and reads under a name of its own, and records all of it.
type client struct {
	m    *mesh
	name string
	ns   string
}

func (m *mesh) client(name string) *client {
	return &client{m: m, name: name, ns: "chaos/" + strings.ToLower(strings.TrimPrefix(m.t.Name(), "Test"))}
}

func (c *client) key(title string) string { return c.ns + "/" + title }

// valueOf hashes what a client says of a memory; the rest is the server's.
func valueOf(ns, title, content string) string {
	h := sha256.Sum256([]byte(ns + "\x00" + title + "\x00" + content))
	return hex.EncodeToString(h[:8])
}

// content makes a text that nobody else writes.
func (c *client) content(title string) string {
	return fmt.Sprintf("%s says of %s: %s", c.name, title, c.m.name("fact"))
}

// options of a write.
type options struct {
	idem  string
	match string
	w     int
}

func (o options) query() string {
	if o.w == 0 {
		return ""
	}
	return "?w=" + strconv.Itoa(o.w)
}

// add creates a memory.
func (c *client) add(n *node, title, content string, o options) history.Op {
	body, _ := json.Marshal(map[string]any{"title": title, "content": content, "namespace": c.ns, "tier": "long", "tags": []string{"chaos"}})
	op := history.Op{Kind: history.Add, Key: c.key(title), Value: valueOf(c.ns, title, content), Idem: o.idem}
	return c.write(n, op, "POST", "/api/v1/memories"+o.query(), body, o)
}

// update replaces the content of a memory.
func (c *client) update(n *node, title, id, content string, o options) history.Op {
	body, _ := json.Marshal(map[string]any{"content": content})
	op := history.Op{Kind: history.Update, Key: c.key(title), ID: id, Value: valueOf(c.ns, title, content), Idem: o.idem, Match: o.match}
	return c.write(n, op, "PUT", "/api/v1/memories/"+url.PathEscape(id)+o.query(), body, o)
}

// remove deletes a memory.
func (c *client) remove(n *node, title, id string, o options) history.Op {
	op := history.Op{Kind: history.Delete, Key: c.key(title), ID: id, Idem: o.idem, Match: o.match}
	return c.write(n, op, "DELETE", "/api/v1/memories/"+url.PathEscape(id)+o.query(), nil, o)
}

func (c *client) write(n *node, op history.Op, method, path string, body []byte, o options) history.Op {
	op.Client, op.Node, op.Start = c.name, n.name, c.m.rec.Now()
	a := n.call(patience, method, path, body, "X-Agent-Id", "chaos:"+c.name, "Idempotency-Key", o.idem, "If-Match", o.match)
	op.End, op.Status = c.m.rec.Now(), a.status
	var s said
	if a.err != nil {
		op.Note = a.err.Error()
	} else if err := json.Unmarshal(a.body, &s); err != nil {
		op.Note = err.Error()
	}
	committed := strings.Trim(string(s.Committed), `"`)
	op.Outcome = history.OutcomeOfWrite(a.status, committed)
	if errors.Is(a.err, syscall.ECONNREFUSED) && (body != nil || o.idem == "") {
		op.Outcome = history.Refused // never sent: net/http would not send it twice (see call)
	}
	op.Dot, op.Token, op.Acks, op.Local = s.Dot, s.Token, s.Acks, committed == "local"
	if s.ID != "" {
		op.ID = s.ID
	}
	if op.Outcome != history.OK && op.Note == "" {
		op.Note = string(bytes.TrimSpace(a.body))
	}
	c.m.rec.Add(op)
	return op
}

// shown is a memory as a reader sees it.
type shown struct {
	ID        string `json:"id"`
	Namespace string `json:"namespace"`
	Title     string `json:"title"`
	Content   string `json:"content"`
	Token     string `json:"token"`
	Conflicts int    `json:"conflicts"`
}

func (s shown) value() string { return valueOf(s.Namespace, s.Title, s.Content) }

// read gets one memory, after a token if there is one.
func (c *client) read(n *node, title, id, after string) history.Op {
	op := history.Op{Client: c.name, Node: n.name, Kind: history.Read, Key: c.key(title), ID: id, After: after, Start: c.m.rec.Now()}
	path := "/api/v1/memories/" + url.PathEscape(id)
	if after != "" {
		path += "?after=" + url.QueryEscape(after)
	}
	a := n.call(patience, "GET", path, nil)
	op.End, op.Status, op.Outcome = c.m.rec.Now(), a.status, history.OutcomeOfRead(a.status)
	switch op.Outcome {
	case history.OK:
		var got struct{ Memory shown }
		if err := json.Unmarshal(a.body, &got); err != nil {
			op.Outcome, op.Note = history.Unknown, err.Error()
			break
		}
		op.Value, op.Token = got.Memory.value(), got.Memory.Token
	default:
		op.Note = a.String()
	}
	c.m.rec.Add(op)
	return op
}

// rows lists everything in a namespace, or everywhere: whole pages until one is short.
func (n *node) rows(ns string) ([]json.RawMessage, error) {
	const page = 1000
	var all []json.RawMessage
	for {
		var got struct{ Memories []json.RawMessage }
		q := url.Values{"limit": {strconv.Itoa(page)}, "offset": {strconv.Itoa(len(all))}}
		if ns != "" {
			q.Set("namespace", ns)
		}
		if err := n.get("/api/v1/memories?"+q.Encode(), &got); err != nil {
			return nil, err
		}
		all = append(all, got.Memories...)
		if len(got.Memories) < page {
			return all, nil
		}
	}
}
