package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A line that says the same of the same peer is written a few times a minute; how often it
// was left out stands in the next one that is written. Errors are for a human to look at, and
// whoever asks for level debug wants all of it: both are always written.
const (
	repeatWindow = time.Minute
	repeatLines  = 10   // of one kind in a window
	repeatKinds  = 1000 // that are remembered; of more, all lines are written
)

// repeats is a handler that limits them.
type repeats struct {
	slog.Handler
	peer string // of the logger's own attributes
	seen *seenLines
}

type seenLines struct {
	mu    sync.Mutex
	kinds map[lineKind]*lineCount
}

type lineKind struct {
	level     slog.Level
	msg, peer string
}

type lineCount struct {
	since   time.Time
	written int
	left    int // out, since the last one that was written
}

func limitRepeats(h slog.Handler) slog.Handler {
	return &repeats{Handler: h, seen: &seenLines{kinds: make(map[lineKind]*lineCount)}}
}

const peerKey = "peer"

// Handle implements slog.Handler.
func (r *repeats) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level < slog.LevelError && rec.Level > slog.LevelDebug {
		kind := lineKind{rec.Level, rec.Message, r.peer}
		rec.Attrs(func(a slog.Attr) bool {
			if a.Key == peerKey {
				kind.peer = a.Value.String()
			}
			return true
		})
		write, left := r.seen.take(kind, rec.Time)
		if !write {
			return nil
		}
		if left > 0 {
			rec = rec.Clone()
			rec.AddAttrs(slog.Int("left_out", left))
		}
	}
	return r.Handler.Handle(ctx, rec)
}

// take decides about one line, and tells how many of its kind were left out before it.
func (s *seenLines) take(kind lineKind, now time.Time) (write bool, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.kinds[kind]
	if c == nil {
		if len(s.kinds) >= repeatKinds {
			for k, old := range s.kinds { // what is over and has nothing to tell
				if old.left == 0 && now.Sub(old.since) >= repeatWindow {
					delete(s.kinds, k)
				}
			}
			if len(s.kinds) >= repeatKinds {
				return true, 0
			}
		}
		c = &lineCount{since: now}
		s.kinds[kind] = c
	}
	if now.Sub(c.since) >= repeatWindow || now.Before(c.since) {
		c.since, c.written = now, 0
	}
	if c.written >= repeatLines {
		c.left++
		return false, 0
	}
	c.written++
	left, c.left = c.left, 0
	return true, left
}

// WithAttrs implements slog.Handler.
func (r *repeats) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *r
	out.Handler = r.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		if a.Key == peerKey {
			out.peer = a.Value.String()
		}
	}
	return &out
}

// WithGroup implements slog.Handler.
func (r *repeats) WithGroup(name string) slog.Handler {
	out := *r
	out.Handler = r.Handler.WithGroup(name)
	return &out
}
