package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/memory"
)

func TestExport(t *testing.T) {
	whole := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/export" || r.URL.RawQuery != "from=f&limit=2&namespace=a%2Fb" {
			t.Errorf("asked %s", r.RequestURI)
		}
		io.WriteString(w, `{"new":{"member":[1]},"memories":[{"id":"a"},{"id":"b"}],"links":[{"source_id":"a"}],"count":2,"next":"n","exported_at":"x"}`)
	})
	stops := func(then func(*http.Request)) string {
		return server(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"memories":[{"id":"a"},`)
			_ = http.NewResponseController(w).Flush()
			then(r)
		})
	}
	cut := stops(func(*http.Request) { panic(http.ErrAbortHandler) })
	silent := stops(func(r *http.Request) { <-r.Context().Done() })
	mute := server(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, c := range map[string]struct {
		servers []string
		got     string
		kind    error
	}{
		"whole":            {[]string{whole}, `{"id":"a"}{"id":"b"}{"source_id":"a"}`, nil},
		"the second":       {[]string{gone(t), mute, whole}, `{"id":"a"}{"id":"b"}{"source_id":"a"}`, nil},
		"cut":              {[]string{cut, whole}, `{"id":"a"}`, memory.ErrUnavailable},
		"silent":           {[]string{silent, whole}, `{"id":"a"}`, context.DeadlineExceeded},
		"bad place":        {[]string{answer(t, 400, `{"error":"from is not what an export gave","field":"from"}`)}, "", memory.ErrInvalid},
		"something else":   {[]string{answer(t, 200, `[]`)}, "", memory.ErrUnavailable},
		"an older version": {[]string{answer(t, 404, `{"error":"no such path","code":"NO_ROUTE"}`)}, "", memory.ErrNotFound},
	} {
		var got strings.Builder
		c2 := open(t, 300*time.Millisecond, c.servers...)
		next, err := c2.Export(t.Context(), ExportOptions{From: "f", Limit: 2, Namespace: "a/b"}, func(r memory.Raw) error {
			got.Write(r)
			return nil
		})
		if got.String() != c.got || !errors.Is(err, c.kind) || (err == nil) != (next == "n") {
			t.Errorf("%s: %s, next %q, %v", name, &got, next, err)
		}
	}
	enough := errors.New("enough")
	if _, err := open(t, 0, whole).Export(t.Context(), ExportOptions{From: "f", Limit: 2, Namespace: "a/b"}, func(memory.Raw) error { return enough }); err != enough { //nolint:errorlint // as it is
		t.Errorf("the caller's own error came back as %v", err)
	}
}

func TestImport(t *testing.T) {
	var sent string
	url := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.Header.Get("X-Agent-Id"), " ", string(body))
		io.WriteString(w, `{"imported":1,"unchanged":2,"errors":["x: bad"],"acks":3,"token":"t"}`)
	})
	got, err := open(t, 0, url).Import(t.Context(), Import{Memories: []memory.Raw{memory.Raw(`{"id":"a","further":[1.50]}`)}}, WriteOptions{})
	if err != nil || got.Imported != 1 || got.Unchanged != 2 || got.Errors[0] != "x: bad" || got.Acks != 3 || got.Token != "t" {
		t.Errorf("%+v, %v", got, err)
	}
	if want := `POST /api/v1/import ai:test {"memories":[{"id":"a","further":[1.50]}],"links":[]}`; sent != want {
		t.Errorf("sent %s", sent)
	}
	if _, err := open(t, 0, url).Import(t.Context(), Import{Memories: []memory.Raw{memory.Raw(`{"id"`)}}, WriteOptions{}); !errors.Is(err, memory.ErrInvalid) {
		t.Errorf("a record that is none: %v", err)
	}
}
