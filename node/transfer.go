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
		if len(part.Memories) > 0 {
			if err := yield(part); err != nil {
				return "", err
			}
		}
		if !more {
			return "", nil
		}
		from = last
		if left > 0 {
			if left -= len(part.Memories); left == 0 {
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
			if looked == 8*exportRows || bytes >= exportBytes || len(part.Memories) == exportRows || limit > 0 && len(part.Memories) == limit {
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
			v := rec.View()
			if rec.Key.Kind() != memory.KindMemory || !n.shown(rec.Key, v) {
				continue
			}
			if ns != "" {
				m, err := memory.DecodeMemory(rec.Key, v.Winner.Value)
				if err != nil || m.Namespace != ns {
					continue
				}
			}
			body := memory.AppendView(nil, rec.Key.ID(), v.Winner.Value, memory.ViewFields{})
			bytes += len(body)
			part.Memories = append(part.Memories, body)
		}
		return nil
	})
	if more && last == "" { // nothing but damaged rows, of which the walk does not know the keys
		return part, last, false, fmt.Errorf("export behind %q: %w", from, storage.ErrCorrupt)
	}
	return part, last, more, err
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
	names, pendings := make([]string, len(in.Memories)), make([]*pending, len(in.Memories))
	for i, raw := range in.Memories {
		m, err := memory.DecodeFull(raw)
		if names[i] = m.ID; m.ID == "" {
			names[i] = "memories[" + strconv.Itoa(i) + "]"
		}
		if err != nil {
			out.Errors = append(out.Errors, names[i]+": "+err.Error())
			continue
		}
		pendings[i] = n.submit(ctx, w, n.importOne(m, opt.Agent))
	}
	for i := range in.Links {
		out.Errors = append(out.Errors, "links["+strconv.Itoa(i)+"]: this kind of record comes with a later version of memd")
	}
	waiting, cancel := context.WithTimeout(ctx, n.cfg.QuorumTimeout)
	defer cancel()
	var token clock.Clock
	for i, p := range pendings {
		if p == nil {
			continue
		}
		switch res, err := n.await(waiting, p, w, nil); {
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
