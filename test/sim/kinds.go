package sim

import (
	"slices"
	"strconv"
	"time"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// The verbs of the records that are no memories, inside the transaction as in package node:
// links, what was put aside, agents and standards. Some write several records at once.
const (
	relate   verb = "link"
	unrelate verb = "unlink" // from the source to the target, and not back
	archive  verb = "archive"
	restore  verb = "restore"
	enrol    verb = "agent"
	standard verb = "standard"
	unset    verb = "clear"
	keep     verb = "keep"   // what a recall does unasked
	expire   verb = "expire" // what a sweep does unasked
)

var ofKinds = map[verb]func(*attempt, *storage.Tx) error{
	relate: (*attempt).relate, unrelate: (*attempt).unrelate, archive: (*attempt).archive, restore: (*attempt).restore,
	enrol: (*attempt).enrol, standard: (*attempt).standard, unset: (*attempt).unset,
	keep: (*attempt).keep, expire: (*attempt).expire,
}

// live reads a record, and what of its view the model knows; nil if it is not live, or is
// of a newer version.
func (a *attempt) live(tx *storage.Tx, key memory.Key) (*memory.Version, *write, error) {
	rec, _, found, err := tx.Get(key)
	if err != nil || !found {
		return nil, nil, err
	}
	view := rec.View()
	if !view.Live || a.p.w.byDot[view.Winner.Dot] == nil {
		return nil, nil, nil
	}
	return view.Winner, a.p.w.byDot[view.Winner.Dot], nil
}

func (a *attempt) relate(tx *storage.Tx) error {
	for _, end := range []memory.Key{a.req.key, a.req.other} {
		if v, _, err := a.live(tx, end); err != nil || v == nil {
			return refusedOr(err)
		}
	}
	l := memory.Link{SourceID: a.req.key.ID(), TargetID: a.req.other.ID(), Relation: memory.DefaultRelation, CreatedAt: a.p.slot.wall()}
	if v, _, err := a.live(tx, l.Key()); err != nil || v != nil {
		return refusedOr(err) // it is there
	}
	return a.write(tx, version{key: l.Key(), value: l.Encode(), content: l.ContentHash(), ends: [2]memory.Key{l.Source(), l.Target()}})
}

func refusedOr(err error) error {
	if err != nil {
		return err
	}
	return errRefused
}

func (a *attempt) unrelate(tx *storage.Tx) error {
	links, err := a.links(tx, a.req.key)
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Source() == a.req.key && l.Target() == a.req.other {
			if err := a.write(tx, version{key: l.Key, over: true}); err != nil {
				return err
			}
		}
	}
	if a.made == nil {
		return errRefused
	}
	return nil
}

// links are those of a memory, held against the model.
func (a *attempt) links(tx *storage.Tx, end memory.Key) (out []storage.Link, err error) {
	var got []int
	for l, err := range tx.Links(end) {
		if err != nil {
			return nil, err
		}
		out = append(out, l)
		got = append(got, a.p.w.number(l.Key))
	}
	slices.Sort(got)
	if want := a.p.w.linksOf(a.p.draft, end); !slices.Equal(got, want) {
		a.p.w.fail("links", "%s finds links %v of %s, should be %v", a.p.slot, got, end, want)
	}
	return out, nil
}

// linksOf are the links of a memory, as the model has it.
func (w *World) linksOf(k knowledge, end memory.Key) (out []int) {
	for key := range k {
		if best := winner(w.siblings(k[key])); best != nil && slices.Contains(best.ends[:], end) {
			out = append(out, key)
		}
	}
	return out
}

// dropLinks deletes the links of a memory that was deleted, unless a version of it lives on.
func (a *attempt) dropLinks(tx *storage.Tx, key memory.Key) error {
	rec, _, _, err := tx.Get(key)
	if err != nil || rec.View().Live {
		return err
	}
	links, err := a.links(tx, key)
	if err != nil {
		return err
	}
	for _, l := range links {
		if err := a.write(tx, version{key: l.Key, token: &l.View.Token, over: true}); err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) archive(tx *storage.Tx) error {
	v, of, err := a.live(tx, a.req.key)
	if err != nil || v == nil {
		return refusedOr(err)
	}
	aside := memory.Archived{ArchivedAt: a.p.slot.wall(), Reason: memory.ReasonArchived, Value: slices.Clone(v.Value)}
	if err := a.write(tx, version{key: memory.ArchiveKey(a.req.key), value: aside.Encode(), content: aside.ContentHash()}); err != nil {
		return err
	}
	if err := a.write(tx, version{key: a.req.key, title: of.title, over: true}); err != nil {
		return err
	}
	return a.dropLinks(tx, a.req.key)
}

func (a *attempt) restore(tx *storage.Tx) error {
	aside, live, err := tx.Archived(a.req.key)
	if err != nil || !live || a.p.w.byDot[aside.View.Winner.Dot] == nil {
		return refusedOr(err)
	}
	if rec, _, _, err := tx.Get(a.req.key); err != nil || rec.View().Live {
		return refusedOr(err)
	}
	m := aside.Memory
	keys, err := tx.ByTitle(namespace, m.Title)
	if err != nil {
		return err
	}
	a.p.checkTitle(m.Title, keys)
	if len(keys) > 0 {
		return errRefused
	}
	m.UpdatedAt = a.p.slot.wall()
	if err := a.write(tx, version{key: a.req.key, value: m.Encode(), content: m.ContentHash(), title: m.Title, over: true}); err != nil {
		return err
	}
	return a.write(tx, version{key: memory.ArchiveKey(a.req.key), over: true})
}

func (a *attempt) enrol(tx *storage.Tx) error {
	now := a.p.slot.wall()
	who := memory.Agent{ID: "ai:" + a.req.title, Type: "human", Capabilities: []string{a.req.content}, RegisteredAt: now, LastSeenAt: now}
	return a.write(tx, version{key: who.Key(), value: who.Encode(), content: who.ContentHash()})
}

func (a *attempt) standard(tx *storage.Tx) error {
	s := memory.Standard{Namespace: a.req.title, MemoryID: a.req.content, UpdatedAt: a.p.slot.wall()}
	return a.write(tx, version{key: s.Key(), value: s.Encode(), content: s.ContentHash()})
}

func (a *attempt) unset(tx *storage.Tx) error {
	key := memory.StandardKey(a.req.title)
	if v, _, err := a.live(tx, key); err != nil || v == nil {
		return refusedOr(err)
	}
	return a.write(tx, version{key: key, over: true})
}

// keep lengthens a memory's life.
func (a *attempt) keep(tx *storage.Tx) error {
	v, of, err := a.live(tx, a.req.key)
	if err != nil || v == nil {
		return refusedOr(err)
	}
	return a.write(tx, version{
		key: a.req.key, value: slices.Clone(v.Value), content: v.Content, title: of.title, copy: v, over: true,
		until: time.UnixMilli(int64(a.p.w.pick(3)) + 1),
	})
}

// expire deletes it when its time is over.
func (a *attempt) expire(tx *storage.Tx) error {
	v, of, err := a.live(tx, a.req.key)
	if err != nil || v == nil {
		return refusedOr(err)
	}
	if rec, _, _, err := tx.Get(a.req.key); err != nil || !rec.OneOrigin() {
		return refusedOr(err)
	}
	if err := a.write(tx, version{key: a.req.key, title: of.title, copy: v, over: true}); err != nil {
		return err
	}
	return a.dropLinks(tx, a.req.key)
}

// doKinds sends one of these verbs to a node.
func (w *World) doKinds() {
	nodes := w.running()
	if len(nodes) == 0 {
		return
	}
	p := one(w, nodes).proc
	req := &request{
		verb:  one(w, []verb{relate, relate, unrelate, archive, archive, restore, restore, enrol, standard, standard, unset, keep, keep, keep, expire}),
		title: one(w, w.opt.titles), content: "c" + strconv.Itoa(w.pick(4)),
	}
	if req.verb != keep && req.verb != expire && w.chance(0.5) {
		req.idemKey = "k" + strconv.Itoa(len(w.requests))
	}
	switch req.verb {
	case enrol, standard, unset:
	default:
		var ok, also bool
		req.key, ok = w.someMemory(p)
		req.other, also = w.someMemory(p)
		if !ok || !also || (req.verb == relate || req.verb == unrelate) && req.key == req.other {
			return
		}
	}
	w.requests = append(w.requests, req)
	w.submitAt(p, req)
}
