package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/memd/memd/memory"
)

// instant is a node that costs nothing, so that the door's own cost is seen.
type instant struct{ *fake }

func (instant) Beat() {}
func (instant) Create(context.Context, memory.Draft, WriteOptions) (Created, error) {
	return Created{ID: "9d0e0000-0000-4000-8000-000000000001", Tier: "long", Namespace: "bench", Title: "key-123456", Agent: "anonymous:req-00000000",
		Dot: testDot, Token: testToken, Acks: 2}, nil
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func BenchmarkCreate(b *testing.B) {
	d := New(Config{Node: instant{new(fake)}})
	defer d.Close()
	body := []byte(`{"content":"` + strings.Repeat("x", 300) + `","namespace":"bench","tier":"long","title":"key-123456"}`)
	r := request("POST", "/api/v1/memories", "")
	r.ContentLength = int64(len(body))
	in := bytes.NewReader(body)
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(body)
		r.Body = io.NopCloser(in)
		d.ServeHTTP(w, r)
	}
}
