package node

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

// TestRemovalIsKnownAtOnce: once a removal is acknowledged, no node that acknowledged it
// counts the name, not even for the moment in which its loops do not follow yet.
func TestRemovalIsKnownAtOnce(t *testing.T) {
	nodes := startMesh(t, 3)
	ctx := context.Background()
	for i := range 5 { // the registry is looked at now and then while there are writes
		createIn(t, nodes[0], "x", fmt.Sprint("n1 ", i), "c")
		createIn(t, nodes[1], "x", fmt.Sprint("n2 ", i), "c")
	}
	if _, err := nodes[0].RemoveMember(ctx, "n3", true, httpapi.WriteOptions{Agent: "test"}); err != nil {
		t.Fatal(err)
	}
	title, ns, content := "all three", "x", "c"
	for _, n := range nodes[:2] {
		_, err := n.Create(ctx, memory.Draft{Title: &title, Namespace: &ns, Content: &content}, httpapi.WriteOptions{Agent: "test", W: 3})
		if f, ok := errors.AsType[*memory.FieldError](err); !ok || f.Field != "w" {
			t.Errorf("%s: a write with W=3 of two members: %v", n.Name(), err)
		}
		if s, err := n.Cluster(ctx); err != nil || len(s.Members) != 2 {
			t.Errorf("%s: %d members, %v", n.Name(), len(s.Members), err)
		}
	}
}
