package cluster

import (
	"context"
	"log"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
)

// logBridge turns memberlist's lines, "[WARN] memberlist: text", into slog. A
// line that repeats is written once a second at most, with a count of those
// left out: a peer that is down makes several a second.
type logBridge struct {
	log   *slog.Logger
	drops *drops

	mu   sync.Mutex
	seen map[string]*repeats // by class
}

type repeats struct {
	at   time.Time
	left int // out
}

// foreignLabel is what memberlist quotes of a packet that it did not take.
var foreignLabel = regexp.MustCompile(`label "(?:[^"\\]|\\.)*": `)

const (
	repeatEvery = time.Second
	maxClasses  = 256
)

func newLogger(l *slog.Logger, d *drops) *log.Logger {
	return log.New(&logBridge{log: l, drops: d, seen: map[string]*repeats{}}, "", 0)
}

func (b *logBridge) Write(line []byte) (int, error) {
	level, text := parseLine(string(line))
	class := classOf(text)
	if b.drops.note(text) {
		class = "dropped" // whoever sends such things must not write the log
		text = foreignLabel.ReplaceAllString(text, "label: ")
	}
	ctx := context.Background()
	if !b.log.Enabled(ctx, level) {
		return len(line), nil
	}
	left, ok := b.admit(class, time.Now())
	if !ok {
		return len(line), nil
	}
	var attrs []slog.Attr
	if left > 0 {
		attrs = append(attrs, slog.Int("left_out", left))
	}
	b.log.LogAttrs(ctx, level, text, attrs...)
	return len(line), nil
}

// parseLine maps levels to this house's: memberlist calls a peer that does not
// answer an error, here it is a cluster that heals itself.
func parseLine(s string) (slog.Level, string) {
	s = strings.TrimSpace(s)
	level := slog.LevelWarn
	if rest, ok := strings.CutPrefix(s, "["); ok {
		if name, text, ok := strings.Cut(rest, "]"); ok {
			s = strings.TrimSpace(text)
			switch name {
			case "DEBUG":
				level = slog.LevelDebug
			case "INFO":
				level = slog.LevelInfo
			}
		}
	}
	s = strings.TrimPrefix(s, "memberlist: ")
	// cluster logs these itself, once for each member.
	if strings.HasPrefix(s, "ignoring alive message") || strings.HasPrefix(s, "Conflicting address") ||
		strings.HasPrefix(s, "Failed push/pull merge") {
		level = slog.LevelDebug
	}
	return level, s
}

// classOf is the part of a line before its first name, address or number.
func classOf(s string) string {
	if i := strings.IndexAny(s, ":'\"(0123456789"); i > 0 {
		s = s[:i]
	}
	return s[:min(len(s), 48)]
}

func (b *logBridge) admit(class string, now time.Time) (left int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.seen[class]
	if r == nil {
		if len(b.seen) >= maxClasses {
			clear(b.seen)
		}
		b.seen[class] = &repeats{at: now}
		return 0, true
	}
	if now.Sub(r.at) < repeatEvery {
		r.left++
		return 0, false
	}
	left, r.left, r.at = r.left, 0, now
	return left, true
}
