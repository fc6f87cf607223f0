//go:build !unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// Without signals dev can start, kill and restart nodes, but not stop and continue them.
var errNoSignals = errors.New("this system cannot stop and continue a process")

func suspend(*os.Process) error     { return errNoSignals }
func resume(*os.Process) error      { return errNoSignals }
func terminate(p *os.Process) error { return p.Kill() }

func childAttr() *syscall.SysProcAttr { return nil }

func systemState(int) (byte, error) { return 0, errNoSignals }
