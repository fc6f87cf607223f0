package node

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// Create stores one memory. The id is derived from namespace and title unless another
// memory bears it, so that concurrent creates of one title on two nodes meet in one
// record (replication.md B4).
//
// Errors: *memory.FieldError, *memory.ConflictError, *memory.QuorumError (with its ID:
// the write may stand), memory.ErrUnavailable, memory.ErrNoSpace, memory.ErrStopped.
func (n *Node) Create(ctx context.Context, d memory.Draft, opt httpapi.WriteOptions) (httpapi.Created, error) {
	c, err := n.newCreate(d, opt, opt.Agent)
	if err != nil {
		return httpapi.Created{}, err
	}
	w, err := n.change(ctx, opt.W, c.fn)
	return c.result(w, err)
}

// CreateAll stores many memories, each on its own: one that is invalid or misses its
// quorum is reported and stops none of the others. Titles that exist are merged, as
// the original does in bulk.
func (n *Node) CreateAll(ctx context.Context, ds []memory.Draft, opt httpapi.WriteOptions) (httpapi.Bulk, error) {
	var out httpapi.Bulk
	w, err := n.admit(ctx, opt.W)
	if err != nil {
		return out, err
	}
	key := opt.IdempotencyKey
	creates, pendings, failed := make([]*create, len(ds)), make([]*pending, len(ds)), make([]error, len(ds))
	for i, d := range ds {
		if d.OnConflict == nil {
			merge := memory.OnConflictMerge
			d.OnConflict = &merge
		}
		if key != "" {
			opt.IdempotencyKey = key + "#" + strconv.Itoa(i)
		}
		if creates[i], failed[i] = n.newCreate(d, opt, ""); failed[i] == nil {
			pendings[i] = n.submit(ctx, w, creates[i].fn)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, n.cfg.QuorumTimeout)
	defer cancel()
	for i, p := range pendings {
		var res httpapi.Created
		if failed[i] == nil {
			res, failed[i] = creates[i].result(n.await(waiting, p, w, nil))
		}
		if failed[i] != nil {
			out.Errors = append(out.Errors, label(ds[i], i)+": "+failed[i].Error())
			continue
		}
		out.Created++
		out.IDs = append(out.IDs, res.ID)
		out.Token.Union(res.Token)
		if out.Created == 1 || res.Acks < out.Acks {
			out.Acks = res.Acks
		}
	}
	return out, nil
}

// label names a draft in an error: by its title, else by its place.
func label(d memory.Draft, i int) string {
	if d.Title != nil && *d.Title != "" {
		return *d.Title
	}
	return "memories[" + strconv.Itoa(i) + "]"
}

// create is one draft on its way into the store.
type create struct {
	n      *Node
	d      memory.Draft
	m      memory.Memory
	now    time.Time
	policy string
	idem   memory.Hash
	agent  string
	stamp  string // agent for the metadata if the body names none
	merged bool
	rivals []string // memories that show the title that was asked for, or one made of it

	// What the store takes, made before the writer's turn: what is done there holds up
	// every other write.
	content memory.Hash
	value   []byte
}

func (c *create) seal() { c.content, c.value = c.m.ContentHash(), c.m.Encode() }

// newCreate checks a draft. stamp is the agent that the memory gets if the body names
// none; "" leaves what its metadata says (contract 1.4: bulk stamps nobody).
func (n *Node) newCreate(d memory.Draft, opt httpapi.WriteOptions, stamp string) (*create, error) {
	c := &create{n: n, d: d, now: n.now(), agent: opt.Agent, stamp: stamp}
	if d.AgentID != nil {
		c.agent = *d.AgentID
	}
	var err error
	if c.m, err = d.Memory(c.now, stamp); err != nil {
		return nil, err
	}
	if c.policy, err = d.Conflict(memory.OnConflictError); err != nil {
		return nil, err
	}
	c.idem = idemHash("create", opt.IdempotencyKey)
	c.seal()
	return c, nil
}

// fn decides in the store's transaction what the create comes to. It may run more than
// once only if nothing of the earlier run was kept.
func (c *create) fn(tx *storage.Tx) error {
	if held, err := findIdem(tx, c.idem, c.same); err != nil {
		return err
	} else if held != nil {
		return c.meet(tx, held)
	}
	existing, err := c.titleHolder(tx, c.m.Title)
	if err != nil {
		return err
	}
	if existing != "" {
		rec, _, _, err := tx.Get(existing)
		if err != nil {
			return err
		}
		switch c.policy {
		case memory.OnConflictMerge:
			return c.merge(tx, existing, rec)
		case memory.OnConflictVersion:
			c.rivals = []string{existing.ID()}
			if err := c.nextTitle(tx); err != nil {
				return err
			}
		default:
			// The client's own first try, or the same fact said twice: one memory.
			if v := rec.View(); v.Live && v.Winner.Content == c.content {
				return &errHeld{id: existing.ID(), dots: clock.Of(v.Winner.Dot)}
			}
			return &memory.ConflictError{ExistingID: existing.ID(), Namespace: c.m.Namespace}
		}
	}
	key, err := tx.FreeKey(c.m.Namespace, c.m.Title)
	if err != nil {
		return err
	}
	c.m.ID = key.ID()
	_, err = tx.Put(key, c.value, c.put())
	return err
}

// same reports whether a write of the same idempotency key was this create: it said the
// same, or what a merge or a new title made of the same. Once it was superseded the key
// is taken at its word.
func (c *create) same(key memory.Key, content memory.Hash, v *memory.Version) bool {
	if content == c.content {
		return true
	}
	if c.policy == memory.OnConflictError {
		return false
	}
	if v == nil {
		return true
	}
	held, err := memory.DecodeMemory(key, v.Value)
	if err != nil {
		return false
	}
	again := c.m
	if c.policy == memory.OnConflictVersion {
		again.Title = held.Title
	} else if again, err = c.d.Upsert(held, c.now, c.stamp); err != nil {
		return false
	}
	return again.ContentHash() == content
}

// meet ends a create that was done before, and answers with what the memory is now: a
// merge kept its tier, a version has another title, and either may have been updated since.
func (c *create) meet(tx *storage.Tx, held *errHeld) error {
	key := memory.NewKey(memory.KindMemory, held.id)
	rec, _, _, err := tx.Get(key)
	if err != nil {
		return err
	}
	if v := rec.View(); v.Live { // else it was deleted since: what the request said
		if c.m, err = memory.DecodeMemory(key, v.Winner.Value); err != nil {
			return fmt.Errorf("create %s again: %w", key, err)
		}
	}
	return held
}

// titleHolder is the memory that is shown with the title in the namespace, "" if there is none.
// Of several (a create that raced with a rename) it is the one with the greatest stamp;
// none is ever deleted for it.
func (c *create) titleHolder(tx *storage.Tx, title string) (memory.Key, error) {
	keys, err := c.n.titleHolders(tx, c.m.Namespace, title)
	if err != nil || len(keys) == 0 {
		return "", err
	}
	return keys[0], nil
}

// nextTitle appends " (2)" to " (1024)", whichever is free first.
func (c *create) nextTitle(tx *storage.Tx) error {
	base := c.m.Title
	for i := 2; i <= memory.MaxTitleVersion; i++ {
		title := fmt.Sprintf("%s (%d)", base, i)
		holder, err := c.titleHolder(tx, title)
		if err != nil {
			return err
		}
		if holder != "" {
			c.rivals = append(c.rivals, holder.ID())
		} else {
			if len([]rune(title)) > memory.MaxTitle {
				return &memory.FieldError{Field: "title", Problem: "has no room for a version suffix"}
			}
			c.m.Title = title
			c.seal()
			return nil
		}
	}
	return &memory.ConflictError{Namespace: c.m.Namespace}
}

// merge is on_conflict=merge: what contract 1.5 calls the local upsert.
func (c *create) merge(tx *storage.Tx, key memory.Key, rec memory.Record) error {
	old, err := memory.DecodeMemory(key, rec.View().Winner.Value)
	if err != nil {
		return fmt.Errorf("merge into %s: %w", key, err)
	}
	if c.m, err = c.d.Upsert(old, c.now, c.stamp); err != nil {
		return err
	}
	c.merged = true
	c.seal()
	_, err = tx.Put(key, c.value, c.put())
	return err
}

func (c *create) put() storage.PutOptions {
	return storage.PutOptions{Agent: c.agent, Content: c.content, Idem: c.idem}
}

// maxRivals are named in an answer.
const maxRivals = 10

// result is what the client hears; an error keeps the id, since the write may stand.
func (c *create) result(w written, err error) (httpapi.Created, error) {
	if err != nil {
		return httpapi.Created{}, withID(err, c.m.ID)
	}
	c.n.metrics.created.Inc()
	id := c.m.ID
	if w.held != nil {
		id = w.held.id
	}
	return httpapi.Created{ID: id, Tier: c.m.Tier, Namespace: c.m.Namespace, Title: c.m.Title, Agent: c.m.Agent(),
		Dot: w.last(), Token: w.token, Acks: w.acks, Existing: w.held != nil || c.merged, Rivals: c.rivals[:min(len(c.rivals), maxRivals)]}, nil
}
