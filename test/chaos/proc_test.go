//go:build chaos && linux

package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// proc is one child process.
type proc struct {
	cmd  *exec.Cmd
	pid  int
	done chan struct{} // closed once it has been waited for
}

// children are all that run, for endAll.
var children struct {
	mu    sync.Mutex
	procs map[*proc]bool
	over  bool // no more starts
}

// spawn runs f on one thread that lives as long as this process. A child's Pdeathsig is
// bound to the thread that forked it, not to the process: a goroutine's thread may end at
// any time, and would take the children with it.
var spawn = sync.OnceValue(func() chan func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
})

// start runs a command with its output appended to a file.
func start(logFile string, name string, args ...string) (*proc, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	fmt.Fprintf(log, "--- %s %s %s\n", time.Now().Format(time.RFC3339Nano), filepath.Base(name), strings.Join(args, " "))
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &proc{cmd: cmd, done: make(chan struct{})}

	children.mu.Lock()
	defer children.mu.Unlock()
	if children.over {
		return nil, errors.New("the run is ending")
	}
	started := make(chan error)
	spawn() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	if children.procs == nil {
		children.procs = map[*proc]bool{}
	}
	children.procs[p] = true
	go func() {
		_ = cmd.Wait() // its state is in cmd.ProcessState
		children.mu.Lock()
		delete(children.procs, p)
		children.mu.Unlock()
		close(p.done)
	}()
	return p, nil
}

// environment keeps the caller's settings of memd out.
func environment() []string {
	env := []string{"HOME=" + runDir}
	for _, e := range os.Environ() {
		if key, _, _ := strings.Cut(e, "="); key == "PATH" || key == "TMPDIR" || key == "GOMAXPROCS" {
			env = append(env, e)
		}
	}
	return env
}

func (p *proc) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

func (p *proc) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// wait returns how the process ended, or an error if it has not in time.
func (p *proc) wait(limit time.Duration) (*os.ProcessState, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState, nil
	case <-time.After(limit):
		return nil, fmt.Errorf("process %d has not ended after %s", p.pid, limit)
	}
}

// kill ends the process with SIGKILL and proves that this is what it died of.
func (p *proc) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return voidf("kill -9 %d: %v", p.pid, err)
	}
	return p.killed()
}

func (p *proc) killed() error {
	state, err := p.wait(10 * time.Second)
	if err != nil {
		return err
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() || ws.Signal() != syscall.SIGKILL {
		return voidf("process %d did not die of SIGKILL: %s", p.pid, state)
	}
	return nil
}

// stop stands the process still and proves that every thread of it does.
func (p *proc) stop() error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return voidf("SIGSTOP %d: %v", p.pid, err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := p.stopped()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// stopped is nil if every thread is in state T.
func (p *proc) stopped() error {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid))
	if err != nil || len(files) == 0 {
		return voidf("process %d has no threads", p.pid)
	}
	for _, f := range files {
		state, err := threadState(f)
		if err != nil {
			return voidf("%v", err)
		}
		if state != "T" {
			return voidf("%s: state %s instead of T", f, state)
		}
	}
	return nil
}

// threadState reads the third field of a stat file; the second one may hold anything.
func threadState(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	rest := string(b[strings.LastIndexByte(string(b), ')')+1:])
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return "", fmt.Errorf("%s: %q", file, b)
	}
	return fields[0], nil
}

func (p *proc) cont() error { return p.signal(syscall.SIGCONT) }

// fds counts open files, rss is resident memory in bytes.
func (p *proc) fds() int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	return len(list)
}

func (p *proc) rss() int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// endAll ends every child: continue it, since a stopped process handles no signal but
// one, ask it, then make it. Nothing is started afterwards.
func endAll() {
	children.mu.Lock()
	children.over = true
	var procs []*proc
	for p := range children.procs {
		procs = append(procs, p)
	}
	children.mu.Unlock()
	for _, p := range procs {
		_ = p.cont()
		_ = p.signal(syscall.SIGTERM)
	}
	patience := time.Now().Add(3 * time.Second)
	for _, p := range procs {
		if _, err := p.wait(time.Until(patience)); err != nil {
			_ = p.signal(syscall.SIGKILL)
			<-p.done
		}
	}
}
