//go:build chaos && linux

package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/memd/memd/wire"
)

// TestKeyRotation: under writes, clients and nodes go over to other API keys, as
// deploy/day-two.md says; no write fails, and the old keys are refused on every lane.
func TestKeyRotation(t *testing.T) {
	m := planMesh(t)
	k := &keyring{m: m, file: filepath.Join(m.dir, "keys.json")}
	agent, peer := k.add("agent", "--scopes", "admin", "--namespaces", "*", "--agents", "*"), k.add("peer", "--scopes", "peer")
	m.key.Store(&agent.Key)
	for i := range 3 {
		k.names = append(k.names, fmt.Sprintf("n%d", i+1))
	}
	k.handOut()
	k.give(peer)
	m.begin(3, "--keys-file", filepath.Join(m.dir, "keys-{node}.json"), "--api-key-file", filepath.Join(m.dir, "peer-{node}.key"))
	m.whole(3)
	l := m.load(writesPerSecond)
	err := func() error {
		for range times(3, 1) {
			if err := l.goesOn(200); err != nil {
				return err
			}
			var err error
			if agent, err = k.rotateClients(l, agent); err != nil {
				return err
			}
			if peer, err = k.rotatePeers(l, peer); err != nil {
				return err
			}
		}
		return l.goesOn(200)
	}()
	figures, failed := l.end()
	m.must(err)
	m.must(failed)
	if again := l.again.Load(); again > 0 {
		t.Errorf("%d writes failed at first: %s", again, figures)
	}
	m.whole(3)
	m.judge()
	report.round(t, nil)
	report.note(t, "the clients' key and the nodes' own changed %d times: %s; the old ones refused", times(3, 1), figures)
}

// keyring is what an operator does: one file of keys, copied to every node.
type keyring struct {
	m     *mesh
	file  string
	names []string
}

type madeKey struct{ ID, Key string }

func (k *keyring) add(args ...string) (made madeKey) {
	k.m.t.Helper()
	out, err := k.m.memd(append([]string{"keys", "add", "--json", "--keys-file", k.file}, args...)...)
	k.m.must(err)
	k.m.must(json.Unmarshal([]byte(out), &made))
	return made
}

func (k *keyring) revoke(key madeKey) {
	k.m.t.Helper()
	_, err := k.m.memd("keys", "revoke", key.ID, "--keys-file", k.file)
	k.m.must(err)
	k.handOut()
}

// handOut copies the file to every node, as one step: written beside it and renamed.
func (k *keyring) handOut() {
	k.m.t.Helper()
	b, err := os.ReadFile(k.file)
	k.m.must(err)
	for _, name := range k.names {
		k.m.place("keys-"+name+".json", b)
	}
}

// give writes the nodes' own key.
func (k *keyring) give(key madeKey) {
	k.m.t.Helper()
	for _, name := range k.names {
		k.m.place("peer-"+name+".key", []byte(key.Key+"\n"))
	}
}

// known waits until every node answers a key so.
func (k *keyring) known(key madeKey, path string, status int) {
	k.m.t.Helper()
	for _, n := range k.m.nodes {
		k.m.eventually(10*time.Second, func() error {
			if a := n.call(patience, "GET", path, nil, "X-Api-Key", key.Key); a.status != status {
				return fmt.Errorf("%s answers the key %s with %s, want %d", n.name, key.ID, a, status)
			}
			return nil
		})
	}
}

func (k *keyring) rotateClients(l *load, old madeKey) (madeKey, error) {
	k.m.t.Helper()
	next := k.add("agent", "--scopes", "admin", "--namespaces", "*", "--agents", "*")
	k.handOut()
	k.known(next, "/api/v1/stats", 200)
	k.m.key.Store(&next.Key)
	if err := l.goesOn(loadClients * 2); err != nil { // nobody has an old request under way
		return next, err
	}
	k.revoke(old)
	k.known(old, "/api/v1/stats", 401)
	return next, l.goesOn(100)
}

func (k *keyring) rotatePeers(l *load, old madeKey) (madeKey, error) {
	k.m.t.Helper()
	asPeer := wire.PathSince + "?cursor=!" // 400 to a peer, and nothing but that
	next := k.add("peer", "--scopes", "peer")
	k.handOut()
	k.known(next, asPeer, 400)
	k.give(next)
	if err := l.goesOn(400); err != nil { // two seconds: a node looks once a second
		return next, err
	}
	k.revoke(old)
	k.known(old, asPeer, 401)
	return next, l.goesOn(400)
}
