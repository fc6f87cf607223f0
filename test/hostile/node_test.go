package hostile

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/node"
	"github.com/memd/memd/wire"
)

// target is a node under attack, and what its keys are for.
type target struct {
	*node.Node
	addr   string
	keys   map[string]string // by name
	file   string            // of keys
	log    *logBuffer
	reg    *prometheus.Registry
	client *http.Client
	slow   <-chan slowEnd // of slowBodyOfNode
}

// start runs one node with keys until the test ends, as talkative as it can be.
func start(t testing.TB, change func(*node.Config)) *target {
	t.Helper()
	dir := t.TempDir()
	n := &target{keys: map[string]string{}, file: filepath.Join(dir, "keys.json"), log: new(logBuffer), reg: prometheus.NewRegistry()}
	n.add(t, auth.Grant{Name: "admin", Scopes: []string{"admin"}, Namespaces: []string{"*"}, Agents: []string{"*"}})
	n.add(t, auth.Grant{Name: "reader", Scopes: []string{"read"}, Namespaces: []string{"*"}, Agents: []string{"*"}})
	n.add(t, auth.Grant{Name: "peer", Scopes: []string{"peer"}})
	n.add(t, auth.Grant{Name: "alice", Scopes: []string{"read", "write"}, Namespaces: []string{"alice"}, Agents: []string{"ai:alice"}})
	n.add(t, auth.Grant{Name: "bob", Scopes: []string{"read", "write"}, Namespaces: []string{"bob"}, Agents: []string{"ai:bob"}})
	log := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	keys, err := auth.Open(auth.Config{File: n.file, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := node.Config{
		Name: "n1", DataDir: filepath.Join(dir, "data"), Version: "test", HTTPAddr: l.Addr().String(), Listener: abroad{l}, GossipAddr: "127.0.0.1:0",
		Keys: keys, PeerKey: n.keys["peer"], Recall: true, NoSync: true, Log: log, Registry: n.reg, MCPTools: "all",
	}
	if change != nil {
		change(&cfg)
	}
	if n.Node, err = node.New(cfg); err != nil {
		t.Fatal(err)
	}
	n.addr = l.Addr().String()
	n.client = &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: patience}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		n.client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the node ended with %v", err)
		}
	})
	for begun := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		if ok, why := n.Ready(); ok {
			return n
		} else if time.Since(begun) > patience {
			t.Fatalf("not ready: %v", why)
		}
	}
}

func (n *target) add(t testing.TB, g auth.Grant) {
	t.Helper()
	key, _, err := auth.Add(n.file, g)
	if err != nil {
		t.Fatal(err)
	}
	n.keys[g.Name] = key
}

// abroad makes connections from 127.0.0.2 and above look as if they came from elsewhere:
// the node treats its own machine better than others.
type abroad struct{ net.Listener }

func (l abroad) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	at := c.RemoteAddr().(*net.TCPAddr)
	if ip := at.IP.To4(); ip != nil && ip[3] > 1 {
		return far{c.(*net.TCPConn), &net.TCPAddr{IP: net.IPv4(192, 0, 2, ip[3]), Port: at.Port}}, nil
	}
	return c, nil
}

type far struct {
	*net.TCPConn
	from net.Addr
}

func (c far) RemoteAddr() net.Addr { return c.from }

// dial opens a connection from 127.0.0.host.
func (n *target) dial(t testing.TB, host int) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(host))}}
	c, err := d.DialContext(t.Context(), "tcp", n.addr)
	if err != nil {
		t.Skipf("this system has no second loopback address: %v", err)
	}
	return c
}

// from is a client at 127.0.0.host.
func (n *target) from(t testing.TB, host int) *http.Client {
	t.Helper()
	n.dial(t, host).Close()
	c := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 16, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(host))}}).DialContext}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// request is one request. As a rule it is a good one of admin, but for what the row says.
type request struct {
	method, path string
	body         string
	key          string            // name of a key; "" = admin, "-" = none
	header       map[string]string // "" takes a header away
	again        map[string]string // a second value
	host         int               // where it comes from: 127.0.0.host; 0 = 1
	unsized      bool              // the length of the body is not said
	raw          string            // sent as it is, instead of all this
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) isError(t testing.TB) {
	t.Helper()
	var said struct{ Error, Code, Field string }
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || said.Error == "" {
		t.Errorf("%d is no JSON error: %.200q", a.status, a.body)
	}
}

func (n *target) send(t testing.TB, r request) answer {
	t.Helper()
	if r.raw != "" {
		return n.raw(t, r.host, r.raw)
	}
	var body io.Reader = strings.NewReader(r.body)
	if r.unsized {
		body = io.MultiReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, "http://"+n.addr+r.path, body)
	if err != nil {
		t.Fatal(err)
	}
	if r.method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.key != "-" {
		name := r.key
		if name == "" {
			name = "admin"
		}
		if n.keys[name] == "" {
			t.Fatalf("no key of %s", name)
		}
		req.Header.Set("X-Api-Key", n.keys[name])
	}
	for k, v := range r.header {
		if k == "Host" {
			req.Host = v
		} else if v == "" {
			req.Header.Del(k)
		} else {
			req.Header.Set(k, v)
		}
	}
	for k, v := range r.again {
		req.Header.Add(k, v)
	}
	c := n.client
	if r.host > 1 {
		c = n.from(t, r.host)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %.80s: %v", r.method, r.path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		t.Fatalf("%s %.80s: %v", r.method, r.path, err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// raw sends bytes, and reads the first answer; status 0 if there is none.
func (n *target) raw(t testing.TB, host int, text string) answer {
	t.Helper()
	c := n.dial(t, max(host, 1))
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, strings.NewReplacer("{addr}", n.addr, "{admin}", n.keys["admin"]).Replace(text))
	return readAnswer(t, c)
}

func readAnswer(t testing.TB, c net.Conn) answer {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return answer{}
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return answer{res.StatusCode, res.Header, string(b)}
}

// state is what nothing hostile may change.
type state struct{ Digest, Clock string }

func (n *target) state(t testing.TB) state {
	t.Helper()
	a := n.send(t, request{method: "GET", path: "/api/v1/cluster"})
	var s struct {
		Digest    string `json:"digest"`
		ClockHash string `json:"clock_hash"`
	}
	if err := json.Unmarshal([]byte(a.body), &s); a.status != 200 || err != nil || s.Digest == "" {
		t.Fatalf("cluster: %d %.200s", a.status, a.body)
	}
	return state{s.Digest, s.ClockHash}
}

func (n *target) healthy(t testing.TB) {
	t.Helper()
	for _, path := range []string{"/api/v1/health", "/livez", "/readyz"} {
		if a := n.send(t, request{method: "GET", path: path, key: "-"}); a.status != 200 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

// silent makes sure that the log holds nothing of what was sent, and no key.
func (n *target) silent(t testing.TB) {
	t.Helper()
	log := n.log.String()
	secrets := []string{canary}
	for _, key := range n.keys {
		secrets = append(secrets, key, auth.DigestOf(key).String(), key[len(key)-20:])
	}
	for _, s := range secrets {
		if i := strings.Index(log, s); i >= 0 {
			t.Errorf("the log has a secret in it: …%.300s", log[max(0, i-120):])
			return
		}
	}
}

// metric is the value of a counter with these labels, as "name" or `name{k="v"}`.
func (n *target) metric(t testing.TB, name string) string {
	t.Helper()
	a := n.send(t, request{method: "GET", path: "/metrics"})
	for line := range strings.Lines(a.body) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no metric %s", name)
	return ""
}

func (n *target) cluster(t testing.TB) memory.ClusterID {
	t.Helper()
	s, err := n.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := memory.ParseClusterID(s.ClusterID)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// hello are the headers of a node of this cluster.
func (n *target) hello(t testing.TB, name string) map[string]string {
	t.Helper()
	id := n.cluster(t)
	h := http.Header{}
	wire.Self{Name: name, Boot: 1, Cluster: func() memory.ClusterID { return id }}.Hello().Set(h)
	out := map[string]string{"Content-Type": wire.MediaFrames}
	for k := range h {
		out[k] = h.Get(k)
	}
	return out
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
