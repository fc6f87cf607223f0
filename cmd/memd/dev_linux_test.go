package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDevDies: the kernel ends the nodes of a dev that could not do it itself, also the one
// that stands still.
func TestDevDies(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three processes")
	}
	dir := t.TempDir()
	p := begin(t, nil, binary(t), "dev", "--dir", dir)
	pid := pids(t, p)
	if err := syscall.Kill(pid["n3"], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.signal(os.Kill)
	p.ended()
	noProcess(t, dir)
}

// openTerminal returns the two ends of a pseudo terminal.
func openTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	t.Cleanup(func() { ours.Close() })
	fd := int(ours.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 200}); err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	return ours, theirs
}

// TestDevTerminal types what a person would.
func TestDevTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three processes")
	}
	ours, theirs := openTerminal(t)
	temp := t.TempDir()
	p := &program{t: t, cmd: exec.Command(binary(t), "dev"), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "TMPDIR="+temp, "TERM=xterm")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs, theirs, theirs
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := ours.Read(buf)
			_, _ = p.Write(buf[:n])
			if err != nil {
				return // EIO: the other end is closed
			}
		}
	}()
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		<-read
	})
	typed := func(keys string) {
		t.Helper()
		if _, err := ours.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}

	p.await("1-9 select")
	p.await(">  n3") // the last one is selected
	p.await("running")
	typed("1")
	p.await(">  n1")
	typed("3xs") // a key without a meaning does nothing
	p.await("n3 stopped (SIGSTOP")
	typed("w")
	p.await("20 memories written through n1 and n2")
	p.await("\x1b[33m>  n3") // in the colour of one that is behind
	typed("c")
	p.await("n3 continued: it had missed 20 writes and has caught up in")
	typed("k")
	p.await("n3 killed")
	typed("c")
	p.await("not done: n3 is killed, not stopped")
	typed("r")
	p.await("n3 started again")
	typed("q")
	if code := p.ended(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.output())
	}
	<-read
	if out := p.output(); !strings.Contains(out, "\x1b[?1049l") || !strings.Contains(out, "\x1b[?25h") {
		t.Error("the terminal is not put back")
	}
	nothingLeft(t, temp)
}
