package node

import (
	"fmt"
	"strings"
	"testing"

	"github.com/memd/memd/memory"
)

// TestFeedBySize: what an index is handed at once is bounded by its size too, and nothing is
// left out.
func TestFeedBySize(t *testing.T) {
	n := startOne(t, func(c *Config) { c.Recall = true })
	const count = 40
	drafts := make([]memory.Draft, count)
	for i := range drafts {
		drafts[i] = memory.Draft{Title: new(fmt.Sprintf("number %d", i)), Content: new(strings.Repeat("x", memory.MaxContent))}
	}
	storeAll(t, n, drafts)
	f := newFeed(n)
	seen, calls := map[string]bool{}, 0
	for after := uint64(0); after < f.Seq(); calls++ {
		changes, _, err := f.Changes(after, 10*count)
		if err != nil || len(changes) == 0 {
			t.Fatalf("after %d: %d changes, %v", after, len(changes), err)
		}
		size := 0
		for _, c := range changes {
			if after = c.Seq; c.Doc != nil {
				seen[c.ID] = true
				size += len(c.Doc.Content)
			}
		}
		if size > maxFeedText+memory.MaxContent {
			t.Errorf("%d bytes at once", size)
		}
	}
	if len(seen) != count || calls < 2 {
		t.Errorf("%d of %d memories in %d parts", len(seen), count, calls)
	}
}
