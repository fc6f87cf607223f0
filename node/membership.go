package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/memd/memd/cluster"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// Members are the registered names, and those that were removed.
func (n *Node) Members(ctx context.Context) (httpapi.Membership, error) {
	s, err := n.Cluster(ctx)
	return httpapi.Membership{Members: s.Members, Removed: s.Removed, Quorum: s.Quorum}, err
}

// RemoveMember takes a name out of the registry: a deletion of its record, by the road of
// every write. It needs the W of before, from others than the name: who knows of the removal
// neither gives the name an ack nor takes one from it, and the name itself gives none. In a
// mesh of up to four no write counts the name once that is acknowledged; in a larger one, a
// node that has not heard of it may still, until its next pull.
func (n *Node) RemoveMember(ctx context.Context, name string, force bool, opt httpapi.WriteOptions) (httpapi.MemberChange, error) {
	if err := memory.ValidateNodeName(name); err != nil {
		return httpapi.MemberChange{}, err
	}
	if name == n.cfg.Name {
		return httpapi.MemberChange{}, &memory.MemberError{Reason: "a node does not remove itself: ask another member"}
	}
	if !force && n.gossip.Alive(name) && !n.members.isRemoved(name) {
		if _, registered := n.members.get(name); registered {
			return httpapi.MemberChange{}, &memory.MemberError{Reason: name + " is alive: stop it first, so that it hands over what it has, or force it"}
		}
	}
	key := memory.NewKey(memory.KindMember, name)
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		rec, _, _, err := tx.Get(key)
		if err != nil {
			return err
		}
		switch rec.Membership() {
		case memory.NeverMember:
			return memory.ErrNotFound
		case memory.RemovedMember:
			return heldBy(rec)
		}
		_, err = tx.Delete(key, storage.PutOptions{Agent: opt.Agent})
		return err
	})
	return n.memberChanged(ctx, name, w, err)
}

// AddMember registers a name that was removed again. The node must run: its addresses are
// those that gossip shows, and N grows by a node that is there.
func (n *Node) AddMember(ctx context.Context, name string, opt httpapi.WriteOptions) (httpapi.MemberChange, error) {
	if err := memory.ValidateNodeName(name); err != nil {
		return httpapi.MemberChange{}, err
	}
	id := n.store.Cluster()
	seen := n.gossip.Members()
	i := slices.IndexFunc(seen, func(g cluster.Member) bool {
		return g.Name == name && g.State == cluster.StateAlive && g.HTTP != "" && !id.IsZero() && g.Cluster == cluster.ID(id)
	})
	unseen := &memory.MemberError{Reason: name + " is not seen here: start it first, joining this cluster"}
	m := memory.Member{Name: name}
	if i >= 0 {
		m.HTTP, m.Gossip = seen[i].HTTP, seen[i].Gossip
	} else if _, already := n.members.get(name); !already {
		return httpapi.MemberChange{}, unseen
	}
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		rec, _, _, err := tx.Get(m.Key())
		if err != nil {
			return err
		}
		if rec.Membership() == memory.IsMember {
			return heldBy(rec)
		}
		if m.HTTP == "" {
			return unseen
		}
		_, err = tx.Put(m.Key(), m.Encode(), storage.PutOptions{Agent: opt.Agent})
		return err
	})
	return n.memberChanged(ctx, name, w, err)
}

// heldBy says that the record is what was asked for already: wait for its quorum.
func heldBy(rec memory.Record) error { return &errHeld{id: rec.Key.ID(), dots: rec.View().Token} }

// memberChanged is the answer. The registry follows at once, so that whoever asked sees the
// new N here: W others may have it before this node's own disk.
func (n *Node) memberChanged(ctx context.Context, name string, w written, err error) (httpapi.MemberChange, error) {
	if err == nil {
		err = n.store.WaitFor(ctx, w.token)
	}
	if err != nil {
		return httpapi.MemberChange{}, withID(err, name)
	}
	return httpapi.MemberChange{Name: name, Dot: w.last(), Token: w.token, Acks: w.acks, N: n.members.count(), W: n.defaultW(), Unchanged: w.held != nil}, nil
}

// errRemoved keeps a node from registering a name that an operator has removed.
var errRemoved = errors.New("this name was removed from the cluster")

// removedReason is what a node says that was removed.
func (n *Node) removedReason() string {
	return fmt.Sprintf("%s was removed from the cluster: stop it, or admit it again with memd members add %s at another node", n.cfg.Name, n.cfg.Name)
}

// isRemoved reports whether this node's own name was removed.
func (n *Node) isRemoved() bool { return n.members.isRemoved(n.cfg.Name) }
