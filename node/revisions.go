package node

import (
	"cmp"
	"context"
	"slices"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// Revisions lists what a memory lost to conflicts: the digests are in the record, the
// bodies stay where they were held when they were superseded (replication.md B4).
func (n *Node) Revisions(ctx context.Context, id string, opt httpapi.ReadOptions) (httpapi.Revisions, error) {
	if err := n.reach(ctx, opt.After); err != nil {
		return httpapi.Revisions{}, err
	}
	out := httpapi.Revisions{Lost: []httpapi.Revision{}}
	err := n.view(ctx, func(tx *storage.Tx) error {
		key, rec, _, err := find(tx, id)
		if err != nil {
			return err
		}
		out.ID = key.ID()
		held, err := tx.Revisions(key)
		if err != nil {
			return err
		}
		bodies := make(map[clock.Dot]*memory.Version, len(held))
		for i := range held {
			bodies[held[i].Dot] = &held[i]
		}
		lost := slices.Clone(rec.Lost)
		slices.SortFunc(lost, func(a, b memory.Lost) int { return cmp.Or(cmp.Compare(b.Stamp, a.Stamp), b.Dot.Compare(a.Dot)) })
		for i := range lost {
			r := httpapi.Revision{Dot: lost[i].Dot, WrittenAt: lost[i].Stamp.Time(), Agent: lost[i].Agent}
			if v := bodies[r.Dot]; v != nil {
				r.Body = memory.AppendView(nil, out.ID, v.Value, memory.ViewFields{})
			} else if tx.Guarded() {
				continue // nobody knows here in which namespace it was
			}
			out.Lost = append(out.Lost, r)
		}
		if tx.Guarded() && len(out.Lost) == 0 && !rec.View().Live {
			return memory.ErrNotFound // or a deletion would tell that there was something
		}
		return nil
	})
	return out, err
}
