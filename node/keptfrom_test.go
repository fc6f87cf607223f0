package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

// Whoever may see one namespace links, forgets, archives and sweeps there, and nowhere
// else; what hangs on a memory of theirs from elsewhere neither shows nor stands in the way.
func TestHousekeepingOfOneNamespace(t *testing.T) {
	n := startOne(t, nil)
	all := context.Background()
	mine := mustCreate(t, n, `{"title":"a","content":"x","namespace":"mine","agent_id":"ai:me"}`, keyed("")).ID
	too := mustCreate(t, n, `{"title":"b","content":"x","namespace":"mine","agent_id":"ai:me"}`, keyed("")).ID
	theirs := mustCreate(t, n, `{"title":"a","content":"x","namespace":"theirs"}`, keyed("")).ID
	put := mustCreate(t, n, `{"title":"put aside","content":"x","namespace":"theirs"}`, keyed("")).ID
	mustLink(t, n, mine, theirs, "related_to")
	mustLink(t, n, mine, too, "related_to")
	if _, err := n.Archive(all, []string{put}, "x", keyed("")); err != nil {
		t.Fatal(err)
	}
	expiredOne(t, n, "theirs", time.Hour) // in namespace old

	ctx := auth.With(all, &auth.Principal{Name: "me", Namespaces: []string{"mine"}, Agents: []string{"ai:me"}})
	opt := httpapi.WriteOptions{Agent: "ai:me"}
	if links, err := n.Links(ctx, mine, httpapi.ReadOptions{}); err != nil || len(links) != 1 || links[0].TargetID != too {
		t.Errorf("links: %+v, %v", links, err)
	}
	if _, err := n.Link(ctx, memory.Link{SourceID: mine, TargetID: theirs, Relation: "supersedes"}, opt); !errors.Is(err, memory.ErrNotFound) {
		t.Errorf("link to what is hidden: %v", err)
	}
	if u, err := n.Unlink(ctx, mine, theirs, opt); err == nil && u.Deleted {
		t.Errorf("unlinked from what is hidden: %+v", u)
	}
	if res, err := n.Archive(ctx, []string{theirs}, "x", opt); err != nil || len(res.Missing) != 1 {
		t.Errorf("archive: %+v, %v", res, err)
	}
	if _, err := n.Restore(ctx, put, opt); !errors.Is(err, memory.ErrNotArchived) {
		t.Errorf("restore: %v", err)
	}
	if _, err := n.Discard(ctx, put, opt); !errors.Is(err, memory.ErrNotArchived) {
		t.Errorf("discard: %v", err)
	}
	if sum, err := n.Purge(ctx, 0, opt); err != nil || sum.Count != 0 {
		t.Errorf("purge: %+v, %v", sum, err)
	}
	if sum, err := n.Forget(ctx, httpapi.Selection{IDs: []string{theirs}}, opt); err != nil || sum.Count != 0 {
		t.Errorf("forget: %+v, %v", sum, err)
	}
	if sum, err := n.Collect(ctx, opt); err != nil || sum.Count != 0 {
		t.Errorf("collect: %+v, %v", sum, err)
	}
	if _, err := n.Consolidate(ctx, httpapi.Consolidation{IDs: []string{mine, theirs}, Draft: draft(t, `{"title":"s","content":"s","namespace":"mine"}`)}, opt); !errors.Is(err, memory.ErrNotFound) {
		t.Errorf("consolidate: %v", err)
	}
	if rows, err := n.Archived(ctx, httpapi.ArchivePage{Limit: 9}, httpapi.ReadOptions{}); err != nil || len(rows) != 0 {
		t.Errorf("archived: %s, %v", rows, err)
	}
	// A memory of mine goes, with the links that I see; the other is hidden, and swept.
	if sum, err := n.Forget(ctx, httpapi.Selection{Namespace: "mine"}, opt); err != nil || sum.Count != 2 {
		t.Errorf("forget: %+v, %v", sum, err)
	}
	if got := relationsOf(t, n, theirs); got != "" || countLinks(t, n) != 1 {
		t.Errorf("%q, %d", got, countLinks(t, n))
	}
	if sum, err := n.Collect(all, keyed("")); err != nil || sum.Count != 1 || countLinks(t, n) != 0 {
		t.Errorf("%+v, %v, %d links", sum, err, countLinks(t, n))
	}
	if len(archiveOf(t, n, "")) != 4 || gone(t, n, theirs) {
		t.Errorf("%+v", archiveOf(t, n, ""))
	}
}
