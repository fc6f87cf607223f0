package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsStayOut: no mistake at the command line repeats a key, and no list of keys
// shows one.
func TestSecretsStayOut(t *testing.T) {
	const secret = "kAnArIe-and-something-more"
	dir := t.TempDir()
	file := filepath.Join(dir, "keys.json")
	code, out, errOut := memd(t, nil, "keys", "add", "app", "--keys-file", file, "--scopes", "read,write", "--namespaces", "acme", "--agents", "ai:app")
	key := strings.TrimSpace(out)
	if code != 0 || !strings.HasPrefix(key, "memd_") || strings.Contains(errOut, key) {
		t.Fatalf("%d %q %q", code, out, errOut)
	}
	two := filepath.Join(dir, "two")
	if err := os.WriteFile(two, []byte(secret+"\n"+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  []string
		args []string
		code int
	}{
		"list":             {nil, []string{"keys", "list", "--keys-file", file}, 0},
		"list as JSON":     {nil, []string{"keys", "list", "--keys-file", file, "--json"}, 0},
		"a bad key":        {nil, []string{"serve", "--api-key", secret + " x", "--data-dir", dir}, 2},
		"of the env":       {[]string{"MEMD_API_KEY=" + secret + " x"}, []string{"serve", "--data-dir", dir}, 2},
		"two in a file":    {nil, []string{"serve", "--api-key-file", two, "--data-dir", dir}, 2},
		"both":             {nil, []string{"serve", "--api-key", secret, "--api-key-file", two, "--data-dir", dir}, 2},
		"unreachable":      {[]string{"MEMD_API_KEY=" + secret}, []string{"list", "--server", "127.0.0.1:1"}, 1},
		"a wrong scope":    {nil, []string{"keys", "add", "x", "--keys-file", file, "--scopes", "root"}, 2},
		"unknown":          {nil, []string{"keys", "revoke", "nobody", "--keys-file", file}, 1},
		"peers and no key": {nil, []string{"serve", "--keys-file", file, "--join", "127.0.0.1:1", "--data-dir", dir}, 2},
		"no file":          {nil, []string{"keys", "list"}, 2},
		"of embeddings":    {nil, []string{"serve", "--embeddings-url", "http://127.0.0.1:1", "--embeddings-model", "m", "--embeddings-key-file", two, "--data-dir", dir}, 2},
		"in the URL":       {nil, []string{"serve", "--embeddings-url", "http://me:" + secret + "@h", "--embeddings-model", "m", "--data-dir", dir}, 2},
		"in its query":     {[]string{"MEMD_EMBEDDINGS_URL=http://h/?key=" + secret}, []string{"serve", "--embeddings-model", "m", "--data-dir", dir}, 2},
		"no model":         {nil, []string{"serve", "--embeddings-url", "http://" + secret, "--data-dir", dir}, 2},
	} {
		code, out, errOut := memd(t, c.env, c.args...)
		if code != c.code || strings.Contains(out+errOut, secret) || strings.Contains(out+errOut, key) || strings.Contains(out+errOut, key[len(key)-43:]) {
			t.Errorf("%s: %d, want %d: %s%s", name, code, c.code, out, errOut)
		}
	}
	if code, out, _ := memd(t, nil, "keys", "revoke", "app", "--keys-file", file); code != 0 || !strings.Contains(out, "app") {
		t.Errorf("%d %s", code, out)
	}
}
