package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/memd/memd/client"
)

// The headline: a node is stopped, memories are written through the others, it is
// continued, and it has all of them before a person can look.

// Limits of one round; a mesh that works needs a hundredth of them.
const (
	levelTimeout = 15 * time.Second // until all nodes hold the same
	rowsTimeout  = 10 * time.Second // from SIGCONT until all rows are readable
)

// sigstopRound is what one round showed.
type sigstopRound struct {
	Round int `json:"round"`
	// State of the process while the rows were written, as the system shows it: 'T'.
	State string `json:"state"`
	Rows  int    `json:"rows"` // acknowledged by a quorum, all of them while it stood still
	// MissingBefore counts the rows that, at SIGCONT, no node knew the stopped one to have.
	MissingBefore int     `json:"missing_before"`
	PresentAfter  int     `json:"present_after"`
	AwayMS        float64 `json:"away_ms"`      // from SIGSTOP to SIGCONT
	FirstRowMS    float64 `json:"first_row_ms"` // from SIGCONT to the first row that it answered
	LastRowMS     float64 `json:"last_row_ms"`
	LevelMS       float64 `json:"level_ms"` // from SIGCONT until the digests of all nodes were equal
	Pulls         pulls   `json:"pulls"`    // of the node in this round
	Error         string  `json:"error,omitempty"`
}

func (r *sigstopRound) ok() bool {
	return r.Error == "" && r.Rows == batch && r.MissingBefore == batch && r.PresentAfter == batch
}

func (c *devConfig) sigstop(ctx context.Context, m *mesh, stdout, stderr io.Writer) error {
	report := newSigstopReport(m)
	if !c.json {
		report.head(stdout)
	}
	for i := range c.rounds {
		r := playSigstop(ctx, m, i+1, c.away)
		report.add(r)
		if !c.json {
			report.row(stdout, r)
		}
		if !r.ok() {
			break // the node's state is not known any more
		}
	}
	report.finish()
	if c.json {
		if err := printJSON(stdout, report); err != nil {
			return err
		}
	} else {
		report.foot(stdout)
	}
	if !report.OK {
		for _, n := range m.nodes {
			fmt.Fprintf(stderr, "%s, log ends:\n%s\n", n.name, logTail(n.log))
		}
		return &exitError{exitFailed}
	}
	return nil
}

func playSigstop(ctx context.Context, m *mesh, number int, away time.Duration) *sigstopRound {
	r := &sigstopRound{Round: number}
	if err := r.play(ctx, m, away); err != nil {
		r.Error = err.Error()
	}
	return r
}

// row is one memory that was written while the node stood still.
type row struct {
	id, dot string
	via     *devNode
}

func (r *sigstopRound) play(ctx context.Context, m *mesh, away time.Duration) error {
	sleeper := m.nodes[len(m.nodes)-1]
	others := m.nodes[:len(m.nodes)-1]
	if err := m.waitLevel(ctx); err != nil {
		return fmt.Errorf("before the round: %w", err)
	}
	before, err := sleeper.pulls(ctx)
	if err != nil {
		return err
	}
	p := sleeper.current()
	if err := p.stop(ctx); err != nil {
		return err
	}
	stopped := time.Now()
	defer p.resume() //nolint:errcheck // whatever happens, it is not left standing
	rows, err := r.write(ctx, others)
	if err != nil {
		return err
	}
	select {
	case <-time.After(away - time.Since(stopped)):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := r.proveMissing(ctx, sleeper, rows); err != nil {
		return err
	}
	state, err := systemState(p.pid())
	if err != nil {
		return err
	}
	if r.State = string(state); state != stoppedState {
		return fmt.Errorf("process %d did not stand still while the rows were written: it is in state %c", p.pid(), state)
	}

	continued := time.Now()
	if err := p.resume(); err != nil {
		return err
	}
	r.AwayMS = ms(continued.Sub(stopped))
	if err := r.awaitRows(ctx, sleeper, rows, continued); err != nil {
		return err
	}
	if err := m.waitLevel(ctx); err != nil {
		return fmt.Errorf("after the round: %w", err)
	}
	r.LevelMS = ms(time.Since(continued))
	after, err := sleeper.pulls(ctx)
	r.Pulls = after.since(before)
	return err
}

func (r *sigstopRound) write(ctx context.Context, through []*devNode) ([]row, error) {
	var rows []row
	run := time.Now().Format(time.RFC3339Nano)
	for i := range batch {
		via := through[i%len(through)]
		d := client.Draft{Namespace: "dev", Title: fmt.Sprintf("sigstop %s, row %d", run, i+1), Content: "written while a node stood still"}
		s, err := via.api.Store(ctx, d, client.WriteOptions{})
		if err != nil {
			return nil, fmt.Errorf("write row %d of %d through %s: %w", i+1, batch, via.name, err)
		}
		if s.Acks < 2 {
			return nil, fmt.Errorf("row %d was acknowledged by %d, which is no quorum", i+1, s.Acks)
		}
		r.Rows++
		rows = append(rows, row{s.ID, s.Dot, via})
	}
	return rows, nil
}

// proveMissing counts the rows that the sleeper has not acknowledged, by what their
// writers know. The sleeper itself cannot be asked: that is the point.
func (r *sigstopRound) proveMissing(ctx context.Context, sleeper *devNode, rows []row) error {
	for _, row := range rows {
		w, err := row.via.api.WriteStatus(ctx, row.dot)
		if err != nil {
			return fmt.Errorf("ask %s who has %s: %w", row.via.name, row.dot, err)
		}
		if !w.QuorumMet {
			return fmt.Errorf("%s says that %s is at %v only", row.via.name, row.dot, w.AckedBy)
		}
		if !slices.Contains(w.AckedBy, sleeper.name) {
			r.MissingBefore++
		}
	}
	if r.MissingBefore < len(rows) {
		return fmt.Errorf("%d of %d rows were acknowledged by %s, which stood still", len(rows)-r.MissingBefore, len(rows), sleeper.name)
	}
	return nil
}

// awaitRows reads every row at the node until it answers with it, and notes how long after
// since that was. A row is counted from the moment when its answer is there, so the cost of
// asking is in the figures.
func (r *sigstopRound) awaitRows(ctx context.Context, n *devNode, rows []row, since time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, since.Add(rowsTimeout))
	defer cancel()
	missing := slices.Clone(rows)
	var last error
	for {
		missing = slices.DeleteFunc(missing, func(row row) bool {
			m, err := n.api.Get(ctx, row.id, client.ReadOptions{})
			if err != nil || m.ID != row.id {
				last = err
				return false
			}
			r.PresentAfter++
			r.LastRowMS = ms(time.Since(since))
			if r.PresentAfter == 1 {
				r.FirstRowMS = r.LastRowMS
			}
			return true
		})
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			if errors.Is(last, client.ErrNotFound) {
				last = nil
			}
			return errors.Join(fmt.Errorf("%s has %d of %d rows %s after SIGCONT", n.name, r.PresentAfter, len(rows), ago(time.Since(since))), last)
		}
	}
}

// waitLevel returns when all nodes are ready and hold the same.
func (m *mesh) waitLevel(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, levelTimeout)
	defer cancel()
	for {
		digests := map[string]bool{}
		ready := 0
		var last error
		for _, n := range m.nodes {
			s, err := n.ask(ctx)
			if err != nil {
				last = fmt.Errorf("%s: %w", n.name, err)
				break
			}
			if s.Ready {
				ready++
			} else {
				last = fmt.Errorf("%s is not ready: %v", n.name, s.Reasons)
			}
			digests[s.Digest] = true
		}
		if ready == len(m.nodes) && len(digests) == 1 {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return errors.Join(fmt.Errorf("the nodes do not hold the same after %s", levelTimeout), last)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
