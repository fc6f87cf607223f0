package node

import (
	"context"
	"testing"

	"github.com/memd/memd/wire"
)

// The counter in a peer's digest belongs to the origin under which it writes now, which a
// restart or a pause changes. A mesh in which every push arrives sees it in no page.
func TestPushTellsOrigin(t *testing.T) {
	n := startOne(t, nil)
	n.peerClocks.setOrigin("n2", 1)
	done := make(chan struct{})
	n.Push(context.Background(), wire.Hello{Name: "n2"}, &wire.PushBatch{Seq: 1, Origin: 77}, func(wire.Ack) { close(done) })
	<-done
	if o := n.peerClocks.origin("n2"); o != 77 {
		t.Errorf("origin %v", o)
	}
}
