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

	"github.com/memd/memd/auth"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/recall"
	"github.com/memd/memd/storage"
)

const (
	recallDir = "recall"
	// A recall waits for the index to hold what was stored before it, longer for what its
	// token covers. It does not if the index is so far behind that this would be in vain.
	indexPatience = 250 * time.Millisecond
	tokenIndex    = time.Second
	farBehind     = 5000
	// Ranking looks at more hits than are wanted, since words are not all that counts, and
	// goes on when some may not be shown; not for ever.
	leastCandidates = 30
	maxCandidates   = 5000
	// idScore is that of a memory whose id is the text.
	idScore = 1000
)

// openRecall makes the index, or removes one that would not follow the store from now on.
func (n *Node) openRecall() error {
	n.keep = newKeeper()
	dir := filepath.Join(n.cfg.DataDir, recallDir)
	f := newFeed(n)
	if err := n.openVectors(f); err != nil {
		return err
	}
	if !n.cfg.Recall {
		return os.RemoveAll(dir)
	}
	n.index = recall.New(recall.Config{Dir: dir, Feed: f, Log: n.log, Registerer: n.cfg.Registry})
	return nil
}

// runRecall is what recall keeps going in the background.
func (n *Node) runRecall(ctx context.Context) error {
	if n.index == nil {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.index.Run(ctx) })
	g.Go(func() error { return n.runVectors(ctx) })
	g.Go(func() error { return n.runKeeper(ctx) })
	return g.Wait()
}

// indexing says why recall would answer from the past, "" if it would not.
func (n *Node) indexing() string {
	if n.index == nil {
		return ""
	}
	if s := n.index.Status(); s.Building {
		return fmt.Sprintf("the index for recall is being built: %d of %d changes", s.Seq, s.Last)
	}
	return ""
}

// Recall finds what fits a text best, and counts as an access to what it returns.
func (n *Node) Recall(ctx context.Context, q httpapi.Query, opt httpapi.ReadOptions) (httpapi.Found, error) {
	found, shown, err := n.find(ctx, q, opt, false)
	for i := range shown {
		n.store.Touch(shown[i].key)
		n.recalled(&shown[i])
	}
	return found, err
}

// Search finds the memories that have all words of a text.
func (n *Node) Search(ctx context.Context, q httpapi.Query, opt httpapi.ReadOptions) (httpapi.Found, error) {
	found, _, err := n.find(ctx, q, opt, true)
	return found, err
}

func (n *Node) find(ctx context.Context, q httpapi.Query, opt httpapi.ReadOptions, all bool) (httpapi.Found, []ranked, error) {
	out := httpapi.Found{Hits: []httpapi.FoundMemory{}, Mode: modeKeyword}
	if n.index == nil {
		return out, nil, memory.ErrNoIndex
	}
	if err := n.reach(ctx, opt.After); err != nil {
		return out, nil, err
	}
	var meaning *asked // of the text; search goes by words
	if !all && q.Filter.Limit > 0 {
		meaning = n.ask(ctx, q.Text)
		defer meaning.end()
	}
	out.Behind = !n.indexed(ctx, opt.After != nil)
	if q.Filter.Limit == 0 {
		return out, nil, nil
	}
	s := n.newSeek(ctx, q, all)
	if something, err := s.narrow(); err != nil || !something {
		return out, nil, err
	}
	if err := s.byID(); err != nil {
		return out, nil, err
	}
	err := n.index.Search(ctx, s.query, s.enough, func(hits []recall.Hit, weaker bool) (bool, error) {
		s.looked += len(hits)
		want, from := s.enough, len(s.hits)
		if weaker || all { // they are not looked at to rank the others
			want = s.wanted()
		}
		err := s.judge(hits)
		if all { // each part for itself, or one page would depend on how large another one was
			s.rank(from)
		}
		return len(s.hits) < want && (all || s.looked < maxCandidates), err
	})
	if errors.Is(err, recall.ErrClosed) {
		return out, nil, fmt.Errorf("%w: the index for recall is being built", memory.ErrUnavailable)
	}
	if err != nil {
		return out, nil, fmt.Errorf("search: %w", err)
	}
	if !all {
		s.rank(0)
		if out.Mode, err = s.fuse(meaning); err != nil {
			return out, nil, err
		}
	}
	out, shown := s.answer(out)
	return out, shown, nil
}

// indexed waits until the index has what the store has now.
func (n *Node) indexed(ctx context.Context, token bool) bool {
	want := n.store.Seq()
	s := n.index.Status()
	if s.Open && s.Seq >= want {
		return true
	}
	if s.Seq+farBehind < want {
		return false
	}
	patience := indexPatience
	if token {
		patience = tokenIndex
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return n.index.WaitFor(ctx, want)
}

// seek is one search on its way.
type seek struct {
	ctx     context.Context
	n       *Node
	q       httpapi.Query
	query   recall.Query
	filter  memory.Filter // what the memory itself has to pass
	chain   []string      // namespaces that are looked in, the nearest first; nil = all
	phrases []string
	now     time.Time
	enough  int // hits to rank
	looked  int // at so many
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

func (n *Node) newSeek(ctx context.Context, q httpapi.Query, all bool) *seek {
	s := &seek{ctx: ctx, n: n, q: q, filter: q.Filter, judged: make(map[memory.Key]bool), phrases: recall.Phrases(q.Text), now: n.now()}
	if all {
		s.q.Filter.Offset = min(q.Filter.Offset, maxCandidates)
	} else {
		s.q.Filter.Offset = 0
	}
	s.enough = leastCandidates
	if !all {
		s.enough = max(leastCandidates, s.wanted()+q.Filter.Limit/2)
	}
	if ns := q.Filter.Namespace; ns != "" {
		s.chain = []string{ns}
		if !all {
			s.chain = recall.Chain(ns)
		}
		s.filter.Namespace = ""
	}
	s.query = recall.Query{Text: q.Text, All: all, Restriction: recall.Restriction{
		Namespaces: s.chain, Tag: q.Filter.Tag, Tier: q.Filter.Tier, Agent: q.Filter.AgentID, MinPriority: q.Filter.MinPriority,
		Since: q.Filter.Since, Until: q.Filter.Until, As: q.AsAgent,
	}}
	return s
}

// maxNarrow is how many namespaces the index is told to look in.
const maxNarrow = 1000

// narrow has the indexes look only where the principal may see. What may not be shown is not shown
// in any case (judge), but it would use up the candidates. It reports whether there is anything.
func (s *seek) narrow() (something bool, err error) {
	if p, _ := auth.From(s.ctx); p.Everywhere() {
		return true, nil
	}
	err = s.n.view(s.ctx, func(tx *storage.Tx) error {
		may, more := tx.Namespaces(maxNarrow)
		if s.chain != nil && !more {
			may = slices.DeleteFunc(may, func(ns string) bool { return !slices.Contains(s.chain, ns) })
		}
		if something = len(may) > 0; !more {
			s.query.Namespaces = may
		}
		return nil
	})
	return something, err
}

// wanted is how many hits the answer needs.
func (s *seek) wanted() int { return s.q.Filter.Offset + s.q.Filter.Limit }

// byID looks for a memory whose id is the text.
func (s *seek) byID() error {
	if strings.Contains(s.q.Text, " ") || memory.ValidateID(s.q.Text) != nil {
		return nil
	}
	return s.judge([]recall.Hit{{ID: s.q.Text, Score: idScore}})
}

// judge reads what was found and keeps what may be shown, by what it says now.
func (s *seek) judge(hits []recall.Hit) error {
	return s.n.view(s.ctx, func(tx *storage.Tx) error {
		for _, h := range hits {
			key := memory.NewKey(memory.KindMemory, h.ID)
			if s.judged[key] {
				continue // the index has moved since the page before
			}
			s.judged[key] = true
			if err := s.judgeOne(tx, key, h); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *seek) judgeOne(tx *storage.Tx, key memory.Key, h recall.Hit) error {
	rec, local, found, err := tx.Get(key)
	if errors.Is(err, storage.ErrCorrupt) || err == nil && !found {
		return nil // the first is counted and logged by the store
	}
	if err != nil {
		return err
	}
	v := rec.View()
	if !s.n.shown(key, v) {
		return nil
	}
	m, err := memory.DecodeMemory(key, v.Winner.Value)
	if err != nil {
		return nil // as in the feed
	}
	m.ID = h.ID
	distance := 0
	if s.chain != nil {
		if distance = slices.Index(s.chain, m.Namespace); distance < 0 {
			return nil // it has moved since it was indexed
		}
	}
	if s.filter.Match(&m) && recall.Visible(&m, s.q.AsAgent) && recall.HasPhrases(&m, s.phrases) {
		s.hits = append(s.hits, ranked{key, m, v, local, recall.Rank(h.Score, &m, s.q.Text, distance, s.now)})
	}
	return nil
}

// rank puts the best of the hits from one on first, ties in an order that is the same on
// every node.
func (s *seek) rank(from int) {
	slices.SortFunc(s.hits[from:], func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), b.m.UpdatedAt.Compare(a.m.UpdatedAt), strings.Compare(a.m.ID, b.m.ID))
	})
}

// answer takes as many of the hits as are wanted and fit into the budget.
func (s *seek) answer(out httpapi.Found) (httpapi.Found, []ranked) {
	from := min(s.q.Filter.Offset, len(s.hits))
	hits := s.hits[from:min(from+s.q.Filter.Limit, len(s.hits))]
	var shown []ranked
	for i := range hits {
		h := &hits[i]
		cost := recall.Tokens(&h.m)
		if s.q.Budget != nil && out.Tokens+cost > *s.q.Budget {
			out.Dropped++
			out.Overflow = out.Overflow || i == 0
			continue
		}
		out.Tokens += cost
		shown = append(shown, *h)
		out.Hits = append(out.Hits, httpapi.FoundMemory{
			Rendered: httpapi.Rendered{Body: memory.AppendView(nil, h.m.ID, h.view.Winner.Value, viewFields(h.view, h.local)), Token: h.view.Token},
			Score:    h.score,
		})
	}
	return out, shown
}
