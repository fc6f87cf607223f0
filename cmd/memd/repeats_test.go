package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestRepeats(t *testing.T) {
	var b bytes.Buffer
	h := limitRepeats(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	say := func(h slog.Handler, level slog.Level, msg string, args ...any) {
		t.Helper()
		rec := slog.NewRecord(at, level, msg, 0)
		rec.Add(args...)
		if err := h.Handle(context.Background(), rec); err != nil {
			t.Fatal(err)
		}
	}
	lines := func() int {
		n := strings.Count(b.String(), "\n")
		b.Reset()
		return n
	}
	for range 100 {
		say(h, slog.LevelWarn, "seed does not answer", "err", "a")
	}
	if n := lines(); n != repeatLines {
		t.Errorf("%d lines of 100, want %d", n, repeatLines)
	}
	for range 100 { // each peer speaks for itself, however the logger learned of it
		say(h, slog.LevelWarn, "lost", "peer", "n1")
		say(h.WithAttrs([]slog.Attr{slog.String("peer", "n2")}), slog.LevelWarn, "lost")
		say(h.WithGroup("g"), slog.LevelInfo, "lost")
	}
	if n := lines(); n != 3*repeatLines {
		t.Errorf("%d lines of three kinds, want %d", n, 3*repeatLines)
	}
	for range 100 {
		say(h, slog.LevelError, "look")
		say(h, slog.LevelDebug, "look")
	}
	if n := lines(); n != 200 {
		t.Errorf("%d lines of 100 errors and 100 for debugging", n)
	}
	at = at.Add(repeatWindow)
	say(h, slog.LevelWarn, "seed does not answer", "err", "b")
	if text := b.String(); !strings.Contains(text, "left_out=90") || strings.Count(text, "\n") != 1 {
		t.Errorf("after the window: %q", text)
	}
	b.Reset()
	say(h, slog.LevelWarn, "seed does not answer", "err", "b")
	if text := b.String(); strings.Contains(text, "left_out") {
		t.Errorf("told twice: %q", text)
	}
	b.Reset()
	for i := range 3 * repeatKinds { // kinds without end neither grow the table nor are lost
		say(h, slog.LevelWarn, fmt.Sprint("kind ", i))
	}
	if n := lines(); n != 3*repeatKinds {
		t.Errorf("%d lines of %d kinds", n, 3*repeatKinds)
	}
	if n := len(h.(*repeats).seen.kinds); n > repeatKinds {
		t.Errorf("%d kinds are remembered", n)
	}
	at = at.Add(2 * repeatWindow)
	say(h, slog.LevelWarn, "a new one")
	if n := len(h.(*repeats).seen.kinds); n > repeatKinds/2 {
		t.Errorf("%d kinds are remembered after they were over", n)
	}
}
