package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// listen serves d on a loopback port, with timeouts a test can wait for.
func listen(t testing.TB, d *Door) (addr string, server *http.Server) {
	t.Helper()
	return listenWith(t, d, nil)
}

func listenWith(t testing.TB, d *Door, secure *tls.Config) (addr string, server *http.Server) {
	t.Helper()
	return serveWith(t, d, secure, ServerConfig{HeaderTimeout: 200 * time.Millisecond, ReadTimeout: 400 * time.Millisecond})
}

func serveWith(t testing.TB, d *Door, secure *tls.Config, c ServerConfig) (addr string, server *http.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Handler, c.Base, c.Log = d, t.Context(), d.Log
	server = NewServer(c)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(Listener(l, secure, d.Handshake)) }()
	t.Cleanup(func() {
		d.Close()
		_ = server.Close()
		<-done
	})
	return l.Addr().String(), server
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

const goodBody = `{"title":"T","content":"c"}`

func rawPost(headers string, body string) string {
	return "POST /api/v1/memories HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + headers + "\r\n" + body
}

// TestFraming says what comes of requests that are wrong below HTTP's own grammar. Where
// no answer is expected, the connection must end.
func TestFraming(t *testing.T) {
	length := fmt.Sprintf("Content-Length: %d\r\n", len(goodBody))
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(goodBody), goodBody)
	for _, c := range []struct {
		name, send string
		status     int
	}{
		{"as it should be", rawPost(length, goodBody), 201},
		{"chunked", rawPost("Transfer-Encoding: chunked\r\n", chunked), 201},
		// RFC 9112, 6.3: Transfer-Encoding overrides, and net/http drops the length before a
		// handler could see that there was one. What matters is that it is framed once.
		{"74 length and chunks", rawPost(length+"Transfer-Encoding: chunked\r\n", chunked), 201},
		{"74 two lengths", rawPost(length+"Content-Length: 5\r\n", goodBody), 400},
		{"74 unknown transfer encoding", rawPost("Transfer-Encoding: gzip, chunked\r\n", chunked), 400},
		{"escape that is none", "GET /api/v1/memories/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		{"control in a header", rawPost(length+"X-Agent-Id: a\x01\r\n", goodBody), 400},
		{"unknown expectation", rawPost(length+"Expect: canary\r\n", goodBody), 417},
		{"HTTP/3.0", "GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n", 400},
		// RFC 9112, 5.2: a fold is refused or taken as a space, which net/http does.
		{"75 folded header", rawPost(length+"X-Folded: a\r\n b\r\n", goodBody), 201},
		{"75 header with a space in its name", rawPost(length+"X-Agent-Id : a\r\n", goodBody), 400},
		{"76 header of 64 KiB", rawPost(length+"X-Long: "+strings.Repeat("a", 64<<10)+"\r\n", goodBody), 431},
		{"79 target of 100 KiB", "GET /livez?x=" + strings.Repeat("a", 100<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 431},
		{"79 target of 14 KiB", "GET /livez?x=" + strings.Repeat("a", 14<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 414},
		{"no host", "GET /livez HTTP/1.1\r\n\r\n", 400},
		{"two hosts", "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400},
		{"absolute target of another host", "GET http://evil.test/livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 421},
		{"connect", "CONNECT evil.test:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 421},
		{"options of all", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404},
		{"17 announced too large", rawPost("Content-Length: 2097153\r\n", ""), 413},
		{"19 less than announced", rawPost("Content-Length: 4096\r\n", goodBody), 408},
		{"19 bad chunk", rawPost("Transfer-Encoding: chunked\r\n", "zz\r\n"), 400},
		{"HTTP/0.9", "GET /livez\r\n\r\n", 400},
		{"http/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 421},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, _ := newDoor(t, new(fake))
			addr, _ := listen(t, d)
			conn := dial(t, addr)
			if _, err := conn.Write([]byte(c.send)); err != nil && c.status != 431 {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.status {
				t.Errorf("%d %s, want %d", resp.StatusCode, body, c.status)
			}
			if resp.StatusCode >= 400 && (!isError(body) || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("X-Content-Type-Options") != "nosniff") {
				t.Errorf("%v %q", resp.Header, body)
			}
		})
	}
}

// TestBodiesAreNoRefusals: what a memory says is never taken for an answer of net/http's
// own, wherever in it a write to the connection begins.
func TestBodiesAreNoRefusals(t *testing.T) {
	evil := "HTTP/1.1 417 Expectation Failed\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	body, err := json.Marshal(map[string]string{"content": strings.Repeat(evil, 200)})
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{body: string(body)}
	d, _ := newDoor(t, f)
	addr, _ := listen(t, d)
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	for pad := range len(evil) + 20 {
		f.body = strings.Replace(string(body), `"HTTP`, `"`+strings.Repeat("x", pad)+`HTTP`, 1)
		resp, err := client.Get("http://" + addr + "/api/v1/memories/m1")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !strings.Contains(string(got), f.body[1:len(f.body)-1]) {
			t.Fatalf("%d: %v, %d bytes", pad, err, len(got))
		}
	}
}

// TestLessThanAnnounced: the client hangs up before the length that it announced.
func TestLessThanAnnounced(t *testing.T) {
	f := new(fake)
	d, _ := newDoor(t, f)
	addr, _ := listen(t, d)
	conn := dial(t, addr).(*net.TCPConn)
	_, _ = io.WriteString(conn, rawPost("Content-Length: 4096\r\n", goodBody))
	_ = conn.CloseWrite()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 400 || get(f, func() int { return f.calls }) != 0 {
		t.Errorf("%v, %v", resp, err)
	}
}

// TestFramedOnce: of a request with both framings only one answer comes, and what its
// length would have left over is no request.
func TestFramedOnce(t *testing.T) {
	f := new(fake)
	d, _ := newDoor(t, f)
	addr, _ := listen(t, d)
	conn := dial(t, addr)
	smuggled := "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(goodBody+smuggled), goodBody+smuggled)
	_, _ = io.WriteString(conn, rawPost(fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n", len(goodBody)), chunked))
	all, _ := io.ReadAll(conn)
	if n := bytes.Count(all, []byte("HTTP/1.1 ")); n != 1 || !bytes.HasPrefix(all, []byte("HTTP/1.1 400")) {
		t.Errorf("%d answers: %s", n, all)
	}
}

// TestSlow: what drips is cut off (rows 77, 78).
func TestSlow(t *testing.T) {
	d, _ := newDoor(t, new(fake))
	addr, _ := listen(t, d)
	t.Run("header", func(t *testing.T) {
		t.Parallel()
		conn := dial(t, addr)
		start := time.Now()
		if _, err := drip(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("X-A: b\r\n", 100)); err == nil {
			t.Error("the header was taken")
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("cut after %v", took)
		}
	})
	t.Run("body", func(t *testing.T) {
		t.Parallel()
		conn := dial(t, addr)
		_, _ = io.WriteString(conn, rawPost("Content-Length: 4096\r\n", ""))
		answer := make(chan string, 1)
		go func() {
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				answer <- err.Error()
				return
			}
			body, _ := io.ReadAll(resp.Body)
			answer <- fmt.Sprint(resp.StatusCode, " ", string(body))
		}()
		_, _ = drip(conn, strings.Repeat(" ", 4096))
		if got := <-answer; !strings.HasPrefix(got, "408 {") && !strings.Contains(got, "reset") {
			t.Errorf("answer: %s", got)
		}
	})
}

// drip writes a byte at a time until it is cut off.
func drip(conn net.Conn, s string) (int, error) {
	for i := range len(s) {
		if _, err := io.WriteString(conn, s[i:i+1]); err != nil {
			return i, err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return len(s), nil
}

// TestReaderThatNeverDrains does not keep a handler.
func TestReaderThatNeverDrains(t *testing.T) {
	f := &fake{body: `{"id":"` + strings.Repeat("x", 16<<20) + `"}`}
	d, _ := newDoor(t, f)
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(ServerConfig{Handler: d, WriteTimeout: 200 * time.Millisecond})
	server.Start()
	t.Cleanup(server.Close)
	conn := dial(t, server.Listener.Addr().String())
	_, _ = io.WriteString(conn, "GET /api/v1/memories/m1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	count := func(want string) bool {
		return strings.Contains(serve(d, request("GET", "/api/v1/metrics", "")).Body.String(), want)
	}
	eventually(t, func() bool {
		return count("memd_http_requests_in_flight 1\n") && count(`route="GET /api/v1/memories/{id}"} 1`)
	})
}

// TestDeadline: a node that does not answer is not waited for.
func TestDeadline(t *testing.T) {
	f := &slow{new(fake)}
	d := New(Config{Node: f, Timeout: 20 * time.Millisecond})
	if w := serve(d, request("GET", "/api/v1/stats", "")); w.Code != 503 || !strings.Contains(w.Body.String(), `"code":"TIMEOUT"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type slow struct{ *fake }

func (slow) Stats(ctx context.Context, _ ReadOptions) (Stats, error) {
	<-ctx.Done()
	return Stats{}, ctx.Err()
}

// TestShutdown: a server that stops answers what it has begun; its context ends the rest.
func TestShutdown(t *testing.T) {
	d, _ := newDoor(t, new(fake))
	addr, server := listen(t, d)
	resp, err := http.Get("http://" + addr + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		t.Error("still listening")
	}
}

func TestServerDefaults(t *testing.T) {
	s := NewServer(ServerConfig{})
	if s.ReadHeaderTimeout != 5*time.Second || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes != 16<<10 {
		t.Errorf("%+v", s)
	}
}
