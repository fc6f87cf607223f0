package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener and a dialler without sockets.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// network starts a server for h and returns how to reach it.
type network func(t *testing.T, h http.Handler) (Peer, ClientConfig)

func loopback(t *testing.T, h http.Handler) (Peer, ClientConfig) {
	return serve(t, h.ServeHTTP), ClientConfig{}
}

func inMemory(t *testing.T, h http.Handler) (Peer, ClientConfig) {
	p := newPipes()
	s := &http.Server{Handler: h, ReadTimeout: time.Second, WriteTimeout: time.Second}
	done := make(chan error)
	go func() { done <- s.Serve(p) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return Peer{Name: "n1", Addr: "n1:1"}, ClientConfig{Dial: p.Dial}
}

func overTLS(t *testing.T, h http.Handler) (Peer, ClientConfig) {
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true // and yet the stream must get HTTP/1.1
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return Peer{Name: "n1", Addr: s.Listener.Addr().String()}, ClientConfig{TLS: func(Peer) *tls.Config { return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"} }}
}

// echo is a receiver that greets, then acknowledges every batch with its own Base as
// the clock hash and every nudge with the nudge's.
type echo struct {
	wg   sync.WaitGroup
	errs chan error
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := AcceptPush(w, r, server)
	if err != nil {
		e.errs <- err
		return
	}
	e.wg.Add(1)
	defer e.wg.Done()
	defer conn.Close()
	ack := fixedAck()
	ack.Seq, ack.Name = 0, conn.Peer.Name
	if err := conn.SendAck(ack); err != nil {
		e.errs <- err
		return
	}
	for {
		p, err := conn.Recv()
		if err != nil {
			e.errs <- err
			return
		}
		if p.Batch != nil {
			ack.Seq, ack.ClockHash = p.Batch.Seq, uint64(len(p.Batch.Rows))
		} else {
			ack.ClockHash = p.Nudge.ClockHash
		}
		if err := conn.SendAck(ack); err != nil {
			e.errs <- err
			return
		}
	}
}

func TestPushStream(t *testing.T) {
	for name, network := range map[string]network{"loopback": loopback, "in memory": inMemory, "TLS": overTLS} {
		t.Run(name, func(t *testing.T) {
			h := &echo{errs: make(chan error, 1)}
			peer, cfg := network(t, h)
			s, err := newTestClient(t, cfg).OpenPush(t.Context(), peer)
			if err != nil {
				t.Fatal(err)
			}
			greeting, err := s.Recv()
			if err != nil || greeting.Seq != 0 || greeting.Name != "n2" {
				t.Fatalf("greeting %+v, %v", greeting, err)
			}

			const frames = 500
			sent := make(chan error, 1)
			go func() { // pipelined: nothing waits for its ack
				for i := range uint64(frames) {
					p := fixedBatch()
					p.Seq = i + 1
					if err := s.Send(p); err != nil {
						sent <- err
						return
					}
				}
				sent <- s.SendNudge(fixedNudge())
			}()
			for i := range uint64(frames) {
				a, err := s.Recv()
				if err != nil || a.Seq != i+1 || a.ClockHash != 2 {
					t.Fatalf("ack %d: %+v, %v", i+1, a, err)
				}
			}
			if a, err := s.Recv(); err != nil || a.ClockHash != fixedNudge().ClockHash {
				t.Fatalf("nudge: %+v, %v", a, err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}

			// A batch that is refused here does not harm the stream.
			if err := s.Send(PushBatch{Rows: [][]byte{nil}}); !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
			// A large one passes.
			big := PushBatch{Seq: 9, Rows: [][]byte{make([]byte, 5<<20)}}
			if err := s.Send(big); err != nil {
				t.Fatal(err)
			}
			if a, err := s.Recv(); err != nil || a.Seq != 9 {
				t.Fatalf("%+v, %v", a, err)
			}

			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error("second Close:", err)
			}
			if err := <-h.errs; !errors.Is(err, io.EOF) {
				t.Error("receiver:", err)
			}
			if err := s.Send(fixedBatch()); !errors.Is(err, ErrClosed) {
				t.Error("send on a closed stream:", err)
			}
			if _, err := s.Recv(); !errors.Is(err, ErrClosed) {
				t.Error("receive on a closed stream:", err)
			}
			h.wg.Wait()
		})
	}
}

// What a server's timeouts for requests would do to a stream.
func TestPushStreamOutlivesServerTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &echo{errs: make(chan error, 1)}
		p := newPipes()
		srv := &http.Server{Handler: h, ReadTimeout: time.Second, WriteTimeout: time.Second, IdleTimeout: time.Second}
		done := make(chan error)
		go func() { done <- srv.Serve(p) }()
		c := NewClient(selfNamed("n2"), ClientConfig{Dial: p.Dial})
		s, err := c.OpenPush(t.Context(), Peer{Name: "n1", Addr: "n1:1"})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := s.Recv(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			if err := s.Send(fixedBatch()); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.Close()
		_ = srv.Close()
		<-done
		<-h.errs
	})
}

// A peer that is stopped takes nothing and answers nothing; its kernel would not tell.
func TestPushStreamToStoppedPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		s := &PushStream{stream: newStream(here, bufio.NewReader(here), 2*time.Second)}
		start := time.Now()
		if err := s.Send(fixedBatch()); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if err := s.Send(fixedBatch()); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("a broken stream was used again: %v after %s", err, time.Since(start))
		}
		_ = s.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := s.Recv(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		_ = s.SetReadDeadline(time.Time{})
		go func() { time.Sleep(time.Second); _ = s.Close() }()
		if _, err := s.Recv(); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

func TestOpenPushRefused(t *testing.T) {
	upgraded := func(edit func(http.Header)) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			h := http.Header{"Connection": {"Upgrade"}, "Upgrade": {UpgradeProto}}
			server.Hello().Set(h)
			edit(h)
			var b bytes.Buffer
			b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
			_ = h.Write(&b)
			b.WriteString("\r\n")
			_, _ = conn.Write(b.Bytes())
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    error
	}{
		"busy":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, ErrBusy},
		"unavailable":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, ErrUnavailable},
		"cluster":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409) }, ErrCluster},
		"no upgrade":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(426) }, ErrUpgrade},
		"redirect":       {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", 308) }, nil},
		"plain 200":      {func(http.ResponseWriter, *http.Request) {}, nil},
		"other upgrade":  {upgraded(func(h http.Header) { h.Set("Upgrade", "websocket") }), ErrMalformed},
		"no hello":       {upgraded(func(h http.Header) { h.Del(HeaderNode) }), ErrMalformed},
		"other node":     {upgraded(func(h http.Header) { h.Set(HeaderNode, "n3") }), ErrWrongPeer},
		"other cluster":  {upgraded(func(h http.Header) { h.Set(HeaderCluster, strings.Repeat("1", 32)) }), ErrCluster},
		"other protocol": {upgraded(func(h http.Header) { h.Set(HeaderProto, "7") }), ErrCluster},
		"endless header": {upgraded(func(h http.Header) { h.Set("X", strings.Repeat("x", 1<<20)) }), ErrTooLarge},
		"hangs up":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := newTestClient(t, ClientConfig{}).OpenPush(t.Context(), serve(t, c.handler))
			if s != nil || err == nil || (c.want != nil && !errors.Is(err, c.want)) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if !strings.HasPrefix(err.Error(), "open push to n1: ") {
				t.Error(err)
			}
		})
	}
}

func TestOpenPushDeadlines(t *testing.T) {
	silent := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
			t.Error("the client did not give up")
		}
	}
	c := newTestClient(t, ClientConfig{HeaderTimeout: 50 * time.Millisecond})
	if _, err := c.OpenPush(t.Context(), serve(t, silent)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	c = newTestClient(t, ClientConfig{HeaderTimeout: time.Minute})
	ctx, cancel := context.WithCancelCause(t.Context())
	stops := errors.New("node stops")
	timer := time.AfterFunc(50*time.Millisecond, func() { cancel(stops) })
	defer timer.Stop()
	start := time.Now()
	if _, err := c.OpenPush(ctx, serve(t, silent)); !errors.Is(err, stops) || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
	if _, err := c.OpenPush(ctx, serve(t, silent)); !errors.Is(err, stops) {
		t.Error(err)
	}
}

// Frames that arrive together with the request end up in the server's own buffer.
func TestAcceptPushKeepsWhatCameEarly(t *testing.T) {
	got := make(chan Pushed, 1)
	peer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := AcceptPush(w, r, server)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		p, err := conn.Recv()
		if err != nil {
			t.Error(err)
		}
		got <- p
	})
	conn, err := net.Dial("tcp", peer.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var b bytes.Buffer
	b.WriteString("POST " + PathPush + " HTTP/1.1\r\nHost: n1\r\nConnection: Upgrade\r\nUpgrade: " + UpgradeProto + "\r\n")
	h := http.Header{}
	selfNamed("n2").Hello().Set(h)
	_ = h.Write(&b)
	b.WriteString("\r\n")
	b.Write(batchBytes(t, fixedBatch()))
	if _, err := conn.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	sameBatch(t, fixedBatch(), *(<-got).Batch)
}

// Garbage ends the stream with an error, not with an end of stream.
func TestPushConnGarbage(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"cut off":  {batchBytes(t, fixedBatch())[:20], io.ErrUnexpectedEOF},
		"damaged":  {bytes.Replace(batchBytes(t, fixedBatch()), []byte("first"), []byte("fIrst"), 1), ErrCorrupt},
		"too long": {[]byte{'P', 0xff, 0xff, 0xff, 0x7f}, ErrTooLarge},
		"clean":    {nil, io.EOF},
	} {
		here, there := net.Pipe()
		conn := &PushConn{stream: newStream(here, bufio.NewReader(here), time.Second)}
		go func() { _, _ = there.Write(c.b); _ = there.Close() }()
		if _, err := conn.Recv(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		_ = conn.Close()
	}
}

// The client in a bubble of fake time: every deadline is where the configuration says.
func TestClientTimesInMemory(t *testing.T) {
	whole := pageBytes(t, fixedPage())
	large := benchPage(500) // so that it is compressed
	sendPage := func(w http.ResponseWriter, r *http.Request) { _, _ = RespondPage(w, r, server, large) }
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		after   time.Duration
		want    error
	}{
		"page": {sendPage, 0, nil},
		// What the first bubble left in a pool of decoders must not reach the second.
		"page again": {sendPage, 0, nil},
		"no header":  {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 2 * time.Second, nil},
		"stalled body": {func(w http.ResponseWriter, r *http.Request) {
			respond(whole[:50], "", 0)(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, 5 * time.Second, errStalled},
		"dripping body": {func(w http.ResponseWriter, r *http.Request) {
			respond(whole[:50], "", 0)(w, r)
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte{frameRow})
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(4 * time.Second):
				}
			}
		}, 30 * time.Second, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipes()
				srv := &http.Server{Handler: c.handler}
				done := make(chan error)
				go func() { done <- srv.Serve(p) }()
				client := NewClient(selfNamed("n2"), ClientConfig{Dial: p.Dial})
				start := time.Now()
				page, err := client.Since(t.Context(), Peer{Name: "n1", Addr: "n1:1"}, SinceRequest{})
				if got := time.Since(start); got != c.after {
					t.Errorf("gave up after %s, want %s", got, c.after)
				}
				switch {
				case c.after == 0:
					if err != nil {
						t.Error(err)
					}
				case err == nil, c.want != nil && (page == nil || !errors.Is(err, c.want)):
					t.Errorf("%v, %v", page, err)
				}
				client.Close()
				_ = srv.Close()
				<-done
				synctest.Wait()
			})
		})
	}
}
