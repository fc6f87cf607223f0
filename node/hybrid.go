package node

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/memd/memd/embed"
	"github.com/memd/memd/recall"
	"github.com/memd/memd/recall/vector"
)

const (
	vectorsFile = "vectors"

	modeKeyword = "keyword"
	modeHybrid  = "hybrid"

	// Two orders are fused by their ranks, since the scores of one say nothing of those of the
	// other: each hit gets weight/(rankOffset+rank) of each order that it is in.
	rankOffset   = 60
	textWeight   = 1.0
	vectorWeight = 0.7
	// firstNear memories are asked for, and nearTimes as many again while too few of them may
	// be shown.
	firstNear = 100
	nearTimes = 8
)

// openVectors makes what computes vectors, or removes those that would not follow the store
// from now on.
func (n *Node) openVectors(f feed) error {
	file := filepath.Join(n.cfg.DataDir, vectorsFile)
	if n.cfg.EmbeddingsURL == "" {
		return vector.Remove(file)
	}
	c, err := n.cfg.embedder()
	if err != nil {
		return err
	}
	n.vectors = vector.New(vector.Config{
		File: file, Feed: f, Embedder: c, Model: n.cfg.EmbeddingsModel, Retry: n.cfg.EmbeddingsRetry, Log: n.log, Registerer: n.cfg.Registry,
	})
	n.embedder = c
	return nil
}

func (c *Config) embedder() (*embed.Client, error) {
	e, err := embed.New(embed.Config{URL: c.EmbeddingsURL, Model: c.EmbeddingsModel, Key: c.EmbeddingsKey})
	if err != nil {
		return nil, fmt.Errorf("embeddings: %w", err)
	}
	return e, nil
}

// runVectors computes vectors until ctx ends.
func (n *Node) runVectors(ctx context.Context) error {
	if n.vectors == nil {
		return nil
	}
	defer n.embedder.Close()
	return n.vectors.Run(ctx)
}

// EmbedderReady reports whether recalls are answered by meaning, too: an endpoint for
// embeddings is configured and answers.
func (n *Node) EmbedderReady() bool { return n.vectors != nil && n.vectors.Status().Ready }

// asked is the question for the vector of a text, on its way while the words are looked up.
type asked struct {
	done  chan struct{}
	stop  context.CancelFunc
	point vector.Point
	err   error
}

// ask begins to ask, if this node has vectors at all. Whoever asks calls end.
func (n *Node) ask(ctx context.Context, text string) *asked {
	if n.vectors == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &asked{done: make(chan struct{}), stop: cancel}
	go func() {
		defer close(a.done)
		a.point, a.err = n.vectors.Query(ctx, text)
	}()
	return a
}

// answer waits, at most vector.QueryDeadline from when it was asked. ok is false if there is
// nothing to compare with.
func (a *asked) answer() (p vector.Point, ok bool) {
	if a == nil {
		return p, false
	}
	<-a.done
	return a.point, a.err == nil
}

func (a *asked) end() {
	if a != nil {
		a.stop()
		<-a.done
	}
}

// fuse adds to the hits, which are ranked by their words, those that lie nearest to the
// question, and ranks all by both. It returns the mode of the answer.
func (s *seek) fuse(a *asked) (string, error) {
	p, ok := a.answer()
	if !ok {
		return modeKeyword, nil
	}
	byText := len(s.hits)
	near, err := s.near(p)
	if err != nil || len(near) == 0 {
		return modeKeyword, err
	}
	const best = (textWeight + vectorWeight) / (rankOffset + 1)
	at := make(map[string]int, len(s.hits))
	for i := range s.hits {
		h := &s.hits[i]
		at[h.m.ID] = i
		switch {
		case h.m.ID == s.q.Text: // asked for by its id
			h.score = idScore
		case i < byText:
			h.score = textWeight / (rankOffset + 1 + float64(i)) / best
		default:
			h.score = 0
		}
	}
	for rank, id := range near {
		s.hits[at[id]].score += vectorWeight / (rankOffset + 1 + float64(rank)) / best
	}
	s.rank(0)
	return modeHybrid, nil
}

// near are the ids of the memories that lie nearest and may be shown, the nearest first. Those
// that were not among the hits are behind them now.
func (s *seek) near(p vector.Point) ([]string, error) {
	shown := make(map[string]bool, len(s.hits))
	for i := range s.hits {
		shown[s.hits[i].m.ID] = true
	}
	for want := max(firstNear, s.enough); ; want = min(want*nearTimes, maxCandidates) {
		found, err := s.n.vectors.Nearest(s.ctx, p, want, &s.query.Restriction)
		if err != nil {
			return nil, fmt.Errorf("vectors: %w", err)
		}
		hits := make([]recall.Hit, len(found))
		for i, f := range found {
			hits[i].ID = f.ID
		}
		from := len(s.hits)
		if err := s.judge(hits); err != nil {
			return nil, err
		}
		for i := range s.hits[from:] {
			shown[s.hits[from+i].m.ID] = true
		}
		var out []string
		for _, f := range found {
			if shown[f.ID] {
				out = append(out, f.ID)
			}
		}
		if len(out) >= s.enough || len(found) < want || want >= maxCandidates {
			return out, nil
		}
	}
}
