package hostile

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/httpapi"
)

// framingRows are requests that are none, and ones that never end.
func framingRows(_ *testing.T, _ *target) []row {
	head := "Host: {addr}\r\nX-Api-Key: {admin}\r\nContent-Type: application/json\r\n"
	return []row{
		{n: 72, name: "TRACE", req: request{method: "TRACE", path: "/api/v1/memories"}, want: []int{405}, look: allowed},
		{n: 73, name: "PATCH", req: request{method: "PATCH", path: "/api/v1/memories", body: `{"title":"` + canary + `"}`}, want: []int{405}, look: allowed},
		{n: 74, name: "length and chunks", req: request{raw: "POST /api/v1/memories HTTP/1.1\r\n" + head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, want: []int{400}},
		{n: 74, name: "two lengths", req: request{raw: "POST /api/v1/memories HTTP/1.1\r\n" + head + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"}, want: []int{400}},
		{n: 74, name: "an encoding that is not known", req: request{raw: "POST /api/v1/memories HTTP/1.1\r\n" + head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"}, want: []int{400}},
		{n: 75, name: "folded header", req: request{raw: "GET /api/v1/memories HTTP/1.1\r\n" + head + "X-A: " + canary + "\r\n " + canary + "\r\n\r\n"}, want: []int{200},
			why: "RFC 9112 (5.2) lets a server join the lines by a space, as net/http does before anybody sees the value: one header, never two"},
		{n: 75, name: "a folded line is no header of its own", req: request{raw: "GET /api/v1/memories HTTP/1.1\r\nHost: {addr}\r\nX-A: a\r\n X-Api-Key: {admin}\r\n\r\n"}, want: []int{401},
			why: "the line in question would have let it in: it is part of the value before it"},
		{n: 75, name: "nor a second length", req: request{raw: "POST /api/v1/memories HTTP/1.1\r\n" + head + "X-A: a\r\n\tTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n[]"}, want: []int{400}},
		{n: 75, name: "folded where a value is used", req: request{raw: "POST /api/v1/memories HTTP/1.1\r\n" + head + "Content-Length:\r\n 2\r\n\r\n{}"}, want: []int{400}},
		{n: 76, name: "header of 64 KiB", req: request{raw: "GET /api/v1/memories HTTP/1.1\r\n" + head + "X-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n"}, want: []int{431}},
		{n: 76, name: "a thousand headers", req: request{raw: "GET /api/v1/memories HTTP/1.1\r\n" + head + strings.Repeat("X-A: "+strings.Repeat("a", 60)+"\r\n", 1000) + "\r\n"}, want: []int{431}},
		{n: 77, name: "header, a byte a second", do: slowHeader},
		{n: 78, name: "body, a byte a second", do: slowBody},
		{n: 79, name: "target of 100 KiB", req: request{raw: "GET /api/v1/memories?x=" + strings.Repeat("a", 100<<10) + " HTTP/1.1\r\n" + head + "\r\n"}, want: []int{414, 431}},
		{n: 79, name: "target of 13 KiB", req: request{method: "GET", path: "/api/v1/memories?x=" + strings.Repeat("a", 13<<10)}, want: []int{414}},
		{n: 74, name: "no request at all", req: request{raw: "\x16\x03\x01" + canary + "\r\n\r\n"}, want: []int{400}},
	}
}

func allowed(t *testing.T, a answer) {
	if a.header.Get("Allow") == "" {
		t.Error("no Allow")
	}
}

// drip sends a byte a second until the other side has had enough, and returns its status.
func drip(t *testing.T, c net.Conn, text string, within time.Duration) int {
	t.Helper()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
			case <-stop:
				return
			}
		}
	}()
	begun := time.Now()
	_ = c.SetReadDeadline(begun.Add(within))
	a := readAnswer(t, c)
	close(stop)
	<-done
	if took := time.Since(begun); took >= within {
		t.Errorf("still open after %s", took)
	}
	return a.status
}

func slowHeader(t *testing.T, n *target) {
	c := n.dial(t, 3)
	defer c.Close()
	fmt.Fprintf(c, "GET /api/v1/memories HTTP/1.1\r\nHost: %s\r\nX-A: ", n.addr)
	if status := drip(t, c, "a", 10*time.Second); status != 408 && status != 0 {
		t.Errorf("status %d", status)
	}
}

// slowRows are what takes a node's own deadlines to show: it began before the other groups.
func slowRows(_ *testing.T, _ *target) []row {
	return []row{{n: 78, name: "body, a byte a second, with the node's own deadline", do: func(t *testing.T, n *target) {
		if n.slow == nil {
			t.Skip("the short form has the deadline shortened only")
		}
		end := <-n.slow
		if end.status != 408 && end.status != 0 || end.took < 10*time.Second || end.took >= slowest {
			t.Errorf("status %d after %s", end.status, end.took)
		}
	}}}
}

// slowest is how long a body may be dripped.
const slowest = 60 * time.Second

type slowEnd struct {
	status int
	took   time.Duration
}

// slowBodyOfNode drips a body until the node has had enough.
func slowBodyOfNode(t *testing.T, n *target) <-chan slowEnd {
	c := n.dial(t, 4)
	fmt.Fprintf(c, "POST /api/v1/memories HTTP/1.1\r\nHost: %s\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n", n.addr, n.keys["admin"])
	out := make(chan slowEnd, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.Close()
		begun := time.Now()
		out <- slowEnd{drip(t, c, "a", slowest), time.Since(begun)}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return out
}

// slowBody is shown with the node's own server but a shorter deadline.
func slowBody(t *testing.T, n *target) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := n.Door()
	s := httpapi.NewServer(httpapi.ServerConfig{Handler: door, ReadTimeout: 2 * time.Second})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(httpapi.Listener(l, nil, nil))
	}()
	defer func() {
		_ = s.Close()
		<-ended
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /api/v1/memories HTTP/1.1\r\nHost: %s\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n", l.Addr(), n.keys["admin"])
	if status := drip(t, c, "a", 10*time.Second); status != 408 && status != 0 {
		t.Errorf("status %d", status)
	}
	node := httpapi.NewServer(httpapi.ServerConfig{Handler: door})
	if node.ReadTimeout <= 0 || node.ReadTimeout > 60*time.Second || node.ReadHeaderTimeout <= 0 || node.ReadHeaderTimeout > 10*time.Second ||
		node.IdleTimeout <= 0 || node.WriteTimeout <= 0 || node.MaxHeaderBytes != 16<<10 {
		t.Errorf("a node's deadlines: header %s, all %s, write %s, idle %s, %d bytes of header", node.ReadHeaderTimeout, node.ReadTimeout, node.WriteTimeout, node.IdleTimeout, node.MaxHeaderBytes)
	}
}
