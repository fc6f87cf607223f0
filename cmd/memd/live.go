package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"
)

// errQuit ends the live table as the person asked.
var errQuit = errors.New("quit")

// live is the interactive table. Only its loop touches screen and terminal; looks, keys
// and acts come in over channels.
type live struct {
	mesh   *mesh
	acts   *acts
	out    io.Writer
	screen *screen
	group  *errgroup.Group
	now    chan struct{} // asks for a look
	done   chan outcome
}

// outcome is what came of an act.
type outcome struct {
	node int
	text string
}

// liveScreen shows the table and does what the keys say until q, Ctrl-C or the end of ctx.
func liveScreen(ctx context.Context, m *mesh, out io.Writer) error {
	stdin := int(os.Stdin.Fd())
	old, err := term.MakeRaw(stdin)
	if err != nil {
		return fmt.Errorf("switch the terminal to single keys: %w", err)
	}
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l") // the other screen, no cursor
	defer func() {
		fmt.Fprint(out, "\x1b[?25h\x1b[?1049l")
		_ = term.Restore(stdin, old)
	}()
	g, ctx := errgroup.WithContext(ctx)
	l := &live{mesh: m, acts: &acts{mesh: m}, out: out, screen: newScreen(m), group: g, now: make(chan struct{}, 1), done: make(chan outcome)}
	shots, keys := make(chan snapshot), make(chan byte)
	v := newViewer(m)
	safely(g, func() error { return v.run(ctx, l.now, shots) })
	safely(g, func() error { return readKeys(ctx, stdin, keys) })
	safely(g, func() error { return l.loop(ctx, shots, keys) })
	if err := g.Wait(); err != nil && !errors.Is(err, errQuit) {
		return err
	}
	return nil
}

func (l *live) loop(ctx context.Context, shots <-chan snapshot, keys <-chan byte) error {
	for {
		if err := l.draw(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case s := <-shots:
			l.screen.views = s.views
			for _, e := range s.events {
				l.screen.add(s.at, e)
			}
		case o := <-l.done:
			l.screen.busy[o.node] = false
			l.screen.add(time.Now(), o.text)
			l.look()
		case k := <-keys:
			if err := l.key(ctx, k); err != nil {
				return err
			}
		}
	}
}

// look asks for a look now; one that is asked for already is enough.
func (l *live) look() {
	select {
	case l.now <- struct{}{}:
	default:
	}
}

const ctrlC = 3

func (l *live) key(ctx context.Context, k byte) error {
	switch {
	case k == 'q', k == 'Q', k == ctrlC:
		return errQuit
	case k >= '1' && int(k-'1') < len(l.mesh.nodes):
		l.screen.selected = int(k - '1')
		return nil
	}
	act, ok := map[byte]func(context.Context, *devNode) (string, error){
		's': l.acts.stop, 'c': l.acts.resume, 'k': l.acts.kill, 'r': l.acts.restart, 'w': l.acts.write,
	}[k]
	if !ok {
		return nil
	}
	i := l.screen.selected
	n := l.mesh.nodes[i]
	if l.screen.busy[i] {
		l.screen.add(time.Now(), n.name+" is busy")
		return nil
	}
	l.screen.busy[i] = true
	safely(l.group, func() error {
		text, err := act(ctx, n)
		if err != nil {
			text = "not done: " + err.Error()
		}
		select {
		case l.done <- outcome{i, text}:
		case <-ctx.Done():
		}
		return nil
	})
	return nil
}

// draw paints over what is there, without clearing first, so that nothing flickers.
func (l *live) draw() error {
	width, height := 0, 0
	if f, ok := l.out.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil {
			width, height = w, h
		}
	}
	lines := l.screen.render(width)
	if height > 1 && len(lines) >= height {
		lines = lines[:height-1] // else it would scroll
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for _, line := range lines {
		b.WriteString(line)
		b.WriteString("\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	_, err := io.WriteString(l.out, b.String())
	return err
}
