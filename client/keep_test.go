package client

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/memd/memd/memory"
)

// walkHousekeeping walks through links, the archive and what keeps house.
func walkHousekeeping(ctx context.Context, t *testing.T, c *Client) {
	t.Helper()
	opt := WriteOptions{}
	store := func(title string) string {
		t.Helper()
		s, err := c.Store(ctx, Draft{Title: title, Content: "content of " + title, Namespace: "keep", Tier: "short", Tags: []string{"k"}}, opt)
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	a, b, d := store("a"), store("b"), store("d")

	l, err := c.Link(ctx, Link{SourceID: a[:13], TargetID: b, Relation: "supersedes"}, opt)
	if err != nil || l.SourceID != a || l.Existing || l.CreatedAt.IsZero() || l.Token == "" {
		t.Errorf("link: %+v, %v", l, err)
	}
	if again, err := c.Link(ctx, Link{SourceID: a, TargetID: b, Relation: "supersedes"}, opt); err != nil || !again.Existing {
		t.Errorf("link again: %+v, %v", again, err)
	}
	if _, err := c.Link(ctx, Link{SourceID: a, TargetID: "none"}, opt); !errors.Is(err, memory.ErrNotFound) {
		t.Error(err)
	}
	links, err := c.Links(ctx, b, ReadOptions{After: l.Token})
	if err != nil || len(links) != 1 || links[0].Relation != "supersedes" {
		t.Errorf("links: %+v, %v", links, err)
	}
	if m, err := c.Get(ctx, b, ReadOptions{}); err != nil || len(m.Links) != 1 || m.Links[0] != links[0] {
		t.Errorf("links of get: %+v, %v", m, err)
	}
	if u, err := c.Unlink(ctx, a, b, opt); err != nil || !u.Deleted {
		t.Errorf("unlink: %+v, %v", u, err)
	}
	if u, err := c.Unlink(ctx, a, b, opt); err != nil || u.Deleted {
		t.Errorf("unlink again: %+v, %v", u, err)
	}
	if p, err := c.Promote(ctx, a, opt); err != nil || p.ID != a || p.Tier != "long" {
		t.Errorf("promote: %+v, %v", p, err)
	}

	put, err := c.Archive(ctx, []string{d, "none"}, "why", opt)
	if err != nil || !slices.Equal(put.IDs, []string{d}) || !slices.Equal(put.Missing, []string{"none"}) || put.Reason != "why" {
		t.Errorf("archive: %+v, %v", put, err)
	}
	rows, err := c.Archived(ctx, ArchivePage{Namespace: "keep"}, ReadOptions{})
	if err != nil || len(rows) != 1 || rows[0].ID != d || !slices.Equal(rows[0].Tags, []string{"k"}) || rows[0].ArchiveReason != "why" || rows[0].ArchivedAt.IsZero() || rows[0].Content != "content of d" {
		t.Errorf("archived: %+v, %v", rows, err)
	}
	if st, err := c.ArchiveStats(ctx, ReadOptions{}); err != nil || st.Total != 1 || len(st.ByNamespace) != 1 {
		t.Errorf("stats: %+v, %v", st, err)
	}
	if r, err := c.Restore(ctx, d, opt); err != nil || r.ID != d {
		t.Errorf("restore: %+v, %v", r, err)
	}
	if _, err := c.Restore(ctx, d, opt); !errors.Is(err, ErrNotArchived) || !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := c.Discard(ctx, d, opt); !errors.Is(err, ErrNotArchived) {
		t.Error(err)
	}

	sum, err := c.Consolidate(ctx, Consolidation{IDs: []string{a, b}, Title: "sum", Summary: "together", Namespace: "keep"}, opt)
	if err != nil || sum.Consolidated != 2 || sum.ID == "" {
		t.Errorf("consolidate: %+v, %v", sum, err)
	}
	s := Selection{Namespace: "keep", Pattern: "together"}
	if n, err := c.WouldForget(ctx, s, opt); err != nil || n != 1 {
		t.Errorf("would forget %d, %v", n, err)
	}
	if f, err := c.Forget(ctx, s, opt); err != nil || f.Deleted != 1 || f.Archived != 1 || f.Token == "" {
		t.Errorf("forget: %+v, %v", f, err)
	}
	if f, err := c.Forget(ctx, Selection{IDs: []string{d}}, opt); err != nil || f.Deleted != 1 {
		t.Errorf("forget: %+v, %v", f, err)
	}
	if _, err := c.Forget(ctx, Selection{}, opt); !errors.Is(err, memory.ErrInvalid) {
		t.Errorf("forget nothing: %v", err)
	}
	if g, err := c.Collect(ctx, opt); err != nil || g.ExpiredDeleted != 0 {
		t.Errorf("collect: %+v, %v", g, err)
	}
	if g, err := c.Discard(ctx, d, opt); err != nil || g.ID != d {
		t.Errorf("discard: %+v, %v", g, err)
	}
	if p, err := c.Purge(ctx, 1, opt); err != nil || p.Purged != 0 {
		t.Errorf("purge: %+v, %v", p, err)
	}
	if p, err := c.Purge(ctx, 0, opt); err != nil || p.Purged != 1 {
		t.Errorf("purge: %+v, %v", p, err)
	}
}
