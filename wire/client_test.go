package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

func selfNamed(name string) Self {
	return Self{Name: name, Boot: 5, Cluster: func() memory.ClusterID { return fixedCluster }}
}

var server = selfNamed("n1")

// serve starts a server that answers as n1 and returns it as a peer.
func serve(t testing.TB, h http.HandlerFunc) Peer {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return Peer{Name: "n1", Addr: s.Listener.Addr().String()}
}

func newTestClient(t testing.TB, cfg ClientConfig) *Client {
	t.Helper()
	c := NewClient(selfNamed("n2"), cfg)
	t.Cleanup(c.Close)
	return c
}

func largePage() *Page {
	p := fixedPage()
	random := rand.NewChaCha8([32]byte{1})
	for range 50 {
		row := make([]byte, 500, 4500)
		_, _ = random.Read(row)
		p.Rows = append(p.Rows, append(row, bytes.Repeat([]byte("compressible "), 300)...))
	}
	return p
}

func TestClientPage(t *testing.T) {
	for name, p := range map[string]*Page{"small": fixedPage(), "compressed": largePage(), "uncompressed": largePage()} {
		served := make(chan int64, 1)
		peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
			req, err := ReadSince(r)
			if err != nil || req.Peer != "n2" || req.Boot != 5 || req.Cluster != fixedCluster || !req.Cursor.Equal(fixedClock()) || req.IfNoneMatch != req.ETag() {
				t.Errorf("request: %+v, %v", req, err)
			}
			if got := r.Header.Get("Accept-Encoding"); (got == "zstd") != (name != "uncompressed") {
				t.Errorf("%s: asked for %q", name, got)
			}
			if r.Header.Get(HeaderPeerID) != "n2" || r.Header.Get(HeaderAgentID) != "memd:n2" || r.Header.Get(HeaderAPIKey) != "secret" {
				t.Errorf("headers: %v", r.Header)
			}
			if _, ok := r.Header["Idempotency-Key"]; ok {
				t.Error("the marker for the transport was sent")
			}
			n, err := RespondPage(w, r, server, p)
			served <- n
			if err != nil {
				t.Error(err)
			}
		})
		c := newTestClient(t, ClientConfig{APIKey: func() string { return "secret" }, Uncompressed: name == "uncompressed"})
		for range 3 {
			got, err := c.Since(t.Context(), peer, SinceRequest{Cursor: fixedClock()})
			if err != nil {
				t.Fatal(err)
			}
			samePage(t, p, got)
			served := <-served
			if got.WireBytes != served || got.SentBytes == 0 {
				t.Errorf("%s: %d bytes received, %d served, %d sent", name, got.WireBytes, served, got.SentBytes)
			}
			if name == "compressed" && served > got.Tail.Bytes/3 {
				t.Errorf("%d bytes of rows compressed to %d", got.Tail.Bytes, served)
			}
		}
	}
}

func TestClientLargeCursorGoesByPost(t *testing.T) {
	var ragged clock.Clock
	for i := range uint64(2000) {
		ragged.AddRange(7, 3*i+1, 3*i+1)
	}
	peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		req, err := ReadSince(r)
		if r.Method != http.MethodPost || err != nil || !req.Cursor.Equal(ragged) {
			t.Errorf("%s: %v", r.Method, err)
		}
		RespondNotModified(w, server, req, 99)
	})
	_, err := newTestClient(t, ClientConfig{}).Since(t.Context(), peer, SinceRequest{Cursor: ragged})
	if !errors.Is(err, ErrNotModified) {
		t.Error(err)
	}
}

func TestClientNotModified(t *testing.T) {
	req := SinceRequest{Cursor: fixedClock()}
	peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		RespondNotModified(w, server, req, 0x1234)
		if got := w.Header().Get("ETag"); got != r.Header.Get("If-None-Match") {
			t.Errorf("ETag %s", got)
		}
	})
	page, err := newTestClient(t, ClientConfig{}).Since(t.Context(), peer, req)
	var nm *NotModified
	if page != nil || !errors.Is(err, ErrNotModified) || !errors.As(err, &nm) || nm.ClockHash != 0x1234 || nm.Name != "n1" {
		t.Errorf("%v, %v", page, err)
	}
}

func TestClientRefusals(t *testing.T) {
	for _, c := range []struct {
		status     int
		retryAfter string
		want       error
		wait       time.Duration
	}{
		{409, "", ErrCluster, 0},
		{410, "", ErrReconcile, 0},
		{421, "", ErrScope, 0},
		{429, "7", ErrBusy, 7 * time.Second},
		{429, "99999999", ErrBusy, maxRetryAfter},
		{429, "soon", ErrBusy, 0},
		{429, "-5", ErrBusy, 0},
		{503, "2", ErrUnavailable, 2 * time.Second},
		{413, "", ErrTooLarge, 0},
		{400, "", nil, 0},
		{401, "", nil, 0},
		{404, "", nil, 0},
		{500, "", nil, 0},
		{204, "", nil, 0},
	} {
		peer := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.retryAfter != "" {
				w.Header().Set("Retry-After", c.retryAfter)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, `{"error":"because\n`+strings.Repeat("x", 1000)+`","code":"why"}`)
		})
		page, err := newTestClient(t, ClientConfig{}).Since(t.Context(), peer, SinceRequest{})
		var se *StatusError
		if page != nil || !errors.As(err, &se) || se.Status != c.status {
			t.Fatalf("%d: %v, %v", c.status, page, err)
		}
		if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%d: %v is not %v", c.status, err, c.want)
		}
		if wait, _ := RetryAfter(err); wait != c.wait {
			t.Errorf("%d %q: wait %s", c.status, c.retryAfter, wait)
		}
		if c.status != 204 && (se.Code != "why" || !strings.HasPrefix(se.Message, "because?xxx") || len(se.Message) > 300) {
			t.Errorf("%d: %q %q", c.status, se.Code, se.Message)
		}
	}
}

func TestRetryAfterDate(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"Thu, 01 Jan 2026 00:00:30 GMT": 30 * time.Second,
		"Wed, 31 Dec 2025 00:00:30 GMT": 0,
		"Thu, 01 Jan 2099 00:00:30 GMT": maxRetryAfter,
	} {
		if got := parseRetryAfter(v, now); got != want {
			t.Errorf("%s: %s", v, got)
		}
	}
}

func TestClientRefusesRedirect(t *testing.T) {
	var followed atomic.Bool
	peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != PathSince {
			followed.Store(true)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	_, err := newTestClient(t, ClientConfig{}).Since(t.Context(), peer, SinceRequest{})
	var se *StatusError
	if !errors.As(err, &se) || se.Status != 307 || followed.Load() {
		t.Errorf("followed %v, %v", followed.Load(), err)
	}
}

func TestClientSlowHeader(t *testing.T) {
	peer := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	})
	start := time.Now()
	_, err := newTestClient(t, ClientConfig{HeaderTimeout: 50 * time.Millisecond}).Since(t.Context(), peer, SinceRequest{})
	if err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

// stall writes some of a page, then waits for the client to give up.
func stall(t *testing.T, b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		server.Hello().Set(w.Header())
		w.Header().Set("Content-Type", MediaFrames)
		_, _ = w.Write(b)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
			t.Error("the client did not give up")
		}
	}
}

func TestClientStalledBody(t *testing.T) {
	p := fixedPage()
	whole := pageBytes(t, p)
	for _, cut := range []int{0, 50, len(whole) - 5, len(whole)} {
		peer := serve(t, stall(t, whole[:cut]))
		page, err := newTestClient(t, ClientConfig{IdleTimeout: 50 * time.Millisecond}).Since(t.Context(), peer, SinceRequest{})
		if page == nil || !errors.Is(err, ErrTruncated) || !errors.Is(err, errStalled) {
			t.Fatalf("cut at %d: %v, %v", cut, page, err)
		}
		sameRows(t, p.Rows[:len(page.Rows)], page.Rows)
	}
}

func TestClientDeadlines(t *testing.T) {
	peer := serve(t, stall(t, pageBytes(t, fixedPage())[:50]))
	_, err := newTestClient(t, ClientConfig{PageTimeout: 50 * time.Millisecond}).Since(t.Context(), peer, SinceRequest{})
	if !errors.Is(err, ErrTruncated) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("node stops"))
	defer cancel()
	_, err = newTestClient(t, ClientConfig{}).Since(ctx, peer, SinceRequest{})
	if !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), "node stops") {
		t.Error(err)
	}
}

// respond answers with these bytes, as a page.
func respond(b []byte, encoding string, length int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		server.Hello().Set(w.Header())
		w.Header().Set("Content-Type", MediaFrames)
		if encoding != "" {
			w.Header().Set("Content-Encoding", encoding)
		}
		if length > 0 {
			w.Header().Set("Content-Length", strconv.Itoa(length))
		}
		_, _ = w.Write(b)
	}
}

func compressed(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := newZstdWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestClientUnusableBodies(t *testing.T) {
	large := largePage()
	whole := pageBytes(t, large)
	packed := compressed(t, whole)
	flipped := func(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 1; return b }
	foreign := fixedPage()
	foreign.Head.Cluster[0]++
	future := fixedPage()
	future.Head.Proto = 3
	renamed := fixedPage()
	renamed.Head.Name = "n9"
	bomb := compressed(t, make([]byte, 100<<20))

	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    error
		page    bool
	}{
		"truncated":             {respond(whole[:len(whole)/2], "", 0), ErrTruncated, true},
		"truncated, length":     {respond(whole[:len(whole)/2], "", len(whole)), ErrTruncated, true},
		"truncated zstd":        {respond(packed[:len(packed)/2], "zstd", 0), ErrTruncated, true},
		"zstd without its end":  {respond(packed[:len(packed)-4], "zstd", 0), ErrTruncated, true},
		"empty":                 {respond(nil, "", 0), ErrTruncated, true},
		"empty zstd":            {respond(nil, "zstd", 0), ErrTruncated, true},
		"corrupt":               {respond(flipped(whole, len(whole)/2), "", 0), ErrCorrupt, false},
		"corrupt zstd":          {respond(flipped(packed, len(packed)/2), "zstd", 0), ErrCorrupt, false},
		"corrupt zstd checksum": {respond(flipped(packed, len(packed)-1), "zstd", 0), ErrCorrupt, false},
		"no zstd":               {respond(whole, "zstd", 0), ErrCorrupt, false},
		"zstd, trailing":        {respond(append(bytes.Clone(packed), packed...), "zstd", 0), ErrMalformed, false},
		"trailing":              {respond(append(bytes.Clone(whole), 0), "", 0), ErrMalformed, false},
		"unknown encoding":      {respond(whole, "br", 0), ErrMalformed, false},
		"too large":             {respond(pageBytes(t, oversized()), "", 0), ErrTooLarge, false},
		"bomb":                  {respond(bomb, "zstd", 0), ErrMalformed, false},
		"other cluster":         {respond(pageBytes(t, foreign), "", 0), ErrCluster, false},
		"other protocol":        {respond(pageBytes(t, future), "", 0), ErrCluster, false},
		"other name":            {respond(pageBytes(t, renamed), "", 0), ErrWrongPeer, false},
		"html": {func(w http.ResponseWriter, _ *http.Request) {
			server.Hello().Set(w.Header())
			_, _ = io.WriteString(w, "<html>")
		}, ErrMalformed, false},
		"not a node": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(whole) }, ErrMalformed, false},
		"other node": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = RespondPage(w, r, selfNamed("n3"), fixedPage())
		}, ErrWrongPeer, false},
		"node of another cluster": {func(w http.ResponseWriter, _ *http.Request) {
			RespondNotModified(w, Self{Name: "n1", Cluster: func() memory.ClusterID { return memory.ClusterID{1} }}, SinceRequest{}, 1)
		}, ErrCluster, false},
		"large header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("x", 1<<20))
		}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := newTestClient(t, ClientConfig{MaxPage: 8 << 20}).Since(t.Context(), serve(t, c.handler), SinceRequest{})
			if err == nil || (page != nil) != c.page || (c.want != nil && !errors.Is(err, c.want)) {
				t.Fatalf("page %v, error %v, want %v", page != nil, err, c.want)
			}
			if page != nil {
				sameRows(t, large.Rows[:len(page.Rows)], page.Rows)
			}
		})
	}
}

func oversized() *Page {
	p := fixedPage()
	p.Rows = nil
	for range 9 {
		p.Rows = append(p.Rows, make([]byte, 1<<20))
	}
	return p
}

// Decompression may not take more than the window and the page limit, whatever the
// stream claims.
func TestClientZstdWindow(t *testing.T) {
	// A frame header that asks for a window of 8 MiB.
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x01, 0x00, 0x00}
	page, err := newTestClient(t, ClientConfig{}).Since(t.Context(), serve(t, respond(frame, "zstd", 0)), SinceRequest{})
	if page != nil || !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, %v", page, err)
	}
}

// Seed addresses have no name yet: anybody of the cluster may answer.
func TestClientUnnamedPeer(t *testing.T) {
	peer := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = RespondPage(w, r, server, fixedPage()) })
	peer.Name = ""
	if _, err := newTestClient(t, ClientConfig{}).Since(t.Context(), peer, SinceRequest{}); err != nil {
		t.Error(err)
	}
}

// The transport repeats a request that found a connection which the peer had closed,
// POST included.
func TestClientConnectionClosedWhileIdle(t *testing.T) {
	var served atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		acks := []Ack{fixedAck()}
		server.Hello().Set(w.Header())
		_, _ = io.Copy(io.Discard, r.Body)
		_ = WriteAcks(w, acks)
	}))
	defer s.Close()
	c := newTestClient(t, ClientConfig{})
	for range 5 {
		if _, err := c.PostPush(t.Context(), Peer{Addr: s.Listener.Addr().String()}, []PushBatch{fixedBatch()}); err != nil {
			t.Fatal(err)
		}
		s.CloseClientConnections()
	}
}

func TestClientPoolIsPerPeerAndSmall(t *testing.T) {
	var now, most atomic.Int32
	peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(20 * time.Millisecond)
		now.Add(-1)
		RespondNotModified(w, server, SinceRequest{}, 1)
	})
	c := newTestClient(t, ClientConfig{})
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := c.Since(context.Background(), peer, SinceRequest{})
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; !errors.Is(err, ErrNotModified) {
			t.Error(err)
		}
	}
	if most.Load() > 2 {
		t.Errorf("%d requests at once", most.Load())
	}
}

func TestClientDialsWhatItIsGiven(t *testing.T) {
	refused := errors.New("no route")
	c := newTestClient(t, ClientConfig{Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
		return nil, fmt.Errorf("%s %s: %w", network, addr, refused)
	}})
	peer := Peer{Name: "n1", Addr: "n1.example:9077"}
	_, err := c.Since(t.Context(), peer, SinceRequest{})
	if !errors.Is(err, refused) || !strings.Contains(err.Error(), "tcp n1.example:9077") {
		t.Error(err)
	}
	if _, err := c.OpenPush(t.Context(), peer); !errors.Is(err, refused) {
		t.Error(err)
	}
	if _, err := c.Since(t.Context(), Peer{Addr: "bad host:%"}, SinceRequest{}); err == nil {
		t.Error("bad address accepted")
	}
}

func TestPostPush(t *testing.T) {
	peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := CheckPush(r, server); err != nil {
			t.Error(err)
		}
		all, err := ReadPushBody(r.Body)
		if err != nil || len(all) != 2 || r.Header.Get("Content-Type") != MediaFrames {
			t.Errorf("%d frames, %v", len(all), err)
		}
		sameBatch(t, fixedBatch(), *all[1].Batch)
		server.Hello().Set(w.Header())
		_ = WriteAcks(w, []Ack{fixedAck()})
	})
	c := newTestClient(t, ClientConfig{})
	acks, err := c.PostPush(t.Context(), peer, []PushBatch{fixedBatch(), fixedBatch()})
	if err != nil {
		t.Fatal(err)
	}
	sameAck(t, fixedAck(), acks[0])
	if _, err := c.PostPush(t.Context(), peer, []PushBatch{{Rows: [][]byte{nil}}}); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	big := PushBatch{Rows: [][]byte{make([]byte, 10<<20)}}
	if _, err := c.PostPush(t.Context(), peer, []PushBatch{big, big}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}
