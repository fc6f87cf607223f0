package node

import (
	"fmt"
	"testing"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

// TestForeignHitsDoNotCrowdOut: more memories than recall ever looks at fit a text better than
// one of a namespace that the caller may see: a key of that namespace finds it all the same.
func TestForeignHitsDoNotCrowdOut(t *testing.T) {
	n := startOne(t, withRecall)
	foreign := maxCandidates + 3000 // recall looks at parts of doubling size, the last of them beyond its bound
	ds := make([]memory.Draft, foreign)
	for i := range ds {
		ds[i] = draft(t, fmt.Sprintf(`{"title":"release %d","content":"release","namespace":"theirs"}`, i))
	}
	storeAll(t, n, ds)
	store(t, n, `{"title":"notes","content":"among many other words that say little there is a release, too","namespace":"mine/deep"}`)
	storeAll(t, n, nil) // waits for the index
	for _, c := range []struct {
		namespaces []string
		asked      string
		want       int
	}{
		{[]string{"mine"}, "", 1},
		{[]string{"mine"}, "mine/deep/er", 1},
		{[]string{"mine"}, "theirs", 0},
		{[]string{"empty"}, "", 0},
		{[]string{}, "", 0},
		{[]string{"mine", "empty"}, "", 1},
		{[]string{auth.Everything}, "", 10},
	} {
		ctx := auth.With(t.Context(), &auth.Principal{Name: "me", Namespaces: c.namespaces})
		q := httpapi.Query{Text: "release", Filter: memory.Filter{Namespace: c.asked, Limit: 10}}
		found, err := n.Recall(ctx, q, httpapi.ReadOptions{})
		if err != nil || len(found.Hits) != c.want {
			t.Errorf("a key of %q recalls from %q: %d hits, %v; want %d", c.namespaces, c.asked, len(found.Hits), err, c.want)
		}
		if c.asked != "" {
			continue
		}
		if found, err = n.Search(ctx, q, httpapi.ReadOptions{}); err != nil || len(found.Hits) != c.want {
			t.Errorf("a key of %q searches: %d hits, %v; want %d", c.namespaces, len(found.Hits), err, c.want)
		}
	}
}
