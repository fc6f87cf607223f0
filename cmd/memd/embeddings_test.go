package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memd/memd/embed/embedtest"
)

// TestEmbeddings: a served node with an endpoint recalls what shares no word with the question,
// --json says by what it went, and neither the key nor a text is in its log.
func TestEmbeddings(t *testing.T) {
	const canary = "kAnArIe"
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := embedtest.New(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(canary+"-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := begin(t, []string{asMemd + "=1", "MEMD_EMBEDDINGS_MODEL=" + embedtest.Model}, self, "serve", "--name", "x1", "--data-dir", t.TempDir(),
		"--http-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0", "--log-level", "debug", "--embeddings-url", s.URL+"/v1", "--embeddings-key-file", key)
	server := readyLine(t, p)["http"]
	if code, _, errOut := memd(t, nil, "store", "Kubernetes upgrade", "--content", "drain the nodes, "+canary, "--server", server); code != 0 {
		t.Fatal(errOut)
	}
	var out struct {
		Mode     string
		Memories []struct{ Title string }
	}
	for limit := time.Now().Add(patience); out.Mode != "hybrid" && time.Now().Before(limit); {
		code, text, errOut := memd(t, nil, "recall", "cubernetiz", "--json", "--server", server)
		if code != 0 {
			t.Fatal(errOut)
		}
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatal(err)
		}
	}
	if out.Mode != "hybrid" || len(out.Memories) != 1 || out.Memories[0].Title != "Kubernetes upgrade" {
		t.Errorf("%+v", out)
	}
	s.Break(embedtest.Faults()["400"].Fault)
	if _, text, _ := memd(t, nil, "recall", "upgrade "+canary, "--json", "--server", server); !strings.Contains(text, `"mode":"keyword"`) {
		t.Errorf("with a broken endpoint: %s", text)
	}
	if code, _, errOut := memd(t, nil, "store", "another", "--content", canary, "--server", server); code != 0 {
		t.Error(errOut)
	}
	p.await("endpoint for embeddings")
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != 0 || strings.Contains(p.output(), canary) {
		t.Errorf("%d\n%s", code, p.output())
	}
	for _, k := range s.Keys() {
		if k != "Bearer "+canary+"-key" {
			t.Errorf("the key is shown as %q", k)
		}
	}
}
