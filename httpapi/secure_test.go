package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// selfSigned is a server's configuration, and its client's.
func selfSigned(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	client = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	return &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS13}, client
}

// exchange sends raw bytes over a new connection and returns what comes back.
func exchange(t *testing.T, c net.Conn, raw string) string {
	t.Helper()
	defer c.Close()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		t.Fatal(err)
	}
	return string(b)
}

// TestSecureListener: under TLS what net/http refuses by itself is JSON too, and a client
// that does not know of TLS is told.
func TestSecureListener(t *testing.T) {
	server, client := selfSigned(t)
	d, _ := newDoor(t, new(fake))
	addr, _ := listenWith(t, d, server)
	for _, c := range []struct{ raw, status string }{
		{"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "200"},
		{"GET /livez HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n", "400"},
		{"POST /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: nonsense\r\n\r\n", "400"},
		{"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "431"},
		{"POST /livez HTTP/1.1\r\nHost: localhost\r\nExpect: much\r\nContent-Length: 1\r\n\r\n", "417"},
	} {
		conn, err := tls.Dial("tcp", addr, client)
		if err != nil {
			t.Fatal(err)
		}
		got := exchange(t, conn, c.raw)
		if !strings.HasPrefix(got, "HTTP/1.1 "+c.status) || !strings.Contains(got, "application/json") {
			t.Errorf("%.60q: %q", c.raw, got)
		}
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if got := exchange(t, conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") || !strings.Contains(got, "https://") || !strings.Contains(got, `"code":"MALFORMED_REQUEST"`) {
		t.Errorf("plain HTTP: %q", got)
	}
	if conn, err = net.Dial("tcp", addr); err != nil {
		t.Fatal(err)
	}
	if got := exchange(t, conn, "\x00\x01\x02\x03\x04\x05 nothing that anybody speaks"); strings.Contains(got, "HTTP") {
		t.Errorf("noise: %q", got)
	}
}

// TestCheckPeer: what nodes ask of one another is refused to who is not the node that it
// says it is, with the reason; the forms of the original are not.
func TestCheckPeer(t *testing.T) {
	server, client := selfSigned(t)
	d, _ := newDoor(t, new(fake))
	d.CheckPeer = func(s *tls.ConnectionState, name string) error {
		switch {
		case s == nil:
			return errors.New("no TLS")
		case name != "" && name != "n2":
			return fmt.Errorf("the certificate is not %s's", name)
		}
		return nil
	}
	addr, _ := listenWith(t, d, server)
	peerOf := func(name string) *wire.Client {
		c := wire.NewClient(wire.Self{Name: name, Cluster: func() memory.ClusterID { return testCluster }},
			wire.ClientConfig{TLS: func(wire.Peer) *tls.Config { c := client.Clone(); c.ServerName = "example.com"; return c }})
		t.Cleanup(c.Close)
		return c
	}
	peer := wire.Peer{Name: "n1", Addr: addr}
	for name, ok := range map[string]bool{"n2": true, "n3": false} {
		c := peerOf(name)
		ctx := context.Background()
		_, pulled := c.Since(ctx, peer, wire.SinceRequest{})
		_, posted := c.PostPush(ctx, peer, nil)
		stream, opened := c.OpenPush(ctx, peer)
		if stream != nil {
			stream.Close()
		}
		for what, err := range map[string]error{"pull": pulled, "post": posted, "stream": opened} {
			status, refused := errors.AsType[*wire.StatusError](err)
			if refused = refused && status.Status == http.StatusForbidden; refused == ok {
				t.Errorf("%s as %s: %v", what, name, err)
			}
			if refused && (status.Code != "WRONG_PEER" || !strings.Contains(status.Message, "not n3's")) {
				t.Errorf("%s as %s: %+v", what, name, status)
			}
		}
	}
	// Without TLS, and before anything that was said is looked at.
	for _, r := range []*http.Request{
		request("GET", "/api/v1/sync/since?v=2&cursor=!", ""),
		request("POST", "/api/v1/sync/since", "nonsense", "Content-Type", wire.MediaForm),
		request("POST", "/api/v1/sync/push", "nonsense", "Content-Type", wire.MediaFrames),
	} {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || w.Header().Get("Connection") != "close" {
			t.Errorf("%s %s: %d %v %s", r.Method, r.URL, w.Code, w.Header(), w.Body)
		}
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, request("GET", "/api/v1/sync/since?since=2026-01-01T00:00:00Z", ""))
	if w.Code != http.StatusOK {
		t.Errorf("the original's form: %d %s", w.Code, w.Body)
	}
}

// TestPeerOfStreamIsLost: a peer that is no longer trusted loses its stream with its next
// batch.
func TestPeerOfStreamIsLost(t *testing.T) {
	server, client := selfSigned(t)
	d, _ := newDoor(t, new(fake))
	trusted := make(chan bool, 16)
	for range 3 { // the request's two checks, and the first batch
		trusted <- true
	}
	close(trusted)
	d.CheckPeer = func(*tls.ConnectionState, string) error {
		if !<-trusted {
			return errors.New("no more")
		}
		return nil
	}
	addr, _ := listenWith(t, d, server)
	c := wire.NewClient(wire.Self{Name: "n2", Cluster: func() memory.ClusterID { return testCluster }},
		wire.ClientConfig{TLS: func(wire.Peer) *tls.Config { c := client.Clone(); c.ServerName = "example.com"; return c }})
	defer c.Close()
	s, err := c.OpenPush(t.Context(), wire.Peer{Name: "n1", Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Recv(); err != nil { // the greeting
		t.Fatal(err)
	}
	if err := s.SendNudge(wire.Nudge{}); err != nil {
		t.Fatal(err)
	}
	if err := s.SendNudge(wire.Nudge{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err == nil {
		t.Error("the stream stands")
	}
}
