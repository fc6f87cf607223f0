package node

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// A part of an export is read in one transaction, which must be short: readers hold back
// the pages that writers free.
const (
	exportRows  = 500
	exportBytes = 1 << 20
)

// Export hands out everything that a reader could see, part by part, in the order of the
// record keys: a record that changes meanwhile is exported once, old or new.
func (n *Node) Export(ctx context.Context, o httpapi.ExportOptions, yield func(httpapi.Exported) error) (next string, err error) {
	from, err := parseExportCursor(o.From)
	if err != nil {
		return "", err
	}
	for left := o.Limit; ; {
		part, last, more, err := n.exportPart(ctx, from, o.Namespace, left)
		if err != nil {
			return "", err
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if part.Len() > 0 {
			if err := yield(part); err != nil {
				return "", err
			}
		}
		if !more {
			return "", nil
		}
		from = last
		if left > 0 {
			if left -= part.Len(); left == 0 {
				return base64.RawURLEncoding.EncodeToString([]byte(from)), nil
			}
		}
	}
}

func parseExportCursor(s string) (memory.Key, error) {
	if s == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		_, err = memory.ParseKey(b)
	}
	if err != nil {
		return "", &memory.FieldError{Field: "from", Problem: "is not what an export gave as next"}
	}
	return memory.Key(b), nil
}

// exportPart reads one part behind from. last is the last key that it has looked at, more
// tells that there are others behind it.
func (n *Node) exportPart(ctx context.Context, from memory.Key, ns string, limit int) (part httpapi.Exported, last memory.Key, more bool, err error) {
	bytes, looked := 0, 0
	err = n.view(ctx, func(tx *storage.Tx) error {
		for rec, err := range tx.After(from) {
			if looked == 8*exportRows || bytes >= exportBytes || part.Len() == exportRows || limit > 0 && part.Len() == limit {
				more = true
				return nil
			}
			looked++
			if errors.Is(err, storage.ErrCorrupt) {
				continue // counted and logged by the store; one bad row must not hide the others
			}
			if err != nil {
				return err
			}
			last = rec.Key
			size, err := n.exportOne(tx, rec, ns, &part)
			if err != nil {
				return err
			}
			bytes += size
		}
		return nil
	})
	if more && last == "" { // nothing but damaged rows, of which the walk does not know the keys
		return part, last, false, fmt.Errorf("export behind %q: %w", from, storage.ErrCorrupt)
	}
	return part, last, more, err
}

// exportOne puts a record into the part if a reader could see it. Keys sort by their kind,
// in the order of the export's lists.
func (n *Node) exportOne(tx *storage.Tx, rec memory.Record, ns string, part *httpapi.Exported) (bytes int, err error) {
	key, v := rec.Key, rec.View()
	switch kind := key.Kind(); {
	case !v.Live:
	case kind == memory.KindMemory && n.inExport(key, v, ns):
		body := memory.AppendView(nil, key.ID(), v.Winner.Value, memory.ViewFields{})
		part[httpapi.ExportedMemories] = append(part[httpapi.ExportedMemories], body)
		return len(body), nil
	case kind == memory.KindLink:
		l, err := memory.DecodeLink(key, v.Winner.Value)
		if err != nil {
			return 0, err
		}
		for _, end := range []memory.Key{l.Source(), l.Target()} {
			rec, _, _, err := tx.Get(end)
			if errors.Is(err, storage.ErrCorrupt) || err == nil && !n.inExport(end, rec.View(), ns) {
				return 0, nil
			}
			if err != nil {
				return 0, err
			}
		}
		part[httpapi.ExportedLinks] = append(part[httpapi.ExportedLinks], l.Encode())
		return len(v.Winner.Value), nil
	case kind == memory.KindArchive:
		a, live, err := tx.Archived(memory.ArchivedKey(key))
		if err != nil || !live || ns != "" && a.Memory.Namespace != ns {
			return 0, err
		}
		body, err := a.AppendShown(nil, key.ID(), true)
		part[httpapi.ExportedArchived] = append(part[httpapi.ExportedArchived], body)
		return len(body), err
	case kind == memory.KindAgent && ns == "":
		a, err := memory.DecodeAgent(v.Winner.Value)
		if err != nil {
			return 0, err
		}
		part[httpapi.ExportedAgents] = append(part[httpapi.ExportedAgents], a.Encode())
		return len(v.Winner.Value), nil
	case kind == memory.KindStandard: // its memory may be in the archive, and come back from there
		s, err := memory.DecodeStandard(v.Winner.Value)
		if err != nil || ns != "" && s.Namespace != ns {
			return 0, err
		}
		part[httpapi.ExportedStandards] = append(part[httpapi.ExportedStandards], s.Encode())
		return len(v.Winner.Value), nil
	}
	return 0, nil
}

func (n *Node) inExport(key memory.Key, v memory.View, ns string) bool {
	if !n.shown(key, v) {
		return false
	}
	if ns == "" {
		return true
	}
	m, err := memory.DecodeMemory(key, v.Winner.Value)
	return err == nil && m.Namespace == ns
}

// Import is the way in for what an export gave, here or by the original: full records that
// keep their ids and times. An older one than what is held changes nothing, so that an
// import can be repeated, and goes on where it was cut off.
func (n *Node) Import(ctx context.Context, in httpapi.Import, opt httpapi.WriteOptions) (httpapi.Imported, error) {
	out := httpapi.Imported{Errors: []string{}}
	w, err := n.admit(ctx, opt.W)
	if err != nil {
		return out, err
	}
	var names []string
	var pendings []*pending
	add := func(list string, i int, id string, fn func(*storage.Tx) error, err error) {
		if id == "" {
			id = list + "[" + strconv.Itoa(i) + "]"
		}
		if err != nil {
			out.Errors = append(out.Errors, id+": "+err.Error())
			return
		}
		names, pendings = append(names, id), append(pendings, n.submit(ctx, w, fn))
	}
	for i, raw := range in.Memories {
		m, err := memory.DecodeFull(raw)
		if err == nil && m.IsArchived() { // not to be brought back to life by the way
			id, a, err := memory.ParseArchived(raw)
			add("memories", i, id, importArchived(id, a, opt.Agent), err)
			continue
		}
		add("memories", i, m.ID, n.importAgain(m, opt.Agent), err)
	}
	// Behind the memories: a link needs both of its ends.
	for i, raw := range in.Links {
		l, err := memory.ParseLink(raw)
		add("links", i, "", n.importLink(l, opt.Agent), err)
	}
	for i, raw := range in.Archived {
		id, a, err := memory.ParseArchived(raw)
		add("archived", i, id, importArchived(id, a, opt.Agent), err)
	}
	for i, raw := range in.Agents {
		a, err := memory.ParseAgent(raw)
		add("agents", i, a.ID, importAgent(a, opt.Agent), err)
	}
	for i, raw := range in.Standards {
		s, err := memory.ParseStandard(raw)
		add("standards", i, "", importWholeStandard(s, opt.Agent), err)
	}
	waiting, cancel := context.WithTimeout(ctx, n.cfg.QuorumTimeout)
	defer cancel()
	var token clock.Clock
	for i, p := range pendings {
		switch res, err := n.await(waiting, p, w, nil); {
		case err == nil && res.held != nil:
			out.Unchanged++
		case err == nil:
			out.Imported++
			token.Union(res.token)
			if out.Imported == 1 || res.acks < out.Acks {
				out.Acks = res.acks
			}
		case errors.Is(err, errNoop):
			out.Unchanged++
		default:
			out.Errors = append(out.Errors, names[i]+": "+err.Error())
		}
	}
	out.Token = token.Token()
	return out, nil
}

// importAgain is importOne that, where nothing is to be done, waits for what is held: an
// earlier try may have missed its quorum, and what is called unchanged is as safe as what
// is called imported.
func (n *Node) importAgain(m memory.Memory, agent string) func(*storage.Tx) error {
	write := n.importOne(m, agent)
	return func(tx *storage.Tx) error {
		err := write(tx)
		if !errors.Is(err, errNoop) {
			return err
		}
		rec, _, _, err := tx.Get(memory.NewKey(memory.KindMemory, m.ID))
		if err != nil {
			return err
		}
		return &errHeld{id: m.ID, dots: clock.Of(rec.View().Winner.Dot)}
	}
}
