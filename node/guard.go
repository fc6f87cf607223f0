package node

import (
	"context"
	"fmt"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// guard is what a request's principal may see and say; nil for one that may all, or for
// the node itself. Every transaction of a verb is opened through view or submit, which put
// it on, so that no verb can forget it; TestVerbsAreGuarded looks for others.
//
// Where keys are needed a context that nobody has put a principal into is refused: it is
// some road that lost it on the way.
func (n *Node) guard(ctx context.Context) (storage.Guard, error) {
	p, known := auth.From(ctx)
	switch {
	case !known && n.cfg.Keys != nil:
		return nil, fmt.Errorf("%w: on nobody's behalf", memory.ErrForbidden)
	case !p.Limited():
		return nil, nil
	}
	return p, nil
}

// view runs a verb's reads, narrowed to what its principal may see.
func (n *Node) view(ctx context.Context, fn func(*storage.Tx) error) error {
	g, err := n.guard(ctx)
	if err != nil {
		return err
	}
	return n.store.View(func(tx *storage.Tx) error { return fn(tx.Within(g)) })
}

// keyring is the door's view of the keys; a nil pointer is not a nil interface.
func (n *Node) keyring() httpapi.Keyring {
	if n.cfg.Keys == nil {
		return nil
	}
	return n.cfg.Keys
}
