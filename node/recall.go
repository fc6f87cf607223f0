package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/recall"
	"github.com/memd/memd/storage"
)

const (
	recallDir = "recall"
	// A recall waits for the index to hold what was stored before it, a moment for others'
	// writes and longer for what its token covers.
	indexPatience = 50 * time.Millisecond
	tokenIndex    = time.Second
	// Ranking looks at more hits than are wanted, since words are not all that counts, and
	// goes on when some may not be shown; not for ever.
	leastCandidates = 30
	maxCandidates   = 2000
)

// feed lets the index follow the store.
type feed struct{ n *Node }

func (f feed) Changed() <-chan struct{} { return f.n.store.Changed() }

func (f feed) State() (uint64, []byte) {
	return f.n.store.Seq(), f.n.store.Clock().Append(nil)
}

func (f feed) Continues(mark []byte) bool {
	c, rest, err := clock.Decode(mark)
	return err == nil && len(rest) == 0 && f.n.store.Clock().Covers(c)
}

func (f feed) Changes(after uint64, limit int) (out []recall.Change, err error) {
	err = f.n.store.View(func(tx *storage.Tx) error {
		changes, err := tx.Changes(after, limit)
		if err != nil {
			return err
		}
		out = make([]recall.Change, len(changes))
		for i, c := range changes {
			out[i].Seq = c.Seq
			if c.Key == "" || c.Key.Kind() != memory.KindMemory {
				continue
			}
			rec, _, _, err := tx.Get(c.Key)
			if errors.Is(err, storage.ErrCorrupt) {
				continue // counted and logged by the store
			}
			if err != nil {
				return err
			}
			out[i].ID = c.Key.ID()
			if v := rec.View(); v.Live {
				doc, err := memory.DecodeMemory(c.Key, v.Winner.Value)
				if err != nil {
					return fmt.Errorf("index %s: %w", c.Key, err)
				}
				out[i].Doc = &doc
			}
		}
		return nil
	})
	return out, err
}

// openRecall makes the index, or removes one that would not follow the store from now on.
func (n *Node) openRecall() error {
	n.keep = newKeeper()
	dir := filepath.Join(n.cfg.DataDir, recallDir)
	if !n.cfg.Recall {
		return os.RemoveAll(dir)
	}
	n.index = recall.New(recall.Config{Dir: dir, Feed: feed{n}, Log: n.log, Registerer: n.cfg.Registry})
	return nil
}

// runRecall is what recall keeps going in the background.
func (n *Node) runRecall(ctx context.Context) error {
	if n.index == nil {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.index.Run(ctx) })
	g.Go(func() error { return n.runKeeper(ctx) })
	return g.Wait()
}

// Recall finds what fits a text best, and counts as an access to what it returns.
func (n *Node) Recall(ctx context.Context, q httpapi.Query, opt httpapi.ReadOptions) (httpapi.Found, error) {
	found, keys, err := n.find(ctx, q, opt, false)
	for _, key := range keys {
		n.store.Touch(key)
		n.keep.recalled(key)
	}
	return found, err
}

// Search finds the memories that have all words of a text.
func (n *Node) Search(ctx context.Context, q httpapi.Query, opt httpapi.ReadOptions) (httpapi.Found, error) {
	found, _, err := n.find(ctx, q, opt, true)
	return found, err
}

func (n *Node) find(ctx context.Context, q httpapi.Query, opt httpapi.ReadOptions, all bool) (httpapi.Found, []memory.Key, error) {
	out := httpapi.Found{Hits: []httpapi.FoundMemory{}, Mode: "keyword"}
	if n.index == nil {
		return out, nil, memory.ErrNoIndex
	}
	if err := n.reach(ctx, opt.After); err != nil {
		return out, nil, err
	}
	patience := indexPatience
	if opt.After != nil {
		patience = tokenIndex
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	out.Behind = !n.index.WaitFor(waiting, n.store.Seq())
	cancel()
	if q.Filter.Limit == 0 {
		return out, nil, nil
	}
	s := n.newSeek(q, all)
	for len(s.hits) < s.enough && s.from < maxCandidates {
		ask := s.query
		ask.From, ask.Size = s.from, s.enough
		hits, err := n.index.Search(ctx, ask)
		if errors.Is(err, recall.ErrClosed) {
			return out, nil, fmt.Errorf("%w: the index for recall is being built", memory.ErrUnavailable)
		}
		if err != nil {
			return out, nil, fmt.Errorf("search: %w", err)
		}
		if err := n.view(ctx, func(tx *storage.Tx) error { return s.judge(n, tx, hits) }); err != nil {
			return out, nil, err
		}
		if s.from += len(hits); len(hits) < ask.Size {
			break
		}
	}
	return s.answer(out)
}

// seek is one search on its way.
type seek struct {
	q       httpapi.Query
	query   recall.Query
	filter  memory.Filter // what is left to be judged by the memory itself
	chain   []string      // namespaces that a recall looks in, the nearest first; nil = all
	phrases []string
	now     time.Time
	enough  int // hits to rank
	from    int
	hits    []ranked
	judged  map[memory.Key]bool
}

type ranked struct {
	key   memory.Key
	m     memory.Memory
	view  memory.View
	local storage.Local
	score float64
}

func (n *Node) newSeek(q httpapi.Query, all bool) *seek {
	s := &seek{
		q: q, filter: q.Filter, judged: make(map[memory.Key]bool), phrases: recall.Phrases(q.Text), now: n.now(),
		query: recall.Query{Text: q.Text, All: all, Tag: q.Filter.Tag, Tier: q.Filter.Tier},
	}
	s.enough = max(leastCandidates, q.Filter.Limit+q.Filter.Limit/2)
	if ns := q.Filter.Namespace; ns != "" {
		s.chain = []string{ns}
		if !all {
			s.chain = recall.Chain(ns)
		}
		s.query.Namespaces, s.filter.Namespace = s.chain, ""
	}
	return s
}

// judge reads what was found and keeps what may be shown, by what it says now.
func (s *seek) judge(n *Node, tx *storage.Tx, hits []recall.Hit) error {
	for _, h := range hits {
		key := memory.NewKey(memory.KindMemory, h.ID)
		if s.judged[key] {
			continue // the index has moved since the page before
		}
		s.judged[key] = true
		rec, local, found, err := tx.Get(key)
		if errors.Is(err, storage.ErrCorrupt) || err == nil && !found {
			continue // the first is counted and logged by the store
		}
		if err != nil {
			return err
		}
		v := rec.View()
		if !n.shown(key, v) {
			continue
		}
		m, err := memory.DecodeMemory(key, v.Winner.Value)
		if err != nil {
			return err
		}
		m.ID = h.ID
		distance := 0
		if s.chain != nil {
			if distance = slices.Index(s.chain, m.Namespace); distance < 0 {
				continue // it has moved since it was indexed
			}
		}
		if !s.filter.Match(&m) || !recall.Visible(&m, s.q.AsAgent) || !recall.HasPhrases(&m, s.phrases) {
			continue
		}
		s.hits = append(s.hits, ranked{key, m, v, local, recall.Rank(h.Score, &m, s.q.Text, distance, s.now)})
	}
	return nil
}

// answer ranks what was kept and takes as much of it as is wanted.
func (s *seek) answer(out httpapi.Found) (httpapi.Found, []memory.Key, error) {
	// Ties in an order that is the same on every node.
	slices.SortFunc(s.hits, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), b.m.UpdatedAt.Compare(a.m.UpdatedAt), strings.Compare(a.m.ID, b.m.ID))
	})
	var keys []memory.Key
	for i := range s.hits {
		h := &s.hits[i]
		if len(out.Hits) == s.q.Filter.Limit {
			break
		}
		cost := recall.Tokens(&h.m)
		if s.q.Budget != nil && out.Tokens+cost > *s.q.Budget {
			out.Dropped++
			out.Overflow = out.Overflow || i == 0
			continue
		}
		out.Tokens += cost
		keys = append(keys, h.key)
		out.Hits = append(out.Hits, httpapi.FoundMemory{
			Rendered: httpapi.Rendered{Body: memory.AppendView(nil, h.m.ID, h.view.Winner.Value, viewFields(h.view, h.local)), Token: h.view.Token},
			Score:    h.score,
		})
	}
	return out, keys, nil
}
