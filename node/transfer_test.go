package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

// everything is an export, page by page.
func everything(t *testing.T, n *Node, o httpapi.ExportOptions) (out []json.RawMessage, pages int) {
	t.Helper()
	in, pages := exported(t, n, o)
	return in.Memories, pages
}

// What one cluster exports, another one imports: the same memories under the same ids, with
// their times; once, however often it is done.
func TestExportImport(t *testing.T) {
	from, to := startOne(t, nil), startOne(t, nil)
	const many = 1203
	for i := 0; i < many; i += 401 {
		createMany(t, from, i, 401, strings.Repeat("v", 10+i))
	}
	expired := mustCreate(t, from, `{"title":"soon gone","content":"x","ttl_secs":1}`, keyed(""))
	gone := mustCreate(t, from, `{"title":"deleted","content":"x","namespace":"b"}`, keyed(""))
	mustCreate(t, from, `{"title":"elsewhere","content":"x","namespace":"b","metadata":{"k":"v"},"tags":["t"]}`, keyed(""))
	if _, err := from.Delete(context.Background(), gone.ID, keyed("")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the expiry", func() bool {
		_, err := from.Get(context.Background(), expired.ID, httpapi.ReadOptions{})
		return errors.Is(err, memory.ErrNotFound)
	})
	all, _ := everything(t, from, httpapi.ExportOptions{})
	if len(all) != many+1 {
		t.Fatalf("%d exported, want %d", len(all), many+1)
	}
	paged, pages := everything(t, from, httpapi.ExportOptions{Limit: 100})
	if len(paged) != len(all) || pages != 13 || fmt.Sprint(paged) != fmt.Sprint(all) {
		t.Errorf("%d in %d pages", len(paged), pages)
	}
	if part, _ := everything(t, from, httpapi.ExportOptions{Namespace: "b"}); len(part) != 1 {
		t.Errorf("%d of one namespace", len(part))
	}

	for round := range 2 {
		done, unchanged := 0, 0
		for rest := all; len(rest) > 0; rest = rest[min(len(rest), memory.MaxBulk):] {
			res, err := to.Import(context.Background(), httpapi.Import{Memories: rest[:min(len(rest), memory.MaxBulk)]}, keyed(""))
			if err != nil || len(res.Errors) > 0 {
				t.Fatal(err, res.Errors)
			}
			done, unchanged = done+res.Imported, unchanged+res.Unchanged
		}
		if want := []int{len(all), 0}; done != want[round] || done+unchanged != len(all) {
			t.Errorf("round %d: %d imported, %d unchanged", round, done, unchanged)
		}
	}
	if again, _ := everything(t, to, httpapi.ExportOptions{}); fmt.Sprint(again) != fmt.Sprint(all) {
		t.Error("what was imported is something else")
	}

	res, err := to.Import(context.Background(), httpapi.Import{
		Memories: []json.RawMessage{all[0], json.RawMessage(`{"id":"x"}`), json.RawMessage(`7`)},
		Links:    []json.RawMessage{json.RawMessage(`{}`)},
	}, keyed(""))
	if err != nil || res.Unchanged != 1 || len(res.Errors) != 3 || !strings.HasPrefix(res.Errors[0], "memories[1]: ") {
		t.Errorf("%+v, %v", res, err)
	}
	if _, err := to.Export(context.Background(), httpapi.ExportOptions{From: "%%"}, nil); !errors.Is(err, memory.ErrInvalid) {
		t.Errorf("bad cursor: %v", err)
	}
}
