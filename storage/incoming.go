package storage

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// incomingRow is one row of a batch, decoded and judged outside of the writer.
type incomingRow struct {
	key    memory.Key
	dots   []clock.Dot
	ctx    clock.Clock
	raw    []byte
	rec    memory.Record // if defect is nil; aliases raw
	defect error         // why the row can only be held as bytes
	facts  facts         // of rec alone
}

// rowsPerWorker is how many rows are worth a goroutine: a millisecond of decoding.
const rowsPerWorker = 64

// prepare decodes a batch and sorts it: neighbours in the file are written one after the
// other. Two states of one record keep their order. A full page takes as long to decode
// as to merge, so it is shared among the processors while the caller waits.
func (s *Store) prepare(b Batch) (*incoming, error) {
	in := &incoming{batch: b, push: b.Push, cluster: s.Cluster(), rows: make([]*incomingRow, len(b.Rows))}
	rows := make([]incomingRow, len(b.Rows))
	errs := make([]error, 1, 8)
	part := func(from, to int) (err error) {
		for i := from; i < to; i++ {
			in.rows[i] = &rows[i]
			if err := rows[i].decode(b.Rows[i], in.cluster, s.mutants); err != nil {
				return fmt.Errorf("row %d of %d: %w", i+1, len(b.Rows), err)
			}
		}
		return nil
	}
	workers := max(1, min(runtime.GOMAXPROCS(0), len(rows)/rowsPerWorker, cap(errs)))
	if workers == 1 {
		errs[0] = part(0, len(rows))
	} else {
		errs = errs[:workers]
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() { errs[w] = part(w*len(rows)/workers, (w+1)*len(rows)/workers) })
		}
		wg.Wait()
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(in.rows, func(a, b *incomingRow) int { return strings.Compare(string(a.key), string(b.key)) })
	return in, nil
}

// decode reads one row. The error is a memory.ErrFrame: the envelope cannot be read.
func (r *incomingRow) decode(raw []byte, cluster memory.ClusterID, m mutant.Set) error {
	r.raw = raw
	rec, f, err := judge(raw, cluster, m)
	if err == nil && len(rec.Versions) == 0 {
		return fmt.Errorf("%w: no version", memory.ErrFrame) // no node holds such a state
	}
	if err == nil {
		r.key, r.dots, r.ctx, r.rec, r.facts = rec.Key, rec.Dots(), rec.Context, rec, f
		return nil
	}
	env, envErr := memory.DecodeEnvelope(raw)
	if envErr != nil {
		return envErr
	}
	r.key, r.dots, r.ctx, r.defect = env.Key, env.Dots, env.Context, err
	return nil
}

// judge makes the checks of memory.DecodeRecord and reads the facts in one pass over the
// winner's document, which is most of the work. The record aliases raw. That both accept
// the same rows is held by FuzzJudge.
func judge(raw []byte, cluster memory.ClusterID, m mutant.Set) (memory.Record, facts, error) {
	rec, err := memory.DecodeStored(raw)
	if err != nil {
		return rec, facts{}, err
	}
	if len(rec.Versions) == 0 {
		return rec, facts{}, nil
	}
	if err := rec.CheckCopies(); err != nil {
		return rec, facts{}, err
	}
	view := rec.ViewWith(m)
	for i := range rec.Versions {
		v := &rec.Versions[i]
		if !v.Sound(rec.Key) {
			return rec, facts{}, &memory.DefectError{Dot: v.Dot, Reason: "checksum mismatch"}
		}
		if v.Deleted || v == view.Winner && indexed(rec.Key.Kind()) {
			continue // factsOfView reads the winner
		}
		if err := memory.ValidateValue(rec.Key, v.Value); err != nil {
			return rec, facts{}, &memory.DefectError{Dot: v.Dot, Reason: err.Error()}
		}
	}
	f, err := factsOfView(rec, view, cluster)
	if err != nil {
		return rec, facts{}, &memory.DefectError{Dot: view.Winner.Dot, Reason: err.Error()}
	}
	return rec, f, nil
}
