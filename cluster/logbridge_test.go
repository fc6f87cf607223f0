package cluster

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf bytes.Buffer
		l := newLogger(slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelInfo})), new(drops))
		for i := range 50 {
			l.Printf("[ERR] memberlist: Push/Pull with n%d failed: %v", i, "timeout")
			l.Printf("[DEBUG] memberlist: Stream connection %s", "from=x")
			l.Printf("[INFO] memberlist: Suspect %s has failed, no acks received", "n2")
			time.Sleep(50 * time.Millisecond)
		}
		l.Print("no level")
		time.Sleep(2 * time.Second)
		l.Printf("[ERR] memberlist: discarding packet with unacceptable label %q: from=%s", `a"b\\`, "127.0.0.1:1")
		out := buf.String()
		if n := strings.Count(out, "Push/Pull with"); n != 3 {
			t.Errorf("%d lines of one class in 2.5 s", n)
		}
		if !strings.Contains(out, "unacceptable label: from=127.0.0.1:1") || strings.Contains(out, `a\"b`) {
			t.Errorf("what a stranger calls its cluster is in the log:\n%s", out)
		}
		if !strings.Contains(out, "left_out=19") {
			t.Error("what was left out is not counted")
		}
		if strings.Contains(out, "Stream connection") || strings.Contains(out, "memberlist:") || strings.Contains(out, "[ERR]") {
			t.Error(out)
		}
		for _, want := range []string{"level=WARN msg=\"Push/Pull", "level=INFO msg=\"Suspect", "level=WARN msg=\"no level"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in:\n%s", want, out)
			}
		}
	})
}
