package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
)

// livePlain prints a line for every change of a node until ctx ends.
func livePlain(ctx context.Context, m *mesh, out io.Writer, asJSON bool) error {
	g, ctx := errgroup.WithContext(ctx)
	shots := make(chan snapshot)
	v := newViewer(m)
	safely(g, func() error { return v.run(ctx, nil, shots) })
	safely(g, func() error {
		last := make([]nodeView, len(m.nodes))
		for {
			select {
			case <-ctx.Done():
				return nil
			case s := <-shots:
				if err := printChanges(out, s, last, asJSON); err != nil {
					return err
				}
				copy(last, s.views)
			}
		}
	})
	return g.Wait()
}

// printChanges prints what is new in s for someone who has seen last.
func printChanges(out io.Writer, s snapshot, last []nodeView, asJSON bool) error {
	clock := s.at.Format("15:04:05.000")
	for i, v := range s.views {
		if !v.changed(last[i]) {
			continue
		}
		var err error
		if asJSON {
			err = printJSON(out, struct {
				Time time.Time `json:"time"`
				nodeView
			}{s.at, v})
		} else {
			_, err = fmt.Fprintln(out, clock, v.line())
		}
		if err != nil {
			return err
		}
	}
	for _, e := range s.events {
		var err error
		if asJSON {
			err = printJSON(out, map[string]any{"time": s.at, "event": e})
		} else {
			_, err = fmt.Fprintln(out, clock, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v nodeView) line() string {
	text := fmt.Sprintf("%s %s pid=%d memories=%d lag=%d digest=%s", v.Name, v.word(), v.PID, v.Memories, v.LagDots, short(v.Digest))
	if v.Conflicts > 0 {
		text += fmt.Sprintf(" conflicts=%d", v.Conflicts)
	}
	return text
}

// word is the state for people.
func (v nodeView) word() string {
	switch {
	case v.State != stateRunning:
		return v.State
	case !v.Answers:
		return "silent"
	case !v.Ready:
		return "not ready"
	}
	return v.State
}
