package httpapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

func TestKeyring(t *testing.T) {
	f := new(fake)
	d, log := newDoor(t, f)
	const path, json = "/api/v1/keyring", wire.MediaJSON
	for _, c := range []struct {
		what, method, path, body string
		status                   int
	}{
		{"list", "GET", path, "", 200},
		{"install", "POST", path, `{"op":"install","key":"MDEyMzQ1Njc4OWFiY2RlZg=="}`, 200},
		{"use", "POST", path + "?force=1", `{"op":"use","id":"00000000000000aa"}`, 200},
		{"nothing", "POST", path, `{}`, 400},
		{"unknown", "POST", path, `{"op":"shred"}`, 400},
		{"no base64", "POST", path, `{"op":"install","key":"!"}`, 400},
		{"no key", "POST", path, `{"op":"install"}`, 400},
		{"key and id", "POST", path, `{"op":"use","id":"a","key":"MDEyMzQ1Njc4OWFiY2RlZg=="}`, 400},
		{"a stranger on the peers' lane", "POST", wire.PathKeyring, `{"op":"list"}`, 400},
	} {
		f.calls = 0
		req := request(c.method, c.path, c.body)
		if c.body != "" {
			req.Header.Set("Content-Type", json)
		}
		w := httptest.NewRecorder()
		d.ServeHTTP(w, req)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.what, w.Code, w.Body)
		}
		if w.Code != 200 && f.calls > 0 {
			t.Errorf("%s: changed something", c.what)
		}
	}
	if f.keys.Op != "use" || !f.force {
		t.Errorf("the last change was %+v, force %t", f.keys, f.force)
	}
	if strings.Contains(log.String(), "MDEy") {
		t.Error("the log holds a key")
	}
	d.CheckPeer = nil
	addr, _ := listen(t, d)
	c := wire.NewClient(wire.Self{Name: "n2", Cluster: func() memory.ClusterID { return testCluster }}, wire.ClientConfig{})
	defer c.Close()
	s, err := c.ChangeKeys(t.Context(), wire.Peer{Name: "n1", Addr: addr}, wire.KeyChange{Op: wire.KeyInstall, Key: []byte("0123456789abcdef")})
	if err != nil || len(s.IDs) != 1 || string(f.keys.Key) != "0123456789abcdef" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err = c.ChangeKeys(t.Context(), wire.Peer{Name: "n3", Addr: addr}, wire.KeyChange{Op: wire.KeyList}); !errors.Is(err, wire.ErrWrongPeer) {
		t.Errorf("another node answers: %v", err)
	}
	f.err = memory.ErrConflict
	_, err = c.ChangeKeys(t.Context(), wire.Peer{Name: "n1", Addr: addr}, wire.KeyChange{Op: wire.KeyList})
	if status, ok := errors.AsType[*wire.StatusError](err); !ok || status.Status != http.StatusConflict {
		t.Errorf("a refusal: %v", err)
	}
}
