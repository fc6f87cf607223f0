package httpapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestExport(t *testing.T) {
	d, _ := newDoor(t, new(fake))
	server := httptest.NewServer(d)
	defer server.Close()
	get := func(query string) (int, string, error) {
		resp, err := http.Get(server.URL + "/api/v1/export" + query)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body), err
	}
	for query, want := range map[string]string{
		"":         `{"memories":[{"id":"m0"},{"id":"m1"},{"id":"m2"}],"links":[],"archived":[],"agents":[],"standards":[],"count":3,"exported_at":"`,
		"?limit=2": `{"memories":[{"id":"m0"},{"id":"m1"}],"links":[],"archived":[],"agents":[],"standards":[],"count":2,"next":"more","exported_at":"`,
	} {
		if status, body, err := get(query); status != 200 || !strings.HasPrefix(body, want) || !strings.HasSuffix(body, `"}`) || err != nil {
			t.Errorf("%s: %d %s %v", query, status, body, err)
		}
	}
	// The lists follow one another over the parts.
	want := `{"memories":[{"id":"m0"}],"links":[{"l":1},{"l":2}],"archived":[{"a":1}],"agents":[],"standards":[{"s":1}],"count":1,"exported_at":"`
	if status, body, err := get("?namespace=lists"); status != 200 || !strings.HasPrefix(body, want) || err != nil {
		t.Errorf("%d %s %v", status, body, err)
	}
	for _, query := range []string{"?from=bad", "?limit=-1", "?limit=x", "?namespace=a//b", "?from=a&from=b"} {
		if status, body, _ := get(query); status != 400 || !strings.HasPrefix(body, `{"error":`) {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	// What went out of one that broke does not look whole.
	if _, body, err := get("?from=breaks"); err == nil {
		t.Errorf("a broken export ends well: %s", body)
	}
}

func TestBadImports(t *testing.T) {
	f := new(fake)
	d, _ := newDoor(t, f)
	for _, body := range []string{``, `null`, `[]`, `{}`, `{"memories":7}`, `{"memories":[{}],"memories":[]}`, `{"memories":[` + strings.Repeat(`{},`, 1000) + `{}]}`} {
		if w := serve(d, request("POST", "/api/v1/import", body)); w.Code != 400 || !strings.HasPrefix(w.Body.String(), `{"error":`) {
			t.Errorf("%.40s: %d %s", body, w.Code, w.Body)
		}
	}
	if f.calls != 0 {
		t.Errorf("%d reached the node", f.calls)
	}
}

// patient counts what a response is given, and when it was given more time.
type patient struct {
	*httptest.ResponseRecorder
	t      *testing.T
	fresh  bool
	pieces int
}

func (p *patient) SetWriteDeadline(at time.Time) error {
	if d := time.Until(at); d < exportPatience/2 || d > exportPatience {
		p.t.Errorf("a deadline in %v", d)
	}
	p.fresh = true
	return nil
}

func (p *patient) Write(b []byte) (int, error) {
	if len(b) > exportPiece || !p.fresh {
		p.t.Errorf("%d bytes at once, with time of their own %v", len(b), p.fresh)
	}
	p.fresh = false
	p.pieces++
	return p.ResponseRecorder.Write(b)
}

// However slow its reader is, an export goes on: each small piece has its own time.
func TestExportIsPatient(t *testing.T) {
	d, _ := newDoor(t, new(fake))
	w := &patient{ResponseRecorder: httptest.NewRecorder(), t: t}
	d.ServeHTTP(w, request("GET", "/api/v1/export?namespace=large", ""))
	if want := 1_000_000; w.Body.Len() < want || w.pieces < want/exportPiece || !strings.HasSuffix(w.Body.String(), `"}`) {
		t.Errorf("%d bytes in %d pieces", w.Body.Len(), w.pieces)
	}
}
