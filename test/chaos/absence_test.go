//go:build chaos && linux

package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	absenceRows = 20_000
	absenceBulk = 1_000
	absencePage = 1 << 20 / 1024 // rows of one page, at most
	maxGrowth   = 64 << 20       // resident bytes of the one that pulls
)

// TestLongAbsence: a node stands still, cut off, while twenty thousand memories of
// 1 KiB are written, and gets them by pulls. Its resident memory stays bounded, and what
// comes twice to one first page: on a machine so busy that the first peer's answer is
// overdue, the other one is asked beside it, and both may answer. From then on what one
// pull gets is reserved.
func TestLongAbsence(t *testing.T) {
	m := newMesh(t)
	a, s := m.nodes[0], m.nodes[2]
	m.quiet(quietLimit)
	had, err := s.pulled()
	m.must(err)
	before, err := s.proc().resident()
	m.must(err)
	m.must(s.pause())
	m.net.isolate(s.name)
	content := strings.Repeat("abcdefgh", 128)
	for i := 0; i < absenceRows; i += absenceBulk {
		m.must(a.bulk(i, absenceBulk, content))
	}
	m.must(s.proc().stopped())
	m.must(m.net.heal())
	m.must(s.proc().forgetPeak())
	woke := time.Now()
	s.resume()
	var anon, file int64
	took := m.eventually(time.Minute, func() error {
		r, err := s.proc().resident()
		if err != nil {
			return err
		}
		anon, file = max(anon, r.anon), max(file, r.file)
		x, err := s.state()
		if err != nil {
			return err
		}
		y, err := a.state()
		if err != nil {
			return err
		}
		if x.Digest != y.Digest {
			return fmt.Errorf("%s has not all of it after %s", s.name, time.Since(woke))
		}
		return nil
	})
	after, err := s.proc().resident()
	m.must(err)
	now, err := s.pulled()
	m.must(err)
	got := now.minus(had)
	mib := func(n int64) float64 { return float64(n) / (1 << 20) }
	report.note(t, "%d rows of 1 KiB after %s, %.0f rows/s; pulled %s; resident %.1f MiB before, at most %.1f (grown %.1f; anonymous %.1f of %.1f before, mapped file %.1f of %.1f)",
		absenceRows, ms(took), absenceRows/took.Seconds(), got, mib(before.all), mib(after.peak), mib(after.peak-before.all),
		mib(anon), mib(before.anon), mib(file), mib(before.file))
	if got.fresh < absenceRows || got.redundant > absencePage {
		t.Errorf("pulled %s", got)
	}
	if grown := after.peak - before.all; grown > maxGrowth {
		t.Errorf("resident memory grew by %.1f MiB", mib(grown))
	}
}

// bulk writes memories that are numbered from first on.
func (n *node) bulk(first, count int, content string) error {
	type draft struct {
		Title     string `json:"title"`
		Content   string `json:"content"`
		Namespace string `json:"namespace"`
	}
	ds := make([]draft, count)
	for i := range ds {
		ds[i] = draft{fmt.Sprintf("row %d", first+i), content, "absence"}
	}
	body, err := json.Marshal(ds)
	if err != nil {
		return err
	}
	a := n.call(patience, "POST", "/api/v1/memories/bulk", body)
	if a.status != http.StatusOK && a.status != http.StatusCreated || bytes.Contains(a.body, []byte(`"error":"`)) {
		return fmt.Errorf("bulk at %s: %s", n.name, a)
	}
	return nil
}

// resident is what the kernel keeps in memory of a process, in bytes: peak is the largest
// value of all since forgetPeak.
type resident struct{ all, anon, file, peak int64 }

func (p *proc) resident() (r resident, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return r, err
	}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		to := map[string]*int64{"VmRSS": &r.all, "RssAnon": &r.anon, "RssFile": &r.file, "VmHWM": &r.peak}[name]
		if to == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return r, fmt.Errorf("%s of process %d: %w", name, p.pid, err)
		}
		*to = kib << 10
	}
	return r, nil
}

// forgetPeak starts a new maximum.
func (p *proc) forgetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0o200)
}
