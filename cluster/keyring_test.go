package cluster_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/memd/memd/cluster"
	"github.com/memd/memd/test/clustertest/memnet"
)

func gossipKey(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// TestKeyRotation: members go over to another key one after the other, in any state of
// which they hear each other; afterwards who has the old key only is not let in.
func TestKeyRotation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		old, next := gossipKey(1), gossipKey(2)
		with := func(keys ...[]byte) func(*cluster.Config) {
			return func(c *cluster.Config) { c.Keys, c.Join = keys, []string{"n1"} }
		}
		nodes := []*node{newNode(t, n, "n1", with(old)), newNode(t, n, "n2", with(old)), newNode(t, n, "n3", with(old))}
		for _, x := range nodes {
			defer x.stop()
		}
		all := func(what string) {
			t.Helper()
			time.Sleep(10 * time.Second)
			for i, want := range []string{"n2=alive n3=alive", "n1=alive n3=alive", "n1=alive n2=alive"} {
				if got := nodes[i].sees(); got != want {
					t.Errorf("%s: n%d sees %s", what, i+1, got)
				}
			}
		}
		all("at first")
		for _, step := range [][][]byte{{old, next}, {next, old}, {next}} {
			for _, x := range nodes {
				if err := x.c.SetKeys(step); err != nil {
					t.Fatal(err)
				}
				all("one after the other")
			}
		}
		if keys := nodes[0].c.Keys(); len(keys) != 1 || !bytes.Equal(keys[0], next) {
			t.Errorf("%d keys", len(keys))
		}
		for name, keys := range map[string][][]byte{"old": {old}, "none": nil} {
			x := newNode(t, n, name, with(keys...))
			time.Sleep(30 * time.Second)
			if got := x.sees(); got != "" {
				t.Errorf("with key %s: it sees %s", name, got)
			}
			x.stop()
		}
		all("after strangers knocked")
		x := newNode(t, n, "n4", with(next))
		defer x.stop()
		time.Sleep(10 * time.Second)
		if got := x.sees(); got != "n1=alive n2=alive n3=alive" {
			t.Errorf("with the new key: it sees %s", got)
		}
	})
}

func TestSetKeysRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := memnet.New()
		open := newNode(t, n, "n1", nil)
		defer open.stop()
		if err := open.c.SetKeys([][]byte{gossipKey(1)}); !errors.Is(err, cluster.ErrNoKeys) {
			t.Errorf("a node without keys: %v", err)
		}
		closed := newNode(t, n, "n2", func(c *cluster.Config) { c.Keys = [][]byte{gossipKey(1)} })
		defer closed.stop()
		if err := closed.c.SetKeys(nil); err == nil {
			t.Error("no key at all is taken")
		}
		if err := cluster.CheckKey(make([]byte, 17)); !errors.Is(err, cluster.ErrKeySize) {
			t.Errorf("17 bytes: %v", err)
		}
		if a, b := cluster.KeyID(gossipKey(1)), cluster.KeyID(gossipKey(2)); a == b || len(a) != 16 {
			t.Errorf("ids %s and %s", a, b)
		}
	})
}
