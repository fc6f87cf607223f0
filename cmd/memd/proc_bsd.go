//go:build unix && !linux

package main

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// childAttr: a child has a process group of its own, so that Ctrl-C in the terminal
// reaches dev only, which then ends its children in order.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// systemState is the first letter that ps shows: R, S, T …
func systemState(pid int) (byte, error) {
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("ps: %w", err)
	}
	text := strings.TrimSpace(string(out))
	if text == "" {
		return 0, fmt.Errorf("ps shows no process %d", pid)
	}
	return text[0], nil
}
