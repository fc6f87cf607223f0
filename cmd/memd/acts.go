package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/memd/memd/client"
)

// acts is what a person can do to a mesh. Each returns a line that says what came of it.
type acts struct {
	mesh    *mesh
	written atomic.Int64 // memories, so that no two have one title
}

func (a *acts) stop(ctx context.Context, n *devNode) (string, error) {
	p, err := inState(n, stateRunning)
	if err != nil {
		return "", err
	}
	_, _ = n.ask(ctx) // for the last time; what it cannot say is counted as missed
	if err := p.stop(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s stopped (SIGSTOP to process %d): it answers nobody and learns nothing", n.name, p.pid()), nil
}

func (a *acts) kill(ctx context.Context, n *devNode) (string, error) {
	p, err := inState(n, stateRunning, stateStopped)
	if err != nil {
		return "", err
	}
	if p.state() == stateRunning {
		_, _ = n.ask(ctx)
	}
	if err := p.kill(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s killed (SIGKILL to process %d)", n.name, p.pid()), nil
}

// resume continues a stopped node and measures how it catches up.
func (a *acts) resume(ctx context.Context, n *devNode) (string, error) {
	p, err := inState(n, stateStopped)
	if err != nil {
		return "", err
	}
	return a.comeback(ctx, n, "continued", p.resume)
}

// restart starts a new process in the place of one that has ended.
func (a *acts) restart(ctx context.Context, n *devNode) (string, error) {
	if _, err := inState(n, stateKilled, stateExited); err != nil {
		return "", err
	}
	return a.comeback(ctx, n, "started again", func() error { return a.mesh.run(n) })
}

func inState(n *devNode, wanted ...string) (*proc, error) {
	p := n.current()
	state := p.state()
	if slices.Contains(wanted, state) {
		return p, nil
	}
	return nil, fmt.Errorf("%s is %s, not %s", n.name, state, strings.Join(wanted, " or "))
}

// comebackTimeout bounds how long a node is watched that came back.
const comebackTimeout = 60 * time.Second

// comeback lets a node come back and watches it until it has everything that the others
// had at that moment.
func (a *acts) comeback(ctx context.Context, n *devNode, how string, begin func() error) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, comebackTimeout)
	defer cancel()
	want := dots{}
	for _, other := range a.mesh.others(n) {
		s, err := other.ask(ctx)
		if err != nil {
			return "", err
		}
		want = union(want, parseDots(s.Clock))
	}
	missed := n.lastClock().lacks(want)
	n.setByHand()
	began := time.Now()
	if err := begin(); err != nil {
		return "", err
	}
	p := n.current()
	for {
		if s, err := n.ask(ctx); err == nil && parseDots(s.Clock).lacks(want) == 0 {
			return backLine(n.name, how, missed, ago(time.Since(began))), nil
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-p.exited:
			return "", fmt.Errorf("%s ended; its log ends:\n%s", n.name, logTail(n.log))
		case <-ctx.Done():
			return "", fmt.Errorf("%s has not caught up in %s", n.name, ago(time.Since(began)))
		}
	}
}

func backLine(name, how string, missed uint64, took string) string {
	return fmt.Sprintf("%s %s: it had missed %s and has caught up in %s", name, how, count(missed, "write"), took)
}

// batch is how many memories one act writes.
const batch = 20

// write stores a batch of memories through all running nodes except n, by turns.
func (a *acts) write(ctx context.Context, n *devNode) (string, error) {
	through := a.mesh.others(n)
	if len(through) == 0 {
		return "", errors.New("no other node is running")
	}
	began := time.Now()
	for i := range batch {
		at := through[i%len(through)]
		if _, err := at.api.Store(ctx, a.draft(n), client.WriteOptions{}); err != nil {
			return "", fmt.Errorf("%s: memory %d of %d: %w", at.name, i+1, batch, err)
		}
	}
	names := make([]string, len(through))
	for i, t := range through {
		names[i] = t.name
	}
	return fmt.Sprintf("%d memories written through %s in %s, each acknowledged by a quorum",
		batch, strings.Join(names, " and "), ago(time.Since(began))), nil
}

func (a *acts) draft(but *devNode) client.Draft {
	i := a.written.Add(1)
	return client.Draft{
		Namespace: "dev", Title: fmt.Sprintf("memory %d of %s", i, time.Now().Format(time.RFC3339Nano)),
		Content: fmt.Sprintf("Written by memd dev while the eye was on %s.", but.name),
	}
}
