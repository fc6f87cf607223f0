package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memd/memd/memory"
)

// takeBackup gets a backup of a node by its door.
func takeBackup(t *testing.T, n *Node) string {
	t.Helper()
	res, err := http.Get("http://" + n.HTTPAddr() + "/api/v1/backup")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	path := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, res.Body); err != nil || res.StatusCode != 200 {
		t.Fatal(res.Status, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// A copy of a node that is being written to becomes a fourth node: it gets what it lacks,
// revives nothing that was deleted since, and gives no dot that was given before.
func TestBackupAndRestore(t *testing.T) {
	nodes := startMesh(t, 3)
	n := nodes[0]
	var gone []string
	for i := range 30 {
		code, m := call(t, n, "POST", "/api/v1/memories", map[string]any{"title": fmt.Sprint("doomed ", i), "content": "old", "tier": "long"})
		if code != 201 {
			t.Fatal(code, m)
		}
		gone = append(gone, m["id"].(string))
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	var written atomic.Int64
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			if code, m := call(t, n, "POST", "/api/v1/memories", map[string]any{"title": fmt.Sprint("live ", i), "content": strings.Repeat("x", 500), "tier": "long"}); code != 201 {
				t.Error(code, m)
				return
			}
			written.Add(1)
		}
	}()
	more := func(k int64) {
		t.Helper()
		want := written.Load() + k
		waitFor(t, "writes", func() bool { return written.Load() >= want })
	}
	more(20)
	path := takeBackup(t, n)
	more(20)
	stop()
	<-done
	for _, id := range gone[:15] {
		if code, m := call(t, nodes[1], "DELETE", "/api/v1/memories/"+id, nil); code != 200 {
			t.Fatal(code, m)
		}
	}
	info, err := CheckBackup(path)
	if err != nil || info.Node != "n1" || info.Cluster != n.store.Cluster().String() || time.Since(info.TakenAt) > time.Minute {
		t.Fatalf("%+v, %v", info, err)
	}

	dir := filepath.Join(t.TempDir(), "new")
	if _, found, err := Restore(t.Context(), path, dir); err != nil || len(found) > 0 {
		t.Fatal(found, err)
	}
	if _, _, err := Restore(t.Context(), path, dir); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a store: %v", err)
	}
	fourth, err := New(Config{Name: "n4", DataDir: dir, HTTPAddr: "127.0.0.1:0", GossipAddr: freeAddr(t), Join: []string{n.GossipAddr()}, BootstrapExpect: 3, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if had := fourth.store.Clock(); had.Empty() || !n.store.Clock().Covers(had) || fourth.store.Origin() != 0 {
		t.Errorf("the copy has %v of %v, origin %s", had, n.store.Clock(), fourth.store.Origin())
	}
	run, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- fourth.Run(run) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	waitFor(t, "four members, equal digests", func() bool {
		ok, _ := fourth.Ready()
		for _, x := range nodes {
			ok = ok && x.store.Digest() == fourth.store.Digest() && x.members.count() == 4
		}
		return ok
	})
	if o := fourth.store.Origin(); o == 0 || o == n.store.Origin() {
		t.Errorf("origin %s, that of n1 is %s", o, n.store.Origin())
	}
	for i, id := range gone {
		want := 200
		if i < 15 {
			want = 404
		}
		for _, x := range append(nodes, fourth) {
			if code, _ := call(t, x, "GET", "/api/v1/memories/"+id, nil); code != want {
				t.Errorf("%s at %s: %d, want %d", id, x.Name(), code, want)
			}
		}
	}
}

// One backup at a time, and whoever goes away leaves nothing behind.
func TestBackupIsBounded(t *testing.T) {
	n := startOne(t, func(*Config) {})
	b, err := n.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Backup(t.Context()); !errors.Is(err, memory.ErrUnavailable) {
		t.Errorf("a second one: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Backup(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if b, err = n.Backup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(n.cfg.DataDir, "unfinished-*"))
	if err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// A file that is not a backup to the last byte is refused, and nothing is made of it.
func TestBackupIsChecked(t *testing.T) {
	n := startOne(t, func(*Config) {})
	b, err := n.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(b)
	if err != nil || int64(len(whole)) != b.Size {
		t.Fatal(len(whole), b.Size, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	flip := func(at int) []byte {
		out := bytes.Clone(whole)
		out[at] ^= 1
		return out
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"empty": nil, "cut short": whole[:len(whole)-1], "only a header": whole[:bytes.IndexByte(whole, '\n')+1], "no header": whole[:50],
		"longer": append(bytes.Clone(whole), 'x'), "a bit in the data": flip(len(whole) - 5000), "a bit in the magic": flip(3),
		"another format": bytes.Replace(whole, []byte(`"format":`), []byte(`"format":9`), 1),
		"text":           bytes.Repeat([]byte("no backup "), 20000), "no end of the header": append([]byte(backupMagic), bytes.Repeat([]byte("x"), 1<<20)...),
	} {
		path := filepath.Join(dir, "backup")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := CheckBackup(path); !errors.Is(err, ErrBackup) {
			t.Errorf("%s: %v", name, err)
		}
		into := filepath.Join(dir, "store")
		if _, _, err := Restore(t.Context(), path, into); !errors.Is(err, ErrBackup) {
			t.Errorf("restore of %s: %v", name, err)
		}
		if _, err := os.Stat(into); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was made of it", name)
		}
	}
}
