package auth

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func addKey(t testing.TB, path string, g Grant) (key string, made Listed) {
	t.Helper()
	key, made, err := Add(path, g)
	if err != nil {
		t.Fatal(err)
	}
	return key, made
}

func open(t testing.TB, c Config) *Keys {
	t.Helper()
	k, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestKeyLife: made, used, listed, revoked, without a restart.
func TestKeyLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	one, made := addKey(t, path, Grant{Name: "app", Scopes: []string{"read", "write"}, Namespaces: []string{"acme"}, Agents: []string{"ai:app"}})
	k := open(t, Config{File: path})
	p := k.Check(one)
	if p == nil || p.Name != "app" || p.ID != made.ID || !p.May(Read) || !p.May(Write) || p.May(Peer) || p.May(Admin) || !p.Strong {
		t.Fatalf("%+v", p)
	}
	two, other := addKey(t, path, Grant{Name: "app", Scopes: []string{"read"}})
	if k.Check(two) != nil {
		t.Error("known before it was read")
	}
	if err := k.Refresh(); err != nil {
		t.Fatal(err)
	}
	if k.Check(one) == nil || k.Check(two) == nil {
		t.Error("two keys of one name do not work at once")
	}
	list, err := List(path)
	if err != nil || len(list) != 2 || list[0].ID != made.ID || list[1].ID != other.ID {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := Revoke(path, made.ID); err != nil {
		t.Fatal(err)
	}
	if err := k.Refresh(); err != nil {
		t.Fatal(err)
	}
	if k.Check(one) != nil || k.Check(two) == nil {
		t.Error("the wrong one was revoked")
	}
	if gone, err := Revoke(path, "app"); err != nil || len(gone) != 1 {
		t.Errorf("%v, %v", gone, err)
	}
	if _, err := Revoke(path, "app"); err == nil {
		t.Error("revoked twice")
	}
}

// TestAtRest: nothing in the file can be shown as a key, and the file is its owner's.
func TestAtRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	key, _ := addKey(t, path, Grant{Name: "app", Scopes: []string{"read"}})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), key) || strings.Contains(string(b), key[len(keyPrefix)+idLen+1:]) {
		t.Error("the key is in the file")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".keys-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if KeyID(key) == "" || DigestOf(key).equal(DigestOf(key+"x")) {
		t.Error("a key is not what it should be")
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	addKey(t, path, Grant{Name: "next", Scopes: []string{"read"}})
	if info, err = os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode became %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{File: path}); err == nil {
		t.Error("a file that anybody may write was taken")
	}
}

func TestWrongKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	key, _ := addKey(t, path, Grant{Name: "app", Scopes: []string{"read"}})
	late, _ := addKey(t, path, Grant{Name: "late", Scopes: []string{"read"}, Expires: time.Now().Add(-time.Minute)})
	k := open(t, Config{File: path})
	for name, wrong := range map[string]string{
		"none": "", "another end": key[:len(key)-1] + "~", "longer": key + "A", "shorter": key[:len(key)-1], "only the public part": key[:len(keyPrefix)+idLen],
		"unknown id": keyPrefix + "000000000000" + key[len(keyPrefix)+idLen:], "upper case": strings.ToUpper(key), "expired": late,
		"very long": strings.Repeat("a", 1<<20), "digest": DigestOf(key).String(),
	} {
		if p := k.Check(wrong); p != nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if k.Check(key) == nil {
		t.Error("the right one")
	}
}

// TestOwnKey: the node's own key has all rights by itself, and those of the file if it is
// one of the file: revoked there it must not become all-powerful.
func TestOwnKey(t *testing.T) {
	const plain = "a-key-that-somebody-chose-by-hand!"
	if p := open(t, Config{Key: plain}).Check(plain); !p.May(Admin) || p.Limited() || p.Own() != "" || !p.Strong {
		t.Errorf("%+v", p)
	}
	if p := open(t, Config{Key: "short"}).Check("short"); p == nil || p.Strong {
		t.Errorf("%+v", p)
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	peer, _ := addKey(t, path, Grant{Name: "peer", Scopes: []string{"peer"}})
	k := open(t, Config{Key: peer, File: path})
	if p := k.Check(peer); !p.May(Peer) || p.May(Read) {
		t.Errorf("%+v", p)
	}
	if _, err := Revoke(path, "peer"); err != nil {
		t.Fatal(err)
	}
	if err := k.Refresh(); err != nil {
		t.Fatal(err)
	}
	if p := k.Check(peer); p != nil {
		t.Errorf("revoked: %+v", p)
	}
	if p := open(t, Config{Key: plain, File: path}).Check(plain); !p.May(Admin) {
		t.Errorf("beside the file: %+v", p)
	}
}

// TestBrokenFile: a file that cannot be taken as a whole changes nothing.
func TestBrokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	key, made := addKey(t, path, Grant{Name: "app", Scopes: []string{"read"}})
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	k := open(t, Config{File: path})
	for name, bad := range map[string]string{
		"empty": "", "cut": string(good[:len(good)/2]), "an array": "[]", "another scope": strings.Replace(string(good), `"read"`, `"root"`, 1),
		"a bad namespace":     strings.Replace(string(good), `"namespaces":[]`, `"namespaces":["../x"]`, 1),
		"a bad agent":         strings.Replace(string(good), `"agents":[]`, `"agents":["a b"]`, 1),
		"a short digest":      strings.Replace(string(good), `"sha256":"`, `"sha256":"00`, 1),
		"an id twice":         strings.Replace(string(good), "]}\n", ","+entryOf(string(good))+"]}\n", 1),
		"a name that is none": strings.Replace(string(good), `"app"`, `"a b"`, 1),
		"a key twice":         strings.Replace(string(good), `"name":"app"`, `"name":"app","name":"b"`, 1),
	} {
		if bad == string(good) {
			t.Fatalf("%s: nothing is broken", name)
		}
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		err := k.Refresh()
		if err == nil || strings.Contains(err.Error(), DigestOf(key).String()) {
			t.Errorf("%s: %v", name, err)
		}
		if k.Check(key) == nil {
			t.Errorf("%s: the keys are gone", name)
		}
		if _, err := Open(Config{File: path}); err == nil {
			t.Errorf("%s: a node starts with it", name)
		}
		if _, _, err := Add(path, Grant{Name: "x", Scopes: []string{"read"}}); err == nil {
			t.Errorf("%s: was written over", name)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := k.Refresh(); err == nil || k.Check(key).ID != made.ID {
		t.Errorf("without the file: %v", err)
	}
}

func entryOf(file string) string {
	return file[strings.Index(file, "[")+1 : strings.LastIndex(file, "]")]
}

// TestEditedAtOnce: commands that meet lose nothing.
func TestEditedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, _, err := Add(path, Grant{Name: "app", Scopes: []string{"read"}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := List(path); err != nil || len(list) != 20 {
		t.Errorf("%d keys, %v", len(list), err)
	}
}

func TestPrincipal(t *testing.T) {
	p := &Principal{Name: "app", Namespaces: []string{"acme", "x/y"}, Agents: []string{"ai:*", "host:one"}}
	for ns, want := range map[string]bool{
		"acme": true, "acme/ops": true, "acme/ops/deep": true, "acmeops": false, "acm": false, "x": false, "x/y": true, "x/yz": false, "": false, "*": false, "ACME": false,
	} {
		if p.Namespace(ns) != want {
			t.Errorf("namespace %q: %v", ns, !want)
		}
	}
	for id, want := range map[string]bool{"ai:bob": true, "ai:": true, "aix": false, "host:one": true, "host:one2": false, "": false} {
		if p.Agent(id) != want {
			t.Errorf("agent %q: %v", id, !want)
		}
	}
	if p.Own() != "host:one" || !p.Limited() {
		t.Errorf("%q", p.Own())
	}
	nobody := &Principal{Name: "app"}
	if nobody.Namespace("global") || nobody.Agent("ai:x") || nobody.Own() != "key:app" || !nobody.Agent("key:app") || nobody.May(Read) || nobody.May(Undeclared) {
		t.Error("what is not named is allowed")
	}
	anybody := &Principal{ID: "0123456789ab", Name: "app", Agents: []string{Everything}}
	if anybody.Own() != "" || anybody.Nameless() != "key:app" || nobody.Nameless() != "" || all("api-key").Nameless() != "" || (*Principal)(nil).Nameless() != "" {
		t.Error("who writes if nobody says")
	}
	// Peers are kept from no namespace, so an admin of some is none of them.
	some, every := &Principal{Scopes: 1 << Admin, Namespaces: []string{"acme"}}, &Principal{Scopes: 1 << Admin, Namespaces: []string{Everything}}
	if some.May(Peer) || !some.May(Admin) || !some.May(Read) || !every.May(Peer) || !(&Principal{Scopes: 1 << Peer}).May(Peer) {
		t.Error("who may replicate")
	}
	var self *Principal
	if !self.May(Admin) || !self.Namespace("x") || !self.Agent("x") || self.Limited() || self.Own() != "" || self.May(Undeclared) {
		t.Error("the node itself")
	}
	if got, known := From(context.Background()); known || got != nil {
		t.Error("somebody in an empty context")
	}
	if got, known := From(With(context.Background(), nil)); !known || got != nil {
		t.Error("the node itself is not found")
	}
	if got, _ := From(With(context.Background(), p)); got != p {
		t.Error("another one")
	}
}

func TestScopeNames(t *testing.T) {
	s, err := ParseScopes([]string{"admin", "read", "read"})
	if err != nil || !slices.Equal(s.Names(), []string{"read", "admin"}) || s.String() != "read,admin" {
		t.Errorf("%v, %v", s, err)
	}
	for _, bad := range []string{"", "public", "any", "undeclared", "Read"} {
		if _, err := ParseScopes([]string{bad}); err == nil {
			t.Errorf("%q was granted", bad)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for text, want := range map[string]string{
		"abc": "abc", "abc\n": "abc", " abc \r\n": "abc", "\n": "", "a b": "", "abc\ndef": "", strings.Repeat("a", MaxKey+1): "", "ab\x00c": "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadKeyFile(path); got != want || (err == nil) != (want != "") || err != nil && strings.Contains(err.Error(), "abc") {
			t.Errorf("%.20q: %q, %v", text, got, err)
		}
	}
}

// FuzzKeysFile: a file of anybody's making gives no more rights than it says, and is read
// the same when it is written again.
func FuzzKeysFile(f *testing.F) {
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":[{"id":"0123456789ab","name":"app","sha256":"` + strings.Repeat("ab", 32) + `","scopes":["read","peer"],"namespaces":["acme","*"],"agents":["ai:*"],"created_at":"2026-05-01T10:00:00Z","expires_at":"2027-05-01T10:00:00Z"}]}`))
	f.Add([]byte(`{"keys":[{"id":"","name":"","sha256":"","scopes":null,"namespaces":null,"agents":null,"created_at":""}],"keys":1}`))
	one := `{"id":"0123456789ab","name":"n","sha256":"` + strings.Repeat("0", 64) + `","scopes":["read"],"namespaces":["*"],"agents":[],"created_at":"2026-05-01T10:00:00Z"}`
	f.Add([]byte(`{"keys":[` + one + `,` + one + `]}`)) // one id twice
	f.Add([]byte(`{"keys":[` + one + `]}{"keys":[]}`))
	f.Add([]byte(`{"keys":[` + strings.Replace(one, `"read"`, `"everything"`, 1) + `]}`))
	f.Add([]byte(`{"keys":[` + strings.Replace(one, `"*"`, `"a/../b"`, 1) + `]}`))
	f.Add([]byte(`{"keys":[` + strings.Replace(one, `"id"`, `"ID"`, 1) + `],"more":1}`))
	f.Add([]byte("\xef\xbb\xbf" + `{"keys":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, s, err := parseFile(b)
		if err != nil {
			return
		}
		if len(s.byID) != len(parsed.Keys) {
			t.Fatalf("%d keys of %d", len(s.byID), len(parsed.Keys))
		}
		for _, h := range s.byID {
			if h.p.May(Undeclared) || len(h.p.Namespaces) == 0 && h.p.Namespace("x") || h.p.check() != nil {
				t.Fatalf("%+v", h.p)
			}
		}
	})
}

// FuzzKey: no text but the key itself is the key.
func FuzzKey(f *testing.F) {
	key, id := newKey()
	k := &Keys{now: time.Now}
	k.live.Store(&set{byID: map[string]held{id: {&Principal{ID: id}, DigestOf(key)}}})
	f.Add(key, "Bearer")
	f.Add(keyPrefix+id+"_"+strings.Repeat("A", secretLen), "")
	f.Add("", "")
	f.Add(key[:len(key)-1], "")
	f.Add(key+"\n", "")
	f.Add(strings.ToUpper(key), "")
	f.Add(strings.Replace(key, id, "000000000000", 1), "")
	f.Add(keyPrefix+"_", "")
	f.Fuzz(func(t *testing.T, shown, _ string) {
		if (k.Check(shown) != nil) != (shown == key) {
			t.Fatalf("%q", shown)
		}
		if id := KeyID(shown); id != "" && (!strings.HasPrefix(shown, keyPrefix+id+"_") || CheckKey(shown) != nil && strings.TrimFunc(shown, func(r rune) bool { return r > ' ' && r <= '~' }) == "") {
			t.Fatalf("%q has the id %q", shown, id)
		}
	})
}
