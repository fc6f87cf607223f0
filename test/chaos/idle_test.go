//go:build chaos && linux

package chaos

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestIdle tells what three nodes cost while nobody writes or reads, their index included.
// What went over loopback is counted for the whole machine, so it is an upper bound, and
// bytes between nodes count twice: once to a proxy, once behind it.
func TestIdle(t *testing.T) {
	m := newMesh(t, "--recall=true")
	c := m.client("owner")
	for i := range 30 {
		title := m.name("row")
		c.add(m.nodes[i%3], title, c.content(title), options{})
	}
	m.quiet(quietLimit)
	before := m.states()
	var cpu time.Duration
	used := func() (sum time.Duration) {
		for _, n := range m.nodes {
			x, err := n.proc().cpu()
			m.must(err)
			sum += x
		}
		return sum
	}
	cpu = used()
	bytes, err := loopbackBytes()
	m.must(err)
	began := time.Now()
	time.Sleep(time.Duration(times(60, 10)) * time.Second) // the time is what is measured
	minutes := time.Since(began).Minutes()
	sent, err := loopbackBytes()
	m.must(err)
	cpu = used() - cpu
	report.note(t, "three nodes for %.0f s: %.2f CPU-s a minute, %.1f KiB a minute over loopback (with the proxies' share, and others')",
		time.Since(began).Seconds(), cpu.Seconds()/minutes, float64(sent-bytes)/1024/minutes)
	for i, after := range m.states() {
		if before[i] != after {
			t.Errorf("%s was %+v, is %+v", m.nodes[i].name, before[i], after)
		}
	}
	m.judge()
}

// loopbackBytes is what the loopback device has sent since it was made.
func loopbackBytes() (int64, error) {
	b, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if name, counts, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "lo" {
			if f := strings.Fields(counts); len(f) > 8 {
				return strconv.ParseInt(f[8], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("no loopback device in /proc/net/dev")
}
