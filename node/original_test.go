package node

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// importOf is one record in the original's push.
func importOf(id, text, agent string, at time.Time) *wire.SyncPush {
	stamp := memory.FormatTime(at)
	body := fmt.Sprintf(`{"id":%q,"tier":"long","namespace":"global","title":"t","content":%q,"tags":[],"priority":5,"confidence":1,"source":"api",`+
		`"access_count":0,"created_at":%q,"updated_at":%q,"metadata":{"agent_id":%q,"topic":%q}}`, id, text, stamp, stamp, agent, text)
	return &wire.SyncPush{SenderAgentID: "host:old", Memories: []json.RawMessage{json.RawMessage(body)}}
}

func mustImport(t *testing.T, n *Node, p *wire.SyncPush, applied, noop int) {
	t.Helper()
	r, err := n.ImportPush(context.Background(), p, httpapi.WriteOptions{Agent: p.SenderAgentID})
	if err != nil || r.Applied != applied || r.Noop != noop || r.Skipped != 0 {
		t.Errorf("import: %+v, %v; want %d applied, %d noop", r, err, applied, noop)
	}
}

// A deletion wins over writes that are older (contract F8), a stored agent over any other
// (contract 1.4).
func TestImportOverWhatIsThere(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	begin := time.Now().Add(-time.Hour)
	mustImport(t, n, importOf("x", "one", "ai:alice", begin), 1, 0)
	mustImport(t, n, importOf("x", "two", "ai:bob", begin.Add(time.Minute)), 1, 0)
	got, err := n.Get(ctx, "x", httpapi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Content  string
		Metadata map[string]string
	}
	if err := json.Unmarshal(got.Body, &m); err != nil || m.Content != "two" || m.Metadata["topic"] != "two" || m.Metadata["agent_id"] != "ai:alice" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := n.Delete(ctx, "x", keyed("")); err != nil {
		t.Fatal(err)
	}
	mustImport(t, n, importOf("x", "three", "ai:bob", begin.Add(2*time.Minute)), 0, 1)
	if got, err := n.Get(ctx, "x", httpapi.ReadOptions{}); err == nil {
		t.Errorf("a deleted memory is back: %s", got.Body)
	}
	mustImport(t, n, importOf("x", "four", "ai:bob", time.Now().Add(time.Second)), 1, 0)
}
