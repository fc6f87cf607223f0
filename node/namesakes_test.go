package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/memd/memd/httpapi"
)

// A create that had to take another title says who has the one that it asked for.
func TestRivals(t *testing.T) {
	n := startOne(t, nil)
	var ids []string
	for i := range maxRivals + 2 {
		c := mustCreate(t, n, fmt.Sprintf(`{"title":"a","content":"%d","on_conflict":"version"}`, i), keyed(""))
		if want := ids[:min(len(ids), maxRivals)]; !slices.Equal(c.Rivals, want) {
			t.Errorf("%s: rivals %v, want %v", c.Title, c.Rivals, want)
		}
		ids = append(ids, c.ID)
	}
}

// Who reads one of two memories that show one title is told of the other, without asking.
func TestAmbiguousIsSaid(t *testing.T) {
	n := startOne(t, nil)
	a := mustCreate(t, n, `{"title":"one","content":"x"}`, keyed("")).ID
	other := json.RawMessage(`{"id":"other","tier":"long","namespace":"global","title":"one","content":"y","tags":[],"priority":5,"confidence":1,` +
		`"source":"api","access_count":0,"created_at":"2026-05-01T10:00:00Z","updated_at":"2026-05-01T10:00:00Z"}`)
	if out, err := n.Import(context.Background(), httpapi.Import{Memories: []json.RawMessage{other}}, keyed("")); err != nil || out.Imported != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	for id, want := range map[string]string{a: "other", "other": a} {
		m, err := n.Get(context.Background(), id, httpapi.ReadOptions{})
		if err != nil || strings.Join(m.Ambiguous, " ") != want {
			t.Errorf("%s: ambiguous with %v, want %s (%v)", id, m.Ambiguous, want, err)
		}
	}
}
