package wire

import (
	"errors"
	"testing"

	"github.com/memd/memd/memory"
)

// FuzzSyncPush: the original's push is taken within its bounds, or is its sender's fault.
func FuzzSyncPush(f *testing.F) {
	f.Add([]byte(`{"sender_agent_id":"host:n1","sender_clock":{"entries":{"host:n2":"2026-05-01T10:00:00+00:00"}},"memories":[{"id":"x"}],"deletions":["id"],"dry_run":true}`))
	f.Add([]byte(`{"sender_agent_id":"x","memories":[],"links":[{"source_id":"a","target_id":"b"}],"archives":["a"],"restores":["b"],"pendings":[1],"pending_decisions":[],"namespace_meta":[{}],"namespace_meta_clears":["a"]}`))
	f.Add([]byte(`{"sender_agent_id":"","memories":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseSyncPush(b)
		if err != nil {
			if !errors.Is(err, memory.ErrInvalid) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, memory.ErrTooLarge) {
				t.Fatalf("%v is not the sender's fault", err)
			}
			return
		}
		if p.SenderAgentID == "" || len(p.Memories) > memory.MaxBulk || len(p.Deletions) > memory.MaxBulk || len(p.Archives) > memory.MaxBulk {
			t.Fatalf("%d memories of %q", len(p.Memories), p.SenderAgentID)
		}
	})
}
