package memnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// join returns the two ends of a stream from a to b.
func join(t *testing.T, n *Network, a, b string) (near, far net.Conn) {
	t.Helper()
	l, err := n.Host(b).Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	near, err = n.Host(a).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return near, far
}

func TestHTTPWithDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l, err := n.Host("server").Listen(9077)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				select {
				case <-time.After(time.Hour):
				case <-r.Context().Done():
				}
			case "/early": // answers before the body has come
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			default:
				_, _ = io.Copy(w, r.Body)
			}
		})}
		var wg sync.WaitGroup
		wg.Go(func() { _ = srv.Serve(l) })
		defer wg.Wait()
		defer func() { _ = srv.Close() }()
		tr := &http.Transport{DialContext: n.Host("client").DialContext}
		defer tr.CloseIdleConnections()
		c := &http.Client{Transport: tr, Timeout: 5 * time.Second}

		big := strings.Repeat("memd", 1<<20)
		res, err := c.Post("http://server:9077/", "", strings.NewReader(big))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || string(b) != big {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		if res, err = c.Post("http://server:9077/early", "", strings.NewReader(big)); err == nil {
			_ = res.Body.Close()
			if res.StatusCode != http.StatusRequestEntityTooLarge {
				t.Error(res.Status)
			}
		}
		start := time.Now()
		if _, err = c.Get("http://server:9077/slow"); err == nil || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		// Across a blackhole a request waits, and goes through after the heal.
		n.Isolate(Blackhole, "server")
		healed := time.AfterFunc(3*time.Second, n.Heal)
		defer healed.Stop()
		start = time.Now()
		if res, err = c.Post("http://server:9077/", "", strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if time.Since(start) != 3*time.Second {
			t.Errorf("went through after %v", time.Since(start))
		}
		n.Partition(Reset, []string{"client"})
		if _, err = c.Get("http://server:9077/"); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("across a reset: %v", err)
		}
	})
}

func TestStreamBlackhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		near, far := join(t, n, "a", "b")
		n.Partition(Blackhole, []string{"a"}, []string{"b"})
		// The sender notices nothing until its buffer is full.
		if _, err := near.Write(make([]byte, streamBuffer)); err != nil {
			t.Fatal(err)
		}
		_ = near.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := near.Write([]byte{1}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		_ = far.SetReadDeadline(time.Now().Add(time.Second))
		_, err := far.Read(make([]byte, 1))
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Fatal(err)
		}
		_ = near.Close()
		n.Heal()
		_ = far.SetReadDeadline(time.Time{})
		if b, err := io.ReadAll(far); err != nil || len(b) != streamBuffer {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		if _, err := far.Write([]byte{1}); err == nil {
			t.Fatal("wrote to a closed stream")
		}
		if len(n.pairs) != 1 {
			t.Fatalf("%d streams", len(n.pairs))
		}
		_ = far.Close()
		if len(n.pairs) != 0 {
			t.Fatal("a closed stream is kept")
		}
	})
}

func TestKillResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		near, far := join(t, n, "a", "b")
		l, err := n.Host("b").Listen(80)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
		synctest.Wait()
		n.Kill("b")
		wg.Wait()
		if _, err := near.Write([]byte{1}); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		if _, err := n.Host("a").DialContext(t.Context(), "tcp", "b:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		if _, err := n.Host("b").Listen(80); err == nil {
			t.Error("a dead host listens")
		}
		n.Revive("b")
		l, err = n.Host("b").Listen(80)
		if err != nil {
			t.Fatal(err)
		}
		c, err := n.Host("a").DialContext(t.Context(), "tcp", "b:80")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		_ = l.Close()
	})
}

func TestPackets(t *testing.T) {
	n := New()
	a, b := n.Host("a").Transport(), n.Host("b").Transport()
	to := n.Host("b").Addr(GossipPort)
	for i := range 10 * packetBuffer { // nobody reads: no sender waits
		if _, err := a.WriteTo([]byte(fmt.Sprint(i)), to); err != nil {
			t.Fatal(err)
		}
	}
	p := <-b.PacketCh()
	if string(p.Buf) != "0" || p.From.String() != n.Host("a").Addr(GossipPort) {
		t.Fatalf("%s from %v", p.Buf, p.From)
	}
	n.Partition(Blackhole, []string{"a"})
	for len(b.PacketCh()) > 0 {
		<-b.PacketCh()
	}
	_, _ = a.WriteTo([]byte("lost"), to)
	n.Heal()
	_, _ = a.WriteTo([]byte("found"), to)
	if p := <-b.PacketCh(); string(p.Buf) != "found" {
		t.Fatalf("%s", p.Buf)
	}
	again := n.Host("b").Transport() // the host's next process
	_, _ = a.WriteTo([]byte("again"), to)
	if p := <-again.PacketCh(); string(p.Buf) != "again" || len(b.PacketCh()) != 0 {
		t.Fatalf("%s", p.Buf)
	}
	if got := n.Host("a").Traffic(); got.Packets != 10*packetBuffer+3 {
		t.Fatalf("%+v", got)
	}
	_ = a.Shutdown()
	_ = again.Shutdown()
}

func TestDialGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l, _ := n.Host("b").Listen(80)
		defer func() { _ = l.Close() }()
		n.Isolate(Blackhole, "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := n.Host("a").DialContext(ctx, "tcp", "b:80")
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Error(err)
		}
		for _, addr := range []string{"b", "b:x", "nobody:80", "192.0.2.1:80", "a:81"} {
			if _, err := n.Host("a").DialContext(ctx, "tcp", addr); err == nil {
				t.Errorf("dialled %s", addr)
			}
		}
	})
}
