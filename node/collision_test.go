package node

import (
	"context"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// What a cloned process pushes under a dot that is held with other bytes is no ack, now
// or later (replication.md B1 c).
func TestCollisionIsNoAck(t *testing.T) {
	for name, other := range map[string]string{"same record": "a", "another record": "b"} {
		t.Run(name, func(t *testing.T) {
			n := startOne(t, nil)
			dot := clock.Dot{Origin: 77, Counter: 1}
			row := func(id, text string) []byte {
				d := draft(t, `{"title":"`+id+`","content":"`+text+`"}`)
				m, err := d.Memory(n.now(), "ai:alice")
				if err != nil {
					t.Fatal(err)
				}
				key := memory.NewKey(memory.KindMemory, id)
				r, err := memory.Record{Key: key}.Supersede(memory.Version{
					Dot: dot, Stamp: clock.NewStamp(n.now().UnixMilli(), 0), Agent: "ai:alice", Content: m.ContentHash(), Value: m.Encode(),
				}, nil)
				if err != nil {
					t.Fatal(err)
				}
				return r.Record.Append(nil)
			}
			push := func(rows ...[]byte) wire.Ack {
				acks := make(chan wire.Ack, 1)
				n.Push(context.Background(), wire.Hello{Name: "n2"}, &wire.PushBatch{Seq: 1, Origin: dot.Origin, Rows: rows}, func(a wire.Ack) { acks <- a })
				return <-acks
			}
			first := row("a", "one")
			if a := push(first); a.Result != wire.AckOK || !a.Entry.Contains(dot) {
				t.Fatalf("first: %v of %s", a.Result, a.Entry)
			}
			if a := push(first); a.Result != wire.AckOK || !a.Entry.Contains(dot) {
				t.Fatalf("again: %v of %s", a.Result, a.Entry)
			}
			if a := push(row(other, "two")); a.Result != wire.AckRefused || a.Entry.Contains(dot) {
				t.Errorf("collision: %v of %s", a.Result, a.Entry)
			}
			if a := push(); a.Entry.Contains(dot) {
				t.Errorf("later: %v of %s", a.Result, a.Entry)
			}
		})
	}
}
