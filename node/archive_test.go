package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/mcpserver"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

var noReads mcpserver.ReadOptions

type archivedRow struct {
	ID, Title, Content, Tier, Tags string
	ArchivedAt                     time.Time `json:"archived_at"`
	Reason                         string    `json:"archive_reason"`
}

func archiveOf(t testing.TB, n *Node, ns string) (out []archivedRow) {
	t.Helper()
	rows, err := n.Archived(context.Background(), httpapi.ArchivePage{Namespace: ns, Limit: 1000}, httpapi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		var row archivedRow
		if err := json.Unmarshal(r, &row); err != nil {
			t.Fatalf("%s: %v", r, err)
		}
		out = append(out, row)
	}
	return out
}

func gone(t testing.TB, n *Node, id string) bool {
	t.Helper()
	_, err := n.Get(context.Background(), id, httpapi.ReadOptions{})
	if err != nil && !errors.Is(err, memory.ErrNotFound) {
		t.Fatal(err)
	}
	return err != nil
}

func TestArchive(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	a := mustCreate(t, n, `{"title":"a","content":"one","namespace":"x","tier":"long","tags":["t"],"priority":7,"future":1}`, keyed("")).ID
	b := mustCreate(t, n, `{"title":"b","content":"two","namespace":"y"}`, keyed("")).ID
	mustLink(t, n, a, b, "related_to")
	before, _ := n.Get(ctx, a, httpapi.ReadOptions{})

	res, err := n.Archive(ctx, []string{a, "none", b[:13]}, "tidy", keyed("k"))
	if err != nil || fmt.Sprint(res.IDs, res.Missing) != fmt.Sprintf("[%s] [none %s]", a, b[:13]) || res.Acks != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if again, err := n.Archive(ctx, []string{a}, "tidy", keyed("k")); err != nil || len(again.IDs) != 1 || again.Token.Empty() {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	if other, err := n.Archive(ctx, []string{a}, "tidy", keyed("")); err != nil || len(other.Missing) != 1 {
		t.Errorf("archived twice: %+v, %v", other, err)
	}
	if !gone(t, n, a) || relationsOf(t, n, b) != "" {
		t.Error("it is still shown")
	}
	rows := archiveOf(t, n, "")
	if len(rows) != 1 || rows[0].ID != a || rows[0].Content != "one" || rows[0].Tags != `["t"]` || rows[0].Reason != "tidy" || time.Since(rows[0].ArchivedAt) > time.Minute {
		t.Errorf("%+v", rows)
	}
	if len(archiveOf(t, n, "y")) != 0 || len(archiveOf(t, n, "x")) != 1 {
		t.Error("filtered by namespace")
	}
	if st, err := n.ArchiveStats(ctx, httpapi.ReadOptions{}); err != nil || fmt.Sprint(st) != "{1 [{x 1}]}" {
		t.Errorf("%+v, %v", st, err)
	}

	back, err := n.Restore(ctx, a[:13], keyed("r"))
	if err != nil || back.ID != a {
		t.Fatalf("%+v, %v", back, err)
	}
	after, err := n.Get(ctx, a, httpapi.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// All of it is back, but for what says when, and the reads.
	differ := map[string]bool{"updated_at": true, "token": true, "access_count": true, "last_accessed_at": true}
	var was, is map[string]any
	if err := errors.Join(json.Unmarshal(before.Body, &was), json.Unmarshal(after.Body, &is)); err != nil {
		t.Fatal(err)
	}
	for name, v := range was {
		if !differ[name] && fmt.Sprint(is[name]) != fmt.Sprint(v) {
			t.Errorf("%s was %v, is %v", name, v, is[name])
		}
	}
	if is["updated_at"] == was["updated_at"] || is["future"] != 1.0 || len(archiveOf(t, n, "")) != 0 {
		t.Errorf("%v", is)
	}
	if again, err := n.Restore(ctx, a, keyed("r")); err != nil || again.ID != a {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	if _, err := n.Restore(ctx, a, keyed("")); !errors.Is(err, memory.ErrNotArchived) {
		t.Errorf("restored twice: %v", err)
	}
	if _, err := n.Restore(ctx, "none", keyed("")); !errors.Is(err, memory.ErrNotArchived) {
		t.Error(err)
	}
}

// A restore takes the place of nothing that lives.
func TestRestoreMeetsTheLiving(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	a := mustCreate(t, n, `{"title":"a","content":"one"}`, keyed("")).ID
	if _, err := n.Archive(ctx, []string{a}, "x", keyed("")); err != nil {
		t.Fatal(err)
	}
	if id := mustCreate(t, n, `{"title":"a","content":"two"}`, keyed("")).ID; id != a {
		t.Fatal(id)
	}
	if _, err := n.Restore(ctx, a, keyed("")); !errors.Is(err, memory.ErrConflict) {
		t.Errorf("over a live one: %v", err)
	}
	if _, err := n.Update(ctx, a, patch(t, `{"title":"b"}`), keyed("")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Restore(ctx, a, keyed("")); !errors.Is(err, memory.ErrConflict) {
		t.Errorf("over a live one of another title: %v", err)
	}
	if _, err := n.Delete(ctx, a, keyed("")); err != nil {
		t.Fatal(err)
	}
	mustImport(t, n, importOf("other", "x", "ai:x", n.now()), 1, 0) // of title t
	if _, err := n.Update(ctx, "other", patch(t, `{"title":"a"}`), keyed("")); err != nil {
		t.Fatal(err)
	}
	var clash *memory.ConflictError
	if _, err := n.Restore(ctx, a, keyed("")); !errors.As(err, &clash) || clash.ExistingID != "other" {
		t.Errorf("over a title: %v", err)
	}
	if len(archiveOf(t, n, "")) != 1 {
		t.Error("a refused restore changed the archive")
	}
}

func TestRestoreOfWhatHasExpired(t *testing.T) {
	n := startOne(t, nil)
	id := expiredOne(t, n, "x", time.Hour)
	if sum, err := n.Collect(context.Background(), keyed("")); err != nil || sum.Count != 1 || sum.Archived != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if _, err := n.Restore(context.Background(), id, keyed("")); err != nil {
		t.Fatal(err)
	}
	got, err := n.Get(context.Background(), id, httpapi.ReadOptions{})
	var m struct {
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := errors.Join(err, json.Unmarshal(got.Body, &m)); err != nil || m.ExpiresAt.Before(time.Now().Add(6*24*time.Hour)) {
		t.Errorf("%s, %v", got.Body, err)
	}
}

func TestPurge(t *testing.T) {
	n := startOne(t, nil)
	ctx := context.Background()
	in := httpapi.Import{}
	const many = partKeys + 7
	for i := range many {
		at := memory.FormatTime(time.Now().Add(-time.Duration(i%2*10*24) * time.Hour))
		in.Archived = append(in.Archived, []byte(fmt.Sprintf(`{"id":"m%d","tier":"mid","namespace":"n","title":"t","content":"c","tags":[],"priority":5,"confidence":1,"source":"api",`+
			`"access_count":0,"created_at":%q,"updated_at":%q,"archived_at":%q,"archive_reason":"r"}`, i, at, at, at)))
	}
	if out, err := n.Import(ctx, in, keyed("")); err != nil || out.Imported != many || len(out.Errors) != 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	if out, err := n.Import(ctx, in, keyed("")); err != nil || out.Imported != 0 || out.Unchanged != many {
		t.Errorf("imported again: %+v, %v", out, err)
	}
	if sum, err := n.Purge(ctx, 5*24*time.Hour, keyed("")); err != nil || sum.Count != many/2 {
		t.Errorf("%+v, %v", sum, err)
	}
	if d, err := n.Discard(ctx, "m0", keyed("d")); err != nil || d.ID != "m0" {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := n.Discard(ctx, "m0", keyed("d")); err != nil || d.ID != "m0" {
		t.Errorf("repeated: %+v, %v", d, err)
	}
	if _, err := n.Discard(ctx, "m0", keyed("")); !errors.Is(err, memory.ErrNotArchived) {
		t.Error(err)
	}
	if sum, err := n.Purge(ctx, 0, keyed("")); err != nil || sum.Count != many-many/2-1 {
		t.Errorf("%+v, %v", sum, err)
	}
	if len(archiveOf(t, n, "")) != 0 {
		t.Error("something is left")
	}
	// What was purged is not brought back by an old export.
	if out, err := n.Import(ctx, in, keyed("")); err != nil || out.Imported != 0 || out.Unchanged != many {
		t.Errorf("imported after: %+v, %v", out, err)
	}
}

// What the original's pushes say beside memories and deletions is applied.
func TestPushOfArchivesRestoresAndLinks(t *testing.T) {
	n := startOne(t, nil)
	for _, id := range []string{"a", "b", "c"} {
		p := importOf(id, id, "ai:x", n.now())
		p.Memories[0] = []byte(strings.Replace(string(p.Memories[0]), `"title":"t"`, `"title":"`+id+`"`, 1))
		mustImport(t, n, p, 1, 0)
	}
	push := func(p wire.SyncPush) *wire.SyncPushReply {
		t.Helper()
		p.SenderAgentID, p.Memories = "host:old", []json.RawMessage{}
		r, err := n.ImportPush(context.Background(), &p, httpapi.WriteOptions{Agent: "host:old"})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	all := wire.SyncPush{
		Archives: []string{"c", "none"},
		Links: []wire.SyncLink{
			{SourceID: "a", TargetID: "b", CreatedAt: "2026-05-01T10:00:00+00:00", Signature: json.RawMessage("[1]")}, {SourceID: "a", TargetID: "none", Relation: "supersedes"},
			{SourceID: "a", TargetID: "a"}, {SourceID: "a", TargetID: "b", Relation: "likes"},
		},
	}
	dry := all
	dry.DryRun = true
	if r := push(dry); r.Noop != 4 || r.Skipped != 2 || gone(t, n, "c") {
		t.Errorf("dry: %+v", r)
	}
	if r := push(all); r.Archived != 1 || r.LinksApplied != 1 || r.Noop != 1 || r.Skipped != 3 || len(r.Errors) != 3 {
		t.Errorf("%+v", r)
	}
	if !gone(t, n, "c") || relationsOf(t, n, "b") != "related_to" || len(archiveOf(t, n, "")) != 1 {
		t.Error("not applied")
	}
	if links, _ := n.Links(context.Background(), "a", httpapi.ReadOptions{}); len(links) != 1 || links[0].CreatedAt.Year() != 2026 || len(links[0].Extra) != 1 {
		t.Errorf("%+v", links)
	}
	if r := push(wire.SyncPush{Restores: []string{"c", "none", "a"}}); r.Restored != 1 || r.Noop != 2 {
		t.Errorf("%+v", r)
	}
	if gone(t, n, "c") {
		t.Error("not restored")
	}
	if r := push(wire.SyncPush{Deletions: []string{"a"}}); r.Deleted != 1 || relationsOf(t, n, "b") != "" {
		t.Errorf("%+v", r)
	}
	// A copy of the link that somebody still has does not bring it back, even when its ends live again.
	mustImport(t, n, importOf("a", "again", "ai:x", n.now().Add(time.Second)), 1, 0)
	if r := push(wire.SyncPush{Links: all.Links[:1]}); r.Noop != 1 || relationsOf(t, n, "b") != "" {
		t.Errorf("%+v, %s", r, relationsOf(t, n, "b"))
	}
}

// An export has links and the archive in it, and an import brings them.
func TestExportOfLinksAndArchive(t *testing.T) {
	from, to := startOne(t, nil), startOne(t, nil)
	ctx := context.Background()
	a := mustCreate(t, from, `{"title":"a","content":"x","namespace":"n"}`, keyed("")).ID
	b := mustCreate(t, from, `{"title":"b","content":"x","namespace":"n"}`, keyed("")).ID
	c := mustCreate(t, from, `{"title":"c","content":"x","tags":["t"]}`, keyed("")).ID
	d := mustCreate(t, from, `{"title":"d","content":"x"}`, keyed("")).ID
	mustLink(t, from, a, b, "supersedes")
	mustLink(t, from, a, d, "related_to")
	if _, err := from.Archive(ctx, []string{c}, "why", keyed("")); err != nil {
		t.Fatal(err)
	}
	if in, _ := exported(t, from, httpapi.ExportOptions{Namespace: "n"}); len(in.Memories) != 2 || len(in.Links) != 1 || len(in.Archived) != 0 {
		t.Errorf("of one namespace: %s %s %s", in.Memories, in.Links, in.Archived)
	}
	in, pages := exported(t, from, httpapi.ExportOptions{Limit: 2})
	if len(in.Memories) != 3 || len(in.Links) != 2 || len(in.Archived) != 1 || pages < 3 {
		t.Fatalf("%d pages: %s %s %s", pages, in.Memories, in.Links, in.Archived)
	}
	// What was put aside may come among the memories, as from a file of lines.
	in.Memories, in.Archived = append(in.Memories, in.Archived...), nil
	if out, err := to.Import(ctx, in, keyed("")); err != nil || out.Imported != 6 || len(out.Errors) != 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := relationsOf(t, to, a); got != "related_to supersedes" || !gone(t, to, c) {
		t.Errorf("%s", got)
	}
	if rows := archiveOf(t, to, ""); len(rows) != 1 || rows[0].ID != c || rows[0].Tags != `["t"]` || rows[0].Reason != "why" {
		t.Errorf("%+v", rows)
	}
	if out, err := to.Import(ctx, in, keyed("")); err != nil || out.Imported != 0 || out.Unchanged != 6 {
		t.Errorf("again: %+v, %v", out, err)
	}
}
