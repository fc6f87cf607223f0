//go:build chaos && linux

package chaos

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/test/history"
)

// TestSecretsInLogs: three nodes at level debug are used in every way in which they are told
// something secret: API keys, right and wrong, in headers and in a query, gossip keys on the
// command line and over the mesh, memories written, found, refused and asked for over MCP.
// None of it is in a log, in no form.
func TestSecretsInLogs(t *testing.T) {
	const canary = "kAnArIe"
	m := planMesh(t)
	k := &keyring{m: m, file: filepath.Join(m.dir, "keys.json"), names: []string{"n1", "n2", "n3"}}
	admin, peer := k.add("admin", "--scopes", "admin", "--namespaces", "*", "--agents", "*"), k.add("peer", "--scopes", "peer")
	m.key.Store(&admin.Key)
	k.handOut()
	k.give(peer)
	gossip := [][]byte{make([]byte, 32), make([]byte, 32)}
	for _, key := range gossip {
		rand.Read(key)
	}
	first, next := base64.StdEncoding.EncodeToString(gossip[0]), base64.StdEncoding.EncodeToString(gossip[1])
	key := filepath.Join(m.dir, "gossip.key")
	m.must(os.WriteFile(key, []byte(first+"\n"), 0o600))
	m.begin(3, "--keys-file", filepath.Join(m.dir, "keys-{node}.json"), "--api-key-file", filepath.Join(m.dir, "peer-{node}.key"),
		"--gossip-key-file", key, "--log-level", "debug", "--log-format", "json", "--recall=true", "--rate-limit", "200")
	m.whole(3)
	n := m.nodes[0]

	c := m.client("owner")
	title := canary + " " + m.name("row")
	op := c.add(n, title, canary+c.content(title), options{idem: canary + "-idem"})
	if op.Outcome != history.OK {
		t.Fatalf("add: %d %s", op.Status, op.Note)
	}
	wrong := "memd_0123456789ab_" + canary + rand.Text() + rand.Text()[:10]
	calls := 0
	for _, x := range []struct{ method, path, body string }{
		{"GET", "/api/v1/memories/" + op.ID, ""},
		{"GET", "/api/v1/recall?context=" + canary + "+text", ""},
		{"GET", "/api/v1/search?q=" + canary, ""},
		{"GET", "/api/v1/memories?namespace=" + canary + "%2F..", ""},
		{"GET", "/api/v1/memories?api_key=" + admin.Key, ""},
		{"PUT", "/api/v1/memories/" + op.ID, `{"content":"` + canary + ` again"}`},
		{"PUT", "/api/v1/memories/" + op.ID, `{"content":"` + canary + `","tier":"` + canary + `"}`},
		{"POST", "/api/v1/memories", `{"title":"` + canary + `","content":` + canary},
		{"POST", "/api/v1/memories", `{"title":"` + canary + `"}`},
		{"POST", "/api/v1/memories/bulk", `[{"title":"` + canary + `","content":"` + canary + `"},{"title":"` + canary + `"}]`},
		{"POST", "/api/v1/forget", `{"pattern":"` + canary + `","dry_run":true}`},
		{"POST", "/api/v1/sync/push", `{"sender_agent_id":"x","memories":[{"id":"` + canary + `"}]}`},
		{"POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"memory_recall","arguments":{"context":"` + canary + `"}}}`},
		{"POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + canary + `","arguments":{"context":"` + canary + `"}}}`},
		{"PATCH", "/" + canary, canary},
	} {
		for _, header := range [][]string{nil, {"X-Api-Key", wrong}, {"Authorization", "Bearer " + admin.Key}} {
			a := n.call(patience, x.method, x.path, []byte(x.body), append([]string{"Accept", "application/json, text/event-stream"}, header...)...)
			if a.status == 0 || a.status >= 500 {
				t.Errorf("%s %s: %s", x.method, x.path, a)
			}
			calls++
		}
	}
	for range 100 { // over the rate, and guessing
		n.call(patience, "GET", "/api/v1/stats", nil, "X-Api-Key", wrong)
	}
	raw, err := net.Dial("tcp", n.http)
	m.must(err)
	fmt.Fprintf(raw, "GET /%s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", canary, n.http, canary)
	_ = raw.Close()
	raw, err = net.Dial("udp", n.gossip)
	m.must(err)
	for i := range 64 {
		_, _ = raw.Write(append([]byte{byte(i)}, canary...))
	}
	_ = raw.Close()

	// A gossip key is handed round; one that is none and one that nobody has are refused.
	adminKey := filepath.Join(m.dir, "admin.key")
	m.must(os.WriteFile(adminKey, []byte(admin.Key+"\n"), 0o600))
	over := []string{"--server", n.http, "--api-key-file", adminKey}
	_, err = m.memd(append([]string{"keyring", "install", next}, over...)...)
	m.must(err)
	list, err := m.memd(append([]string{"keyring", "list", "--json"}, over...)...)
	m.must(err)
	var held struct{ Keys []struct{ ID string } }
	m.must(json.Unmarshal([]byte(list), &held))
	if len(held.Keys) != 2 {
		t.Fatalf("keyring list says %s", list)
	}
	if out, err := m.memd(append([]string{"keyring", "install", admin.Key}, over...)...); err == nil || strings.Contains(out, admin.Key) {
		t.Errorf("an API key was taken for a gossip key, or repeated: %s", out)
	}
	if a := n.call(patience, "POST", "/api/v1/keyring", []byte(`{"op":"install","key":"`+first[:20]+canary+`"}`)); a.status != 400 {
		t.Errorf("half a gossip key: %s", a)
	}
	m.quiet(quietLimit)
	for _, x := range m.nodes {
		x.shut()
	}

	secrets := map[string]string{"a memory, a request": canary, "the first gossip key": first, "the second": next, "a wrong key": wrong[18:]}
	for name, made := range map[string]madeKey{"the admin's key": admin, "the peers' key": peer} {
		secrets[name] = made.Key[len(made.Key)-40:]
		secrets[name+"'s hash"] = auth.DigestOf(made.Key).String()
	}
	for i, g := range gossip {
		secrets[fmt.Sprintf("gossip key %d in hex", i+1)] = hex.EncodeToString(g)
		secrets[fmt.Sprintf("gossip key %d, raw", i+1)] = string(g)
		secrets[fmt.Sprintf("gossip key %d, URL form", i+1)] = strings.TrimRight(base64.URLEncoding.EncodeToString(g), "=")
	}
	size := 0
	for _, x := range m.nodes {
		log, err := os.ReadFile(x.log)
		m.must(err)
		_, said, _ := bytes.Cut(log, []byte("\n")) // the first line is the test's own, with the flags
		size += len(said)
		if !bytes.Contains(said, []byte(`"level":"DEBUG"`)) {
			t.Errorf("the log of %s is not that of level debug", x.name)
		}
		for name, secret := range secrets {
			if i := bytes.Index(said, []byte(secret)); i >= 0 {
				t.Errorf("the log of %s has %s: …%q", x.name, name, said[max(0, i-200):min(len(said), i+60)])
			}
		}
	}
	report.round(t, nil)
	report.note(t, "%d secrets in none of %d KiB of logs at level debug, after %d calls", len(secrets), size>>10, calls)
}
