package node

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// Namespaces counts the memories of each namespace that has some.
func (n *Node) Namespaces(ctx context.Context, opt httpapi.ReadOptions) ([]httpapi.NamespaceCount, error) {
	st, err := n.Stats(ctx, opt)
	return st.ByNamespace, err
}

// Standard is what applies in a namespace on its own.
func (n *Node) Standard(ctx context.Context, ns string, opt httpapi.ReadOptions) (out httpapi.Standard, err error) {
	if err := n.reach(ctx, opt.After); err != nil {
		return out, err
	}
	err = n.view(ctx, func(tx *storage.Tx) error {
		out, _, err = n.standard(tx, ns)
		return err
	})
	return out, err
}

// StandardChain is what applies in a namespace together with what it inherits.
func (n *Node) StandardChain(ctx context.Context, ns string, opt httpapi.ReadOptions) (out httpapi.StandardChain, err error) {
	if err := n.reach(ctx, opt.After); err != nil {
		return out, err
	}
	err = n.view(ctx, func(tx *storage.Tx) error {
		out, err = n.standardChain(tx, ns)
		return err
	})
	return out, err
}

// standard reads one standard. Its memory is looked at each time: with it, and by whatever
// road it goes or comes back, the standard does. parent is told even if the memory is gone.
func (n *Node) standard(tx *storage.Tx, ns string) (out httpapi.Standard, parent string, err error) {
	out.Namespace = ns
	s, found, err := readStandard(tx, ns)
	if err != nil || !found {
		return out, "", err
	}
	key := memory.NewKey(memory.KindMemory, s.MemoryID)
	rec, _, _, err := tx.Get(key)
	if err != nil {
		return out, s.Parent, err
	}
	v := rec.View()
	if !n.shown(key, v) {
		return out, s.Parent, nil
	}
	m, err := memory.DecodeMemory(key, v.Winner.Value)
	if err != nil {
		return out, s.Parent, err
	}
	out.ID, out.Title, out.Content, out.Priority = m.ID, m.Title, m.Content, m.Priority
	out.Parent, out.Governance = s.Parent, s.Governance
	return out, s.Parent, nil
}

func readStandard(tx *storage.Tx, ns string) (s memory.Standard, found bool, err error) {
	key := memory.StandardKey(ns)
	rec, _, _, err := tx.Get(key)
	if err != nil {
		return s, false, err
	}
	v := rec.View()
	if !v.Live {
		return s, false, nil
	}
	if s, err = memory.DecodeStandard(v.Winner.Value); err != nil {
		return s, false, fmt.Errorf("standard of %q: %w", ns, err)
	}
	return s, true, nil
}

// maxChain bounds a chain: parents can be set in any way.
const maxChain = 32

// standardChain walks from the most general namespace down: the global one, what the path
// names, and above each of them the parent that its standard names.
func (n *Node) standardChain(tx *storage.Tx, ns string) (httpapi.StandardChain, error) {
	out := httpapi.StandardChain{Namespace: ns, Chain: []string{}, Standards: []httpapi.Standard{}}
	begun := map[string]bool{}
	var walk func(string) error
	walk = func(ns string) error {
		if begun[ns] || len(begun) == maxChain {
			return nil
		}
		begun[ns] = true
		s, parent, err := n.standard(tx, ns)
		if err != nil {
			return err
		}
		if i := strings.LastIndexByte(ns, '/'); i >= 0 {
			if err := walk(ns[:i]); err != nil {
				return err
			}
		}
		if parent != "" {
			if err := walk(parent); err != nil {
				return err
			}
		}
		out.Chain = append(out.Chain, ns)
		if s.ID != "" {
			out.Standards = append(out.Standards, s)
		}
		return nil
	}
	if err := walk(memory.GlobalNamespace); err != nil {
		return out, err
	}
	return out, walk(ns)
}

// SetStandard makes a memory the standard of a namespace. Without one named it is the
// memory that is the standard already, or one that is made for it in the same transaction.
func (n *Node) SetStandard(ctx context.Context, d memory.StandardDraft, opt httpapi.WriteOptions) (httpapi.StandardSet, error) {
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash("standard", opt.IdempotencyKey)}
	key := memory.StandardKey(d.Namespace)
	var s memory.Standard
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		if held, err := findIdem(tx, put.Idem, func(k memory.Key, _ memory.Hash, v *memory.Version) bool {
			return k == key && (v == nil || saysStandard(v, d))
		}); err != nil {
			return err
		} else if held != nil {
			if s, _, err = readStandard(tx, d.Namespace); err != nil {
				return err
			}
			return withMemory(tx, held, s)
		}
		old, found, err := readStandard(tx, d.Namespace)
		if err != nil {
			return err
		}
		s = memory.Standard{Namespace: d.Namespace, MemoryID: old.MemoryID, Parent: old.Parent, Governance: old.Governance, Extra: old.Extra,
			UpdatedAt: n.now().UTC()}
		if d.Parent != nil {
			s.Parent = *d.Parent
		}
		if d.Governance != nil {
			s.Governance = *d.Governance
		}
		if s.MemoryID, err = n.standardMemory(tx, d, old, opt.Agent); err != nil {
			return err
		}
		put.Content = s.ContentHash()
		if found && old.ContentHash() == put.Content { // said before, here or by a client that tries again
			rec, _, _, err := tx.Get(key)
			if err != nil {
				return err
			}
			return withMemory(tx, &errHeld{id: s.MemoryID, dots: rec.View().Token}, s)
		}
		_, err = tx.Put(key, s.Encode(), put)
		return err
	})
	if err != nil {
		return httpapi.StandardSet{}, withID(err, s.MemoryID)
	}
	return httpapi.StandardSet{Namespace: d.Namespace, ID: s.MemoryID, Parent: s.Parent, Governance: s.Governance,
		Dot: w.last(), Token: w.token, Acks: w.acks}, nil
}

// withMemory lets what is held stand for the standard's memory, too: they are written
// together and mean nothing apart.
func withMemory(tx *storage.Tx, held *errHeld, s memory.Standard) error {
	if s.MemoryID == "" { // cleared since
		return held
	}
	rec, _, _, err := tx.Get(memory.NewKey(memory.KindMemory, s.MemoryID))
	if err != nil {
		return err
	}
	held.dots.Union(rec.View().Token)
	return held
}

// saysStandard reports whether a version is what d would have made.
func saysStandard(v *memory.Version, d memory.StandardDraft) bool {
	s, err := memory.DecodeStandard(v.Value)
	return err == nil && (d.MemoryID == "" || strings.HasPrefix(s.MemoryID, d.MemoryID)) && (d.Parent == nil || *d.Parent == s.Parent) &&
		(d.Governance == nil || bytes.Equal(*d.Governance, s.Governance))
}

// standardMemory is the id of the memory that a standard is to name.
func (n *Node) standardMemory(tx *storage.Tx, d memory.StandardDraft, old memory.Standard, agent string) (string, error) {
	if d.MemoryID != "" {
		key, rec, _, err := find(tx, d.MemoryID)
		if err != nil {
			return "", err
		}
		if !n.shown(key, rec.View()) {
			return "", memory.ErrNotFound
		}
		return key.ID(), nil
	}
	if old.MemoryID != "" {
		key := memory.NewKey(memory.KindMemory, old.MemoryID)
		rec, _, _, err := tx.Get(key)
		if err != nil || n.shown(key, rec.View()) {
			return old.MemoryID, err
		}
	}
	title := memory.StandardTitle(d.Namespace)
	if utf8.RuneCountInString(title) > memory.MaxTitle {
		return "", &memory.FieldError{Field: "id", Problem: "must be given: the namespace is too long for the title of a memory that would be made for it"}
	}
	holders, err := n.titleHolders(tx, d.Namespace, title)
	if err != nil {
		return "", err
	}
	if len(holders) > 0 {
		return holders[0].ID(), nil
	}
	key, err := tx.FreeKey(d.Namespace, title)
	if err != nil {
		return "", err
	}
	// It bears nobody's agent id: what two nodes make for one namespace at once is the same.
	m, err := placeholder(d.Namespace, title, n.now())
	if err != nil {
		return "", err
	}
	m.ID = key.ID()
	_, err = tx.Put(key, m.Encode(), storage.PutOptions{Agent: agent, Content: m.ContentHash()})
	return m.ID, err
}

func placeholder(ns, title string, now time.Time) (memory.Memory, error) {
	return memory.Draft{
		Title: &title, Content: new("The standard of the namespace " + ns + "."), Tier: new(memory.TierLong), Namespace: &ns,
		Source: new("system"), Tags: []string{memory.StandardTag},
	}.Memory(now, "")
}

// ClearStandard takes a namespace's standard away. Its memory stays.
func (n *Node) ClearStandard(ctx context.Context, ns string, opt httpapi.WriteOptions) (httpapi.StandardCleared, error) {
	put := storage.PutOptions{Agent: opt.Agent, Idem: idemHash("clear standard", opt.IdempotencyKey)}
	key := memory.StandardKey(ns)
	nothing := false
	w, err := n.change(ctx, opt.W, func(tx *storage.Tx) error {
		// Before looking: a retry meets its own tombstone.
		if held, err := findIdem(tx, put.Idem, func(k memory.Key, _ memory.Hash, _ *memory.Version) bool { return k == key }); err != nil {
			return err
		} else if held != nil {
			return held
		}
		rec, _, _, err := tx.Get(key)
		if err != nil {
			return err
		}
		if v := rec.View(); !v.Live {
			nothing = true
			// What others have not heard of yet is no answer: "cleared" must hold wherever the client asks next.
			return &errHeld{id: ns, dots: v.Token}
		}
		_, err = tx.Delete(key, put)
		return err
	})
	if err != nil {
		return httpapi.StandardCleared{}, err
	}
	return httpapi.StandardCleared{Cleared: !nothing, Dot: w.last(), Token: w.token, Acks: w.acks}, nil
}
