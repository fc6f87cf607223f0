package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// exported is everything that a node exports, as the body of an import.
func exported(t *testing.T, n *Node, o httpapi.ExportOptions) (in httpapi.Import, pages int) {
	t.Helper()
	lists := [...]*[]json.RawMessage{&in.Memories, &in.Links, &in.Archived, &in.Agents, &in.Standards}
	for {
		next, err := n.Export(context.Background(), o, func(part httpapi.Exported) error {
			for i, list := range part {
				for _, r := range list {
					*lists[i] = append(*lists[i], r)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		pages++
		if o.From = next; next == "" {
			return in, pages
		}
	}
}

// canonicalViews is what each record of a node says that says something, as it is at rest.
// Members are a cluster's own.
func canonicalViews(t *testing.T, n *Node) map[memory.Key]string {
	t.Helper()
	views := map[memory.Key]string{}
	if err := n.store.View(func(tx *storage.Tx) error {
		for rec, err := range tx.Records() {
			if err != nil {
				return err
			}
			if v := rec.View(); v.Live && rec.Key.Kind() != memory.KindMember {
				views[rec.Key] = string(v.Winner.Value)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return views
}

// What a cluster exports makes the same of an empty one: every kind of record, as it is at
// rest, on every node.
func TestExportIsARestore(t *testing.T) {
	ctx := context.Background()
	from := startMesh(t, 2)
	a := mustCreate(t, from[0], `{"title":"a","content":"x","namespace":"n/m","metadata":{"k":[1,{"z":null}]},"tags":["t","u"],"unknown":{"kept":1}}`, keyed("")).ID
	b := mustCreate(t, from[1], `{"title":"b","content":"lasts","tier":"long","priority":9,"confidence":0.25}`, keyed("")).ID
	c := mustCreate(t, from[0], `{"title":"c","content":"put aside","ttl_secs":86400}`, keyed("")).ID
	d := mustCreate(t, from[0], `{"title":"d","content":"a standard in the archive"}`, keyed("")).ID
	gone := mustCreate(t, from[0], `{"title":"gone","content":"x"}`, keyed("")).ID
	waitFor(t, "one clock", func() bool { return from[0].store.Clock().Token() == from[1].store.Clock().Token() })
	mustLink(t, from[0], a, b, "supersedes")
	mustLink(t, from[1], b, a, "contradicts")
	mustLink(t, from[0], a, gone, "related_to")
	standard := func(body string) {
		t.Helper()
		d, err := memory.DecodeStandardDraft([]byte(body))
		if err == nil {
			_, err = from[0].SetStandard(ctx, d, keyed(""))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	standard(`{"namespace":"n/m","id":"` + b + `","parent":"other","governance":{"write":"owner","approver":{"agent":"ai:x"},"more":[1]}}`)
	standard(`{"namespace":"*"}`) // its memory is made for it
	standard(`{"namespace":"put/aside","id":"` + d + `"}`)
	standard(`{"namespace":"cleared"}`)
	if _, err := from[0].ClearStandard(ctx, "cleared", keyed("")); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{
		`{"agent_id":"ai:one","agent_type":"ai:claude","capabilities":["a b","c"]}`, `{"agent_id":"human:two","agent_type":"human"}`,
	} {
		agent, err := memory.DecodeRegistration([]byte(body))
		if err == nil {
			_, err = from[1].RegisterAgent(ctx, agent, keyed(""))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := from[0].Archive(ctx, []string{c, d}, "why", keyed("")); err != nil {
		t.Fatal(err)
	}
	if _, err := from[0].Delete(ctx, gone, keyed("")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "one clock", func() bool { return from[0].store.Clock().Token() == from[1].store.Clock().Token() })

	want := canonicalViews(t, from[0])
	if !maps.Equal(want, canonicalViews(t, from[1])) {
		t.Fatal("the two nodes that export differ")
	}
	in, _ := exported(t, from[0], httpapi.ExportOptions{Limit: 2})
	if again, _ := exported(t, from[1], httpapi.ExportOptions{}); fmt.Sprintf("%s", in) != fmt.Sprintf("%s", again) {
		t.Errorf("the export of the other node is another one:\n%s\n%s", in, again)
	}
	if got := [...]int{len(in.Memories), len(in.Links), len(in.Archived), len(in.Agents), len(in.Standards)}; got != [...]int{4, 2, 2, 2, 3} {
		t.Fatalf("%v exported: %s", got, in)
	}
	if part, _ := exported(t, from[0], httpapi.ExportOptions{Namespace: "n/m"}); len(part.Memories) != 1 || len(part.Standards) != 1 || len(part.Agents) != 0 {
		t.Errorf("of one namespace: %s", part)
	}

	to := startMesh(t, 2)
	for round := range 2 {
		out, err := to[round].Import(ctx, in, keyed(""))
		if err != nil || len(out.Errors) != 0 || out.Imported != 13*(1-round) || out.Unchanged != 13*round {
			t.Fatalf("round %d: %+v, %v", round, out, err)
		}
		waitFor(t, "one clock", func() bool { return to[0].store.Clock().Token() == to[1].store.Clock().Token() })
	}
	for i, n := range to {
		got := canonicalViews(t, n)
		for key, v := range want {
			if got[key] != v {
				t.Errorf("node %d: %s is\n%s, want\n%s", i, key, got[key], v)
			}
		}
		if len(got) != len(want) {
			t.Errorf("node %d has %d records, want %d", i, len(got), len(want))
		}
		if again, _ := exported(t, n, httpapi.ExportOptions{}); fmt.Sprintf("%s", in) != fmt.Sprintf("%s", again) {
			t.Errorf("node %d exports something else", i)
		}
	}
	// The standard comes back with its memory.
	if _, err := to[1].Restore(ctx, d, keyed("")); err != nil {
		t.Fatal(err)
	}
	if s, err := to[1].Standard(ctx, "put/aside", httpapi.ReadOptions{}); err != nil || s.ID != d {
		t.Errorf("%+v, %v", s, err)
	}
}

// What is newer than an export stays as it is, and what was deleted since does not come back.
func TestImportOfAgentsAndStandards(t *testing.T) {
	ctx := context.Background()
	n := startOne(t, nil)
	agent := func(at, kind string) json.RawMessage {
		return json.RawMessage(`{"agent_id":"ai:a","agent_type":"` + kind + `","capabilities":["x"],"registered_at":"2026-01-01T00:00:00Z","last_seen_at":"` + at + `","more":1}`)
	}
	standard := func(at, id string) json.RawMessage {
		return json.RawMessage(`{"namespace":"a/b","standard_id":"` + id + `","parent":"p","governance":{"write":"any"},"updated_at":"` + at + `","more":1}`)
	}
	for _, c := range []struct {
		in       httpapi.Import
		imported int
		unsaid   int
		refused  int
	}{
		{httpapi.Import{Agents: []json.RawMessage{agent("2026-02-01T00:00:00Z", "human")}, Standards: []json.RawMessage{standard("2026-02-01T00:00:00Z", "s2")}}, 2, 0, 0},
		{httpapi.Import{Agents: []json.RawMessage{agent("2026-01-01T00:00:00Z", "system")}, Standards: []json.RawMessage{standard("2026-01-01T00:00:00Z", "s1")}}, 0, 2, 0},
		{httpapi.Import{Agents: []json.RawMessage{
			json.RawMessage(`{}`), json.RawMessage(`7`), agent("yesterday", "human"), agent("2026-03-01T00:00:00Z", "robot"),
			json.RawMessage(`{"agent_id":"ai:a","agent_type":"human","capabilities":[]}`),
			json.RawMessage(strings.Replace(string(agent("2026-03-01T00:00:00Z", "human")), `"more":1`, `"more":"`+strings.Repeat("m", 9000)+`"`, 1)),
		}, Standards: []json.RawMessage{
			json.RawMessage(`{}`), json.RawMessage(`[]`), standard("2026-03-01T00:00:00Z", `a\u0000`), standard("then", "s1"),
			json.RawMessage(`{"namespace":"a//b","standard_id":"s","updated_at":"2026-03-01T00:00:00Z"}`),
			json.RawMessage(`{"namespace":"a","standard_id":"s","parent":"/","updated_at":"2026-03-01T00:00:00Z"}`),
			json.RawMessage(`{"namespace":"a","standard_id":"s","governance":{"write":"nobody"},"updated_at":"2026-03-01T00:00:00Z"}`),
			json.RawMessage(`{"namespace":"a","standard_id":"s"}`),
		}}, 0, 0, 14},
	} {
		out, err := n.Import(ctx, c.in, keyed(""))
		if err != nil || out.Imported != c.imported || out.Unchanged != c.unsaid || len(out.Errors) != c.refused {
			t.Errorf("%s: %+v, %v", c.in, out, err)
		}
	}
	agents, err := n.Agents(ctx, httpapi.ReadOptions{})
	if err != nil || len(agents) != 1 || agents[0].Type != "human" || memory.FormatTime(agents[0].RegisteredAt)[:10] != "2026-01-01" || len(agents[0].Extra) != 1 {
		t.Errorf("%+v, %v", agents, err)
	}
	if _, err := n.ClearStandard(ctx, "a/b", keyed("")); err != nil {
		t.Fatal(err)
	}
	if out, err := n.Import(ctx, httpapi.Import{Standards: []json.RawMessage{standard("2026-02-02T00:00:00Z", "s2")}}, keyed("")); err != nil || out.Unchanged != 1 {
		t.Errorf("a standard that was cleared since: %+v, %v", out, err)
	}
}

// A reader that stands still holds no transaction: writes go on, and the pages that they
// free are used again. Under a transaction that is held the file grows until it has to be
// mapped anew, for which writes wait: it would be seen.
func TestExportWaitsOutsideTheStore(t *testing.T) {
	dir := t.TempDir()
	n := startOne(t, func(c *Config) { c.DataDir = dir })
	createMany(t, n, 0, 600, strings.Repeat("v", 3000))
	one := mustCreate(t, n, `{"title":"changes","content":"x"}`, keyed("")).ID
	size := func() (sum int64) {
		files, err := filepath.Glob(filepath.Join(dir, storage.DataFile))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			info, err := os.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			sum += info.Size()
		}
		return sum
	}
	grows := func() (bytes int64, err error) {
		before := size()
		for i := 0; i < 700 && err == nil; i++ {
			_, err = n.Update(context.Background(), one, patch(t, fmt.Sprintf(`{"content":"%d%s"}`, i, strings.Repeat("c", 4000))), keyed(""))
		}
		return size() - before, err
	}
	if _, err := grows(); err != nil { // until there are free pages
		t.Fatal(err)
	}
	parts := 0
	var still int64
	if _, err := n.Export(context.Background(), httpapi.ExportOptions{}, func(part httpapi.Exported) error {
		bytes := 0
		for _, r := range part[httpapi.ExportedMemories] {
			bytes += len(r)
		}
		if part.Len() > exportRows || bytes > exportBytes+memory.MaxMemory {
			t.Errorf("a part has %d records of %d bytes", part.Len(), bytes)
		}
		if parts++; parts == 1 {
			var err error
			still, err = grows()
			return err
		}
		return nil
	}); err != nil || parts < 2 {
		t.Fatal(parts, err)
	}
	var held int64
	var stuck error
	if err := n.store.View(func(*storage.Tx) error { held, stuck = grows(); return nil }); err != nil {
		t.Fatal(err)
	}
	t.Logf("the file grew by %d bytes beside a reader that stood still, by %d under a held transaction (%v)", still, held, stuck)
	if still > 1<<20 {
		t.Errorf("the file grew by %d bytes beside a reader that stood still", still)
	}
	if stuck == nil && held < 4<<20 {
		t.Errorf("a held transaction would not be seen: the file grew by %d bytes", held)
	}
}
