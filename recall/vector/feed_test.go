package vector

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/recall"
)

var testNow = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// memFeed is a store in RAM: memories in the order of their last change.
type memFeed struct {
	mu      sync.Mutex
	id      string // of the store
	seq     uint64
	docs    map[string]*memory.Memory
	at      map[string]uint64
	changed chan struct{}
	began   uint64 // seq when the index was made
}

func newFeed(id string) *memFeed {
	return &memFeed{id: id, docs: map[string]*memory.Memory{}, at: map[string]uint64{}, changed: make(chan struct{})}
}

// put stores a memory, or with a nil one removes it.
func (f *memFeed) put(id string, m *memory.Memory) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	f.docs[id], f.at[id] = m, f.seq
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *memFeed) Changes(after uint64, limit int) ([]recall.Change, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []recall.Change
	for id, at := range f.at {
		if at > after {
			out = append(out, recall.Change{Seq: at, ID: id, Doc: f.docs[id]})
		}
	}
	slices.SortFunc(out, func(a, b recall.Change) int { return int(a.Seq) - int(b.Seq) })
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

func doc(namespace, title, content string) *memory.Memory {
	return &memory.Memory{Title: title, Content: content, Namespace: namespace, Tier: memory.TierMid, Priority: 5, Confidence: 1, CreatedAt: testNow, UpdatedAt: testNow}
}
