package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestShownKey: the key of the command line goes before each variable of the environment,
// and whoever shows one names no agent by itself: the node knows whose the key is.
func TestShownKey(t *testing.T) {
	var mu sync.Mutex
	var key, agent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		key, agent = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+r.Header.Get("X-API-Key"), r.Header.Get("X-Agent-Id")
		io.WriteString(w, `{"imported":1,"unchanged":0,"errors":[],"acks":1,"token":"AA"}`)
	}))
	defer server.Close()
	dir := t.TempDir()
	file, records := filepath.Join(dir, "key"), filepath.Join(dir, "in.jsonl")
	for path, text := range map[string]string{file: "of-the-file\n", records: wanted(1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		env, args []string
		key       string
		named     bool
	}{
		"none":                          {nil, nil, "", true},
		"flag":                          {nil, []string{"--api-key", "of-the-flag"}, "of-the-flag", false},
		"flag over a file of the env":   {[]string{"MEMD_API_KEY_FILE=" + file}, []string{"--api-key", "of-the-flag"}, "of-the-flag", false},
		"file over a key of the env":    {[]string{"MEMD_API_KEY=of-the-env"}, []string{"--api-key-file", file}, "of-the-file", false},
		"flag, and an agent that is it": {nil, []string{"--api-key", "of-the-flag", "--agent-id", "ai:me"}, "of-the-flag", true},
	} {
		code, out, errOut := memd(t, c.env, append([]string{"import", records, "--server", server.URL}, c.args...)...)
		mu.Lock()
		if code != 0 || key != c.key || (agent != "") != c.named {
			t.Errorf("%s: %d, the key %q and the agent %q: %s%s", name, code, key, agent, out, errOut)
		}
		mu.Unlock()
	}
	if code, _, _ := memd(t, []string{"MEMD_API_KEY=a", "MEMD_API_KEY_FILE=" + file}, "import", records, "--server", server.URL); code != 2 {
		t.Errorf("two in the environment: exit code %d, want 2", code)
	}
}
