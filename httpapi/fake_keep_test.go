package httpapi

import (
	"context"
	"time"

	"github.com/memd/memd/memory"
)

// kept is what the fake was told to keep or to throw away.
type kept struct {
	link          memory.Link
	selection     Selection
	consolidation Consolidation
	ids           []string
	reason        string
	page          ArchivePage
	age           time.Duration
}

func (f *fake) begin(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.enter(ctx)
}

func (f *fake) told(ctx context.Context, opt WriteOptions, note func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return err
	}
	note()
	return f.wanted(opt)
}

func (f *fake) Link(ctx context.Context, l memory.Link, opt WriteOptions) (Linked, error) {
	if l.TargetID == "missing" {
		return Linked{}, memory.ErrNotFound
	}
	l.CreatedAt = testNow
	return Linked{Link: l, Dot: testDot, Token: testToken, Acks: 2}, f.told(ctx, opt, func() { f.kept.link = l })
}

func (f *fake) Unlink(ctx context.Context, source, target string, opt WriteOptions) (Unlinked, error) {
	return Unlinked{Deleted: source != "missing", Token: testToken, Acks: 2}, f.told(ctx, opt, func() { f.id = source + ">" + target })
}

func (f *fake) Links(ctx context.Context, id string, opt ReadOptions) ([]memory.Link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id, f.read = id, opt
	if id == "missing" {
		return nil, f.enter(ctx)
	}
	return []memory.Link{{SourceID: id, TargetID: "m2", Relation: "supersedes", CreatedAt: testNow}}, f.enter(ctx)
}

func (f *fake) Promote(ctx context.Context, id string, opt WriteOptions) (Updated, error) {
	return Updated{Rendered: f.rendered(), ID: id, Dot: testDot, Acks: 2}, f.told(ctx, opt, func() { f.id = id })
}

func (f *fake) PromoteTo(ctx context.Context, id, ns string, opt WriteOptions) (Ascended, error) {
	return Ascended{SourceID: id, CloneID: "m9", Namespace: ns, Dot: testDot, Token: testToken, Acks: 2}, f.told(ctx, opt, func() { f.id = id })
}

func (f *fake) Forget(ctx context.Context, s Selection, opt WriteOptions) (Removed, error) {
	return Removed{Count: 3, Archived: 3, Token: testToken, Acks: 2}, f.told(ctx, opt, func() { f.kept.selection = s })
}

func (f *fake) Consolidate(ctx context.Context, c Consolidation, opt WriteOptions) (Consolidated, error) {
	return Consolidated{Created: Created{ID: "m9", Dot: testDot, Token: testToken, Acks: 2}, Consolidated: len(c.IDs)},
		f.told(ctx, opt, func() { f.kept.consolidation = c })
}

func (f *fake) Collect(ctx context.Context, opt WriteOptions) (Removed, error) {
	return Removed{Count: 4}, f.told(ctx, opt, func() {})
}

func (f *fake) Archive(ctx context.Context, ids []string, reason string, opt WriteOptions) (Archived, error) {
	return Archived{IDs: ids[:1], Missing: ids[1:], Token: testToken, Acks: 2}, f.told(ctx, opt, func() { f.kept.ids, f.kept.reason = ids, reason })
}

func (f *fake) Archived(ctx context.Context, p ArchivePage, opt ReadOptions) ([][]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept.page, f.read = p, opt
	return [][]byte{[]byte(`{"id":"m1"}`)}, f.enter(ctx)
}

func (f *fake) Restore(ctx context.Context, id string, opt WriteOptions) (Restored, error) {
	if id == "missing" {
		return Restored{}, memory.ErrNotArchived
	}
	return Restored{ID: id, Dot: testDot, Token: testToken, Acks: 2}, f.told(ctx, opt, func() { f.id = id })
}

func (f *fake) Discard(ctx context.Context, id string, opt WriteOptions) (Deleted, error) {
	return Deleted{ID: id, Dot: testDot, Token: testToken, Acks: 2}, f.told(ctx, opt, func() { f.id = id })
}

func (f *fake) Purge(ctx context.Context, olderThan time.Duration, opt WriteOptions) (Removed, error) {
	return Removed{Count: 5, Token: testToken, Acks: 2}, f.told(ctx, opt, func() { f.kept.age = olderThan })
}

func (f *fake) ArchiveStats(ctx context.Context, opt ReadOptions) (ArchiveStats, error) {
	return ArchiveStats{Total: 2, ByNamespace: []NamespaceCount{{"a", 2}}}, f.begin(ctx)
}
