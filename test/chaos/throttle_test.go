//go:build chaos && linux

package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// starved is a process that gets 5 % of one processor.
type starved struct {
	how     string
	began   time.Time
	cpu     time.Duration // that the process had used until then
	p       *proc
	release func() error
}

const (
	quota  = 5 * time.Millisecond // of CPU in each period
	period = 100 * time.Millisecond
)

// starve puts the process into a cgroup of its own where the machine lets it, else it is
// stopped 950 ms of every second.
func starve(p *proc) (*starved, error) {
	cpu, err := p.cpu()
	if err != nil {
		return nil, err
	}
	s := &starved{p: p, began: time.Now(), cpu: cpu}
	if s.release, s.how, err = cgroup(p.pid); err == nil {
		return s, nil
	}
	why := err
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- dutyCycle(p, done) }()
	s.how = fmt.Sprintf("SIGSTOP and SIGCONT, 50 ms of every second (no cgroup: %v)", why)
	s.release = func() error { close(done); return <-ended }
	return s, nil
}

// end lets the process go, and proves that it was held back.
func (s *starved) end() error {
	took := time.Since(s.began)
	cpu, err := s.p.cpu()
	if err := errors.Join(err, s.release()); err != nil {
		return err
	}
	share := float64(cpu-s.cpu) / float64(took)
	s.how += fmt.Sprintf(", it had %.1f %% of one processor", 100*share)
	if share > 0.07 {
		return voidf("the process had %.1f %% of a processor by %s", 100*share, s.how)
	}
	return nil
}

func dutyCycle(p *proc, done <-chan struct{}) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := p.signal(syscall.SIGSTOP); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-done:
			return p.cont()
		}
		if err := p.cont(); err != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// cgroup makes a group with a quota, in the first hierarchy or the second, and puts the
// process into it. The release puts it back and removes the group.
func cgroup(pid int) (release func() error, how string, err error) {
	const root = "/sys/fs/cgroup"
	name := fmt.Sprintf("memd-chaos-%d-%d", os.Getpid(), pid)
	micro := func(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }
	kinds := []struct {
		how, parent string
		files       [][2]string
	}{
		{"cgroup v1 cpu.cfs_quota_us", filepath.Join(root, "cpu"), [][2]string{{"cpu.cfs_period_us", micro(period)}, {"cpu.cfs_quota_us", micro(quota)}}},
		{"cgroup v2 cpu.max", root, [][2]string{{"cpu.max", micro(quota) + " " + micro(period)}}},
	}
	var errs []error
	for _, k := range kinds {
		before, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
		if err != nil {
			return nil, "", err
		}
		dir := filepath.Join(k.parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			errs = append(errs, err)
			continue
		}
		// To its former group, which is the top one of whoever started the tests.
		home := filepath.Join(k.parent, formerGroup(string(before), k.parent == root), "cgroup.procs")
		release := func() error {
			_ = os.WriteFile(home, []byte(strconv.Itoa(pid)), 0) // fails if it has ended
			var err error
			for range 200 { // threads leave one after the other
				if err = os.Remove(dir); err == nil {
					return nil
				}
				time.Sleep(10 * time.Millisecond)
			}
			return err
		}
		if err := func() error {
			for _, f := range append(k.files, [2]string{"cgroup.procs", strconv.Itoa(pid)}) {
				file := filepath.Join(dir, f[0])
				if _, err := os.Stat(file); err != nil { // never make a file on what is no cgroup
					return err
				}
				if err := os.WriteFile(file, []byte(f[1]), 0); err != nil {
					return err
				}
			}
			return nil
		}(); err != nil {
			errs = append(errs, err, release())
			continue
		}
		return release, k.how, nil
	}
	return nil, "", errors.Join(errs...)
}

// formerGroup reads /proc/PID/cgroup: lines "4:cpu:/path", and "0::/path" for the second
// hierarchy.
func formerGroup(text string, second bool) string {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		if second && f[0] == "0" {
			return f[2]
		}
		for c := range strings.SplitSeq(f[1], ",") {
			if !second && c == "cpu" {
				return f[2]
			}
		}
	}
	return "/"
}

// cpu is how much the process has used.
func (p *proc) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may hold anything
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", p.pid, b)
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}
