package vector

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/memd/memd/embed"
	"github.com/memd/memd/recall"
)

const (
	// QueryDeadline is how long the vector of a question is waited for.
	QueryDeadline = 300 * time.Millisecond
	// maxQuestions are with the embedder at once: beyond, it does not keep up.
	maxQuestions = 32
	maxQuestion  = 2000 // bytes
)

// Errors of Query that are no failure of the embedder.
var (
	ErrNothing = errors.New("vector: nothing to compare with yet")
	ErrPaused  = errors.New("vector: the embedder failed just now and is left alone")
	ErrCrowded = errors.New("vector: too many questions at once")
)

// Query computes what Nearest compares with. It takes QueryDeadline at most.
func (x *Index) Query(ctx context.Context, text string) (Point, error) {
	s := x.current()
	if s == nil || s.len() == 0 {
		return Point{}, ErrNothing
	}
	if !x.breaker.enter(time.Now()) {
		x.metrics.failures.WithLabelValues(useQuery, reasonPaused).Inc()
		return Point{}, ErrPaused
	}
	select {
	case x.asking <- struct{}{}:
		defer func() { <-x.asking }()
	default:
		x.metrics.failures.WithLabelValues(useQuery, reasonCrowded).Inc()
		return Point{}, ErrCrowded
	}
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, QueryDeadline)
	defer cancel()
	out, err := x.cfg.Embedder.Embed(within, []string{cut(text, maxQuestion)})
	if err == nil && len(out[0]) != s.dims {
		err = &embed.Error{Reason: embed.Dimensions}
	}
	if err != nil && ctx.Err() != nil {
		return Point{}, err // who asked has gone, which says nothing of the embedder
	}
	x.metrics.querySeconds.Observe(time.Since(began).Seconds())
	x.breaker.leave(time.Now(), err == nil)
	x.heard(useQuery, err)
	if err != nil {
		return Point{}, err
	}
	return quantise(out[0]), nil
}

// Nearest returns up to k memories, the nearest to a question first, of those that a
// restriction lets through by namespace, scope and tier; the caller looks at the rest of it.
func (x *Index) Nearest(ctx context.Context, q Point, k int, r *recall.Restriction) ([]Near, error) {
	s := x.current()
	if s == nil || s.dims != len(q.numbers) || k < 1 {
		return nil, nil
	}
	defer func(began time.Time) { x.metrics.scanSeconds.Observe(time.Since(began).Seconds()) }(time.Now())
	return s.nearest(ctx, q, k, allows(r))
}

// breaker spares recalls the wait for an embedder that does not answer: after breakAfter
// failures in a row it is left alone for a while, and then asked by one recall first.
type breaker struct {
	mu       sync.Mutex
	failures int
	until    time.Time
}

const (
	breakAfter = 3
	breakFor   = time.Second
	breakMost  = 30 * time.Second
)

func (b *breaker) enter(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakAfter {
		return true
	}
	if now.Before(b.until) {
		return false
	}
	b.until = now.Add(breakFor) // the others wait for how this one fares
	return true
}

func (b *breaker) leave(now time.Time, good bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if good {
		b.failures = 0
		return
	}
	b.failures++
	if more := b.failures - breakAfter; more >= 0 {
		b.until = now.Add(min(breakFor<<min(more, 8), breakMost))
	}
}
