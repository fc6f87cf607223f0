package node

import (
	"context"
	"testing"
	"time"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// A write that was on its way to the store when the process was stopped takes a new
// origin, whoever else has noticed the pause (replication.md B1 d).
func TestPausedWriteTakesNewOrigin(t *testing.T) {
	n := startOne(t, nil)
	mustCreate(t, n, `{"title":"a","content":"one"}`, keyed(""))
	before := n.store.Origin()

	n.members.mu.Lock() // stops the loop that beats
	n.pull.Reconcile()
	time.Sleep(1300 * time.Millisecond)
	p := n.submit(context.Background(), 1, func(tx *storage.Tx) error {
		m, err := draft(t, `{"title":"b","content":"two"}`).Memory(n.now(), "ai:alice")
		if err != nil {
			return err
		}
		_, err = tx.Put(memory.NewKey(memory.KindMemory, "b"), m.Encode(), storage.PutOptions{Agent: "ai:alice", Content: m.ContentHash()})
		return err
	})
	<-p.done
	n.members.mu.Unlock()
	if p.err != nil {
		t.Fatal(p.err)
	}
	if n.store.Origin() == before {
		t.Error("the write after the pause has the origin of before")
	}
}
