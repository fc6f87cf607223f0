package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memd/memd/trust"
	"github.com/memd/memd/wire"
)

// authority makes one, with certificates for the nodes of a mesh.
func authority(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := trust.InitAuthority(dir); err != nil {
		t.Fatal(err)
	}
	issue(t, dir, names...)
	return dir
}

func issue(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := trust.Issue(dir, trust.Order{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
}

// secured gives a node the certificate of name.
func secured(dir, name string) func(*Config) {
	return func(c *Config) {
		base := filepath.Join(dir, name)
		c.TLSCert, c.TLSKey, c.TLSCA = base+".crt", base+".key", filepath.Join(dir, trust.AuthorityCert)
	}
}

// secureMesh is a mesh whose nodes know each other by certificates.
func secureMesh(t testing.TB, dir string, count int) []*Node {
	t.Helper()
	return startMeshWith(t, count, func(_ int, c *Config) { secured(dir, c.Name)(c) })
}

// asPeer is a peer's client with the certificate of one name and the word of another one.
func asPeer(t testing.TB, of *Node, dir, cert, name string) *wire.Client {
	t.Helper()
	var cfg Config
	secured(dir, cert)(&cfg)
	f, err := trust.Load(trust.Config{Cert: cfg.TLSCert, Key: cfg.TLSKey, CA: cfg.TLSCA})
	if err != nil {
		t.Fatal(err)
	}
	c := wire.NewClient(wire.Self{Name: name, Boot: 1, Cluster: of.store.Cluster}, wire.ClientConfig{
		TLS: func(p wire.Peer) *tls.Config {
			if _, err := f.Reload(); err != nil {
				t.Error(err)
			}
			return f.Peer(p.Name, p.Addr, func() string { return "" })
		},
	})
	t.Cleanup(c.Close)
	return c
}

// hail tries what a node may ask of another one.
func hail(t testing.TB, c *wire.Client, n *Node) (errs []error) {
	t.Helper()
	peer := wire.Peer{Name: n.Name(), Addr: n.HTTPAddr()}
	_, err := c.Since(t.Context(), peer, wire.SinceRequest{})
	errs = append(errs, err)
	_, err = c.PostPush(t.Context(), peer, nil)
	errs = append(errs, err)
	s, err := c.OpenPush(t.Context(), peer)
	if s != nil {
		s.Close()
	}
	return append(errs, err)
}

// TestMutualTLS: nodes of one authority replicate; who is none of them, or another one than
// it says, does not.
func TestMutualTLS(t *testing.T) {
	dir := authority(t, "n1", "n2", "n3", "n9")
	nodes := secureMesh(t, dir, 3)
	createMany(t, nodes[0], 0, 10, "secret")
	waitFor(t, "equal digests", func() bool {
		return nodes[0].store.Digest() == nodes[1].store.Digest() && nodes[1].store.Digest() == nodes[2].store.Digest()
	})
	if acked := nodes[0].push.AckedClock("n3"); acked.Empty() {
		t.Error("n3 has acknowledged nothing")
	}
	for _, err := range hail(t, asPeer(t, nodes[0], dir, "n9", "n9"), nodes[0]) {
		if err != nil && !errors.Is(err, wire.ErrNotModified) {
			t.Errorf("a node of the authority: %v", err)
		}
	}
	for _, err := range hail(t, asPeer(t, nodes[0], dir, "n2", "n9"), nodes[0]) {
		status, ok := errors.AsType[*wire.StatusError](err)
		if !ok || status.Status != http.StatusForbidden || !strings.Contains(status.Message, `"memd://any/n2"`) {
			t.Errorf("n2 as n9: %v", err)
		}
	}
	foreign := authority(t, "n9")
	for _, err := range hail(t, asPeer(t, nodes[0], foreign, "n9", "n9"), nodes[0]) {
		if err == nil {
			t.Error("a foreign authority's node is let in")
		}
	}
	for _, err := range hail(t, asPeer(t, nodes[0], dir, "n9", "n9"), renamed(nodes[1], "n3")) {
		if !errors.Is(err, trust.ErrName) {
			t.Errorf("n2 called as n3: %v", err)
		}
	}
	strangers := wire.NewClient(wire.Self{Name: "n9", Boot: 1, Cluster: nodes[0].store.Cluster}, wire.ClientConfig{
		TLS: func(wire.Peer) *tls.Config {
			c, err := trust.Client(filepath.Join(dir, trust.AuthorityCert), "", "")
			if err != nil {
				t.Error(err)
			}
			c.ServerName = "localhost"
			return c
		},
	})
	defer strangers.Close()
	for _, err := range hail(t, strangers, nodes[0]) {
		if status, ok := errors.AsType[*wire.StatusError](err); !ok || status.Status != http.StatusForbidden {
			t.Errorf("without a certificate: %v", err)
		}
	}
}

// renamed is a node as somebody sees it who takes it for another one.
func renamed(n *Node, name string) *Node {
	cfg := n.cfg
	cfg.Name = name
	return &Node{cfg: cfg, listener: n.listener}
}

// TestCertificateRotation: under writes, nodes get new certificates, then the authority a
// new key; no write fails, no client's connection ends, and what the old key issued is out.
func TestCertificateRotation(t *testing.T) {
	dir := authority(t, "n1", "n2", "n3")
	if _, err := trust.Issue(dir, trust.Order{Name: "n9"}); err != nil {
		t.Fatal(err)
	}
	nodes := secureMesh(t, dir, 3)
	old := asPeer(t, nodes[0], dir, "n9", "n9")
	if errs := hail(t, old, nodes[0]); errs[2] != nil {
		t.Fatal(errs)
	}
	old.Close() // it must come again
	load := startLoad(t, dir, nodes, 200)

	names := []string{"n1", "n2", "n3"}
	// A node may notice a change by itself before it is told, so what it had read is noted
	// before the change.
	reread := func(what string, change func()) {
		t.Helper()
		before := make([]float64, len(nodes))
		for i, n := range nodes {
			before[i] = metric(t, n, "memd_tls_reloads_total", "ok")
		}
		change()
		for i, n := range nodes {
			n.Reread()
			waitFor(t, what+" at "+n.Name(), func() bool { return metric(t, n, "memd_tls_reloads_total", "ok") > before[i] })
		}
		load.more(t, 40)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	load.more(t, 40)
	reread("new certificates", func() { issue(t, dir, names...) })
	reread("both authorities", func() { must(trust.RenewAuthority(dir)) })
	reread("certificates of the new one", func() { issue(t, dir, names...) })
	if errs := hail(t, old, nodes[0]); errs[2] != nil {
		t.Error("the old certificate is refused too early:", errs)
	}
	old.Close()
	reread("the new authority alone", func() {
		_, err := trust.RetireAuthority(dir)
		must(err)
	})
	// No connection that was kept from before may stand in the way of what one node asks another.
	for _, n := range nodes {
		if s, err := n.Keyring(context.Background(), wire.KeyChange{Op: wire.KeyList}, false); err != nil || len(s.Unreachable) > 0 {
			t.Errorf("%s asks the others: %+v, %v", n.Name(), s.Unreachable, err)
		}
	}
	written := load.stop(t)
	t.Logf("%d writes", written)
	for _, err := range hail(t, old, nodes[0]) {
		if err == nil || errors.Is(err, wire.ErrNotModified) {
			t.Error("the old certificate is let in")
		}
	}
	waitFor(t, "equal digests", func() bool {
		return nodes[0].store.Digest() == nodes[1].store.Digest() && nodes[1].store.Digest() == nodes[2].store.Digest()
	})
}

// load writes to a mesh at a steady rate, over connections that are kept.
type load struct {
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu      sync.Mutex
	written int
	failed  []string
	dialled int // connections, beyond the first of each writer
}

// startLoad writes perSecond memories, by a writer for each node.
func startLoad(t testing.TB, dir string, nodes []*Node, perSecond int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	t.Cleanup(func() { cancel(); l.all.Wait() })
	for i, n := range nodes {
		secure, err := trust.Client(filepath.Join(dir, trust.AuthorityCert), "", "")
		if err != nil {
			t.Fatal(err)
		}
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: secure}, Timeout: 10 * time.Second}
		l.all.Go(func() {
			defer c.CloseIdleConnections()
			l.write(ctx, c, i, n, time.Second*time.Duration(len(nodes))/time.Duration(perSecond))
		})
	}
	return l
}

func (l *load) write(ctx context.Context, c *http.Client, writer int, n *Node, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		fresh := false
		// Not with ctx: what was begun is finished.
		traced := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(g httptrace.GotConnInfo) { fresh = !g.Reused }})
		err := writeOne(traced, c, n, fmt.Sprintf("writer %d row %d", writer, i))
		l.mu.Lock()
		l.written++
		if err != nil {
			l.failed = append(l.failed, fmt.Sprintf("%s, row %d: %v", n.Name(), i, err))
		}
		if fresh && i > 0 {
			l.dialled++
		}
		l.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func writeOne(ctx context.Context, c *http.Client, n *Node, title string) error {
	body := fmt.Appendf(nil, `{"title":%q,"content":"under load"}`, title)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+n.HTTPAddr()+"/api/v1/memories", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%d %s", resp.StatusCode, answer)
	}
	return err
}

// more waits for further writes.
func (l *load) more(t testing.TB, writes int) {
	t.Helper()
	l.mu.Lock()
	want := l.written + writes
	l.mu.Unlock()
	waitFor(t, "further writes", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.written >= want
	})
}

// stop ends the writers and judges them.
func (l *load) stop(t testing.TB) (written int) {
	t.Helper()
	l.cancel()
	l.all.Wait()
	for _, f := range l.failed {
		t.Error("failed write:", f)
	}
	if l.dialled > 0 {
		t.Errorf("%d connections of clients were dropped", l.dialled)
	}
	return l.written
}
