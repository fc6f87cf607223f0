package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// golden compares with testdata/golden/<name>. A difference means that nodes of this
// version and of the last one no longer understand each other the same way.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs:\n%s\nwant\n%s", name, got, want)
	}
}

func dump(b []byte) []byte { return []byte(hex.Dump(b)) }

func TestGolden(t *testing.T) {
	n := fixedNudge()
	golden(t, "page.hex", dump(pageBytes(t, fixedPage())))
	golden(t, "page_empty.hex", dump(pageBytes(t, &Page{Head: Head{Name: "n1", Cluster: fixedCluster}})))
	golden(t, "push.hex", dump(batchBytes(t, fixedBatch())))
	golden(t, "push_empty.hex", dump(batchBytes(t, PushBatch{})))
	golden(t, "ack.hex", dump(ackBytes(t, fixedAck())))
	golden(t, "nudge.hex", dump(AppendNudge(nil, &n)))
	golden(t, "since.txt", []byte(fixedSince().Values().Encode()+"\n"))

	var b bytes.Buffer
	header := http.Header{}
	Self{Name: "n1", Boot: 7, Cluster: func() memory.ClusterID { return fixedCluster }}.Hello().WithClock(0x1122).Set(header)
	if err := header.Write(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "hello.txt", bytes.ReplaceAll(b.Bytes(), []byte("\r"), nil))
}

func TestGoldenNDJSON(t *testing.T) {
	dot := clock.Dot{Origin: 0x0123456789abcdef, Counter: 1}
	value := []byte(`{"content":"<b>","n":1}`)
	record := memory.Record{
		Key: memory.NewKey(200, "some-id"),
		Versions: []memory.Version{
			{Dot: dot, Stamp: clock.NewStamp(1_767_225_600_123, 4), Agent: "ai:bob", Value: value},
			{Dot: clock.Dot{Origin: dot.Origin, Counter: 2}, Stamp: clock.NewStamp(1_767_225_600_124, 0), Agent: "ai:bob", Deleted: true},
			{Dot: clock.Dot{Origin: dot.Origin, Counter: 3}, Stamp: clock.NewStamp(1_767_225_600_125, 0), Agent: "ai:bob", Value: []byte{0xff}},
		},
		Context: clock.Of(clock.Dot{Origin: 9, Counter: 1}),
	}
	p := fixedPage()
	p.Rows = [][]byte{record.Append(nil), []byte("defective")}
	var b bytes.Buffer
	if err := WriteNDJSON(&b, p); err != nil {
		t.Fatal(err)
	}
	golden(t, "page.ndjson", b.Bytes())
	for line := range bytes.SplitSeq(bytes.TrimSpace(b.Bytes()), []byte("\n")) {
		if !json.Valid(line) {
			t.Errorf("no JSON: %s", line)
		}
	}
}

func TestGoldenOriginal(t *testing.T) {
	p, err := ParseSyncPush([]byte(syncPushExample))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "sync_push.json", indent(t, p))
	golden(t, "sync_push_reply.json", indent(t, SyncPushReply{
		Applied: 1, Deleted: 2, Archived: 3, Restored: 4, LinksApplied: 5, Noop: 6, Skipped: 7, ReceiverAgentID: "memd:n1",
		ReceiverClock: SyncClock{Entries: map[string]string{}},
		Errors:        []SyncItemError{{List: "memories", Index: 3, ID: "x", Error: "title must be given"}},
	}))
	next := "2026-01-01T00:00:00Z@17"
	golden(t, "sync_since_reply.json", indent(t, UpdatedSinceReply{
		Count: 1, Limit: 500, NextSince: &next, Memories: []json.RawMessage{json.RawMessage(`{"id":"x"}`)},
	}))
}

func indent(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}
