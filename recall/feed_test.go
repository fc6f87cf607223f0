package recall

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/memd/memd/memory"
)

func TestMain(m *testing.M) {
	// The search library starts its workers when it is linked, and keeps them.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/blevesearch/bleve_index_api.AnalysisWorker"))
}

// memFeed is a store in RAM: memories in the order of their last change.
type memFeed struct {
	mu      sync.Mutex
	id      string // of the store
	seq     uint64
	docs    map[string]*memory.Memory
	at      map[string]uint64
	changed chan struct{}
	fail    error
	reads   int
	began   uint64 // seq when the index was made
}

func newFeed(id string) *memFeed {
	return &memFeed{id: id, docs: map[string]*memory.Memory{}, at: map[string]uint64{}, changed: make(chan struct{})}
}

func (f *memFeed) put(ms ...memory.Memory) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range ms {
		f.seq++
		f.docs[m.ID], f.at[m.ID] = &m, f.seq
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *memFeed) remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	f.docs[id], f.at[id] = nil, f.seq
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *memFeed) Changes(after uint64, limit int) ([]Change, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if f.fail != nil {
		return nil, nil, f.fail
	}
	var out []Change
	for id, at := range f.at {
		if at > after {
			out = append(out, Change{Seq: at, ID: id, Doc: f.docs[id]})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return int(a.Seq) - int(b.Seq) })
	return out[:min(len(out), limit)], fmt.Appendf(nil, "%s %d", f.id, f.seq), nil
}

func (f *memFeed) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *memFeed) Seq() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq
}

func (f *memFeed) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.began = f.seq
}

func (f *memFeed) Continues(seq uint64, mark []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	var id string
	var seen uint64
	_, err := fmt.Sscanf(string(mark), "%s %d", &id, &seen)
	return err == nil && id == f.id && seen <= f.began && seq <= f.began
}

// doc is a memory of the test.
func doc(id, title, content string) memory.Memory {
	return memory.Memory{ID: id, Title: title, Content: content, Namespace: "global", Tier: memory.TierMid, Priority: 5, Confidence: 1,
		CreatedAt: testNow, UpdatedAt: testNow}
}

var testNow = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// running is an index that follows a feed until stop, or the end of the test.
type running struct {
	*Index
	t    testing.TB
	feed *memFeed
	stop func()
}

func start(t testing.TB, dir string, f *memFeed) *running {
	t.Helper()
	f.begin()
	x := New(Config{Dir: dir, Feed: f, Registerer: prometheus.NewRegistry()})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return &running{x, t, f, stop}
}

// settled waits for the index to have what the feed says now.
func (r *running) settled() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if !r.WaitFor(ctx, r.feed.Seq()) {
		r.t.Fatalf("the index is at %+v", r.Status())
	}
}

// all are the hits of a query, the best first.
func (r *running) all(q Query) []Hit {
	r.t.Helper()
	var out []Hit
	err := r.Search(context.Background(), q, 20, func(hits []Hit, _ bool) (bool, error) {
		out = append(out, hits...)
		return true, nil
	})
	if err != nil {
		r.t.Fatalf("search %+v: %v", q, err)
	}
	return out
}

func (r *running) find(text string) []string { return ids(r.all(Query{Text: text})) }

func (r *running) search(text string) []string { return ids(r.all(Query{Text: text, All: true})) }

func ids(hits []Hit) []string {
	out := []string{}
	for _, h := range hits {
		out = append(out, h.ID)
	}
	return out
}

func (r *running) rebuilds() float64 { return counter(r.t, r.metrics.rebuilds) }

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

var errFeed = errors.New("the feed fails")
