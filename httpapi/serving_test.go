package httpapi

import (
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/memd/memd/wire"
)

// slowWriter is a peer that does not read.
type slowWriter struct {
	*httptest.ResponseRecorder
	begun   func()
	release <-chan struct{}
}

func (w *slowWriter) Write(b []byte) (int, error) {
	w.begun()
	<-w.release
	return w.ResponseRecorder.Write(b)
}

// Pages in hand bound what pulls cost in memory, however many peers ask and however slow
// they read (replication.md B7, B10).
func TestServedPagesAreBounded(t *testing.T) {
	p := &wire.Page{Rows: [][]byte{[]byte("row")}}
	p.Head = wire.Head{Cluster: testCluster, Name: "n1", Clock: testToken, Scope: wire.ScopeAll}
	p.Tail = wire.Tail{Covers: testToken, Complete: true}
	f := &fake{page: p}
	d, _ := newDoor(t, f)
	target := "/api/v1/sync/since?" + wire.SinceRequest{Peer: "n2", Boot: 3, Cluster: testCluster}.Values().Encode()

	release := make(chan struct{})
	var begun, ended sync.WaitGroup
	for range maxServed {
		begun.Add(1)
		w := &slowWriter{httptest.NewRecorder(), sync.OnceFunc(begun.Done), release}
		ended.Go(func() { d.ServeHTTP(w, request("GET", target, "")) })
	}
	begun.Wait()
	if w := serve(d, request("GET", target, "")); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("one more: %d %v", w.Code, w.Header())
	}
	close(release)
	ended.Wait()
	if w := serve(d, request("GET", target, "")); w.Code != 200 {
		t.Errorf("afterwards: %d", w.Code)
	}
	f.page = nil
	for range maxServed + 1 {
		if w := serve(d, request("GET", target, "")); w.Code != 304 {
			t.Errorf("nothing new: %d", w.Code)
		}
	}
}
