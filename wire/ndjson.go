package wire

import (
	"bufio"
	"encoding/json"
	"io"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// WriteNDJSON writes a page for human eyes, one JSON object a line: {"head":…}, then
// {"row":…} each, {"withheld":…} and {"tail":…}. Nothing reads it back. It is the one
// place of this package that looks into records.
func WriteNDJSON(w io.Writer, p *Page) error {
	out := bufio.NewWriterSize(w, 32<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	line := func(name string, v any) error { return enc.Encode(map[string]any{name: v}) }

	if err := line("head", humanHead(&p.Head)); err != nil {
		return err
	}
	bytes := 0
	for _, row := range p.Rows {
		bytes += len(row)
		if err := line("row", humanRow(row)); err != nil {
			return err
		}
	}
	if !p.Withheld.Empty() {
		if err := line("withheld", p.Withheld); err != nil {
			return err
		}
	}
	err := line("tail", map[string]any{
		"covers": p.Tail.Covers, "complete": p.Tail.Complete, "rows": len(p.Rows), "bytes": bytes,
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

func humanHead(h *Head) any {
	return map[string]any{
		"v": Proto, "cluster": h.Cluster.String(), "name": h.Name, "boot": h.Boot,
		"origin": h.Origin, "clock": h.Clock, "gc_floor": h.Floor, "scope_served": h.Scope,
		"hlc_now": humanStamp(h.HLC), "reconcile": h.Reconcile,
	}
}

func humanStamp(s clock.Stamp) string { return s.Time().UTC().Format(time.RFC3339Nano) }

type humanVersion struct {
	Dot     clock.Dot `json:"dot"`
	Stamp   string    `json:"stamp"`
	Agent   string    `json:"agent,omitempty"`
	Deleted bool      `json:"deleted,omitempty"`
	Value   any       `json:"value,omitempty"` // the document, or base64 if it is no JSON
}

func humanRow(raw []byte) any {
	r, err := memory.DecodeRecord(raw)
	if err != nil {
		return map[string]any{"defect": err.Error(), "raw": raw}
	}
	versions := make([]humanVersion, 0, len(r.Versions))
	for i := range r.Versions {
		v := &r.Versions[i]
		h := humanVersion{Dot: v.Dot, Stamp: humanStamp(v.Stamp), Agent: v.Agent, Deleted: v.Deleted}
		switch {
		case json.Valid(v.Value):
			h.Value = json.RawMessage(v.Value)
		case len(v.Value) > 0:
			h.Value = v.Value
		}
		versions = append(versions, h)
	}
	return map[string]any{
		"kind": r.Key.Kind(), "id": r.Key.ID(), "versions": versions, "context": r.Context,
	}
}
