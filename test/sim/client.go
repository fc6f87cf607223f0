package sim

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/replication"
	"github.com/memd/memd/storage"
)

// request is what a client wants. It may be sent again, to the same node or another one.
type request struct {
	verb    verb
	title   string
	content string
	key     memory.Key   // of update, rename and remove, and of the verbs of kinds.go
	other   memory.Key   // of relate and unrelate: the target
	token   *clock.Clock // If-Match, nil = blind
	idemKey string       // "" = none
	quorum  int          // W asked for, 0 = the default
}

type verb string

const (
	create verb = "create" // refused if the title exists
	upsert verb = "upsert" // updates what bears the title
	update verb = "update"
	rename verb = "rename"
	remove verb = "delete"

	register verb = "register" // the node itself, in the registry
)

// attempt is one request on its way at one node.
type attempt struct {
	p        *process
	req      *request
	item     *item
	quorum   int
	promised int // W by the registry, whatever the node made of it
	wait     *replication.Wait
	slots    []int    // the machines behind the names that were counted
	made     *write   // the first that this attempt wrote: what a retry finds
	also     []*write // the rest of the same transaction
	held     *write   // that was there already: an earlier attempt's
	ended    bool
}

// What ends a transaction function without a write.
var (
	errHeld    = errors.New("held already")
	errRefused = errors.New("refused")
)

// admit is whether the node takes the request at all: after a start, a node with peers waits
// for a pull, unless the write promises nothing of others.
func (p *process) admit(req *request) (quorum int, ok bool) {
	if req.verb == register {
		return 1, true
	}
	n, mutants := len(p.members), p.w.cfg.Mutants
	if mutants.Has(mutant.QuorumFromGossip) {
		n = p.w.seemsAlive(p.members)
	}
	quorum, err := replication.Needed(0, n, req.quorum)
	if err != nil || !slices.Contains(p.members, p.slot.name) {
		return 0, false
	}
	if p.synced || len(p.peers()) == 0 || mutants.Has(mutant.WriteBeforePull) {
		return quorum, true
	}
	return quorum, quorum == 1
}

// seemsAlive counts the names of which gossip sees a running process.
func (w *World) seemsAlive(names []string) (n int) {
	for _, name := range names {
		if slices.ContainsFunc(w.running(), func(s *slot) bool { return s.name == name }) {
			n++
		}
	}
	return n
}

// submit queues the request for the next transaction; nil if the node does not take it.
func (p *process) submit(req *request) *attempt {
	quorum, ok := p.admit(req)
	if !ok {
		return nil
	}
	a := &attempt{p: p, req: req, quorum: quorum, promised: req.quorum, wait: p.tracker.NewWait(quorum)}
	if a.promised == 0 {
		a.promised = len(p.members)/2 + 1
	}
	err := p.store.Submit(storage.Op{
		Fn:     a.fn,
		Staged: func(r storage.Result) { a.wait.Start(r.Dots...) },
		Done:   a.done,
	})
	if err != nil {
		p.w.fail("error", "submit at %s: %v", p.slot, err)
		return nil
	}
	a.item = &item{op: a}
	p.fore = append(p.fore, a.item)
	p.attempts = append(p.attempts, a)
	return a
}

// done is the store's word on the attempt.
func (a *attempt) done(_ storage.Result, err error) {
	switch {
	case a.p.crashing:
		return
	case errors.Is(err, errHeld):
		a.wait.Cancel()
		a.settle()
		return
	}
	a.wait.Local(err)
	a.settle()
	if err != nil && !a.ended {
		a.over(err.Error())
	}
}

// fn is the verb inside the transaction, as in package node.
func (a *attempt) fn(tx *storage.Tx) error {
	p, req := a.p, a.req
	p.tell(slices.Index(p.turn, a.item))
	p.ran++ // this one
	switch held, err := a.earlier(tx); {
	case err != nil:
		return err
	case held != nil:
		a.held = held
		return errHeld
	}
	title := req.title
	if req.verb == register {
		return a.put(tx, memory.NewKey(memory.KindMember, p.slot.name), "", true)
	}
	if do, ok := ofKinds[req.verb]; ok {
		return do(a, tx)
	}
	if req.verb == create || req.verb == upsert || req.verb == rename {
		keys, err := tx.ByTitle(namespace, title)
		if err != nil {
			return err
		}
		p.checkTitle(title, keys)
		switch {
		case req.verb == create && len(keys) > 0, req.verb == rename && len(keys) > 0 && keys[0] != req.key:
			return errRefused
		case req.verb == upsert && len(keys) > 0:
			return a.put(tx, keys[0], title, true)
		case req.verb != rename:
			key, err := tx.FreeKey(namespace, title)
			if err != nil {
				return err
			}
			p.checkFree(key)
			return a.put(tx, key, title, false)
		}
	}
	// The memory must be live, in what the writer has read.
	rec, _, found, err := tx.Get(req.key)
	if err != nil {
		return err
	}
	if found && req.token != nil {
		rec.Versions = slices.DeleteFunc(slices.Clone(rec.Versions), func(v memory.Version) bool { return !v.ReadBy(*req.token) })
	}
	view := rec.View()
	if !found || !view.Live {
		return errRefused
	}
	base := p.w.byDot[view.Winner.Dot]
	if base == nil {
		return errRefused // a version of a newer node: this client does not know its title
	}
	if req.verb != rename {
		title = base.title
	}
	if err := a.put(tx, req.key, title, true); err != nil || req.verb != remove {
		return err
	}
	return a.dropLinks(tx, req.key)
}

// put writes what the request says over what it supersedes.
func (a *attempt) put(tx *storage.Tx, key memory.Key, title string, over bool) error {
	p, req := a.p, a.req
	v := version{key: key, title: title, token: req.token, over: over}
	switch req.verb {
	case remove:
	case register:
		m := memory.Member{Name: p.slot.name, HTTP: p.slot.name + ":9077"}
		v.value = m.Encode()
	default:
		m := document(title, req.content, p.w, p.slot)
		v.value, v.content = m.Encode(), m.ContentHash()
	}
	return a.write(tx, v)
}

// version is one of those that an attempt writes.
type version struct {
	key     memory.Key
	value   []byte // nil = a deletion
	content memory.Hash
	title   string          // that it shows
	ends    [2]memory.Key   // of a link
	token   *clock.Clock    // what it supersedes; nil = all that is known
	copy    *memory.Version // that it is a copy of, unasked for
	until   time.Time
	over    bool // for the transcript
}

// write writes one version. The first of an attempt bears the key of its request.
func (a *attempt) write(tx *storage.Tx, v version) error {
	p, req, key := a.p, a.req, v.key
	w := p.w
	n := w.number(key)
	known := p.draft.at(n)
	past := known
	var of *write
	switch {
	case v.copy != nil:
		of = w.byDot[v.copy.Dot].origin()
		past = w.copied(known, of)
	case v.token != nil:
		past = w.seenBy(known, *v.token)
	}
	opt := storage.PutOptions{Agent: p.slot.name, Match: v.token, Content: v.content, Copy: v.copy, Until: v.until}
	first := a.made == nil
	idemKey := ""
	if first && req.idemKey != "" {
		idemKey = req.idemKey
		opt.Idem = memory.HashOf(idemKey)
	}
	var dot clock.Dot
	var err error
	if v.value == nil {
		dot, err = tx.Delete(key, opt)
	} else {
		dot, err = tx.Put(key, v.value, opt)
	}
	if err != nil {
		if _, behind := errors.AsType[*memory.BehindError](err); !behind {
			w.fail("error", "%s at %s: %v", req.verb, p.slot, err)
		}
		return errRefused
	}
	made := w.enter(write{
		key: n, dot: dot, past: past, of: of, lasts: v.until, deleted: v.value == nil, title: v.title, ends: v.ends, content: opt.Content,
		idem: opt.Idem, idemKey: idemKey, maker: p,
	})
	if made == nil {
		return errRefused
	}
	if first {
		a.made = made
	} else {
		a.also = append(a.also, made)
	}
	row := told{key: n, known: known.union(only(made.n))}
	p.draft = p.draft.tell(row)
	a.item.rows = append(a.item.rows, row)
	p.rows[dot] = row
	p.checkMade(tx, made, v.over)
	return nil
}

func document(title, content string, w *World, s *slot) memory.Memory {
	now := s.wall()
	return memory.Memory{
		Tier: memory.TierLong, Namespace: namespace, Title: title, Content: content,
		Priority: 1 + int(content[len(content)-1])%5, Confidence: 1, Source: "api", CreatedAt: now, UpdatedAt: now,
	}
}

// copied is what a copy supersedes: what it is a copy of, or the copies of that, and what
// those had superseded.
func (w *World) copied(known set, of *write) (past set) {
	for _, s := range w.siblings(known) {
		if s.origin() == of {
			past = past.union(s.past)
			past.add(s.n)
		}
	}
	return past
}

// seenBy is what a writer with the token supersedes: the token's versions and their copies,
// deletions, and what those had superseded.
func (w *World) seenBy(known set, token clock.Clock) (past set) {
	add := func(s *write) {
		past = past.union(s.past)
		past.add(s.n)
	}
	for n := range known.each {
		if token.Contains(w.writes[n].dot) {
			add(w.writes[n])
		}
	}
	for _, s := range w.siblings(known) {
		if s.deleted && s.of == nil || s.of != nil && token.Contains(s.of.dot) {
			add(s)
		}
	}
	return past
}

// enter puts a version into the model. A dot that it knows already is the end.
func (w *World) enter(made write) *write {
	if len(w.writes) == maxWrites {
		w.fail("rig", "more than %d writes", maxWrites)
		return nil
	}
	if old := w.byDot[made.dot]; old != nil {
		w.fail("dot", "%s names write %d and write %d", made.dot, old.n, len(w.writes))
		return nil
	}
	if owner, taken := w.owners[made.dot.Origin]; taken && owner != made.maker {
		w.fail("origin", "%s was used by another process before", made.dot.Origin)
		return nil
	}
	w.owners[made.dot.Origin] = made.maker
	made.n = len(w.writes)
	w.writes = append(w.writes, &made)
	w.byDot[made.dot] = &made
	w.stats.Writes++
	if k := w.keys[made.key].Kind(); k != memory.KindMemory && k != memory.KindMember {
		w.stats.Others++
	}
	return &made
}

// earlier looks for a write of the same idempotency key, here and in the model.
func (a *attempt) earlier(tx *storage.Tx) (*write, error) {
	p, w := a.p, a.p.w
	if a.req.idemKey == "" {
		return nil, nil
	}
	idem := memory.HashOf(a.req.idemKey)
	_, mark, found, err := tx.Idem(idem)
	if err != nil {
		return nil, err
	}
	var known []*write
	for _, s := range p.draft {
		for n := range s.each {
			if w.writes[n].idem == idem && !w.tainted[w.writes[n].key] {
				known = append(known, w.writes[n])
			}
		}
	}
	if !found {
		if len(known) > 0 {
			w.fail("retry", "%s knows %s for key %q and does not find it", p.slot, known[0].dot, a.req.idemKey)
		}
		return nil, nil
	}
	held := w.byDot[mark.Dot]
	if held == nil || held.idem != idem {
		w.fail("retry", "%s finds %s for key %q", p.slot, mark.Dot, a.req.idemKey)
		return nil, errRefused
	}
	return held, nil
}

// settle looks whether the attempt has its quorum.
func (a *attempt) settle() {
	if a.ended {
		return
	}
	switch {
	case a.held != nil:
		if names, slots := a.p.holding(a.held); len(names) >= a.quorum {
			a.acked(a.held, names, slots)
		}
	case a.made != nil:
		// Who has just been heard is the machine behind a name that is new.
		res := a.wait.Result()
		for _, name := range res.Names[len(a.slots):] {
			a.slots = append(a.slots, a.p.voucher(name))
		}
		if res.Met {
			a.acked(a.made, res.Names, a.slots)
			for _, made := range a.also {
				a.acked(made, res.Names, a.slots)
			}
		}
	}
}

// holding are the names that are known here to hold a write durably, as the verbs of node
// ask for a retry.
func (p *process) holding(held *write) (names []string, slots []int) {
	for _, name := range p.members {
		switch {
		case name == p.slot.name:
			if !p.store.Clock().Contains(held.dot) {
				continue
			}
			slots = append(slots, p.slot.n)
		case p.tracker.AckedClock(name).Contains(held.dot):
			slots = append(slots, p.voucher(name))
		case p.heads[name].clock.Contains(held.dot):
			slots = append(slots, p.heads[name].slot.n)
		default:
			continue
		}
		names = append(names, name)
	}
	return names, slots
}

// acked is the answer 201.
func (a *attempt) acked(made *write, names []string, slots []int) {
	w := a.p.w
	a.end()
	w.say("%s answers 201 for %s: %v", a.p.slot, made, names)
	w.checkQuorum(made, a.promised, names, slots)
	if !made.acked || a.quorum > made.w {
		if !made.acked {
			w.stats.Acked++
		}
		made.acked, made.w, made.names, made.slots = true, a.quorum, names, slots
	}
}

// deadline is the answer 503.
func (a *attempt) deadline() {
	made := a.made
	if made != nil && a.p.slot.known.at(made.key).has(made.n) {
		made.local = true
		for _, one := range a.also {
			one.local = true
		}
		a.over("503 local")
		if a.p.w.cfg.Mutants.Has(mutant.RollbackOnMiss) {
			a.p.undo(made)
		}
		return
	}
	a.over("503")
}

// undo is the mutant of the rule that nothing is ever undone: the product has no code for it,
// so what such code would do is done here.
func (p *process) undo(made *write) {
	p.draft, p.ran = slices.Clone(p.slot.known), 0
	err := p.store.Submit(storage.Op{Fn: func(tx *storage.Tx) error {
		_, err := tx.Delete(p.w.keys[made.key], storage.PutOptions{})
		return err
	}})
	if err == nil {
		_, err = p.store.Step()
	}
	if err != nil {
		p.w.fail("error", "undo at %s: %v", p.slot, err)
	}
	p.check()
}

func (a *attempt) end() {
	a.ended = true
	a.wait.Cancel()
	a.p.attempts = slices.DeleteFunc(a.p.attempts, func(x *attempt) bool { return x == a })
}

// over ends the attempt without an acknowledgement.
func (a *attempt) over(why string) {
	if a.ended {
		return
	}
	if a.made != nil {
		a.p.w.say("%s gives up %s: %s", a.p.slot, a.made, why)
	}
	a.ended = true
	a.wait.Cancel()
}

// settle looks at all attempts after something was heard.
func (p *process) settle() {
	for _, a := range slices.Clone(p.attempts) {
		a.settle()
	}
	p.attempts = slices.DeleteFunc(p.attempts, func(a *attempt) bool { return a.ended })
}

func (w *write) String() string {
	s := "w" + strconv.Itoa(w.n) + "@" + w.dot.String()
	if w.deleted {
		return s + " (deletion)"
	}
	return s
}
