package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// spawner starts processes from one operating system thread that lives until close. The
// kernel ends a child of dev together with the thread that made it (Pdeathsig), and the
// threads of goroutines come and go.
type spawner struct {
	jobs chan func()
	done chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{make(chan func()), make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	result := make(chan error)
	s.jobs <- func() { result <- cmd.Start() }
	return <-result
}

// close ends the thread. Every process has ended before.
func (s *spawner) close() {
	close(s.jobs)
	<-s.done
}

// proc is one process that was started, until it has been waited for.
type proc struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once err is set
	err    error         // of Wait

	mu     sync.Mutex
	killed bool // by kill
}

// startProc runs args of this very binary, with its output appended to log.
func startProc(s *spawner, log string, args ...string) (*proc, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()                  // the child has its own
	cmd := exec.Command(self, args...) // #nosec G204 -- this program itself, with arguments of its own
	cmd.Env = withoutSettings(os.Environ())
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = childAttr()
	if err := s.start(cmd); err != nil {
		return nil, err
	}
	p := &proc{cmd: cmd, exited: make(chan struct{})}
	go func() { // ends with the process, which end waits for
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *proc) pid() int { return p.cmd.Process.Pid }

func (p *proc) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// States of a process, as they are shown.
const (
	stateRunning = "running"
	stateStopped = "stopped" // by SIGSTOP
	stateKilled  = "killed"  // by dev
	stateExited  = "exited"  // by itself, or by somebody else
)

// stoppedState is how the system shows a process that SIGSTOP took hold of.
const stoppedState = 'T'

// state is what the system says of the process, not what dev last told it.
func (p *proc) state() string {
	if p.gone() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.killed {
			return stateKilled
		}
		return stateExited
	}
	if s, err := systemState(p.pid()); err == nil && s == stoppedState {
		return stateStopped
	}
	return stateRunning
}

// stop sends SIGSTOP and returns once the system shows that the process stands still.
func (p *proc) stop(ctx context.Context) error {
	if err := suspend(p.cmd.Process); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		state, err := systemState(p.pid())
		if err == nil && state == stoppedState {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("process %d is in state %q after SIGSTOP, not %q: %w", p.pid(), state, stoppedState, errors.Join(err, ctx.Err()))
		}
	}
}

func (p *proc) resume() error { return resume(p.cmd.Process) }

// kill ends it without a word, as kill -9 does, and returns when it has ended.
func (p *proc) kill() error {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.exited
	return nil
}

// endTimeout is how long a process may take to end well.
const endTimeout = 5 * time.Second

// end makes the process end, well if it can: continued if it stands still, asked, and
// killed when it takes too long. It returns when the process has ended.
func (p *proc) end() {
	_ = resume(p.cmd.Process) // an error means that it has ended
	_ = terminate(p.cmd.Process)
	select {
	case <-p.exited:
	case <-time.After(endTimeout):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}
