package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/memd/memd/memory"
)

func TestRespondPageForms(t *testing.T) {
	p := largePage()
	for _, c := range []struct {
		accept, acceptEncoding, media, encoding string
	}{
		{"", "", MediaFrames, ""},
		{"*/*", "gzip", MediaFrames, ""},
		{MediaFrames, "gzip, zstd;q=0.5", MediaFrames, "zstd"},
		{"", "ZSTD", MediaFrames, "zstd"},
		{"", "zstd;q=0", MediaFrames, ""},
		{"", "zstd; q=0.0", MediaFrames, ""},
		{"", "zstd;q=x", MediaFrames, ""},
		{"", "xzstd", MediaFrames, ""},
		{MediaNDJSON, "zstd", MediaNDJSON, ""},
		{MediaFrames + ", " + MediaNDJSON, "", MediaFrames, ""},
		{"text/html;q=1, " + MediaNDJSON + ";q=0.5", "", MediaNDJSON, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, PathSince, nil)
		r.Header.Set("Accept", c.accept)
		r.Header.Set("Accept-Encoding", c.acceptEncoding)
		w := httptest.NewRecorder()
		n, err := RespondPage(w, r, server, p)
		h := w.Header()
		if err != nil || h.Get("Content-Type") != c.media || h.Get("Content-Encoding") != c.encoding || n != int64(w.Body.Len()) {
			t.Errorf("%+v: %v, %d bytes, %v", c, err, n, h)
		}
		if length := h.Get("Content-Length"); length != "" && length != strconv.Itoa(w.Body.Len()) {
			t.Errorf("%+v: length %s of %d", c, length, w.Body.Len())
		}
		if hello, err := ParseHello(h); err != nil || !hello.HasClockHash || hello.ClockHash != p.Head.Clock.Hash() {
			t.Errorf("%+v: %+v, %v", c, hello, err)
		}
	}
	// A small page is not worth it.
	r := httptest.NewRequest(http.MethodGet, PathSince, nil)
	r.Header.Set("Accept-Encoding", "zstd")
	w := httptest.NewRecorder()
	if _, err := RespondPage(w, r, server, fixedPage()); err != nil || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("%v, %v", err, w.Header())
	}
}

func TestRespondPageRefusesBeforeTheHeader(t *testing.T) {
	p := fixedPage()
	p.Rows = [][]byte{make([]byte, MaxFrame+1)}
	w := &headerWatcher{ResponseRecorder: httptest.NewRecorder()}
	_, err := RespondPage(w, httptest.NewRequest(http.MethodGet, PathSince, nil), server, p)
	if !errors.Is(err, ErrTooLarge) || w.wrote {
		t.Errorf("%v, header written: %v", err, w.wrote)
	}
}

type headerWatcher struct {
	*httptest.ResponseRecorder
	wrote bool
}

func (w *headerWatcher) WriteHeader(code int) { w.wrote = true; w.ResponseRecorder.WriteHeader(code) }
func (w *headerWatcher) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseRecorder.Write(b)
}

func pushRequest(edit func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodPost, PathPush, nil)
	selfNamed("n2").Hello().Set(r.Header)
	r.Header.Set("Connection", "keep-alive, Upgrade")
	r.Header.Set("Upgrade", UpgradeProto)
	edit(r)
	return r
}

func TestAcceptPushRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(*http.Request)
		status int // 400 also stands for a FieldError
	}{
		"GET":              {func(r *http.Request) { r.Method = http.MethodGet }, 426},
		"no upgrade":       {func(r *http.Request) { r.Header.Del("Upgrade") }, 426},
		"no connection":    {func(r *http.Request) { r.Header.Del("Connection") }, 426},
		"websocket":        {func(r *http.Request) { r.Header.Set("Upgrade", "websocket") }, 426},
		"older stream":     {func(r *http.Request) { r.Header.Set("Upgrade", "memd-push/1") }, 426},
		"HTTP/2":           {func(r *http.Request) { r.ProtoMajor = 2 }, 426},
		"body":             {func(r *http.Request) { r.ContentLength = 5 }, 400},
		"chunked":          {func(r *http.Request) { r.ContentLength = -1 }, 400},
		"no hello":         {func(r *http.Request) { r.Header.Del(HeaderNode) }, 400},
		"bad name":         {func(r *http.Request) { r.Header.Set(HeaderNode, "a b") }, 400},
		"no protocol":      {func(r *http.Request) { r.Header.Del(HeaderProto) }, 400},
		"other protocol":   {func(r *http.Request) { r.Header.Set(HeaderProto, "3") }, 409},
		"foreign cluster":  {func(r *http.Request) { r.Header.Set(HeaderCluster, strings.Repeat("0", 31)+"1") }, 409},
		"no cluster":       {func(r *http.Request) { r.Header.Del(HeaderCluster) }, 409},
		"my own name":      {func(r *http.Request) { r.Header.Set(HeaderNode, "n1") }, 409},
		"cannot be hijack": {func(*http.Request) {}, 426},
	} {
		w := &headerWatcher{ResponseRecorder: httptest.NewRecorder()}
		conn, err := AcceptPush(w, pushRequest(c.edit), server)
		status := 0
		var se *StatusError
		switch {
		case errors.As(err, &se):
			status = se.Status
		case errors.Is(err, memory.ErrInvalid):
			status = 400
		}
		if conn != nil || status != c.status || w.wrote {
			t.Errorf("%s: status %d, want %d: %v", name, status, c.status, err)
		}
	}
	_, err := AcceptPush(httptest.NewRecorder(), pushRequest(func(*http.Request) {}), Self{Name: "n1"})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("a node without a cluster: %v", err)
	}
}

func TestStatusErrorText(t *testing.T) {
	for want, e := range map[string]*StatusError{
		"429 Too Many Requests": {Status: 429},
		"429 wait":              {Status: 429, Message: "wait"},
	} {
		if e.Error() != want {
			t.Errorf("%q, want %q", e.Error(), want)
		}
	}
	if errors.Is(&StatusError{Status: 500}, ErrBusy) {
		t.Error("500 is busy")
	}
}

func TestZstdPoolSurvivesErrors(t *testing.T) {
	for range 20 {
		z, err := new(decoders).reader(bytes.NewReader([]byte("no zstd")))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(z); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		z.release()
		w := newZstdWriter(iotestErrWriter{})
		_, _ = w.Write(make([]byte, 1<<20))
		if err := w.Close(); err == nil {
			t.Fatal("error of the writer is lost")
		}
		packed := compressed(t, []byte("whole"))
		if z, err = new(decoders).reader(bytes.NewReader(packed)); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(z); string(b) != "whole" || err != nil {
			t.Fatalf("%q, %v", b, err)
		}
		z.release()
	}
}
