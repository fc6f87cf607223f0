package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// childAttr: a child has a process group of its own, so that Ctrl-C in the terminal
// reaches dev only, which then ends its children in order; and the kernel kills it should
// dev die without doing so. SIGKILL, because a stopped process would not see another.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// systemState is the letter in /proc/<pid>/stat: R, S, T …
func systemState(pid int) (byte, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The name before it is in brackets and may contain anything.
	at := bytes.LastIndexByte(b, ')') + 2
	if at < 2 || at >= len(b) {
		return 0, fmt.Errorf("no state in %q", b)
	}
	return b[at], nil
}
